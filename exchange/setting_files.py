"""Which settings name files: the types that say so, and the walk that finds them in a home's settings.

A setting that is a file's name has the type FileName, one that is a program with its words the type Command. Who needs
those files (a backup, a restore, a unit's home) asks `named_files`, so that there is no list of them that could lack
one; tests/core/test_setting_files.py asks of every other setting whether it really names none. Looks at no file itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Final, NewType, get_type_hints

from exchange.errors import Refused

FileName = NewType("FileName", str)  # relative to the home, or a whole path; "": none
Command = NewType("Command", tuple[str, ...])  # a program by its whole path, and its words; (): none

NO_FILE: Final = FileName("")
NO_COMMAND: Final = Command(())


@dataclass(frozen=True)
class NamedFile:
    """A file that config.toml names. `setting`: which one does; `name`: relative to the home, or a whole path."""

    setting: str
    name: str
    is_program: bool = False


def file_settings(settings: type) -> tuple[str, ...]:
    """The settings of this table, not those of tables in it, that are files' names."""
    return tuple(name for name, kind in get_type_hints(settings).items() if kind is FileName)


def check_file_names(values: Mapping[str, object], settings: type, *, table: str = "") -> None:
    """What a parsed table gives these settings must be files' names. Raises Refused settings.invalid, naming one."""
    for name in file_settings(settings):
        value = values.get(name, "")
        if not isinstance(value, str) or any(char < " " or char == "\x7f" for char in value):
            raise Refused("settings.invalid", f"{table}{name}: must be a file's name")


def named_files(settings: object) -> tuple[NamedFile, ...]:
    """Every file that a home's settings name, those of tables in them too, in the order of the settings."""
    return tuple(_named(settings, ""))


def _named(settings: object, prefix: str) -> Iterator[NamedFile]:
    if not is_dataclass(settings) or isinstance(settings, type):
        return
    kinds = get_type_hints(type(settings))
    for one in fields(settings):
        value, dotted = getattr(settings, one.name), f"{prefix}{one.name}"
        if kinds[one.name] is FileName and value:
            yield NamedFile(dotted, value)
        elif kinds[one.name] is Command and value:
            yield NamedFile(dotted, value[0], is_program=True)
        else:
            yield from _named(value, f"{dotted}.")
