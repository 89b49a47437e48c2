"""Owns what a hub's backup holds and how a home is made of it again (docs/decisions/0045).

    secrets     the keystore's entries: the hub's seed, its TLS authority; restored, they open with what one chooses
    hub.db      the database of one moment
    erasures    applications that ended and were erased, also for a backup older than this one
    config.toml and the files it names that lie in the home, genesis.json, ca.pem, what a change of hub left

A restored hub keeps its log shut until it has heard its members, who bring back what it lacks (§11.4, registrar.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from exchange.canonical import sha256
from exchange.directory.state import Directory
from exchange.errors import Refused
from exchange.hub.home import CONFIG, GENESIS, KEYSTORE, load_settings, mark_restored, note_backup
from exchange.hub.store.directory import Application
from exchange.hub.store.store import FILE, MIGRATIONS, HubStore
from exchange.hub.takeover import CHANGE, SNAPSHOT
from exchange.setting_files import named_files
from exchange.storage.backup import (
    ERASURES,
    HOME,
    SECRETS,
    BackupReader,
    Head,
    Progress,
    read_erasures,
    reading,
    writing,
)
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import check_copy, known_steps
from exchange.storage.named_files import absent, gather, let_run, place
from exchange.storage.staging import staged
from exchange.storage.unlock import Unlock
from exchange.tls import CA_FILE

KIND: Final = "hub"
_FILES: Final = (CONFIG, GENESIS, CA_FILE, SNAPSHOT, CHANGE)


@dataclass(frozen=True)
class Made:
    """A backup that was written: when (UTC ms), how many bytes.

    `left_out`: files that config.toml names and that aren't in it, for they lie elsewhere or can't be read.
    """

    at: int
    size: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Restored:
    """A home that was restored: from when (UTC ms), and how many applications were erased again.

    `missing`: files that config.toml names and that aren't there now.
    """

    made_at: int
    erased: int
    missing: tuple[str, ...] = ()


def back_up(
    home: Path, keystore: Keystore, target: Path, secret: Unlock, *, now: int, progress: Progress
) -> Made:
    """Write the hub in `home` to `target`, beside its server or without one. `now` in UTC ms.

    Raises Refused backup.exists, backup.place, backup.under-way, keystore.passphrase, hub.genesis-incomplete;
    Unavailable storage.full, storage.io.
    """
    head, listed = _known(home, HOME, now)
    gathered = gather(home, named_files(load_settings(home)), has={*_FILES, FILE})
    with writing(target, head, secret) as writer:
        writer.add_secrets(keystore)
        writer.add(ERASURES, listed)
        for name in _FILES:
            if (home / name).is_file():
                writer.add(name, (home / name).read_bytes())
        for name, file in gathered.inside.items():
            writer.add_file(name, file, progress)
        writer.add_database(home / FILE, progress)
    note_backup(home, at=now)
    return Made(now, target.stat().st_size, gathered.left_out)


def back_up_erasures(home: Path, target: Path, secret: Unlock, *, now: int) -> Made:
    """Write what was erased by people's word, and nothing else: small, to be kept beside older backups."""
    head, listed = _known(home, ERASURES, now)
    with writing(target, head, secret) as writer:
        writer.add(ERASURES, listed)
    return Made(now, target.stat().st_size, ())


def restore(
    source: Path,
    home: Path,
    secret: Unlock,
    unlock: Unlock,
    *,
    now: int,
    progress: Progress,
    newer: Path | None = None,
) -> Restored:
    """Make the hub in `home` of the backup `source`; its keystore then opens with `unlock`. `now` in UTC ms.

    Nothing is put in place before all of it was verified. `newer`: a later backup, or one of erasures alone, whose
    erasures are done again.
    Raises Refused backup.*, keystore.*, storage.damaged, storage.newer-schema; Unavailable storage.*.
    """
    with reading(source, secret) as backup:
        if (backup.head.kind, backup.head.contents) != (KIND, HOME):
            what = "nothing but erasures" if backup.head.contents == ERASURES else f"a {backup.head.kind}"
            raise Refused("backup.other-kind", f"the backup is of {what}", kind=backup.head.kind)
        with staged(home) as folder:
            secrets, listed = _unpack(backup, folder, progress)
            files = named_files(load_settings(folder))
            let_run(folder, home, files)
            check_copy(folder / FILE, app=KIND)
            lists = [listed] if newer is None else [listed, _erasures_of(newer, secret, backup.head)]
            Keystore.create(folder / KEYSTORE, unlock, secrets)
            store = HubStore.open(folder)
            try:
                if _net(store) != backup.head.net:
                    raise Refused("backup.damaged", "its log is of another network than its head says")
                erased = _erase(store, lists, now=now)
            finally:
                store.close_sync()  # folds the log, so that what was erased is in no file
            for before in folder.glob(f"{FILE}.before-*"):
                before.unlink()  # an upgrade's copy: it has what was erased
            mark_restored(folder, now=now)
            note_backup(folder, at=backup.head.at)
    return Restored(backup.head.at, erased, absent(home, files))


# -- making ------------------------------------------------------------------------------------------------------


def _known(home: Path, contents: str, now: int) -> tuple[Head, bytes]:
    """The head, and the list of erasures."""
    load_settings(home)  # refuses what isn't a hub's home before a database is made there
    store = HubStore.open(home, owner=False)
    try:
        head = Head(KIND, contents, KIND, _net(store), now, known_steps(MIGRATIONS)[-1])
        ended = [
            [one.member, sha256(one.statement.body).hex(), one.ended, one.reason]
            for one in store.applications_sync()
            if one.ended
        ]
    finally:
        store.close_sync()
    return head, orjson.dumps({"applications": ended})


def _net(store: HubStore) -> bytes:
    leaves = store.load_leaves_sync()
    if not leaves:
        raise Refused("hub.genesis-incomplete")
    return Directory.from_genesis(leaves[0]).net


# -- reading -----------------------------------------------------------------------------------------------------


def _unpack(backup: BackupReader, folder: Path, progress: Progress) -> tuple[dict[str, bytes], bytes]:
    """Every entry in its place; the secrets and the list of erasures. Raises Refused backup.damaged."""
    secrets: dict[str, bytes] = {}
    listed = b""
    for name in backup.entries():
        if name == SECRETS:
            secrets = backup.secrets()
        elif name == ERASURES:
            listed = backup.small()
        else:
            backup.save(place(folder, name), progress)
    backup.finish()
    if not secrets or not listed:
        raise Refused("backup.damaged", "it has no keys, or no list of erasures")
    return secrets, listed


def _erasures_of(path: Path, secret: Unlock, of: Head) -> bytes:
    head, found = read_erasures(path, secret)
    if (head.kind, head.net) != (KIND, of.net):
        raise Refused("backup.other-kind", f"{path} is of another home", kind=head.kind)
    return found


def _erase(store: HubStore, lists: Iterable[bytes], *, now: int) -> int:
    """End again the applications that had ended, which erases their documents; how many."""
    try:
        ended = {
            (str(member), bytes.fromhex(digest)): (str(word), str(reason))
            for data in lists
            for member, digest, word, reason in orjson.loads(data)["applications"]
        }
    except (ValueError, KeyError, TypeError) as fault:
        raise Refused("backup.damaged", "its list of erasures can't be read") from fault
    found: list[Application] = []
    for one in store.applications_sync():
        over = ended.get((one.member, sha256(one.statement.body)))
        if over is not None and not one.ended:
            found.append(one.over(*over, now=now))
    store.put_applications_sync(found)
    return len(found)
