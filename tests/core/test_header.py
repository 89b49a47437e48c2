"""Headers: what is built is parsed, and what is parsed was built."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from exchange.canonical import ADDRESS, MAX_INT, b64, dumps, h
from exchange.errors import Refused, Rejected
from exchange.header import LANES, DirRef, Header, Pre, commitment, core_hash, parse_header
from exchange.limits import MAX_BODY, MAX_HEADER, MAX_RECIPIENTS
from tests.core.refusals import attempt

HASHES = st.binary(min_size=32, max_size=32)
ADDRESSES = st.from_regex(ADDRESS, fullmatch=True)
TIMES = st.tuples(st.integers(0, MAX_INT), st.integers(0, MAX_INT)).filter(lambda pair: pair[0] < pair[1])


@st.composite
def headers(draw: st.DrawFn) -> Header:
    iat, exp = draw(TIMES)
    to = draw(st.dictionaries(ADDRESSES, HASHES, min_size=1, max_size=5))
    pre = Pre(
        net=draw(HASHES),
        sender=draw(ADDRESSES),
        skid=draw(HASHES),
        iat=iat,
        exp=exp,
        lane=draw(st.sampled_from(LANES)),
        to=tuple(sorted(to.items())),
        dir=DirRef(draw(st.integers(1, MAX_INT)), draw(HASHES), draw(HASHES)),
    )
    wh = [draw(HASHES) for _ in to]
    return Header.build(pre, pc=draw(HASHES), wh=wh, bh=draw(HASHES), bl=draw(st.integers(0, MAX_BODY)))


@given(headers())
def test_a_header_comes_back(header: Header) -> None:
    again = parse_header(header.raw)
    assert again == header
    assert again.env == h(header.net, "env", header.raw)
    assert (again.iat, again.exp, again.lane) == (header.pre.iat, header.pre.exp, header.pre.lane)
    assert again.core_hash == core_hash(header.pre, header.pc)
    for index, (address, _) in enumerate(header.to):
        assert again.position(address) == index
        assert again.recipients[index] == address
    assert again.position("Nobody") is None


@given(headers(), st.data())
def test_no_byte_of_a_header_changes_without_its_id(header: Header, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(header.raw) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != header.raw[at]))
    raw = header.raw[:at] + bytes([new]) + header.raw[at + 1 :]
    parsed, fault = attempt(lambda: parse_header(raw))
    assert (
        isinstance(fault, Rejected) if fault else (parsed and parsed.env != header.env and parsed.raw == raw)
    )


@given(st.binary(max_size=300))
def test_noise_is_no_header(data: bytes) -> None:
    _, fault = attempt(lambda: parse_header(data))
    assert isinstance(fault, Rejected)


SWAPS = st.none() | st.booleans() | st.integers(-5, 2**60) | st.text(max_size=6) | st.just([]) | st.just({})


@given(headers(), st.data())
def test_a_member_of_any_other_value_is_refused_or_read_as_it_stands(
    header: Header, data: st.DataObject
) -> None:
    value = json.loads(header.raw)
    name = data.draw(st.sampled_from(sorted(value)))
    value[name] = data.draw(SWAPS)
    raw, _ = attempt(lambda: dumps(value))
    if raw is not None:
        parsed, fault = attempt(lambda: parse_header(raw))
        assert isinstance(fault, Rejected) if fault else (parsed and parsed.raw == raw)


def many(count: int) -> Header:
    pre = Pre(
        net=bytes(32),
        sender="pe",
        skid=bytes(32),
        iat=1,
        exp=2,
        lane="flash",
        to=tuple((f"member-{number:04}", bytes(32)) for number in range(count)),
        dir=DirRef(1, bytes(32), bytes(32)),
    )
    return Header.build(pre, pc=bytes(32), wh=[bytes(32)] * count, bh=bytes(32), bl=0)


def test_a_thousand_recipients_and_not_one_more() -> None:
    whole = many(MAX_RECIPIENTS)
    assert len(whole.raw) < MAX_HEADER
    assert len(parse_header(whole.raw).to) == MAX_RECIPIENTS
    with pytest.raises(Rejected, match=r"json\.bad-schema: header\.to"):
        parse_header(many(MAX_RECIPIENTS + 1).raw)


def test_a_header_over_its_limit_is_not_parsed() -> None:
    with pytest.raises(Rejected, match=r"json\.not-canonical"):
        parse_header(b'"' + b"x" * MAX_HEADER + b'"')


def test_a_header_is_not_written_with_what_has_no_form() -> None:
    pre = many(1).pre
    with pytest.raises(Refused, match=r"json\.not-canonical"):
        Header.build(pre, pc=bytes(32), wh=[bytes(32)], bh=bytes(32), bl=-1)


def test_the_commitment_is_tied_to_everything_before_it() -> None:
    pre, other = many(1).pre, many(2).pre
    first = commitment(pre, bytes(32), b"content")
    assert (
        len({first, commitment(other, bytes(32), b"content"), commitment(pre, bytes([1]) * 32, b"content")})
        == 3
    )
    assert commitment(pre, bytes(32), b"contents") != first
    assert core_hash(pre, first) != core_hash(other, first)


def test_an_unknown_suite_is_named_but_not_repeated_at_length() -> None:
    value = {**json.loads(many(1).raw), "suite": "E" * 200_000}
    with pytest.raises(Rejected, match=r"envelope\.unknown-suite") as caught:
        parse_header(dumps(value))
    assert len(str(caught.value)) < 100


def test_kids_are_bytes_and_stand_beside_their_address() -> None:
    header = many(2)
    assert json.loads(header.raw)["to"] == [["member-0000", b64(bytes(32))], ["member-0001", b64(bytes(32))]]
