"""docs/directory.md prints what the program does: its examples are records, its lists the vocabulary's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exchange.directory import find, vocabulary
from exchange.directory.contacts import MAX_PART
from exchange.directory.record_rules import (
    check_application,
    check_claims,
    check_contact,
    check_public,
    write_bytes,
)
from exchange.directory.records import (
    MAX_CLAIMS,
    MAX_DEPTH,
    MAX_DOCUMENT,
    Application,
    Claims,
    ContactRecord,
    Form,
    HoldersRecord,
    MembersRecord,
    OwnerRecord,
    PublicRecord,
)
from exchange.phrases.find import REASONS
from tests.address_book import zones

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "directory.md").read_text(encoding="utf-8")
FORMS: dict[str, type[Form]] = {
    "public": PublicRecord,
    "members": MembersRecord,
    "constituency": Claims,
    "contact": ContactRecord,
    "holders": HoldersRecord,
    "owner": OwnerRecord,
    "application": Application,
}


def example(name: str) -> Form:
    found = re.findall(rf"^```{name}\n(.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, name
    return write_bytes(FORMS[name], found[0].encode())


def listed(name: str) -> set[str]:
    """The words of a list of §3."""
    found = re.search(rf"^\* \*\*{name}\*\*: ((?:.|\n(?=  ))*)", TEXT, re.MULTILINE)
    assert found, name
    return set(re.findall(r"`([a-z0-9_]+)`", found[1]))


def test_the_examples_are_what_a_writer_may_write() -> None:
    check_public(example("public"), zones)
    check_contact("technical_24x7", example("contact"), example("holders"), zones)
    check_application(example("application"), zones)
    claims = example("constituency")
    assert check_claims(claims) == claims
    assert example("members")
    assert example("owner")


@pytest.mark.parametrize("name", FORMS)
def test_every_member_of_a_form_is_named(name: str) -> None:
    for field_name in FORMS[name].model_fields:
        assert re.search(rf"[`\"]{field_name}[`\"]|`{field_name}", TEXT), field_name


def test_the_words_are_the_programs() -> None:
    functions = dict(re.findall(r"^\| `([a-z0-9_]+)` \| ([a-z]+) \|$", TEXT, re.MULTILINE))
    assert functions == dict(vocabulary.FUNCTIONS)
    assert listed("communities") == set(vocabulary.COMMUNITIES)
    assert listed("topics") == set(vocabulary.TOPICS)
    assert listed("instruments") == set(vocabulary.INSTRUMENTS)


def test_the_reasons_are_the_programs() -> None:
    section = TEXT[TEXT.index("\n## 4.") : TEXT.index("\n## 5.")]
    ladder = tuple(re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", section, re.MULTILINE))
    assert ladder == find.LADDER
    for code in REASONS:
        assert f"`{code}`" in TEXT, code


def test_the_limits_are_the_programs() -> None:
    for limit in (f"{MAX_PART:,} bytes", f"{MAX_DEPTH} levels", f"{MAX_CLAIMS:,}", f"{MAX_DOCUMENT:,} bytes"):
        assert limit in TEXT, limit
