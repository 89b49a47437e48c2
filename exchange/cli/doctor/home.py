"""Checks of `exchange doctor` that every home needs: who may read it, its disk, its database, its server, its hook.

Nothing here opens a keystore or writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exchange.alarm import AlarmSettings
from exchange.cli.call import KEY_FILE_NOTE, now_ms
from exchange.cli.doctor.checks import FAIL, OK, WARN, Finding, found
from exchange.cli.output import utc
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.notify import unready
from exchange.storage import calls
from exchange.storage.files import OTHERS, check_home_modes, disk_fault, owner_of
from exchange.storage.inspection import inspect

MIB: Final = 1024 * 1024
LEAST_FREE: Final = 1024 * MIB
DANGER_FREE: Final = 256 * MIB  # below it a hub takes no mail
LEAST_FILES: Final = 1_000
MOST_LOG: Final = 512 * MIB
QUICK: Final = 5.0  # seconds for looking at a database
SHOWN: Final = 3
MOST_BACKUP_DAYS: Final = 30


def modes(home: Path) -> Sequence[Finding]:
    """Who may read the home and the key file that it notes."""
    loose = [path for path in check_home_modes(home) if path.suffix != ".sock"]
    names = ", ".join(str(path) for path in loose[:SHOWN])
    first = (
        found("modes", FAIL, "open", count=len(loose), names=names, path=home)
        if loose
        else found("modes", OK, "ok")
    )
    note = home / KEY_FILE_NOTE
    if not note.exists():
        return [first]
    path = Path(note.read_text(encoding="utf-8"))
    if not path.exists():
        return [first, found("key-file", FAIL, "missing", path=path)]
    if path.stat().st_mode & OTHERS:
        return [first, found("key-file", FAIL, "open", path=path)]
    return [first, found("key-file", OK, "ok")]


def disk(home: Path) -> Sequence[Finding]:
    """Room on the home's disk, for bytes and for files, and whether it can be written."""
    try:
        stat = os.statvfs(home)
    except OSError as error:
        raise disk_fault(error) from error
    free = stat.f_bavail * stat.f_frsize
    if stat.f_flag & os.ST_RDONLY or not os.access(home, os.W_OK):
        return [found("disk", FAIL, "read-only", path=home)]
    if stat.f_files and stat.f_favail < LEAST_FILES:
        return [found("disk", FAIL, "inodes", count=stat.f_favail)]
    if free < LEAST_FREE:
        return [found("disk", FAIL if free < DANGER_FREE else WARN, "low", free=free // MIB)]
    return [found("disk", OK, "ok", free=free // MIB)]


def database(path: Path, migrations: Path, *, role: str) -> Sequence[Finding]:
    """Whether the file is whole, of this program's version, and its log is folded now and then."""
    if not path.exists() or path.stat().st_size == 0:
        return [found("database", FAIL, "missing")]
    try:
        looked = inspect(path, migrations, app=role, seconds=QUICK)
    except Refused as refusal:
        if refusal.code == "storage.damaged":
            return [found("database", FAIL, "damaged", role=role)]
        raise
    facts = {"mib": looked.size // MIB, "step": looked.step, "newest": looked.newest, "role": role}
    if looked.whole is False:
        return [found("database", FAIL, "damaged", **facts)]
    if looked.step != looked.newest:
        return [found("database", FAIL, "older" if looked.step < looked.newest else "newer", **facts)]
    first = found("database", OK, "part" if looked.whole is None else "ok", **facts)
    if looked.log_size > MOST_LOG:
        return [first, found("database", WARN, "log", mib=looked.log_size // MIB)]
    return [first]


def server(lock: Path, socket: Path | None, *, role: str, answers: bool | None) -> Finding:
    """Whether a server owns the home: holds its lock. `answers`: whether it does on its socket; None: it has none."""
    owner = owner_of(lock)
    if owner is None:
        stale = socket is not None and socket.exists()
        code = "server.stale" if stale else "server.off"
        return Finding("server", FAIL, code, {"role": role})
    if answers is False:
        if owner.pid is None:  # nobody must be told to kill what may be another's process
            return found("server", FAIL, "owned")
        return found("server", FAIL, "mute", pid=owner.pid)
    return found("server", OK, "ok")


def hook(
    settings: AlarmSettings, home: Path, troubles: Sequence[calls.Trouble], *, without: str
) -> Sequence[Finding]:
    """Whether the alarm hook reaches people, as far as it was tried and as its program and files show; nothing is sent.

    `without`: the state where none is set.
    """
    if not settings.ways:
        return [found("hook", without, "none")]
    findings = [
        found("hook", FAIL, "broken", way=way, detail=error.detail, code=error.code)
        for way, error in unready(settings, home).items()
    ]
    for state, word, level in ((calls.OWED, "failing", FAIL), (calls.UNSURE, "unsure", WARN)):
        names = ", ".join(
            f"{one.way} {one.kind}{f' [{one.code}]' if one.code else ''}"
            for one in troubles
            if one.state == state
        )
        if names:
            findings.append(found("hook", level, word, names=names))
            break
    return findings or [found("hook", OK, "ok", names=", ".join(settings.ways))]


def backup(last: int, *, role: str) -> Finding:
    """Whether what is here also lies elsewhere for the day this machine is lost. `last`: UTC ms, 0: never."""
    days = (now_ms() - last) // DAY_MS
    if not last:
        return found("backup", WARN, "none", role=role)
    if days > MOST_BACKUP_DAYS:
        return found("backup", WARN, "old", days=days, role=role)
    return found("backup", OK, "ok", at=utc(last))
