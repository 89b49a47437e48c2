"""Owns how the files that a config.toml names go into a backup and come back: which lie in the home, which are absent.

A file lies in its home where what its name leads to does: what a link to elsewhere leads to is renewed there, and a
copy would be old one day and nobody know. What a backup lacks is told when it is made, what is absent at a restore.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from exchange.setting_files import NamedFile
from exchange.storage.backup import entry_of, path_of
from exchange.storage.files import PRIVATE_DIRECTORY

_OWN: Final = frozenset({"keystore", "lock", "prekeys"})  # a home's, made anew by a restore
_UNITS: Final = "units"  # homes of others
_RUNNABLE: Final = 0o700


@dataclass(frozen=True)
class Gathered:
    """Files for a backup by their entries' names, and the whole paths of those that can't be in it."""

    inside: dict[str, Path]
    left_out: tuple[str, ...]


def gather(home: Path, files: Iterable[NamedFile], *, has: Collection[str]) -> Gathered:
    """Which of the `files` that the settings of `home` name go into its backup. `has`: entries that it has anyway."""
    inside: dict[str, Path] = {}
    left_out: list[str] = []
    for one in files:
        path = _inside(home, one.name)
        if path is not None and entry_of(path) in has:
            continue
        if (
            path is None
            or path.parts[0] in _OWN
            or path.parts[0] == _UNITS
            or not _is_usable(home / path, os.R_OK)
        ):
            left_out.append(str(home / one.name))
        else:
            inside[entry_of(path)] = home / path
    return Gathered(inside, tuple(dict.fromkeys(left_out)))


def place(folder: Path, entry: str) -> Path:
    """Where an entry goes in the home that is put together in `folder`, folders above it made. Raises OSError."""
    path = path_of(entry)
    for above in reversed(path.parents[:-1]):
        (folder / above).mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    return folder / path


def let_run(folder: Path, home: Path, files: Iterable[NamedFile]) -> None:
    """Programs that a backup brought may run again: `folder` is what `home` is made of. Raises OSError."""
    for one in files:
        path = _inside(home, one.name) if one.is_program else None
        if path is not None and (folder / path).is_file():
            (folder / path).chmod(_RUNNABLE)


def absent(home: Path, files: Iterable[NamedFile]) -> tuple[str, ...]:
    """The whole paths of those `files` that aren't there, or aren't this user's to use."""
    paths = {home / one.name: os.X_OK if one.is_program else os.R_OK for one in files}
    return tuple(str(path) for path, use in paths.items() if not _is_usable(path, use))


def _inside(home: Path, name: str) -> PurePath | None:
    """The path in `home` of a file that its settings name; None where it lies elsewhere."""
    whole = Path(os.path.normpath(home.absolute() / name))
    try:
        ours, leads_to = home.resolve(), whole.resolve()
    except (OSError, RuntimeError):  # links that lead round in a circle
        return None
    if leads_to == ours or not leads_to.is_relative_to(ours):
        return None
    for root in (Path(os.path.normpath(home.absolute())), ours):
        if whole.is_relative_to(root):
            return whole.relative_to(root)
    return leads_to.relative_to(ours)  # named by another way to this home


def _is_usable(path: Path, use: int) -> bool:
    try:
        return path.is_file() and os.access(path, use)
    except OSError:  # in a folder of somebody else's
        return False
