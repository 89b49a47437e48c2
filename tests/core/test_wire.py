"""The two forms an envelope travels in: frames come back, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from exchange.errors import Rejected
from exchange.keys import SIGNATURE_BYTES
from exchange.limits import MAX_BODY, MAX_HEADER, MAX_UPLOAD
from exchange.wire import LC_BYTES, SLOT_BYTES, WRAP_BYTES, Delivery, Upload, header_of
from tests.core.refusals import attempt

SIGNATURES = bytes(range(256)) * 13 + bytes(SIGNATURE_BYTES - 13 * 256)


def slot(number: int) -> bytes:
    return bytes([number]) * SLOT_BYTES


def upload(count: int = 3, header: bytes = b"header", body: bytes = b"body") -> Upload:
    return Upload(header, SIGNATURES, tuple(slot(number) for number in range(count)), body)


@given(st.binary(min_size=1, max_size=50), st.integers(0, 4), st.binary(max_size=50))
def test_an_upload_comes_back(header: bytes, count: int, body: bytes) -> None:
    whole = upload(count, header, body)
    assert Upload.from_bytes(whole.to_bytes(), count) == whole
    assert header_of(whole.to_bytes()) == header


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=50), st.booleans())
def test_a_delivery_comes_back(header: bytes, body: bytes, expired: bool) -> None:
    whole = Delivery(header, SIGNATURES, slot(7), b"" if expired else body, expired)
    assert Delivery.from_bytes(whole.to_bytes()) == whole


def test_each_recipient_gets_its_own_slot_only() -> None:
    whole = upload()
    for index in range(3):
        delivery = whole.delivery(index)
        assert (delivery.header, delivery.signatures, delivery.body) == (b"header", SIGNATURES, b"body")
        assert delivery.wrap + delivery.lc == slot(index)
        assert (len(delivery.wrap), len(delivery.lc)) == (WRAP_BYTES, LC_BYTES)
        assert slot((index + 1) % 3) not in delivery.to_bytes()


@given(st.binary(max_size=40))
@pytest.mark.parametrize("magic", [b"", b"EXE1", b"EXD1", b"EXX1"])
def test_noise_is_refused(magic: bytes, noise: bytes) -> None:
    data = magic + noise
    for read in (
        lambda: Delivery.from_bytes(data),
        lambda: Upload.from_bytes(data, 1),
        lambda: header_of(data),
    ):
        found, fault = attempt(read)
        # a header of some bytes may well be there; whole frames can't be in so few
        assert isinstance(found, bytes) or (fault and fault.code == "envelope.bad-frame")


def test_every_cut_is_noticed() -> None:
    whole, mail = upload(2, body=b"").to_bytes(), Delivery(b"h", SIGNATURES, slot(1), b"").to_bytes()
    for end in range(len(whole)):
        assert attempt(lambda end=end: Upload.from_bytes(whole[:end], 2))[1].code == "envelope.bad-frame"
    for end in range(len(mail)):
        assert attempt(lambda end=end: Delivery.from_bytes(mail[:end]))[1].code == "envelope.bad-frame"


@pytest.mark.parametrize("magic", [b"EXD1", b"EXX1", b"EXE2", b"exe1"])
def test_an_upload_has_its_own_magic(magic: bytes) -> None:
    data = magic + upload().to_bytes()[4:]
    with pytest.raises(Rejected, match=r"bad-frame: wrong magic"):
        Upload.from_bytes(data, 3)


def test_sizes_at_and_over_their_limits() -> None:
    assert header_of(upload(1, bytes(MAX_HEADER)).to_bytes()) == bytes(MAX_HEADER)
    with pytest.raises(Rejected, match=r"envelope\.bad-frame"):
        header_of(upload(1, bytes(MAX_HEADER + 1)).to_bytes())
    with pytest.raises(Rejected, match=r"envelope\.bad-frame"):
        header_of(upload(1, b"").to_bytes())
    largest = Delivery(b"h", SIGNATURES, slot(1), bytes(MAX_BODY))
    assert Delivery.from_bytes(largest.to_bytes()) == largest
    with pytest.raises(Rejected, match=r"bad-frame: body over"):
        Delivery.from_bytes(largest.to_bytes() + b"\0")
    with pytest.raises(Rejected, match=r"envelope\.too-large"):
        Upload.from_bytes(upload().to_bytes() + bytes(MAX_UPLOAD), 3)


def test_an_expired_delivery_has_no_body() -> None:
    with pytest.raises(Rejected, match=r"envelope\.bad-frame"):
        Delivery.from_bytes(Delivery(b"h", SIGNATURES, slot(1), b"x", expired=True).to_bytes())


def test_signatures_and_slots_have_one_size() -> None:
    for signatures, size in (
        (SIGNATURES[:-1], SLOT_BYTES),
        (SIGNATURES + b"x", SLOT_BYTES),
        (SIGNATURES, 1_271),
    ):
        with pytest.raises(Rejected, match=r"envelope\.bad-frame"):
            Delivery.from_bytes(Delivery(b"h", signatures, bytes(size), b"").to_bytes())
