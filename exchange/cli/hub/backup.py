"""`exchange hub backup | restore`: a hub's home into one encrypted file and back.

Owns these verbs. What is in the file is hub/backup's business, the secret that opens it `backup`'s.
"""

from __future__ import annotations

from typing import Any

import typer

from exchange.cli import backup as shared
from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import utc


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "backup", role="hub", unlocks=True)(backup)
    command(group, "restore", role="hub", unlocks=True)(restore)


def backup(
    call: Call,
    file: shared.BackupFile,
    *,
    backup_passphrase_file: shared.SecretPassphrase = None,
    backup_key_file: shared.SecretKey = None,
    erasures: shared.OnlyErasures = False,
) -> None:
    """Write this hub, with its keys, into one encrypted file; works beside a server."""
    from exchange.hub import home
    from exchange.hub.backup import back_up, back_up_erasures

    shared.check_target(call, file)
    home.load_settings(call.home)
    secret = shared.secret(call, backup_passphrase_file, backup_key_file, new=True)
    now = now_ms()
    if erasures:
        made = back_up_erasures(call.home, file, secret, now=now)
    else:
        keystore = home.open_keystore(call.home, call.unlock())
        made = back_up(call.home, keystore, file, secret, now=now, progress=shared.progress(call))
    value: dict[str, Any] = {
        "file": str(file),
        "at": made.at,
        "bytes": made.size,
        "left_out": list(made.left_out),
    }
    lines = [f"wrote {file}: {'erasures' if erasures else 'backup'} of the hub, {made.size} bytes"]
    lines += shared.left_out(made.left_out)
    call.out.result(value, lines, next_step="keep it, and its secret, on another machine")


def restore(
    call: Call,
    file: shared.BackupFile,
    *,
    backup_passphrase_file: shared.SecretPassphrase = None,
    backup_key_file: shared.SecretKey = None,
    erasures: shared.NewerErasures = None,
) -> None:
    """Make the hub of a backup, where there is none. Its keys then open with what opens a new home."""
    from exchange.hub import backup as hub_backup
    from exchange.storage.staging import check_free

    check_free(call.home)
    secret = shared.secret(call, backup_passphrase_file, backup_key_file, new=False)
    restored = hub_backup.restore(
        file,
        call.home,
        secret,
        shared.new_unlock(call),
        now=now_ms(),
        progress=shared.progress(call),
        newer=erasures,
    )
    call.remember()
    value: dict[str, Any] = {
        "home": str(call.home),
        "made_at": restored.made_at,
        "erased": restored.erased,
        "missing": list(restored.missing),
    }
    lines = [f"restored the hub at {call.home}, as it was at {utc(restored.made_at)}"]
    if restored.erased:
        lines.append(f"erased again: {restored.erased} applications")
    lines += shared.missing(restored.missing)
    call.out.result(
        value,
        lines,
        next_step="exchange hub serve; its log stays shut until the members were heard, a day at most",
    )
