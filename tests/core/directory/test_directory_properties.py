"""Properties of every parser of the directory: one spelling, our errors only, and no mutation goes unseen."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from worlds import MEMBERS, NOW, a_member, keys, make_world, prekey_secret, signed

from exchange.canonical import dumps, loads
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import build_add, build_prekeys
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity, Member, Officer
from exchange.directory.prekeys import PrekeyRecord
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, SignedSubmission, Submission
from exchange.errors import ExchangeError
from exchange.limits import MAX_STATEMENT

NET = bytes(range(32))
times = st.integers(0, 2**53 - 1)
hashes = st.binary(min_size=32, max_size=32)
json_values: Any = st.recursive(
    st.integers(0, 2**53 - 1) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abvkt", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@cache
def whole_log() -> tuple[bytes, ...]:
    return tuple(make_world().leaves)


PARSERS = {
    "leaf": lambda data: Leaf.from_bytes(data, NET),
    "genesis": Directory.from_genesis,
    "body": lambda data: parse_body(data, NET),
    "genesis body": lambda data: parse_body(data, bytes(32)),
    "checkpoint": lambda data: Checkpoint.from_bytes(data, NET),
    "checkpoint's ref": lambda data: SignedCheckpoint(data, data).ref(NET),
    "submission": lambda data: Submission.from_bytes(data, NET),
    "prekey record": lambda data: PrekeyRecord.from_bytes(data, NET),
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=300) | json_values.map(dumps))
@settings(max_examples=60, deadline=None)
def test_any_bytes_raise_only_our_errors(name: str, data: bytes) -> None:
    with pytest.raises(ExchangeError):
        PARSERS[name](data)


JSON_READERS = {
    "statement": Statement.from_json,
    "checkpoint": SignedCheckpoint.from_json,
    "submission": SignedSubmission.from_json,
    "member": Member.from_json,
    "officer": Officer.from_json,
    "hub": HubIdentity.from_json,
}


@pytest.mark.parametrize("name", JSON_READERS)
@given(value=json_values | st.fixed_dictionaries({"body": json_values, "signatures": json_values}))
@settings(max_examples=60, deadline=None)
def test_any_json_raises_only_our_errors(name: str, value: object) -> None:
    try:
        read: Any = JSON_READERS[name](value)
    except ExchangeError:
        return
    assert read.to_json() == value


@given(
    data=st.binary(max_size=300) | json_values.map(dumps),
    signer=st.sampled_from([*MEMBERS, "officer/alba", "x"]),
)
@settings(max_examples=60, deadline=None)
def test_any_statement_of_a_member_leaves_the_log_going(data: bytes, signer: str) -> None:
    directory = Directory.replay(whole_log()[:3], now=None)
    outcome = directory.apply(Leaf(3, NOW, signed(data, signer)).to_bytes(directory.net), now=None)
    assert not outcome.effective
    assert directory.apply(Leaf(4, NOW, Statement(b"")).to_bytes(directory.net), now=None).index == 4


@given(
    changes=st.dictionaries(
        st.sampled_from(["v", "net", "type", "subject", "after", "not_after"]), json_values
    )
)
@settings(max_examples=100, deadline=None)
def test_any_value_in_a_body_raises_only_our_errors(changes: dict[str, object]) -> None:
    directory = Directory.replay(whole_log()[:2], now=None)
    good = Leaf.from_bytes(whole_log()[2], directory.net).statement.body
    body = dumps({**loads(good, most=MAX_STATEMENT), **changes})
    outcome = directory.apply(Leaf(2, NOW, signed(body, "pe-csirt")).to_bytes(directory.net), now=None)
    assert outcome.effective == (not outcome.code)
    assert outcome.effective <= (directory.prekeys("pe-csirt") != ())


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_mutated_byte_of_a_log_goes_unnoticed(data: st.DataObject) -> None:
    leaves = whole_log()
    index = data.draw(st.integers(0, len(leaves) - 1))
    position = data.draw(st.integers(0, len(leaves[index]) - 1))
    mutated = bytearray(leaves[index])
    mutated[position] ^= data.draw(st.integers(1, 255))
    effective = []
    try:
        directory = Directory.from_genesis(bytes(mutated) if index == 0 else leaves[0])
        for number in range(1, index + 1):
            leaf = bytes(mutated) if number == index else leaves[number]
            effective.append(directory.apply(leaf, now=NOW).effective)
    except ExchangeError:
        return
    if effective and effective[-1]:
        # only what the hub asserts beside the signed body, and then the root shows it
        assert loads(bytes(mutated), most=10**6)["body"] == loads(leaves[index], most=10**6)["body"]
        assert loads(bytes(mutated), most=10**6)["at"] != NOW
    assert directory.root() != Directory.replay(leaves[: index + 1], now=NOW).root()


@given(index=times, at=times, body=st.binary(max_size=99), pairs=st.lists(st.tuples(st.text("ab/-"), hashes)))
def test_leaf_reads_back(index: int, at: int, body: bytes, pairs: list[tuple[str, bytes]]) -> None:
    leaf = Leaf(index, at, Statement(body, tuple(pairs[:64])))
    data = leaf.to_bytes(NET)
    assert Leaf.from_bytes(data, NET) == leaf
    assert Leaf.from_bytes(data, NET).to_bytes(NET) == data


@given(size=st.integers(1, 2**53 - 1), root=hashes, at=times)
def test_checkpoint_reads_back(size: int, root: bytes, at: int) -> None:
    checkpoint = Checkpoint(NET, 0, size, root, at)
    assert Checkpoint.from_bytes(checkpoint.to_bytes(), NET) == checkpoint


@given(statement=hashes, at=times, index=times)
def test_submission_reads_back(statement: bytes, at: int, index: int) -> None:
    submission = Submission(NET, statement, LOGGED, at, index=index)
    assert Submission.from_bytes(submission.to_bytes(), NET) == submission


@given(start=times, until=times, destroy=times)
def test_prekey_record_reads_back(start: int, until: int, destroy: int) -> None:
    record = PrekeyRecord("pe-csirt/duty", start, until, destroy, prekey_secret("pe-csirt", 0).public)
    data = record.to_bytes(NET)
    assert PrekeyRecord.from_bytes(data, NET) == record
    assert record.ref(NET).kid == record.kid(NET)


@given(country=st.sampled_from(["", "PE", "ZZ"]), not_after=times)
@settings(max_examples=20)
def test_add_body_reads_back(country: str, not_after: int) -> None:
    member = a_member("pe-csirt", country=country)
    add = parse_body(build_add(net=NET, member=member, not_after=not_after), NET)
    assert add.member == member  # type: ignore[union-attr]  # any other type fails the test
    assert build_add(net=NET, member=add.member, not_after=add.head.not_after)  # type: ignore[union-attr]  # same


@given(after=hashes, starts=st.lists(st.integers(0, 2**40), min_size=1, max_size=16, unique=True))
@settings(max_examples=20)
def test_prekeys_body_reads_back(after: bytes, starts: list[int]) -> None:
    public = prekey_secret("pe-csirt", 0).public
    refs = tuple(
        PrekeyRecord("pe-csirt", start, start + 1, start + 2, public).ref(NET) for start in sorted(starts)
    )
    body = build_prekeys(net=NET, address="pe-csirt", refs=refs, after=after, not_after=NOW)
    parsed = parse_body(body, NET)
    assert (parsed.refs, parsed.head.after) == (refs, after)  # type: ignore[union-attr]  # any other type fails


def test_statement_reads_back() -> None:
    statement = signed(b"body", "hub", "officer/alba")
    assert Statement.from_json(statement.to_json()) == statement
    assert Statement.from_json(statement.to_json()).to_json() == statement.to_json()
    assert keys("hub").public.signing.to_json() != keys("recovery").public.signing.to_json()
