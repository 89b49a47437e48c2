"""Records of who opened a message: what holds, what doesn't, and what a later one gives away of an earlier."""

from __future__ import annotations

from dataclasses import replace

from exchange.canonical import ZERO32
from exchange.disclosure import HERE, LEAST_LOG_MS, MAX_ROWS, DisclosureRecord, Row, row_hash

ID = "0f0f0f0f-0000-4000-8000-000000000001"
INQUIRY = "0f0f0f0f-0000-4000-8000-0000000000aa"


def log(*words: str, first: bytes = ZERO32) -> tuple[Row, ...]:
    """Rows of an access log about ID, each row after the one before."""
    rows: list[Row] = []
    prev = first
    for at, action in enumerate(words, 1):
        what = f"pe-csirt {ID}"
        digest = row_hash(prev, at, "Ñusta", action, what)
        rows.append(Row(at, "Ñusta", action, what, prev, digest))
        prev = digest
    return tuple(rows)


def record(rows: tuple[Row, ...], *, total: int | None = None) -> DisclosureRecord:
    head = rows[-1].hash if rows else ZERO32
    return DisclosureRecord(INQUIRY, ID, 1_000, HERE, len(rows) if total is None else total, head, rows)


def test_what_was_written_down_holds() -> None:
    assert record(log("open", "export")).fault("pe-csirt") == ""
    to_another = replace(log("open")[0], what=f"pe-csirt {ID} to own member")
    to_another = replace(to_another, hash=row_hash(ZERO32, to_another.at, "Ñusta", "open", to_another.what))
    assert record((to_another,)).fault("pe-csirt") == ""


def test_a_word_changed_or_a_row_about_something_else_doesnt() -> None:
    (row,) = log("export")
    assert "hash" in record((replace(row, action="open"),)).fault("pe-csirt")
    assert "something else" in record((row,)).fault("co-csirt")
    assert "something else" in replace(record((row,)), of=INQUIRY).fault("pe-csirt")


def test_a_row_that_is_counted_is_shown_up_to_the_most_that_a_record_holds() -> None:
    rows = log("open", "export", "print")
    assert "holds back" in record(rows[2:], total=3).fault("pe-csirt")
    newest = log(*["open"] * (MAX_ROWS + 1))[1:]
    assert record(newest, total=MAX_ROWS + 1).fault("pe-csirt") == ""
    assert "holds back" in record(newest[1:], total=MAX_ROWS + 1).fault("pe-csirt")


def test_a_later_record_shows_what_was_changed_since() -> None:
    first = record(log("open", "export"))
    assert list(record(log("open", "export", "print")).lacks(first)) == []
    # an export turned into nothing: that row is gone, and whatever comes after it has other hashes
    assert list(record(log("open")).lacks(first)) == [first.rows[1]]
    assert list(record(log("look", "export")).lacks(first)) == list(first.rows)
    assert list(record(()).lacks(first)) == list(first.rows)


def test_a_log_forgets_from_its_beginning_and_no_clock_decides() -> None:
    """What was written while the clock was ahead stands before what came when it was right again."""
    rows = log("open", "export", "print", "email")
    rows = _at(rows, 9_000, 9_001, 10, 11)
    first = record(rows[:3])
    later = record(rows[2:])  # a shorter time, or what is old was let go
    assert (list(later.lacks(first)), list(later.forgotten(first))) == ([], list(rows[:2]))
    hole = record((rows[0], *rows[2:]))
    assert (list(hole.lacks(first)), list(hole.forgotten(first))) == ([rows[1]], [])


def test_all_is_forgotten_only_when_it_is_old() -> None:
    first = record(log("open", "export"))
    for at, forgotten in ((LEAST_LOG_MS, []), (LEAST_LOG_MS + 3, list(first.rows))):
        none = replace(record(()), at=at)
        newer = replace(record(_at(log("look"), at)), at=at)
        rewritten = replace(record(log("look", "export")), at=at)
        assert list(none.forgotten(first)) == forgotten
        assert list(newer.forgotten(first)) == forgotten
        assert list(rewritten.lacks(first)) == list(first.rows)


def _at(rows: tuple[Row, ...], *moments: int) -> tuple[Row, ...]:
    """The rows as of these moments."""
    made, prev = [], ZERO32
    for row, at in zip(rows, moments, strict=True):
        made.append(
            Row(at, row.who, row.action, row.what, prev, row_hash(prev, at, row.who, row.action, row.what))
        )
        prev = made[-1].hash
    return tuple(made)


def test_rows_before_the_newest_are_not_missed() -> None:
    rows = log("open", "export", "print")
    cut = record(rows[2:], total=3)
    assert list(cut.lacks(record(rows[:2]))) == []
