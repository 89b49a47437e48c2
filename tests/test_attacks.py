"""docs/attacks.md names the test that shows each defence: that test must exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.(?:py|txt))(?:::(\w+))?`", TEXT)


def defined(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) >= 30
    missing = [
        (path, name)
        for path, name in NAMED
        if not (ROOT / path).is_file() or (name and name not in defined(path))
    ]
    assert missing == []


def test_every_vector_that_is_named_exists() -> None:
    named = re.findall(r"`((?:leaf|envelope_hub|submission)/[\w*]+)`", TEXT)
    assert len(named) >= 6
    vectors = ROOT / "tests" / "vectors"
    assert [name for name in named if not list(vectors.glob(f"{name}.json"))] == []


def test_every_row_of_an_attack_names_what_shows_it() -> None:
    tables = [part for part in TEXT.split("\n## ") if part.startswith("Attacks by")]
    assert tables
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith("|")][2:]
        assert rows
        for row in rows:
            shown_by = row.rstrip("|").rpartition("|")[2]
            assert "tests/" in shown_by or "vectors" in shown_by, row
