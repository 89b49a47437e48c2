"""The file of a backup: whole or refused, opened by its secret alone; and how a restored home comes into its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings, strategies as st

from exchange.errors import Refused, Unavailable
from exchange.storage.backup import HOME, PIECE, Head, entry_of, path_of, read_head, reading, writing
from exchange.storage.backup_copy import clear, copying
from exchange.storage.connections import COPY_PAGES, copy_to
from exchange.storage.staging import staged
from exchange.storage.unlock import Unlock, create_key_file

HEAD = Head("node", HOME, "pe-csirt", bytes(range(32)), 1_700_000_000_000, "0003")
CANARY = b"Quetzalcoatlus"


@pytest.fixture
def secret(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "backup-key")
    return Unlock.key_file(tmp_path / "backup-key")


def silent(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


def write(path: Path, secret: Unlock, entries: dict[str, bytes]) -> None:
    with writing(path, HEAD, secret) as writer:
        for name, data in entries.items():
            writer.add(name, data)


def read(path: Path, secret: Unlock) -> dict[str, bytes]:
    with reading(path, secret) as backup:
        found = {name: backup.small() for name in backup.entries()}
        backup.finish()
        return found


def code_of(path: Path, secret: Unlock) -> str:
    with pytest.raises(Refused) as caught:
        read(path, secret)
    return caught.value.code


def test_what_went_in_comes_out_and_only_the_head_is_in_clear(tmp_path: Path, secret: Unlock) -> None:
    entries = {"config.toml": CANARY, "empty": b"", "units/tracing/keystore": bytes(3 * PIECE + 17)}
    path = tmp_path / "file"
    write(path, secret, entries)
    assert read(path, secret) == entries
    assert read_head(path) == HEAD
    data = path.read_bytes()
    assert (CANARY in data, b"tracing" in data, path.stat().st_mode & 0o777) == (False, False, 0o600)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("file")] == ["file"]


def test_files_go_through_in_pieces_and_what_is_not_wanted_is_passed_over(
    tmp_path: Path, secret: Unlock
) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"".join(bytes([n]) * PIECE for n in range(5)) + b"end")
    told: list[tuple[int, int]] = []
    with writing(tmp_path / "file", HEAD, secret) as writer:
        writer.add_file("first.db", big, lambda done, of: told.append((done, of)))
        writer.add_file("second.db", big, silent)
    assert told[-1] == (big.stat().st_size,) * 2
    with reading(tmp_path / "file", secret) as backup:
        for name in backup.entries():
            if name == "second.db":
                backup.save(tmp_path / "again", silent)
        backup.finish()
    assert (tmp_path / "again").read_bytes() == big.read_bytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Unlock]:
    """A little backup to be hurt."""
    folder = tmp_path_factory.mktemp("hurt")
    create_key_file(folder / "key")
    secret = Unlock.key_file(folder / "key")
    write(folder / "file", secret, {"config.toml": CANARY, "node.db": bytes(40_000)})
    return folder, secret


@settings(max_examples=150, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_anywhere_opens_nothing(small: tuple[Path, Unlock], where: float, bit: int) -> None:
    folder, secret = small
    data = bytearray((folder / "file").read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    (folder / "changed").write_bytes(data)
    assert code_of(folder / "changed", secret) in (
        "backup.damaged",
        "backup.newer-version",
        "backup.wrong-key",
    )


@settings(max_examples=100, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), more=st.binary(min_size=1, max_size=40))
def test_a_cut_or_lengthened_file_opens_nothing(
    small: tuple[Path, Unlock], where: float, more: bytes
) -> None:
    folder, secret = small
    data = (folder / "file").read_bytes()
    (folder / "cut").write_bytes(data[: int(where * len(data))])
    assert code_of(folder / "cut", secret) == "backup.damaged"
    (folder / "longer").write_bytes(data + more)
    assert code_of(folder / "longer", secret) == "backup.damaged"


def test_another_secret_and_another_kind_of_secret_are_told_from_damage(
    tmp_path: Path, small: tuple[Path, Unlock]
) -> None:
    create_key_file(tmp_path / "other")
    for other in (Unlock.key_file(tmp_path / "other"), Unlock.passphrase("correct horse battery")):
        assert code_of(small[0] / "file", other) == "backup.wrong-key"


def test_a_passphrase_opens_what_it_made_and_a_short_one_makes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "file", Unlock.passphrase("correct horse battery"), {"config.toml": CANARY})
    assert read(tmp_path / "file", Unlock.passphrase("correct horse battery")) == {"config.toml": CANARY}
    with pytest.raises(Refused) as caught:
        write(tmp_path / "weak", Unlock.passphrase("short"), {})
    assert (caught.value.code, (tmp_path / "weak").exists()) == ("keystore.passphrase", False)


def test_a_backup_replaces_nothing_and_a_failed_one_leaves_nothing(tmp_path: Path, secret: Unlock) -> None:
    (tmp_path / "there").write_bytes(CANARY)
    with pytest.raises(Refused) as caught:
        write(tmp_path / "there", secret, {})
    assert (caught.value.code, (tmp_path / "there").read_bytes()) == ("backup.exists", CANARY)
    with pytest.raises(Unavailable), writing(tmp_path / "failed", HEAD, secret) as writer:
        writer.add_file("node.db", tmp_path / "missing", silent)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backup-key", "there"]


def test_a_name_that_leads_elsewhere_is_never_written(tmp_path: Path, secret: Unlock) -> None:
    outward = (
        "files/../keystore",
        "files//etc/passwd",
        "files/a/./b",
        "files/",
        "units/a1/files/..",
        "files/a\0b",
    )
    for name in ("../keystore", "/etc/passwd", "units/../keystore", ".hidden", "a/b", "", *outward):
        with pytest.raises(Refused), writing(tmp_path / "file", HEAD, secret) as writer:
            writer.add(name, b"")


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("door.pem", "door.pem"),
        ("tls/2026/door.pem", "files/tls/2026/door.pem"),
        (".login", "files/.login"),
        ("la guardia ñ", "files/la guardia ñ"),
        ("secrets", "files/secrets"),
        ("erasures", "files/erasures"),
        ("files/a", "files/files/a"),
        ("x" * 65, f"files/{'x' * 65}"),
    ],
)
def test_a_file_of_whatever_name_comes_back_under_it(
    path: str, entry: str, tmp_path: Path, secret: Unlock
) -> None:
    assert (entry_of(PurePath(path)), path_of(entry)) == (entry, PurePath(path))
    for handle in ("tracing", "files", "my-files"):
        assert path_of(f"units/{handle}/{entry}") == PurePath("units", handle, path)
        write(tmp_path / handle, secret, {f"units/{handle}/{entry}": CANARY, entry: b""})
        assert read(tmp_path / handle, secret) == {f"units/{handle}/{entry}": CANARY, entry: b""}


def test_a_database_is_copied_as_it_was_when_the_copy_began(tmp_path: Path) -> None:
    """Writes between the steps neither get into the copy nor make it begin again nor have to wait."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB)")
        pages = 3 * COPY_PAGES
        db.executemany("INSERT INTO note (body) VALUES (?)", [(bytes(4_000),)] * pages)
        steps: list[int] = []

        def write_on(done: int, _of: int) -> None:
            steps.append(done)
            db.execute("INSERT INTO note (body) VALUES (x'ff')")

        copy_to(path, tmp_path / "copy.db", write_on)
        (written,) = db.execute("SELECT count(*) FROM note").fetchone()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        (copied,) = copy.execute("SELECT count(*) FROM note").fetchone()
        (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
    assert len(steps) >= 3
    assert steps == sorted(steps)
    assert (copied, written, answer) == (pages, pages + len(steps), "ok")


def test_a_home_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(Unavailable), staged(home) as folder:
        (folder / "lock").mkdir()
    assert list(tmp_path.iterdir()) == []
    left = tmp_path / "home.restoring"  # by a crash
    (left / "units").mkdir(parents=True)
    (left / "keystore").write_bytes(CANARY)
    home.mkdir()
    with staged(home) as folder:
        (folder / "config.toml").write_bytes(b"")
    assert sorted(one.name for one in home.iterdir()) == ["config.toml", "lock"]
    assert list(tmp_path.iterdir()) == [home]


def test_nothing_is_restored_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_bytes(CANARY)
    with pytest.raises(Refused) as caught, staged(tmp_path / "home"):
        pytest.fail("it began")
    assert caught.value.code == "backup.home-in-use"
    assert (tmp_path / "home" / "letter").read_bytes() == CANARY


def test_a_place_that_is_not_there_is_named_and_is_no_failing_disk(tmp_path: Path, secret: Unlock) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    for place in (tmp_path / "not-mounted" / "one", tmp_path / "file" / "one"):
        with pytest.raises(Refused) as caught:
            write(place, secret, {})
        assert (caught.value.code, str(place) in caught.value.detail) == ("backup.place", True)
        with pytest.raises(Refused) as caught:
            read(place, secret)
        assert (caught.value.code, str(place) in caught.value.detail) == ("backup.missing", True)
    assert code_of(tmp_path, secret) == "backup.missing"  # a folder is none
    with pytest.raises(Refused) as caught, staged(tmp_path / "file" / "home"):
        pytest.fail("nothing can be put there")
    assert caught.value.code == "backup.place"


def test_two_backups_of_one_name_never_become_one(tmp_path: Path, secret: Unlock) -> None:
    with pytest.raises(Refused) as caught, writing(tmp_path / "file", HEAD, secret):
        write(tmp_path / "file", secret, {"config.toml": b"second"})
    assert caught.value.code == "backup.exists"
    assert read(tmp_path / "file", secret) == {"config.toml": b"second"}


def test_one_backup_of_a_home_at_a_time_and_a_killed_one_leaves_nothing_for_long(
    tmp_path: Path, secret: Unlock
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with closing(sqlite3.connect(home / "node.db")) as database:
        database.execute("CREATE TABLE one (n)")
    with writing(tmp_path / "first", HEAD, secret) as writer:
        with copying(home) as copy:
            copy.write_bytes(CANARY)
            clear(home)  # of a server that starts meanwhile
            with pytest.raises(Refused) as caught:
                writer.add_database(home / "node.db", silent)
            assert copy.exists()
        assert caught.value.code == "backup.under-way"
        (home / ".backup.db").write_bytes(CANARY)
        (home / "..backup.db.new-journal").write_bytes(CANARY)
        clear(home)
        assert sorted(one.name for one in home.iterdir()) == [".backup.lock", "node.db"]
        writer.add_database(home / "node.db", silent)
    assert list(read(tmp_path / "first", secret)) == ["node.db"]
