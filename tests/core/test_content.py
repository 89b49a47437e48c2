"""Contents: frame, meta and control payloads come back; whatever else is read is refused by its code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from exchange import content as c
from exchange.canonical import MAX_INT, b64, dumps
from exchange.disclosure import STATES, DisclosureInquiry, DisclosureRecord, Row
from exchange.errors import Refused, Rejected
from exchange.header import LANES
from exchange.limits import MAX_CONTENT, MAX_CONTROL, MAX_META, MAX_STIX
from tests.core.refusals import attempt
from tests.core.sealings import a_meta

IDS = st.uuids().map(str)
NUMBERS = st.integers(1, MAX_INT)
CHAINS, HASHES = st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)
SEALINGS = st.builds(c.Numbered, HASHES, CHAINS, NUMBERS)
LANE = st.sampled_from(LANES)
TIMES = st.integers(0, MAX_INT)
TEXTS = st.from_regex(r"[A-Za-zÑñáé ]{0,40}", fullmatch=True)
CODES = st.from_regex(r"[a-z0-9.-]{0,64}", fullmatch=True)
METAS = st.builds(
    c.Meta,
    type=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    id=IDS,
    lane=LANE,
    created=TIMES,
    expires=TIMES,
    reseal_of=st.none() | SEALINGS,
)
SPANS = st.tuples(NUMBERS, NUMBERS).map(sorted)
CONTROLS = st.one_of(
    st.builds(c.Status, IDS, st.sampled_from(c.LEVELS), TEXTS, TEXTS, CODES, TIMES),
    st.builds(
        c.Missing,
        LANE,
        st.lists(st.tuples(CHAINS, SPANS).map(lambda gap: (gap[0], *gap[1])), min_size=1, max_size=5).map(
            tuple
        ),
    ),
    st.builds(c.Void, LANE, SEALINGS, CODES),
    st.builds(c.Restored, st.dictionaries(LANE, SEALINGS).map(lambda rows: tuple(rows.items()))),
    st.builds(c.CheckpointNote, st.binary(max_size=50), st.binary(max_size=50)),
    st.builds(
        c.PartNote,
        st.sampled_from(("pe-csirt", "pe-csirt/tracing")),
        st.sampled_from(c.SEALED_LEVELS),
        CHAINS,
        st.binary(max_size=50),
    ),
    st.builds(
        c.Notice,
        st.binary(max_size=50),
        st.lists(st.tuples(st.sampled_from(("pe", "officer/alba")), st.binary(max_size=9)), max_size=3).map(
            tuple
        ),
    ),
)
RECORDS = st.builds(
    lambda inquiry, of, at, state, further, head, rows: DisclosureRecord(
        inquiry, of, at, state, len(rows) + further, head, tuple(rows)
    ),
    IDS,
    IDS,
    TIMES,
    st.sampled_from(STATES),
    st.integers(0, 9),
    HASHES,
    st.lists(st.builds(Row, TIMES, TEXTS, TEXTS, TEXTS, HASHES, HASHES), max_size=3),
)
CONTROLS |= RECORDS | st.builds(DisclosureInquiry, IDS)
VALUES = st.recursive(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8) | st.integers(0, MAX_INT),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["v", "lane", "gaps", "env"]), inner)
    ),
    max_leaves=8,
)


@given(METAS, st.binary(max_size=100))
def test_a_content_comes_back(meta: c.Meta, payload: bytes) -> None:
    assert c.unpack_content(c.pack_content(meta, payload)) == (meta, payload)


@given(CONTROLS)
def test_a_control_payload_comes_back(control: c.Control) -> None:
    assert c.parse_control(control.type, control.to_payload()) == control


@given(st.sampled_from(sorted(c.CONTROL_TYPES)), st.binary(max_size=60) | VALUES.map(dumps))
def test_any_payload_is_read_as_it_stands_or_refused(type_: str, payload: bytes) -> None:
    control, fault = attempt(lambda: c.parse_control(type_, payload))
    assert fault.code == "content.bad-payload" if fault else control.to_payload() == payload


@given(CONTROLS, st.data())
def test_a_member_of_another_value_is_read_as_it_stands_or_refused(
    control: c.Control, data: st.DataObject
) -> None:
    value: dict[str, Any] = json.loads(control.to_payload())
    value[data.draw(st.sampled_from(sorted(value)))] = data.draw(VALUES)
    payload, _ = attempt(lambda: dumps(value))
    if payload is not None:
        again, fault = attempt(lambda: c.parse_control(control.type, payload))
        assert fault.code == "content.bad-payload" if fault else again.to_payload() == payload


@given(METAS, st.data())
def test_a_meta_of_another_value_is_read_as_it_stands_or_refused(meta: c.Meta, data: st.DataObject) -> None:
    value: dict[str, Any] = json.loads(meta.to_bytes())
    value[data.draw(st.sampled_from(sorted(value)))] = data.draw(VALUES)
    raw, _ = attempt(lambda: dumps(value))
    if raw is not None:
        again, fault = attempt(lambda: c.Meta.from_bytes(raw))
        assert isinstance(fault, Rejected) if fault else again.to_bytes() == raw


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    _, fault = attempt(lambda: c.unpack_content(noise))
    assert isinstance(fault, Rejected)
    assert fault.code in ("content.bad-frame", "json.not-canonical", "json.bad-schema")


def test_payloads_over_their_limit_are_refused_at_the_sender() -> None:
    with pytest.raises(Refused, match=r"content\.too-large"):
        c.pack_content(a_meta(), bytes(MAX_STIX + 1))
    with pytest.raises(Refused, match=r"content\.too-large"):
        c.pack_content(a_meta(type="status"), bytes(MAX_CONTROL + 1))


def test_payloads_over_their_limit_are_refused_at_the_recipient() -> None:
    largest = c.pack_content(a_meta(), bytes(MAX_STIX))
    assert len(c.unpack_content(largest)[1]) == MAX_STIX
    with pytest.raises(Rejected, match=r"content\.bad-payload"):
        c.unpack_content(largest + b"x")
    with pytest.raises(Rejected, match=r"content\.bad-payload"):
        c.parse_control("status", b'"' + bytes(MAX_CONTROL) + b'"')
    with pytest.raises(Rejected, match=r"content\.bad-frame"):
        c.unpack_content(bytes(MAX_CONTENT + 1))


def test_a_type_of_a_later_version_is_not_refused_for_its_size() -> None:
    whole = c.pack_content(a_meta(type="later"), b"")
    assert len(c.unpack_content(whole + bytes(MAX_STIX + 1))[1]) == MAX_STIX + 1


def test_the_longest_meta_stays_within_its_limit() -> None:
    longest = c.Meta("a" * 32, "0" * 8 + "-0000" * 3 + "-" + "0" * 12, "immediate", MAX_INT, MAX_INT)
    sealing = c.Numbered(bytes(32), bytes(16), MAX_INT)
    whole = c.Meta(longest.type, longest.id, longest.lane, MAX_INT, MAX_INT, sealing)
    assert len(whole.to_bytes()) < MAX_META // 8
    assert c.Meta.from_bytes(whole.to_bytes()) == whole


def test_human_text_is_kept_in_its_normal_form() -> None:
    typed = c.Status(a_meta().id, "working", "N\u0303usta", "", "", 1)
    assert c.parse_control("status", typed.to_payload()).person == "Ñusta"


def test_a_refusal_names_the_member_and_not_its_value() -> None:
    value = {"v": 1, "lane": "canary", "gaps": [[b64(bytes(16)), 1, 1]]}
    with pytest.raises(Rejected, match=r"missing\.lane") as caught:
        c.parse_control("missing", dumps(value))
    assert "canary" not in str(caught.value)
