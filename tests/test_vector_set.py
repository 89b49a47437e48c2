"""The vectors as a set: every refusal has one, they come from their makers, a second reader agrees with the good ones.

What each vector says is test_vectors.py's subject.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.errors import CODES
from tests.vectors.generate import cases, faults

FOLDER = Path(__file__).resolve().parent / "vectors"
FILES = sorted(FOLDER.glob("*/*.json"))
SECOND_READER = (FOLDER / "cross_check.py", *sorted((FOLDER / "second_reader").glob("*.py")))

FAMILIES = (
    "json.",
    "envelope.",
    "hold.",
    "content.",
    "blob.",
    "receipt.",
    "directory.",
    "checkpoint.",
    "submission.",
    "snapshot.",
    "auth.",
    "invitation.",
)
SERVER = "only the hub's store knows; shown by tests/hub"
FORMATS = "of JSON files on their way in (formats/), not of signed JSON; shown by tests/formats"
LOCAL = "one side's own refusal or alarm, which no bytes of another's can be a vector for"
WITHOUT_VECTOR = {
    "auth.missing": "no header, no token: nothing to put into a vector; shown by tests/hub",
    "auth.forbidden": SERVER,
    "auth.bad-invitation": SERVER,
    "auth.invitation-expired": SERVER,
    "directory.unknown-checkpoint": SERVER,
    "directory.read-only": SERVER,
    "directory.no-need": SERVER,
    "directory.bad-part": SERVER,
    "directory.too-many": "a log of megabytes for one leaf; shown by tests/core/directory",
    "content.too-large": LOCAL,
    "envelope.blob-missing": SERVER,
    "blob.wrong-hash": SERVER,
    "blob.too-large": LOCAL,
    "blob.wrong-size": LOCAL,
    "directory.no-prekey": LOCAL,
    "directory.stale-checkpoint": LOCAL,
    "directory.own-name": LOCAL,
    "directory.frozen": LOCAL,
    "invitation.bad-request": LOCAL,
}
WITHOUT_VECTOR |= {
    f"json.{name}": FORMATS
    for name in ("too-large", "too-deep", "too-many-values", "too-many-objects", "not-utf8", "bad-syntax")
}


def test_every_refusal_of_the_protocol_has_a_vector() -> None:
    protocol = {code for code in CODES if code.startswith(FAMILIES)}
    shown = {json.loads(path.read_text(encoding="ascii"))["expect"] for path in FILES}
    assert protocol - shown - WITHOUT_VECTOR.keys() == set()
    assert WITHOUT_VECTOR.keys() & shown == set()
    assert WITHOUT_VECTOR.keys() - protocol == set()


def test_vectors_are_one_flaw_each_and_enough_of_them() -> None:
    wanted = list(cases())
    assert len({case.path for case in wanted}) == len(wanted)
    assert sum(case.expect != "ok" for case in wanted) >= 150
    assert {case.path for case in wanted} == set(FILES)


def test_what_is_deterministic_comes_out_the_same() -> None:
    assert faults() == []


def run_second_reader(folder: Path) -> subprocess.CompletedProcess[str]:
    # -I: neither the checkout nor its environment is on the path, but for the script's own folder
    script = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import cross_check; code = cross_check.main(); "
    )
    script += "sys.exit(9 if any(name.partition('.')[0] == 'exchange' for name in sys.modules) else code)"
    return subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_second_reader_agrees_with_every_good_vector() -> None:
    good = sum(json.loads(path.read_text(encoding="ascii"))["expect"] == "ok" for path in FILES)
    done = run_second_reader(FOLDER)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{good + 2} checked\n"  # and the two tables


def test_the_second_reader_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "cross_check.py"], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_second_reader_imports_nothing_of_the_product() -> None:
    allowed = {*sys.stdlib_module_names, "cryptography", "second_reader"}
    for path in SECOND_READER:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path.name


@pytest.mark.parametrize(
    ("name", "part", "field"),
    [
        ("envelope_open/one_recipient", "output", "salt"),
        ("receipt_proof/good", "output", "at"),
        ("token/good", "output", "issuer"),
        ("log/good", "output", "members"),
        ("token/good", "input", "target"),
    ],
)
def test_the_second_reader_notices_a_vector_that_says_something_else(
    tmp_path: Path, name: str, part: str, field: str
) -> None:
    copy = tmp_path / "vectors"
    shutil.copytree(FOLDER, copy)
    path = copy / f"{name}.json"
    vector = json.loads(path.read_text(encoding="ascii"))
    vector[part][field] = "something else"
    path.write_text(json.dumps(vector), encoding="ascii")
    done = run_second_reader(copy)
    assert done.returncode == 1
    assert path.name in done.stderr
