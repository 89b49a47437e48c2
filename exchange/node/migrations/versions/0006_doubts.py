"""What came in doubt: marks that come later, what is replaced by it, which objects feeds speak of too, and who of them
brought and said what.

A `_key` is a keyed hash, which tells equal from other and nothing else. A released step is never edited: the next one
changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

# what was replaced stands by another number, too
_VOID = (
    "EXISTS (SELECT 1 FROM voids_in v WHERE v.env = inbox.env AND v.sender = inbox.sender"
    " AND v.why <> 'replaced')"
)


def _marked(marks: str, *which: str) -> str:
    return "(" + " OR ".join(f"' ' || {marks} || ' ' LIKE '% {mark} %'" for mark in which) + ")"


# ruff: noqa: E501, S608 - a table's columns read better in few lines; fixed words only
STEPS: tuple[str, ...] = (
    # Of what members sent: as which thing feeds speak of it too (store/outside.key_of), 0 for what is everybody's; and the
    # class that it has if they say nothing. NULL where nobody has looked yet: an older version added it.
    "ALTER TABLE taxii_objects ADD COLUMN thing_key INTEGER",
    "ALTER TABLE taxii_objects ADD COLUMN own_class INTEGER",
    "CREATE INDEX taxii_objects_thing ON taxii_objects (thing_key) WHERE source > 0",
    "CREATE INDEX taxii_objects_unseen ON taxii_objects (added) WHERE source > 0 AND thing_key IS NULL",
    # What later messages replace, by a keyed hash of sender and id, and the row of inbox that says so; 0: not known any more.
    "ALTER TABLE taxii_replaced RENAME TO taxii_replaced_before",
    """CREATE TABLE taxii_replaced (message_key BLOB NOT NULL, by_n INTEGER NOT NULL,
        PRIMARY KEY (message_key, by_n)) WITHOUT ROWID""",
    "INSERT INTO taxii_replaced SELECT message_key, 0 FROM taxii_replaced_before",
    "DROP TABLE taxii_replaced_before",
    "CREATE INDEX taxii_replaced_by ON taxii_replaced (by_n)",
    # Rows of inbox that aren't in the collections because they are replaced. done: NULL while they are; once they no longer
    # are, how many of their objects have been added again.
    "CREATE TABLE taxii_aside (n INTEGER PRIMARY KEY, message_key BLOB NOT NULL, done INTEGER)",
    "CREATE INDEX taxii_aside_message ON taxii_aside (message_key)",
    "CREATE INDEX taxii_aside_again ON taxii_aside (n) WHERE done IS NOT NULL",
    """CREATE TRIGGER taxii_replaced_gone AFTER DELETE ON taxii_replaced
        WHEN NOT EXISTS (SELECT 1 FROM taxii_replaced WHERE message_key = OLD.message_key) BEGIN
        UPDATE taxii_aside SET done = 0 WHERE message_key = OLD.message_key; END""",
    "CREATE TRIGGER taxii_aside_gone AFTER DELETE ON inbox BEGIN DELETE FROM taxii_aside WHERE n = OLD.n; END",
    # What turns out to be in doubt leaves, and replaces nothing any more.
    "DROP TRIGGER taxii_inbox_doubted",
    f"""CREATE TRIGGER taxii_inbox_doubted AFTER UPDATE OF marks ON inbox
        WHEN {_marked("NEW.marks", "unverified", "voided", "fork")} BEGIN
        DELETE FROM taxii_sources WHERE source = OLD.n;
        DELETE FROM taxii_replaced WHERE by_n = OLD.n; END""",
    # A void that comes after its mail marks it, as one that came before does; until now it only stood beside it.
    "DROP TRIGGER taxii_envelope_void",
    f"UPDATE inbox SET marks = trim(marks || ' voided') WHERE NOT {_marked('marks', 'voided')} AND {_VOID}",
    # Mail of a forked chain stood in the collections until now.
    f"DELETE FROM taxii_sources WHERE source IN (SELECT n FROM inbox WHERE {_marked('marks', 'fork')})",
    # What each feed itself said of a thing, as outside_things has it of all of them; of what came before: as if each had said all.
    "ALTER TABLE outside_origins ADD COLUMN tlp INTEGER",
    "ALTER TABLE outside_origins ADD COLUMN said INTEGER",
    "ALTER TABLE outside_origins ADD COLUMN pap INTEGER",
    """UPDATE outside_origins SET (tlp, said, pap) =
        (SELECT tlp, said, pap FROM outside_things t WHERE t.thing_key = outside_origins.thing_key)""",
    # Which feeds brought a version (outside_objects.n); of what came before: as if each of its thing had.
    "CREATE TABLE outside_bringers (version_n INTEGER NOT NULL, feed INTEGER NOT NULL, PRIMARY KEY (version_n, feed)) WITHOUT ROWID",
    """INSERT INTO outside_bringers SELECT o.n, f.feed FROM outside_objects o
        JOIN outside_origins f ON f.thing_key = o.thing_key""",
    # On which thing a decision was made: on it, or on one that refers to it. Those of before that one person made at one
    # moment were made on the first of them.
    "ALTER TABLE outside_decisions ADD COLUMN made_on INTEGER",
    "CREATE INDEX outside_decisions_moment ON outside_decisions (at, by, n) WHERE thing_key IS NOT NULL",
    """UPDATE outside_decisions AS d SET made_on = (SELECT thing_key FROM outside_decisions o
        WHERE o.at = d.at AND o.by = d.by AND o.thing_key IS NOT NULL ORDER BY o.n LIMIT 1) WHERE thing_key IS NOT NULL""",
    "DROP INDEX outside_decisions_moment",
    "CREATE INDEX outside_decisions_made_on ON outside_decisions (made_on) WHERE ended_at IS NULL",
    """CREATE TRIGGER outside_version_gone AFTER DELETE ON outside_objects BEGIN
        DELETE FROM outside_bringers WHERE version_n = OLD.n; END""",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
