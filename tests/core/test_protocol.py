"""Mailbox items: what one side frames the other reads, whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from exchange import protocol as p
from exchange.errors import Rejected
from tests.core.refusals import attempt

CURSORS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=255)
ITEMS = st.builds(p.Item, st.integers(0, 255), CURSORS, st.binary(max_size=60))


@given(st.lists(ITEMS, max_size=5))
def test_items_come_back(whole: list[p.Item]) -> None:
    assert list(p.items(b"".join(item.to_bytes() for item in whole))) == whole


@given(st.binary(max_size=80))
def test_noise_is_items_or_refused(noise: bytes) -> None:
    found, fault = attempt(lambda: list(p.items(noise)))
    assert (
        fault.code == "request.bad" if fault else b"".join(item.to_bytes() for item in found or []) == noise
    )


@given(st.lists(ITEMS, min_size=1, max_size=3), st.data())
def test_a_page_cut_short_gives_what_is_whole_and_then_says_so(
    whole: list[p.Item], data: st.DataObject
) -> None:
    page = b"".join(item.to_bytes() for item in whole)
    end = data.draw(st.integers(0, len(page) - 1))
    found = []
    try:
        found.extend(p.items(page[:end]))
    except Rejected:
        found.append(None)
    edges = [sum(len(item.to_bytes()) for item in whole[:count]) for count in range(len(whole) + 1)]
    assert (None in found) is (end not in edges)


def test_a_length_is_believed_only_as_far_as_there_are_bytes() -> None:
    for claim in (2**32 - 1, 14_000_000, 3):
        with pytest.raises(Rejected, match=r"request\.bad"):
            list(p.items(claim.to_bytes(4, "big") + b"\x01\x00"))


def test_paths_and_types_differ() -> None:
    paths = [p.GENESIS, p.CHECKPOINT, p.CHECKPOINTS, p.LEAVES, p.STATEMENTS, p.PREKEYS, p.STATE, p.SOCKET]
    paths += [p.ENVELOPES, p.MAILBOX, p.RECEIPTS, p.APPLICATIONS]
    assert len(set(paths)) == 12
    assert {p.ITEM_DELIVERY, p.ITEM_RECEIPTS, p.ITEM_CHECKPOINT, p.ITEM_EXPIRED} == {1, 2, 3, 4}
