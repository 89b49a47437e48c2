"""The Merkle tree against RFC 9162 §2.1 as it is written there: recursive and slow."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, strategies as st

from exchange import merkle

SIZES = range(1, 71)


def leaves(size: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(size)]


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256().digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def audit_path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return [*audit_path(m, d[:k]), mth(d[k:])]
    return [*audit_path(m - k, d[k:]), mth(d[:k])]


@pytest.mark.parametrize("size", [0, *SIZES])
def test_root(size: int) -> None:
    assert merkle.root(leaves(size)) == mth(leaves(size))


@pytest.mark.parametrize("size", SIZES)
def test_paths_are_those_of_the_rfc_and_lead_to_the_root(size: int) -> None:
    data = leaves(size)
    hashes = [merkle.leaf_hash(leaf) for leaf in data]
    root = mth(data)
    for index, steps in enumerate(merkle.paths(hashes, range(size))):
        assert steps == audit_path(index, data)
        assert merkle.root_from_path(data[index], index, size, steps) == root


@pytest.mark.parametrize("size", SIZES)
def test_a_path_proves_nothing_else(size: int) -> None:
    data = leaves(size)
    hashes = [merkle.leaf_hash(leaf) for leaf in data]
    root = mth(data)
    for index in {0, size // 2, size - 1}:
        (steps,) = merkle.paths(hashes, [index])
        for other in range(size):
            if other != index:
                assert merkle.root_from_path(data[index], other, size, steps) != root
        assert merkle.root_from_path(data[index], index, size, [*steps, bytes(32)]) != root
        assert merkle.root_from_path(b"another", index, size, steps) != root
        if steps:
            assert merkle.root_from_path(data[index], index, size, steps[:-1]) != root
            swapped = [steps[-1], *steps[:-1]]
            assert len(steps) == 1 or merkle.root_from_path(data[index], index, size, swapped) != root


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_path_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        merkle.paths([merkle.leaf_hash(leaf) for leaf in leaves(size)], [index])
    assert merkle.root_from_path(b"x", index, size, []) is None


@given(
    st.integers(1, 2**40), st.integers(0, 2**40), st.lists(st.binary(min_size=32, max_size=32), max_size=50)
)
def test_any_path_ends(size: int, index: int, steps: list[bytes]) -> None:
    found = merkle.root_from_path(b"leaf", index, size, steps)
    assert found is None or (index < size and len(steps) <= 41 and len(found) == 32)
