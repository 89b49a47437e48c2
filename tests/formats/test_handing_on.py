"""A message handed on inside another: nothing of it is lost, and its label only gets stricter."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import EXTENSION, carried_objects, compose, read_message
from exchange.formats.stix.handing_on import Original, objects_of, original_of
from exchange.message import Author, Draft, Kind
from exchange.pap import Pap
from exchange.tlp import Tlp

ONWARD_ID = "0f0f0f0f-0000-4000-8000-000000000002"


def onward(draft: Draft) -> Draft:
    return replace(draft, id=ONWARD_ID, kind=Kind.FORWARD, subject="Fwd: Ransomware at a bank")


def test_every_byte_of_the_original_travels(
    draft: Draft, author: Author, demo_objects: tuple[RawObject, ...]
) -> None:
    first = compose(draft, author, demo_objects)
    other = replace(author, id="identity--11111111-1111-4111-8111-111111111111", name="CO-CSIRT")
    second = read_message(compose(onward(draft), other, objects_of(first)).bundle)
    joined = b",".join(carried_objects(second))
    assert b'{"type":"bundle","id":"bundle--%b","objects":[%b]}' % (first.id.encode(), joined) == first.bundle
    assert (second.id, second.author, second.tlp) == (ONWARD_ID, other.id, Tlp.AMBER)
    assert original_of(second) == Original(first.id, first.kind, first.subject, author.id, "PE-CSIRT")
    assert original_of(first) is None


def test_handed_on_twice_the_last_one_shows_whom_it_had_it_from(draft: Draft, author: Author) -> None:
    first = compose(replace(draft, kind=Kind.ALERT), author, [])
    second = compose(onward(draft), author, objects_of(first))
    third = compose(replace(onward(draft), id=ONWARD_ID[:-1] + "3"), author, objects_of(second))
    seen = original_of(third)
    assert seen is not None
    assert (seen.id, seen.kind) == (second.id, Kind.FORWARD)


def test_the_label_may_get_stricter_and_never_weaker(draft: Draft, author: Author) -> None:
    first = compose(replace(draft, kind=Kind.ALERT), author, [])
    stricter = compose(replace(onward(draft), tlp=Tlp.AMBER_STRICT), author, objects_of(first))
    assert read_message(stricter.bundle).tlp is Tlp.AMBER_STRICT
    with pytest.raises(Refused, match=r"tlp\.weaker-than-content"):
        compose(replace(onward(draft), tlp=Tlp.GREEN), author, objects_of(first))


@pytest.mark.parametrize(
    ("said", "read"), [("ejercicio-26", "ejercicio-26"), ("a\x1b[2J", "unnamed"), (7, "unnamed")]
)
def test_an_exercise_stays_one_though_who_hands_it_on_leaves_it_out(
    draft: Draft, author: Author, said: object, read: str
) -> None:
    first = orjson.loads(compose(replace(draft, kind=Kind.ALERT), author, []).bundle)
    first["objects"][0]["extensions"][EXTENSION]["exercise_id"] = said
    inner = replace(compose(replace(draft, kind=Kind.ALERT), author, []), bundle=orjson.dumps(first))
    second = compose(replace(onward(draft), exercise_id=None), author, objects_of(inner))
    assert read_message(second.bundle).exercise_id == read
    named = compose(replace(onward(draft), exercise_id="otro"), author, objects_of(inner))
    assert read_message(named.bundle).exercise_id == "otro"


def test_a_permission_stays_though_who_hands_it_on_leaves_it_out(draft: Draft, author: Author) -> None:
    first = compose(replace(draft, kind=Kind.ALERT, pap=Pap.AMBER), author, [])
    second = compose(replace(onward(draft), pap=Pap.GREEN), author, objects_of(first))
    assert second.pap is Pap.AMBER
    bare = orjson.loads(second.bundle)
    assert bare["objects"][0].pop("labels") == [Pap.AMBER.label]
    assert read_message(orjson.dumps(bare)).pap is Pap.AMBER
    stricter = compose(replace(onward(draft), pap=Pap.RED), author, objects_of(first))
    assert read_message(stricter.bundle).pap is Pap.RED


def test_there_is_no_handing_on_of_nothing(
    draft: Draft, author: Author, demo_objects: tuple[RawObject, ...]
) -> None:
    with pytest.raises(Refused, match=r"message\.missing-original"):
        compose(onward(draft), author, demo_objects)
