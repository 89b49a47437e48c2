"""Every parser of a stranger's bytes, handed good examples that were spoilt: only our errors come out.

The register is parsers.py; `./run fuzz` goes on for longer, led by coverage.
"""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.fuzz.mutation import spoilt
from tests.fuzz.parsers import NOT_REGISTERED, PARSERS, sown

EXAMPLES = 200
HEAVY_EXAMPLES = 25
FEW = 10
MEGABYTE = 1_000_000
ROOT = Path(__file__).resolve().parents[2] / "exchange"
PLACES = ("*.py", "directory/*.py", "formats/**/*.py")
PREFIXES = ("from_", "read_", "parse_", "unpack", "unframed", "verified_")
NAMES = ("read", "load", "loads", "scan", "items", "open_", "unb64")

# What costs a careless reader most: depth, counts, lengths, numbers.
WORST = {
    "nothing": b"",
    "zeros": bytes(MEGABYTE),
    "ones": b"\xff" * MEGABYTE,
    "brackets": b"[" * MEGABYTE,
    "braces": b'{"a":' * (MEGABYTE // 5),
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "digits": b"9" * MEGABYTE,
    "text": b'"' + b"a" * MEGABYTE + b'"',
    "letters": b"a" * MEGABYTE,
    "backslashes": b'"' + b"\\" * MEGABYTE + b'"',
    "members": b"{" + b",".join(b'"%d":0' % n for n in range(50_000)) + b"}",
    "same member": b"{" + b",".join([b'"a":0'] * 50_000) + b"}",
    "rows": b"[" + b",".join([b"[]"] * 100_000) + b"]",
    "dots": b"a." * 100_000,
    "commas": b"," * MEGABYTE,
    "lines": b"\n" * MEGABYTE,
    "quotes": b'"' * MEGABYTE,
    "spaces": b" " * MEGABYTE,
}


@pytest.mark.parametrize("name", PARSERS)
def test_only_our_errors_come_out_of_a_parser(name: str) -> None:
    parser, found = PARSERS[name], sown(name)

    @settings(
        max_examples=HEAVY_EXAMPLES if parser.heavy else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(number=st.integers(0, 2**64 - 1), noise=st.one_of(st.none(), st.binary(max_size=200)))
    def fuzz(number: int, noise: bytes | None) -> None:
        parser.understands(spoilt(found, random.Random(number)) if noise is None else noise)

    fuzz()


@pytest.mark.parametrize("worst", WORST)
def test_no_parser_chokes_on_what_is_made_to_cost(worst: str) -> None:
    for parser in PARSERS.values():
        parser.understands(WORST[worst])


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_one_of_its_good_examples(name: str) -> None:
    """What only sees refusals would fuzz nothing. The examples hold what broke a parser once, too."""
    parser, found = PARSERS[name], sown(name)
    assert sum(parser.understands(seed) for seed in (found[:FEW] if parser.heavy else found)) > 0


def test_every_parser_of_core_and_formats_is_registered() -> None:
    covered = {name for parser in PARSERS.values() for name in parser.covers} | set(NOT_REGISTERED)
    modules = {name.removesuffix(".*") for name in covered if name.endswith(".*")}
    found = {name: name.rpartition(".")[0] for name in _parsers()}
    assert {name for name, module in found.items() if name not in covered and module not in modules} == set()
    stale = {name for name in covered if not name.endswith(".*") and name not in found}
    assert stale <= set(EXTRA), "these don't exist, or look like no parser any more"


# Registered although their names don't say that they parse.
EXTRA = (
    "receipt.verify_upload",
    "receipt.verify_proof",
    "token.check_token",
    "envelope.open_",
    "canonical.b64_text",
    "canonical.unb64_checked",
    "directory.waiting.check_document",
    "directory.assets.claimed_prefix",
    "directory.assets.claimed_domain",
    "envelope.open_expired",
)


def _parsers() -> list[str]:
    """`module.function` and `module.Class.function` of everything that is named like a parser."""
    found = []
    for place in PLACES:
        for path in sorted(ROOT.glob(place)):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and _looks_like_one(node.name):
                    found.append(f"{module}.{node.name}")
                if isinstance(node, ast.ClassDef):
                    found += [
                        f"{module}.{node.name}.{each.name}"
                        for each in node.body
                        if isinstance(each, ast.FunctionDef) and _looks_like_one(each.name)
                    ]
    return found


def _looks_like_one(name: str) -> bool:
    return name in NAMES or name.startswith(PREFIXES)
