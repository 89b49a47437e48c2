"""A schema's version: made, upgraded with a copy kept, or refused; and cheap to look at when it is current."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchange.errors import Refused
from exchange.storage.migrate import ensure_current, stored_step

AddStep = Callable[[str, str, str], None]


def ensure(path: Path, migrations: Path, *, app: str = "test", may_upgrade: bool = True) -> None:
    ensure_current(path, migrations, app=app, may_upgrade=may_upgrade)


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def test_a_first_schema_is_made_and_is_private(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    assert stored_step(path, app="test") == "0001"
    assert ask(path, "PRAGMA page_size") == [(16384,)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in home.iterdir()] == ["store.db"]


def test_an_upgrade_keeps_rows_and_a_copy_of_the_old_file(
    home: Path, migrations: Path, add_step: AddStep
) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    execute(path, "INSERT INTO note (id) VALUES (7)")
    add_step("0002", "0001", 'op.add_column("note", sa.Column("at", sa.Integer))')
    ensure(path, migrations)
    assert stored_step(path, app="test") == "0002"
    assert ask(path, "SELECT id, at FROM note") == [(7, None)]
    copy = home / "store.db.before-0002"
    assert stored_step(copy, app="test") == "0001"
    assert ask(copy, "SELECT id FROM note") == [(7,)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_table_that_others_point_to_can_be_rebuilt(home: Path, migrations: Path, add_step: AddStep) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    execute(path, "INSERT INTO note (id) VALUES (7)", "INSERT INTO tag VALUES ('a', 7)")
    rebuild = (
        'with op.batch_alter_table("note", recreate="always") as t: t.add_column(sa.Column("at", sa.Integer))'
    )
    add_step("0002", "0001", rebuild)
    ensure(path, migrations)
    assert ask(path, "SELECT word, note FROM tag") == [("a", 7)]


@pytest.mark.parametrize(
    "body",
    [
        'op.add_column("note", sa.Column("at", sa.Integer)); op.execute("SELECT nonsense")',
        'op.add_column("note", sa.Column("at", sa.Integer)); op.execute("DELETE FROM note")',
    ],
    ids=["a statement fails", "a row would point nowhere"],
)
def test_a_failed_upgrade_leaves_the_file_as_it_was(
    home: Path, migrations: Path, add_step: AddStep, body: str
) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    execute(path, "INSERT INTO note (id) VALUES (7)", "INSERT INTO tag VALUES ('a', 7)")
    add_step("0002", "0001", body)
    with pytest.raises(Refused) as refused:
        ensure(path, migrations)
    assert code_of(refused) == "storage.upgrade-failed"
    assert stored_step(path, app="test") == "0001"
    assert [row[1] for row in ask(path, "PRAGMA table_info(note)")] == ["id", "body"]


def test_a_newer_schema_is_refused_and_untouched(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    execute(path, "UPDATE alembic_version SET version_num = '0042'")
    before = path.read_bytes()
    with pytest.raises(Refused, match=r"0042.*install the newer version") as refused:
        ensure(path, migrations)
    assert code_of(refused) == "storage.newer-schema"
    assert path.read_bytes() == before


def test_a_command_beside_the_owner_never_upgrades(home: Path, migrations: Path, add_step: AddStep) -> None:
    path = home / "store.db"
    with pytest.raises(Refused) as refused:
        ensure(path, migrations, may_upgrade=False)
    assert code_of(refused) == "storage.older-schema"
    assert not path.exists()
    ensure(path, migrations)
    ensure(path, migrations, may_upgrade=False)
    add_step("0002", "0001", "pass")
    with pytest.raises(Refused) as refused:
        ensure(path, migrations, may_upgrade=False)
    assert code_of(refused) == "storage.older-schema"


def test_somebody_elses_file_is_refused(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    with pytest.raises(Refused) as refused:
        ensure(path, migrations, app="other")
    assert code_of(refused) == "storage.wrong-file"
    foreign = home / "foreign.db"
    execute(foreign, "CREATE TABLE t (x)")
    with pytest.raises(Refused) as refused:
        ensure(foreign, migrations)
    assert code_of(refused) == "storage.wrong-file"


def test_a_creation_that_was_cut_short_starts_again(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    path.touch(0o600)
    ensure(path, migrations)
    assert stored_step(path, app="test") == "0001"


def test_missing_folders_are_named(home: Path, migrations: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        ensure(home / "no" / "store.db", migrations)
    assert code_of(refused) == "home.missing"
    with pytest.raises(Refused) as refused:
        ensure(home / "store.db", tmp_path / "nowhere")
    assert code_of(refused) == "storage.upgrade-failed"


def test_a_step_whose_revision_is_not_its_number_is_refused(home: Path, migrations: Path) -> None:
    step = migrations / "versions" / "0001_first.py"
    step.write_text(step.read_text().replace('"0001"', '"0009"'))
    with pytest.raises(Refused) as refused:
        ensure(home / "store.db", migrations)
    assert code_of(refused) == "storage.upgrade-failed"


def test_opening_a_current_file_does_not_import_alembic(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    ensure(path, migrations)
    script = (
        "import sys; from pathlib import Path; from exchange.storage.migrate import ensure_current;"
        "ensure_current(Path(sys.argv[1]), Path(sys.argv[2]), app='test', may_upgrade=True);"
        "print('alembic' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path), str(migrations)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
