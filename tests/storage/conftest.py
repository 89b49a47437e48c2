"""A little store of one table, with migration steps of its own, for the tests of the storage foundations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from exchange.storage.database import Database

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.LargeBinary))
    op.create_table(
        "tag",
        sa.Column("word", sa.String, primary_key=True),
        sa.Column("note", sa.Integer, sa.ForeignKey("note.id"), nullable=False),
    )
"""


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "versions" / "0001_first.py").write_text(FIRST)
    return folder


@pytest.fixture
def add_step(migrations: Path) -> Callable[[str, str, str], None]:
    """Writes a later step: its number, the one before, and what its upgrade() does."""

    def write(number: str, before: str, body: str) -> None:
        (migrations / "versions" / f"{number}_step.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f"revision = {number!r}\ndown_revision = {before!r}\n"
            f"def upgrade() -> None:\n    {body}\n"
        )

    return write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
async def opened(home: Path, migrations: Path) -> AsyncIterator[Callable[..., Database]]:
    """Opens the store of this home; what a test leaves open is closed after it."""
    databases: list[Database] = []

    def open_store(**options: object) -> Database:
        database = Database.open(home / "store.db", migrations=migrations, app="test", **options)
        databases.append(database)
        return database

    yield open_store
    for database in databases:
        await database.close()
