"""Content at rest: what comes back, and that a value opens only as the row it was sealed for."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from exchange.errors import Refused
from exchange.storage.local_cipher import MAX_PLAIN_BYTES, OVERHEAD_BYTES, LocalCipher

CIPHER = LocalCipher(bytes(range(32)))


@given(kind=st.text(max_size=50), row=st.text(max_size=50), data=st.binary(max_size=500))
def test_what_was_sealed_opens(kind: str, row: str, data: bytes) -> None:
    sealed = CIPHER.seal(kind, row, data)
    assert CIPHER.open(kind, row, sealed) == data
    assert len(sealed) == len(data) + OVERHEAD_BYTES


@given(data=st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    sealed = CIPHER.seal("inbox.body", "1", b"content")
    at = data.draw(st.integers(0, len(sealed) - 1))
    flip = data.draw(st.integers(1, 255))
    with pytest.raises(Refused) as caught:
        CIPHER.open("inbox.body", "1", sealed[:at] + bytes([sealed[at] ^ flip]) + sealed[at + 1 :])
    assert caught.value.code == "storage.row-damaged"


def test_a_value_does_not_open_elsewhere() -> None:
    sealed = CIPHER.seal("inbox.body", "12", b"content")
    for cipher, kind, row in (
        (CIPHER, "inbox.body", "13"),
        (CIPHER, "outbox.body", "12"),
        (CIPHER, "inbox.body1", "2"),
        (LocalCipher(bytes(32)), "inbox.body", "12"),
    ):
        with pytest.raises(Refused) as caught:
            cipher.open(kind, row, sealed)
        assert caught.value.code == "storage.row-damaged"
    for short in (b"", sealed[:28]):
        with pytest.raises(Refused):
            CIPHER.open("inbox.body", "12", short)


def test_sizes_are_bounded() -> None:
    for key in (b"", bytes(31), bytes(33)):
        with pytest.raises(Refused) as caught:
            LocalCipher(key)
        assert caught.value.code == "storage.bad-local-key"
    with pytest.raises(Refused) as caught:
        CIPHER.seal("k", "1", bytes(MAX_PLAIN_BYTES + 1))
    assert caught.value.code == "storage.too-large"
    with pytest.raises(Refused) as caught:
        CIPHER.seal("k", "x" * 1025, b"")
    assert caught.value.code == "storage.too-large"


def test_the_same_content_never_looks_the_same() -> None:
    assert len({CIPHER.seal("k", "1", b"content") for _ in range(100)}) == 100
