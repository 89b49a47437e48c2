"""Owns what a node's backup holds and how a home is made of it again (docs/decisions/0045).

    secrets        the keystore's entries; a restored keystore opens with whatever the restorer chooses
    node.db        the database of one moment      config.toml and the files it names
    erasures       the newest erasures and holds, also for a backup older than this one
    units/HANDLE/  the same of each unit, but its keystore as it is: only the unit opens it

Prekeys are in no backup (envelope.md): a restored node makes new ones, and its peers seal again (§6.4, restore.py).
Nor are attachments, which the hub may still have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from exchange.canonical import dumps, unb64
from exchange.errors import Refused
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.node.home import LOCAL_KEY, Paths, read_settings
from exchange.node.keys.own_keys import REVEALED, REVEALED_UNTIL
from exchange.node.restore import HERE, PENDING
from exchange.node.store.directory import GIVEN
from exchange.node.store.restore import LAST, erasures, mark_restored, replay_erasures
from exchange.node.store.store import MIGRATIONS, Store, open_store, set_fact
from exchange.node.units import DRAFT, homes
from exchange.setting_files import NamedFile, named_files
from exchange.settings import NodeSettings
from exchange.storage.backup import (
    ERASURES,
    HOME,
    SECRETS,
    BackupReader,
    BackupWriter,
    Head,
    Progress,
    read_erasures,
    reading,
    writing,
)
from exchange.storage.files import write_private
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import check_copy, known_steps
from exchange.storage.named_files import absent, gather, let_run, place
from exchange.storage.staging import staged
from exchange.storage.unlock import Unlock

KIND: Final = "node"
SEED_LIFE_MS: Final = 30 * DAY_MS  # how long the log has to show that a seed given at the restore counts
_DATABASE: Final = "node.db"
_KEY_FILE_NOTE: Final = "key-file"  # of a unit: which file opens its keystore


@dataclass(frozen=True)
class Made:
    """A backup that was written: of whom, when (UTC ms), how many bytes, and which units are in it.

    `left_out`: files that a config.toml names and that aren't in it, for they lie elsewhere or can't be read.
    """

    of: str
    at: int
    size: int
    units: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restored:
    """A home that was restored: whose, from when (UTC ms), which units came with it, how many messages were erased.

    `attachments`: how many were kept in it and are in no backup. `missing`: files that a config.toml names and that
    aren't there now.
    """

    of: str
    made_at: int
    units: tuple[str, ...]
    erased: int
    attachments: int
    missing: tuple[str, ...] = ()


def back_up(
    root: Path, keystore: Keystore, target: Path, secret: Unlock, *, now: int, progress: Progress
) -> Made:
    """Write the home at `root` to `target`, beside a server or without one. `now` in UTC ms.

    Raises Refused backup.exists, backup.place, backup.under-way, keystore.passphrase; Unavailable storage.full,
    storage.io.
    """
    settings, paths = read_settings(root), Paths(root)
    units = tuple(one.handle for one in homes(root)) if "/" not in settings.member else ()
    with _store(paths, keystore) as store:
        listed = store.db.read_sync(lambda c: erasures(c, store.cipher))
        with writing(target, _head(settings, HOME, now), secret) as writer:
            writer.add_secrets(keystore)
            writer.add(ERASURES, listed)
            left_out = _add_home(writer, paths, settings, "", progress)
            for handle in units:
                inside = paths.unit(handle)
                left_out += _add_home(
                    writer, inside, read_settings(inside.root), f"units/{handle}/", progress
                )
        store.db.write_sync(lambda c: set_fact(c, LAST, now))
    return Made(settings.member, now, target.stat().st_size, units, tuple(dict.fromkeys(left_out)))


def back_up_erasures(root: Path, keystore: Keystore, target: Path, secret: Unlock, *, now: int) -> Made:
    """Write what was erased and what is held, and nothing else: small, to be kept beside older backups.

    Raises as `back_up`.
    """
    settings = read_settings(root)
    with _store(Paths(root), keystore) as store:
        listed = store.db.read_sync(lambda c: erasures(c, store.cipher))
    with writing(target, _head(settings, ERASURES, now), secret) as writer:
        writer.add(ERASURES, listed)
    return Made(settings.member, now, target.stat().st_size, ())


def restore(
    source: Path,
    root: Path,
    secret: Unlock,
    unlock: Unlock,
    *,
    now: int,
    progress: Progress,
    unit: str | None = None,
    newer: Path | None = None,
    seed: bytes | None = None,
) -> Restored:
    """Make the home at `root` of the backup `source`; its keystore then opens with `unlock`. `now` in UTC ms.

    Nothing is put in place before all of it was verified. `unit`: the handle of the unit whose home it must be.
    `newer`: a later backup, or one of erasures alone, whose erasures and holds are done again. `seed`: of keys that
    this node was given after the backup: used as soon as the hub refuses the older ones, and kept once the log has it.
    Raises Refused backup.*, keystore.*, home.locked, storage.damaged, storage.newer-schema; Unavailable storage.*.
    """
    with reading(source, secret) as backup:
        _check_head(backup.head, contents=HOME, unit=unit)
        with staged(root) as folder:
            secrets, listed, units = _unpack(backup, folder, progress)
            if seed is not None:
                secrets = {**secrets, REVEALED: seed}
            paths = Paths(folder)
            settings = _checked(paths, backup.head)
            for handle in units:
                _prepare(paths.unit(handle), {PENDING: 1, HERE: backup.head.at})
                write_private(paths.unit(handle).restored, b"")
            given = {} if seed is None else _facts_of(seed, now)
            facts = {PENDING: 1, HERE: backup.head.at, LAST: backup.head.at, **given}
            attachments = _prepare(paths, facts)
            keystore = Keystore.create(paths.keystore, unlock, secrets)
            Keystore.create(paths.prekeys, unlock, {})
            later = [listed] if newer is None else [listed, _erasures_of(newer, secret, settings)]
            erased = _erase(paths, keystore, later, now=now)
            for inside, files in _named(folder, units):
                let_run(inside, root / inside.relative_to(folder), files)
            restored = Restored(settings.member, backup.head.at, units, erased, attachments)
    missing = [path for home, files in _named(root, units) for path in absent(home, files)]
    return replace(restored, missing=tuple(dict.fromkeys(missing)))


# -- making ------------------------------------------------------------------------------------------------------


def _head(settings: NodeSettings, contents: str, now: int) -> Head:
    return Head(KIND, contents, settings.member, _net(settings), now, known_steps(MIGRATIONS)[-1])


@contextmanager
def _store(paths: Paths, keystore: Keystore) -> Iterator[Store]:
    store = open_store(paths.database, keystore.get(LOCAL_KEY), owner=False)
    try:
        yield store
    finally:
        store.db.close_sync()


def _add_home(
    writer: BackupWriter, paths: Paths, settings: NodeSettings, prefix: str, progress: Progress
) -> list[str]:
    """A home's files; of a unit (`prefix`) also its keystore, which only it opens. Which files are left out."""
    names = ["config.toml", DRAFT]
    names += ["keystore", _KEY_FILE_NOTE] if prefix else []
    for name in names:
        if (paths.root / name).is_file():
            writer.add(prefix + name, (paths.root / name).read_bytes())
    gathered = gather(paths.root, named_files(settings), has={*names, _DATABASE})
    for name, file in gathered.inside.items():
        writer.add_file(prefix + name, file, progress)
    writer.add_database(paths.database, progress, prefix=prefix)
    return list(gathered.left_out)


# -- reading -----------------------------------------------------------------------------------------------------


def _check_head(head: Head, *, contents: str, unit: str | None) -> None:
    if head.kind != KIND or head.contents != contents:
        what = "nothing but erasures" if head.contents == ERASURES else f"a {head.kind}"
        raise Refused("backup.other-kind", f"the backup is of {what}", kind=head.kind)
    if head.of.partition("/")[2] != (unit or ""):
        raise Refused("backup.other-kind", f"the backup is of {head.of}", of=head.of)


def _unpack(
    backup: BackupReader, folder: Path, progress: Progress
) -> tuple[dict[str, bytes], bytes, tuple[str, ...]]:
    """Every entry in its place; the secrets, the list of erasures, and the units. Raises Refused backup.damaged."""
    secrets: dict[str, bytes] = {}
    listed, units = b"", set[str]()
    for name in backup.entries():
        if name == SECRETS:
            secrets = backup.secrets()
        elif name == ERASURES:
            listed = backup.small()
        else:
            if name.startswith("units/"):
                units.add(name.split("/")[1])
            backup.save(place(folder, name), progress)
    backup.finish()
    if not secrets or not listed:
        raise Refused("backup.damaged", "it has no keys, or no list of erasures")
    return secrets, listed, tuple(sorted(units))


def _checked(paths: Paths, head: Head) -> NodeSettings:
    """The restored home's settings, which must be of whom the head says. Raises Refused backup.damaged, settings.*."""
    settings = read_settings(paths.root)
    if (settings.member, _net(settings)) != (head.of, head.net):
        raise Refused("backup.damaged", "its config.toml is of another home than its head says")
    return settings


def _named(root: Path, units: Iterable[str]) -> Iterator[tuple[Path, tuple[NamedFile, ...]]]:
    """The homes at `root`, and what their settings name. A unit's that can't be read are its own to mend."""
    yield root, named_files(read_settings(root))
    for handle in units:
        with suppress(Refused):
            inside = Paths(root).unit(handle).root
            yield inside, named_files(read_settings(inside))


def _facts_of(seed: bytes, now: int) -> dict[str, bytes | int]:
    return {REVEALED_UNTIL: now + SEED_LIFE_MS, GIVEN: dumps(PrivateKeys(seed).public.to_json())}


def _prepare(paths: Paths, facts: Mapping[str, bytes | int]) -> int:
    check_copy(paths.database, app="node")
    attachments = mark_restored(paths.database, facts)
    for before in paths.root.glob(f"{_DATABASE}.before-*"):
        before.unlink()  # the upgrade's copy: it would keep what is erased next
    return attachments


def _erasures_of(path: Path, secret: Unlock, settings: NodeSettings) -> bytes:
    head, found = read_erasures(path, secret)
    if (head.kind, head.of, head.net) != (KIND, settings.member, _net(settings)):
        raise Refused("backup.other-kind", f"{path} is of {head.kind} {head.of}", of=head.of)
    return found


def _net(settings: NodeSettings) -> bytes:
    return unb64(settings.net, size=32, field="net") if settings.net else b""


def _erase(paths: Paths, keystore: Keystore, lists: list[bytes], *, now: int) -> int:
    store = open_store(paths.database, keystore.get(LOCAL_KEY), owner=True)
    try:
        return sum(
            store.db.write_sync(partial(replay_erasures, cipher=store.cipher, data=data, now=now))
            for data in lists
        )
    finally:
        store.db.close_sync()  # folds the log, so that what was erased is in no file
