"""Which labels a message gets that nobody labelled by hand, of the files that it carries."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.cli.compose import Flags, compose, read_files
from exchange.errors import Refused
from exchange.message import Author, Message
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.stix_samples import SOMEBODY, bundle_of

NOW = 1_793_000_000_000
GREEN = SOMEBODY | {"object_marking_refs": [Tlp.GREEN.marking_id]}
PAP_AMBER = "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab"


def sent(
    folder: Path, *objects: dict[str, Any], around: dict[str, Any] | None = None, **flags: Any
) -> Message:
    """The message of one file of these objects."""
    path = folder / "a.json"
    path.write_bytes(orjson.dumps(orjson.loads(bundle_of(*objects)) | (around or {})))
    read = read_files([path] if objects else [], at=NOW)
    author = Author(id=SOMEBODY["id"], name="pe-csirt", created=NOW)
    given = {"kind": "alert", "subject": "x", **flags}
    return compose(
        Flags(**given), read, author=author, handle="pe-csirt", now=NOW, new_uuid=uuid.uuid4
    ).message


@pytest.mark.parametrize(
    ("objects", "flags", "label"),
    [
        ([GREEN], {}, Tlp.GREEN),
        ([GREEN, SOMEBODY], {}, Tlp.AMBER_STRICT),
        ([GREEN | {"labels": ["tlp:red"]}], {"tlp": "green"}, Tlp.RED),
        ([GREEN], {"tlp": "amber"}, Tlp.AMBER),
        ([GREEN, SOMEBODY], {"tlp": "clear"}, Tlp.GREEN),
        ([GREEN], {"text": "Our own words"}, Tlp.AMBER_STRICT),
        ([GREEN], {"text": "Our own words", "tlp": "green"}, Tlp.GREEN),
        ([], {}, Tlp.AMBER_STRICT),
    ],
)
def test_the_strictest_of_what_is_marked_and_amber_strict_for_what_is_not(
    tmp_path: Path, objects: list[dict[str, Any]], flags: dict[str, Any], label: Tlp
) -> None:
    if label is Tlp.RED:  # for persons: of others' files such a one stays here as a whole
        with pytest.raises(Refused, match=r"tlp\.red-needs-persons"):
            sent(tmp_path, *objects, **flags)
        return
    assert sent(tmp_path, *objects, **flags).tlp is label


def test_pap_of_a_whole_file_and_of_the_sender_is_on_the_message(tmp_path: Path) -> None:
    on_bundle = {"object_marking_refs": [PAP_AMBER]}
    assert sent(tmp_path, GREEN).pap is None
    assert sent(tmp_path, GREEN, around=on_bundle).pap is Pap.AMBER
    assert sent(tmp_path, GREEN, around=on_bundle, pap="PAP:Red").pap is Pap.RED
    assert sent(tmp_path, GREEN, around=on_bundle, pap="green").pap is Pap.AMBER
    with pytest.raises(Refused, match=r"cli\.usage"):
        sent(tmp_path, GREEN, pap="purple")


def test_list_that_is_for_named_persons_goes_to_them_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("203.0.113.7\nTLP:RED\n203.0.113.8\n", encoding="utf-8")
    other = tmp_path / "b.json"
    other.write_bytes(bundle_of(GREEN))
    read = read_files([path, other], at=NOW)
    assert {one.code for one in read.set_aside if one.file == path.name} == {
        "tlp.red-needs-persons",
        "format.bad-line",
    }
    assert [each.tlp for each in read.objects] == [Tlp.GREEN]
    to_persons = read_files([path, other], at=NOW, to_persons=True)
    assert [each.tlp for each in to_persons.objects] == [Tlp.RED, Tlp.RED, Tlp.GREEN]
