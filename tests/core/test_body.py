"""Padded plaintexts: they come back, their sizes are Padmé's, and inflating is bounded."""

from __future__ import annotations

import math
import tracemalloc
import zlib

import pytest
from hypothesis import given, strategies as st

from exchange.body import bucket, pack, unpack
from exchange.errors import Refused, Rejected
from exchange.limits import MAX_BODY, MAX_CONTENT
from tests.core.refusals import attempt

SALT = bytes(range(32))
HEAD = 49


def padme(length: int) -> int:
    """As the document has it, with logarithms; powers of two up to 64 KiB."""
    if length <= 65_536:
        return max(1_024, 2 ** math.ceil(math.log2(max(length, 1))))
    e = math.floor(math.log2(length))
    s = math.floor(math.log2(e)) + 1
    unit = 2 ** (e - s)
    return math.ceil(length / unit) * unit


@given(
    st.integers(0, 20_000_000)
    | st.integers(0, 24).flatmap(lambda e: st.integers(-2, 2).map(lambda d: 2**e + d))
)
def test_the_bucket_is_that_of_the_document(length: int) -> None:
    assert bucket(max(0, length)) == padme(max(0, length))


@given(st.integers(0, 20_000_000))
def test_a_bucket_holds_and_wastes_little(length: int) -> None:
    size = bucket(length)
    assert size >= max(length, 1_024)
    assert bucket(size) == size
    if length > 65_536:
        assert size <= length * 1.12


def test_the_largest_content_fits_the_largest_body() -> None:
    # Cobblestone adds 40 bytes and 32 for the commitment, then 16 a chunk of 16 KiB
    plain = bucket(HEAD + MAX_CONTENT)
    assert plain + 56 + 16 * math.ceil(plain / 16_384) <= MAX_BODY


@given(st.binary(max_size=3_000), st.booleans())
def test_content_comes_back(content: bytes, compress: bool) -> None:
    plain = pack(content, SALT, compress=compress)
    assert unpack(plain) == (SALT, content)
    assert len(plain) == bucket(len(plain))


@given(st.integers(1, 6), st.integers(200, 5_000))
def test_text_is_packed_when_that_is_shorter(seed: int, size: int) -> None:
    content = (b"aviso %d " % seed) * (size // 8)
    assert unpack(pack(content, SALT, compress=True)) == (SALT, content)
    assert len(pack(content, SALT, compress=True)) <= len(pack(content, SALT, compress=False))


def test_what_does_not_shrink_is_stored() -> None:
    assert pack(b"abc", SALT, compress=True) == pack(b"abc", SALT, compress=False)


def test_content_over_the_limit_is_refused_at_the_sender() -> None:
    with pytest.raises(Refused, match=r"content\.too-large"):
        pack(bytes(MAX_CONTENT + 1), SALT, compress=True)


@given(st.binary(max_size=1_200))
def test_noise_is_refused(noise: bytes) -> None:
    _, fault = attempt(lambda: unpack(noise))
    assert isinstance(fault, Rejected)


@given(st.binary(max_size=200), st.booleans(), st.data())
def test_no_other_bytes_are_the_same_content(content: bytes, compress: bool, data: st.DataObject) -> None:
    plain = bytearray(pack(content, SALT, compress=compress))
    at = data.draw(st.integers(0, len(plain) - 1))
    plain[at] ^= data.draw(st.integers(1, 255))
    found, fault = attempt(lambda: unpack(bytes(plain)))
    # zlib has many streams for one text: the flag byte says how hard it was tried
    assert isinstance(fault, Rejected) if fault else (found != (SALT, content) or plain[32] == 1)


@given(st.binary(max_size=80), st.integers(0, 300))
def test_any_stream_inflates_to_what_it_says_or_is_refused(packed: bytes, raw: int) -> None:
    plain = SALT + b"\1" + raw.to_bytes(8, "big") + len(packed).to_bytes(8, "big") + packed
    found, fault = attempt(lambda: unpack(plain + bytes(1_024 - len(plain))))
    assert isinstance(fault, Rejected) if fault else (found and len(found[1]) == raw)


def test_a_bomb_takes_no_more_memory_than_it_announced() -> None:
    packed = zlib.compress(bytes(50_000_000), 9)
    plain = SALT + b"\1" + (100_000).to_bytes(8, "big") + len(packed).to_bytes(8, "big") + packed
    plain += bytes(bucket(len(plain)) - len(plain))
    tracemalloc.start()
    _, fault = attempt(lambda: unpack(plain))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault
    assert fault.code == "envelope.inflate-overflow"
    assert peak < 1_000_000
