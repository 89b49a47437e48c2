"""`exchange node backup | restore`: a member's home, or with --as a unit's, into one encrypted file and back.

Owns these verbs. What is in the file is node/backup's business, the secret that opens it `backup`'s.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.cli import backup as shared
from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import utc
from exchange.errors import Refused


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "backup", role="node", unlocks=True)(backup)
    command(group, "restore", role="node", unlocks=True)(restore)


def backup(
    call: Call,
    file: shared.BackupFile,
    *,
    backup_passphrase_file: shared.SecretPassphrase = None,
    backup_key_file: shared.SecretKey = None,
    erasures: shared.OnlyErasures = False,
) -> None:
    """Write this home, with its units', into one encrypted file; works beside a server. Prekeys are never in it."""
    from exchange.node.backup import back_up, back_up_erasures
    from exchange.node.home import open_home

    shared.check_target(call, file)
    secret = shared.secret(call, backup_passphrase_file, backup_key_file, new=True)
    keystore = open_home(call.home, call.unlock()).keystore
    now = now_ms()
    if erasures:
        made = back_up_erasures(call.home, keystore, file, secret, now=now)
    else:
        made = back_up(call.home, keystore, file, secret, now=now, progress=shared.progress(call))
    value = {"file": str(file), "of": made.of, "at": made.at, "bytes": made.size, "units": list(made.units)}
    value["left_out"] = list(made.left_out)
    lines = [f"wrote {file}: {'erasures' if erasures else 'backup'} of {made.of}, {made.size} bytes"]
    if made.units:
        lines.append(f"with the homes of {', '.join(made.units)}, whose own secrets still open them")
    lines += shared.left_out(made.left_out)
    call.out.result(value, lines, next_step="keep it, and its secret, on another machine")


def restore(
    call: Call,
    file: shared.BackupFile,
    *,
    backup_passphrase_file: shared.SecretPassphrase = None,
    backup_key_file: shared.SecretKey = None,
    erasures: shared.NewerErasures = None,
    seed: Annotated[
        str | None,
        typer.Option(help="File with the printed seed of keys that are newer than the backup; - to type it."),
    ] = None,
) -> None:
    """Make the home of a backup, where there is none. Its keys then open with what opens a new home."""
    from exchange.node import backup as node_backup
    from exchange.storage.staging import check_free

    check_free(call.home)
    secret = shared.secret(call, backup_passphrase_file, backup_key_file, new=False)
    unit = call.unit
    restored = node_backup.restore(
        file,
        call.home,
        secret,
        shared.new_unlock(call),
        now=now_ms(),
        progress=shared.progress(call),
        unit=unit,
        newer=erasures,
        seed=_seed(call, seed),
    )
    call.remember()
    value: dict[str, Any] = {
        "home": str(call.home),
        "of": restored.of,
        "made_at": restored.made_at,
        "units": list(restored.units),
        "erased": restored.erased,
        "attachments": restored.attachments,
        "missing": list(restored.missing),
    }
    lines = [f"restored {restored.of} at {call.home}, as it was at {utc(restored.made_at)}"]
    if restored.units:
        lines.append(f"with the homes of {', '.join(restored.units)}")
    if restored.erased:
        lines.append(f"erased again: {restored.erased} messages")
    if restored.attachments:
        lines.append(
            f"not in a backup: {restored.attachments} attachments: exchange node attachment fetch ID"
        )
    lines += shared.missing(restored.missing)
    call.out.result(value, lines, next_step="exchange node serve; peers then seal again what is missing here")


def _seed(call: Call, source: str | None) -> bytes | None:
    from exchange.cli.seeds import from_paper, read_seed

    if source is None:
        return None
    if call.unit is not None:
        raise Refused("cli.usage", "a unit has no printed seed: exchange node unit-rekey")
    return from_paper(read_seed(source))
