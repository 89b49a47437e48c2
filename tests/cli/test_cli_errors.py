"""Every error's exit code and hint."""

from __future__ import annotations

import pytest

from exchange.cli.errors import EXITS, HINTS, exit_of
from exchange.errors import CODES


def test_every_registered_code_has_a_row() -> None:
    without = [code for code in CODES if not any(code == row or code.startswith(row) for row in EXITS)]
    assert without == []


def test_every_row_and_hint_is_for_a_registered_code() -> None:
    families = {code.partition(".")[0] + "." for code in CODES}
    assert {row for row in EXITS if row not in CODES} <= families
    assert set(HINTS) <= set(CODES)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("tlp.red-needs-persons", 3),
        ("envelope.unknown-recipient", 3),
        ("envelope.bad-signature", 6),
        ("keystore.wrong-key", 4),
        ("auth.clock-skew", 4),
        ("hub.unreachable", 5),
        ("cli.timeout", 5),
        ("cli.usage", 2),
        ("internal.error", 1),
        ("no.such-family", 1),
    ],
)
def test_exit_code(code: str, expected: int) -> None:
    assert exit_of(code) == expected
