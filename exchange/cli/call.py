"""One run of a command: where its home is, how it talks, what opens its keystore, and asking a person.

Owns the `Call` each command gets. Secrets come from files, the environment, a systemd credential or the terminal, never
from arguments: other users of the machine can read those. Imports little: a server keeps it for months.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.cli.output import Output
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.storage.unlock import Unlock

KEY_FILE_NOTE = "key-file"  # in a home: where its key file lies
CREDENTIAL = "exchange-key"  # the name a systemd unit gives it: LoadCredential=exchange-key:/path


@dataclass
class Call:
    """One run of a command: where its home is, how it talks, and what it may use to open a keystore."""

    home: Path
    out: Output
    yes: bool
    passphrase_file: Path | None = None
    key_file: Path | None = None
    unit: str | None = None  # what --as said; `home` is the unit's then

    def unlock(self, *, new: bool = False) -> Unlock:
        """What opens the keystore, first found: an option, its variable, the home's note, a credential, typing.

        `new`: a keystore is about to be made, so a typed passphrase is asked for twice, and a key file that isn't
        there yet is made. Raises Refused cli.no-unlock, cli.usage (both given), keystore.*.
        """
        from exchange.storage.unlock import Unlock, create_key_file

        passphrase_file, key_file = self._files()
        if key_file:
            if new and not key_file.exists():
                create_key_file(key_file)
                self.out.note(f"made the key file {key_file}; keep a copy apart from this home")
            return Unlock.key_file(key_file)
        if passphrase_file:
            return Unlock.passphrase(first_line(passphrase_file))
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory and (Path(directory) / CREDENTIAL).exists():
            return Unlock.credential(Path(directory), CREDENTIAL)
        if not sys.stdin.isatty():
            raise Refused("cli.no-unlock")
        phrase = getpass.getpass("Passphrase of this home: ")
        if new and getpass.getpass("The same again: ") != phrase:
            raise Refused("cli.usage", "the two passphrases differ")
        return Unlock.passphrase(phrase)

    def secret_files(self) -> tuple[Path | None, Path | None]:
        """The passphrase file or the key file that opens this home, if a file does. Raises Refused cli.usage."""
        return self._files()

    def _files(self) -> tuple[Path | None, Path | None]:
        """The passphrase file or the key file: by option, else by variable. Raises Refused cli.usage for both."""
        given = (self.passphrase_file, self.key_file)
        note = self.home / KEY_FILE_NOTE
        if given == (None, None) and self.unit and note.exists():
            return None, _noted(note)  # the variables are the surrounding home's, and would open nothing here
        if given == (None, None):
            variables = (os.environ.get("EXCHANGE_PASSPHRASE_FILE"), os.environ.get("EXCHANGE_KEY_FILE"))
            given = (
                Path(variables[0]) if variables[0] else None,
                Path(variables[1]) if variables[1] else None,
            )
        if all(given):
            raise Refused("cli.usage", "give a passphrase file or a key file, not both")
        if not any(given) and note.exists():
            return None, _noted(note)
        return given

    def remember(self) -> None:
        """Note in a home just made which key file opens it, so that nobody must say it again at 3 a.m."""
        _, key_file = self._files()
        if key_file:
            remember_key_file(self.home, key_file)

    def confirm(self, question: str) -> None:
        """Go on only if a person says yes, or said --yes. Raises Refused cli.unconfirmed."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Refused("cli.unconfirmed", f"{question} (there is no terminal to ask on)")
        if not _says_yes(question):
            raise Refused("cli.unconfirmed")

    def insist(self, question: str, *, code: str, option: str) -> None:
        """As `confirm`, for what --yes isn't enough for: only a person now, or `option` said before. Raises Refused."""
        if not sys.stdin.isatty():
            raise Refused(code, f"{question} Then add {option}")
        if not _says_yes(question):
            raise Refused(code)

    def ask(self, name: str, value: str | None, option: str) -> str:
        """`value`, or what a person types for it. Raises Refused cli.usage where there is nobody to ask."""
        if value:
            return value
        if not sys.stdin.isatty():
            raise Refused("cli.usage", f"{option} is missing")
        sys.stderr.write(f"{name}: ")
        sys.stderr.flush()
        typed = sys.stdin.readline().strip()
        if not typed:
            raise Refused("cli.usage", f"{option} is missing")
        return typed


def remember_key_file(home: Path, key_file: Path) -> None:
    """Write down in `home` where its key file lies: a path, no secret."""
    from exchange.storage.files import write_private

    write_private(home / KEY_FILE_NOTE, str(key_file.resolve()).encode("utf-8"))


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


def default_home(role: str) -> Path:
    """Where a home of this role lies if nobody says otherwise."""
    import platformdirs

    return platformdirs.user_data_path("exchange") / role


def _says_yes(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _noted(note: Path) -> Path:
    return Path(note.read_text(encoding="utf-8"))


def first_line(path: Path) -> str:
    """The passphrase in a file that only its owner may read. Raises Refused keystore.key-file, keystore.mode."""
    from exchange.storage.unlock import MAX_PASSPHRASE_BYTES, require_private

    try:
        with path.open("rb") as file:
            require_private(os.fstat(file.fileno()).st_mode, path)
            line = file.read(MAX_PASSPHRASE_BYTES + 2).split(b"\n", 1)[0].rstrip(b"\r")
        return line.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("keystore.key-file", f"can't read the passphrase file {path}") from error
