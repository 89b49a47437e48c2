"""What `backup` and `restore` of hub and node share: the backup's own secret, progress, and what people are told.

The secret is never the home's: a key file that lies in the home, or opens it, is lost with the machine.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.call import Call, first_line
from exchange.cli.output import safe
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.storage.backup import Progress
    from exchange.storage.unlock import Unlock

PASSPHRASE_VARIABLE: Final = "EXCHANGE_BACKUP_PASSPHRASE_FILE"  # noqa: S105 - a variable's name
KEY_VARIABLE: Final = "EXCHANGE_BACKUP_KEY_FILE"
_SECONDS: Final = 2.0  # between two notes of progress

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
SecretPassphrase = Annotated[
    Path | None,
    typer.Option(
        "--backup-passphrase-file",
        help=f"File whose first line is the backup's passphrase; else {PASSPHRASE_VARIABLE}.",
    ),
]
SecretKey = Annotated[
    Path | None,
    typer.Option("--backup-key-file", help=f"File of random bytes for the backup; else {KEY_VARIABLE}."),
]
OnlyErasures = Annotated[
    bool, typer.Option("--erasures", help="Only what was erased: small, to keep beside older backups.")
]
NewerErasures = Annotated[
    Path | None,
    typer.Option("--erasures", help="A later backup, of erasures alone too: they are done again."),
]


def secret(call: Call, passphrase_file: Path | None, key_file: Path | None, *, new: bool) -> Unlock:
    """What opens a backup, first found: an option, its variable, typing (`new`: twice).

    Raises Refused backup.no-secret, cli.usage (both given), backup.own-secret, keystore.*.
    """
    from exchange.storage.unlock import Unlock

    if passphrase_file is None and key_file is None:
        passphrase_file, key_file = _variable(PASSPHRASE_VARIABLE), _variable(KEY_VARIABLE)
    if passphrase_file and key_file:
        raise Refused("cli.usage", "give the backup a passphrase file or a key file, not both")
    for file in (passphrase_file, key_file):
        if file is not None and _goes_with_the_home(call, file):
            raise Refused("backup.own-secret", path=str(file))
    if key_file:
        return Unlock.key_file(key_file)
    if passphrase_file:
        return Unlock.passphrase(first_line(passphrase_file))
    if not sys.stdin.isatty():
        raise Refused(
            "backup.no-secret",
        )
    phrase = getpass.getpass("Passphrase of the backup: ")
    if new and getpass.getpass("The same again: ") != phrase:
        raise Refused("cli.usage", "the two passphrases differ")
    return Unlock.passphrase(phrase)


def new_unlock(call: Call) -> Unlock:
    """What the restored home is to open with, as for a new one. Raises as `Call.unlock`, and Refused cli.usage."""
    for file in call.secret_files():
        if file is not None and call.home.resolve() in file.resolve().parents:
            raise Refused("cli.usage", f"{file} lies where the home is to be restored")
    return call.unlock(new=True)


def check_target(call: Call, file: Path) -> None:
    """Raises Refused cli.usage for a backup inside the home it is of."""
    if call.home.resolve() in file.resolve().parents:
        raise Refused("cli.usage", f"{file} lies in the home itself and would be lost with it")


def progress(call: Call) -> Progress:
    """Says on stderr, every other second, how far a long copy is."""
    said = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _SECONDS and done < of:
            said = time.monotonic()
            call.out.note(f"{100 * done // of} %")

    return tell


def left_out(paths: Iterable[str]) -> list[str]:
    """What `backup` says of files that config.toml names and that aren't in it."""
    why = "it lies outside the home, or isn't there to be read; keep a copy of it yourself"
    return [f"not in it: {safe(path)}: {why}" for path in paths]


def missing(paths: Iterable[str]) -> list[str]:
    """What `restore` says of files that config.toml names and that aren't there."""
    what = "config.toml names it; bring it back before the server starts"
    return [f"not there: {safe(path)}: {what}" for path in paths]


def _variable(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _goes_with_the_home(call: Call, file: Path) -> bool:
    """Does the file lie in the home, or is it the one that opens it?"""
    if call.home.resolve() in file.resolve().parents:
        return True
    return file.exists() and any(
        own is not None and own.exists() and own.samefile(file) for own in call.secret_files()
    )
