"""Owns the version of a database's schema: tells it fast, creates it, brings it up to date, refuses a newer one.

Each store keeps its own steps, one file a step, and nothing else (no env.py, no alembic.ini):

    exchange/node/migrations/versions/0001_first.py

        \"\"\"The tables of the first version.\"\"\"

        import sqlalchemy as sa
        from alembic import op

        revision = "0001"        # the four digits of the file's name
        down_revision = None     # the step before; "0001" in 0002_....py

        def upgrade() -> None:
            op.create_table("outbox", sa.Column("id", sa.LargeBinary, primary_key=True), ...)

    Database.open(home / "node.db", migrations=Path(__file__).parent / "migrations", app="node")

A step that has been released is never edited: a new one changes what it made. There are no downgrades: the copy
made before an upgrade is the way back. All steps of one upgrade are one transaction, so a crash leaves the old
schema. alembic is imported only where there is something to do: it would cost every command 0.2 s.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.storage.connections import (
    copy_to,
    create_file,
    is_about_the_file,
    translate,
    upgrading_engine,
)
from exchange.storage.files import disk_fault

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

KEEP_COPIES_MS = 30 * DAY_MS

_STEP = re.compile(r"(\d{4})_[a-z0-9_]+\.py", re.ASCII)


def ensure_current(path: Path, migrations: Path, *, app: str, may_upgrade: bool) -> None:
    """Leave the database of `app` at `path` at the newest step of the folder `migrations`, creating it if missing.

    Before an existing file is upgraded it is copied to `<name>.before-<step>`.

    Raises:
        Refused: `storage.newer-schema`, `storage.older-schema` (when not `may_upgrade`), `storage.wrong-file`,
            `storage.damaged`, `storage.upgrade-failed`, `home.missing`.
        Unavailable: `storage.full`, `storage.io`, `storage.busy`.
    """
    steps = known_steps(migrations)
    found = stored_step(path, app=app) if path.exists() else None
    if found == steps[-1]:
        return
    if found is not None and found not in steps:
        raise Refused(
            "storage.newer-schema",
            f"{path.name} is at step {found}, this program knows {steps[-1]}: install the newer version again, "
            f"or restore the copy made before the upgrade",
            found=found,
            known=steps[-1],
        )
    if not may_upgrade:
        raise Refused("storage.older-schema", found=found, known=steps[-1])
    if found is None:
        create_file(path)
    else:
        copy_to(path, path.with_name(f"{path.name}.before-{steps[-1]}"))
    _run(path, migrations, app=app)
    if stored_step(path, app=app) != steps[-1]:
        raise Refused("storage.upgrade-failed", "a step's file name and its revision differ", known=steps[-1])


def drop_old_copies(path: Path, *, now: int) -> None:
    """Delete copies made before upgrades more than KEEP_COPIES_MS ago (`now` in ms): they hold what was erased since.

    Raises:
        Unavailable: `storage.io`, `storage.full`.
    """
    try:
        for copy in path.parent.glob(f"{path.name}.before-*"):
            if copy.stat().st_mtime * 1_000 < now - KEEP_COPIES_MS:
                copy.unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(error) from error


def known_steps(migrations: Path) -> list[str]:
    """The steps of a store in order, read off its file names. Raises Refused `storage.upgrade-failed`: none."""
    names = (_STEP.fullmatch(file.name) for file in (migrations / "versions").glob("*.py"))
    steps = sorted(name[1] for name in names if name)
    if not steps:
        raise Refused(
            "storage.upgrade-failed", "the program's own schema steps are missing: install it again"
        )
    return steps


def stored_step(path: Path, *, app: str) -> str | None:
    """The step an existing file is at; None for an empty one.

    Raises:
        Refused: `storage.wrong-file` for somebody else's tables, `storage.damaged`.
        Unavailable: `storage.io`, `storage.busy`.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            (stamp,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == 0 and stamp == 0:
                return None
            if stamp != _stamp(app):
                raise Refused("storage.wrong-file", path=str(path))
            (step,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(step)
    except sqlite3.Error as error:
        raise translate(error) from error


def check_copy(path: Path, *, app: str) -> None:
    """Judge a database that was brought here from elsewhere: whole, and one of this program's.

    Raises:
        Refused: `storage.damaged`, also for an empty one; `storage.wrong-file`.
        Unavailable: `storage.io`, `storage.busy`.
    """
    if stored_step(path, app=app) is None:
        raise Refused("storage.damaged", path=str(path))
    try:
        with closing(sqlite3.connect(path)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise translate(error) from error
    if answer != "ok":
        raise Refused("storage.damaged", path=str(path))


def _stamp(app: str) -> int:
    """What marks the file as this app's (PRAGMA application_id, a signed 32-bit number)."""
    return zlib.crc32(f"exchange/{app}".encode()) & 0x7FFF_FFFF


def _run(path: Path, migrations: Path, *, app: str) -> None:
    from alembic.operations import Operations  # noqa: PLC0415 - same
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see the module's docstring
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - same
    from alembic.util import CommandError  # noqa: PLC0415 - same

    scripts = ScriptDirectory(str(migrations))

    def steps_to_do(revision: Any, _context: MigrationContext) -> Any:  # noqa: ANN401 - alembic's own types
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - alembic documents this very call

    engine = upgrading_engine(path)
    try:
        with engine.connect() as connection, connection.begin():
            context = MigrationContext.configure(connection, opts={"fn": steps_to_do})
            with Operations.context(context):
                context.run_migrations()
            connection.exec_driver_sql(f"PRAGMA application_id={_stamp(app)}")
            _check_foreign_keys(connection)
    except (SQLAlchemyError, CommandError) as error:
        if isinstance(error, DBAPIError) and is_about_the_file(error):
            raise translate(error) from error  # the disk or a lock, and no fault of the step
        raise Refused("storage.upgrade-failed") from error
    finally:
        engine.dispose()


def _check_foreign_keys(connection: Connection) -> None:
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise Refused("storage.upgrade-failed", "a row would point to one that is gone")
