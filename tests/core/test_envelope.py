"""Envelopes: what is sealed opens for its recipients, and no other bytes do; only our errors, whoever signs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from exchange import envelope, keys as k
from exchange.canonical import MAX_INT, u32, unb64
from exchange.content import pack_content
from exchange.envelope import Sealed, check_upload, open_expired, read_upload
from exchange.errors import Damaged, ExchangeError, Hold, Refused, Rejected
from exchange.limits import DAY_MS, MAX_CONTENT, MAX_UPLOAD
from exchange.link import Link
from exchange.wire import Delivery, Upload
from tests.core.refusals import attempt
from tests.core.sealings import (
    DESTROY,
    EXP,
    NET,
    SENDER,
    Known,
    a_meta,
    held,
    opened,
    recipient,
    sealed,
    stream,
)
from tests.vectors.makers.sealing import seal as seal_by_steps
from tests.worlds import NOW, keys

OUTCOMES = (Damaged, Hold, Rejected)
TWO = ("bb-csirt", "co-csirt")


@cache
def one() -> Sealed:
    """A small one, about 6 kB as a delivery."""
    return sealed(to=[recipient(address) for address in TWO])


def delivery(index: int = 1) -> bytes:
    return one().upload.delivery(index).to_bytes()


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=3_000),
    st.booleans(),
    st.integers(1, MAX_INT),
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["flash", "immediate", "priority", "routine"]),
)
def test_what_is_sealed_opens(payload: bytes, compress: bool, seq: int, prev: bytes, lane: str) -> None:
    link = Link(bytes(range(16)), seq, prev)
    meta = a_meta(lane=lane)
    whole = sealed(pack_content(meta, payload), [recipient("co-csirt", link)], lane=lane, compress=compress)
    found = opened(whole.upload.delivery(0).to_bytes())
    assert (found.meta, found.payload, found.link, found.env) == (meta, payload, link, whole.env)
    assert (found.salt, found.nonce, found.marks) == (whole.salt, whole.nonces[0], frozenset())


def test_each_recipient_opens_its_own_and_no_other() -> None:
    for index, address in enumerate(TWO):
        assert opened(delivery(index), me=address).payload == b"{}"
        with pytest.raises(Damaged, match=r"envelope\.wrap-mismatch"):
            opened(delivery(1 - index), me=address)
    with pytest.raises(Rejected, match=r"envelope\.not-recipient"):
        opened(delivery(), me=SENDER)


def test_recipients_are_sorted_whatever_the_sender_says() -> None:
    whole = sealed(to=[recipient(address) for address in reversed(TWO)])
    assert whole.header.recipients == TWO
    assert opened(whole.upload.delivery(1).to_bytes()).meta.lane == "priority"


def test_nothing_that_a_reader_would_refuse_is_sealed() -> None:
    for wrong in (
        lambda: sealed(to=[]),
        lambda: sealed(to=[recipient("co-csirt")] * 2),
        lambda: sealed(lane="bulk"),
        lambda: sealed(iat=EXP),
        lambda: sealed(to=[replace(recipient("co-csirt"), address="CO")]),
    ):
        with pytest.raises(Rejected, match=r"json\.|envelope\.bad-header"):
            wrong()
    with pytest.raises(Refused, match=r"content\.too-large"):
        sealed(bytes(MAX_CONTENT + 1))


def test_no_byte_of_a_delivery_may_change() -> None:
    """Every byte but the body's interior, which one hash covers: there every seventh."""
    data = bytearray(delivery())
    body = len(data) - one().header.bl
    codes: Counter[str] = Counter()
    for at in [*range(body + 64), *range(body + 64, len(data), 7), len(data) - 1]:
        data[at] ^= 1 + at % 255
        _, fault = attempt(lambda: opened(bytes(data)))
        data[at] ^= 1 + at % 255
        assert isinstance(fault, OUTCOMES), at
        assert not isinstance(fault, Rejected), (at, fault)  # the wire's fault never destroys mail
        codes[fault.code] += 1
    assert {"envelope.bad-frame", "envelope.bad-signature", "envelope.wrap-mismatch"} <= codes.keys()
    assert "envelope.body-mismatch" in codes


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_piece_of_a_delivery_may_be_cut_moved_or_doubled(data: st.DataObject) -> None:
    whole = delivery()
    first = data.draw(st.integers(0, len(whole)))
    second = data.draw(st.integers(first, len(whole)))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:first],
                whole[:first] + whole[second:],
                whole[:second] + whole[first:],
                whole[:first] + bytes(second - first) + whole[second:],
                whole + whole[:first],
            ]
        )
    )
    _, fault = attempt(lambda: opened(changed))
    assert changed == whole or isinstance(fault, Damaged | Hold)


@given(st.binary(max_size=400), st.sampled_from([b"", b"EXD1", b"EXD1" + u32(8), b"EXX1"]))
def test_noise_is_damage(noise: bytes, start: bytes) -> None:
    for read in (opened, expired):
        _, fault = attempt(lambda read=read: read(start + noise))
        assert isinstance(fault, Damaged)


def expired(data: bytes) -> envelope.Expired:
    return open_expired(data, net=NET, me="co-csirt", directory=Known(), prekeys=held)


def test_what_is_not_known_yet_is_held() -> None:
    for directory, code in (
        (Known(names=("co-csirt",)), "hold.unknown-sender"),
        (Known(size=4), "hold.directory-behind"),
    ):
        with pytest.raises(Hold, match=code) as caught:
            opened(delivery(), directory=directory)
        assert type(caught.value) is Hold
    assert opened(delivery(), directory=Known(size=5_000)).meta.lane == "priority"


@pytest.mark.parametrize("hours", [-24 * 365, -2, 0, 2, 24 * 365])
def test_no_clock_decides_whether_mail_opens(hours: int) -> None:
    now = NOW + hours * 3_600_000
    marks = {"clock"} if hours < 0 else {"late"} if now > EXP else set()
    assert opened(delivery(), now=now).marks == marks


def test_an_expired_delivery_keeps_its_place() -> None:
    gone = replace(one().upload.delivery(1), body=b"", expired=True)
    found = expired(gone.to_bytes())
    assert (found.header.env, found.link, found.lc) == (one().env, Link(bytes(16), 1), gone.lc)
    with pytest.raises(Damaged, match=r"envelope\.bad-frame"):
        opened(gone.to_bytes())
    with pytest.raises(Damaged, match=r"envelope\.bad-frame"):
        expired(delivery())
    data = bytearray(gone.to_bytes())
    for at in range(0, len(data), 5):
        data[at] ^= 0x10
        _, fault = attempt(lambda: expired(bytes(data)))
        data[at] ^= 0x10
        assert isinstance(fault, Damaged | Hold), at


def test_the_hub_takes_what_was_sealed_and_no_other_byte_of_it() -> None:
    data = bytearray(one().upload.to_bytes())
    public = keys(SENDER).public.signing

    def accept(data: bytes) -> bytes:
        upload, header = read_upload(data)
        check_upload(upload, header, public)
        return header.env

    assert accept(bytes(data)) == one().env
    for at in range(0, len(data), 3):
        data[at] ^= 1 + at % 255
        env, fault = attempt(lambda: accept(bytes(data)))
        data[at] ^= 1 + at % 255
        assert isinstance(fault, Rejected), (at, env)


def test_an_upload_over_the_limit_is_refused_before_its_parts_are_read() -> None:
    with pytest.raises(Rejected, match=r"envelope\.too-large"):
        read_upload(one().upload.to_bytes() + bytes(MAX_UPLOAD))


def resigned(change: Delivery) -> bytes:
    """A delivery whose header was changed and signed again by the true sender."""
    return replace(change, signatures=keys(SENDER).sign(k.ENVELOPE, change.header)).to_bytes()


def mine(header: bytes) -> dict[str, Any]:
    """What a header says, but for the first recipient's prekey and wrap: what is signed of them is for it to refuse."""
    said = orjson.loads(header)
    return said | {"to": said["to"][1:], "wh": said["wh"][1:]}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_header_changed_and_signed_again_never_raises_but_ours(data: st.DataObject) -> None:
    part = one().upload.delivery(1)
    at = data.draw(st.integers(0, len(part.header) - 1))
    header = (
        part.header[:at] + data.draw(st.binary(max_size=3)) + part.header[at + data.draw(st.integers(0, 3)) :]
    )
    found, fault = attempt(lambda: opened(resigned(replace(part, header=header))))
    assert isinstance(fault, OUTCOMES) or (found and mine(header) == mine(part.header))


def test_what_a_sender_signs_of_another_recipient_is_that_ones_to_refuse() -> None:
    first, second = (one().upload.delivery(place) for place in (0, 1))
    wrap = orjson.loads(first.header)["wh"][0].encode()
    other = wrap.replace(wrap[:1], b"A" if wrap[:1] != b"A" else b"B", 1)
    header = first.header.replace(wrap, other)
    assert opened(resigned(replace(second, header=second.header.replace(wrap, other))))
    _, fault = attempt(lambda: opened(resigned(replace(first, header=header)), me="bb-csirt"))
    assert isinstance(fault, OUTCOMES)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=1_500), st.binary(max_size=200))
@pytest.mark.parametrize("step", ["content", "plain", "body", "wrapped", "raw", "lc", "pc"])
def test_nonsense_under_a_valid_seal_raises_only_ours(step: str, noise: bytes, name: bytes) -> None:
    """A member that signs and seals as it should, and puts anything at all in the place of one step's result."""
    sizes = {"wrapped": 104, "lc": 32, "pc": 32}
    value = (noise + bytes(sizes[step]))[: sizes[step]] if step in sizes else noise
    whole = seal_by_steps(f"nonsense {name.hex()[:8]}", steps={step: lambda _, **known: value})
    _, fault = attempt(lambda: open_vector(whole.delivery()))
    assert isinstance(fault, OUTCOMES)
    assert fault.code.startswith(("envelope.", "json.", "content.", "hold."))


def open_vector(data: bytes) -> envelope.Opened:
    """Opens what the vectors' makers sealed: another network, co's prekeys."""
    from tests import test_vectors

    return envelope.open_(
        data,
        net=unb64(test_vectors.network()["net"]),
        me="co",
        directory=test_vectors.directory(),
        prekeys=test_vectors.prekeys().get,
        now=test_vectors.network()["now"],
    )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_meta_under_a_valid_seal_is_read_or_refused(noise: bytes) -> None:
    whole = sealed(u32(len(noise)) + noise + b"payload")
    _, fault = attempt(lambda: opened(whole.upload.delivery(0).to_bytes()))
    assert isinstance(fault, Rejected)
    assert fault.code in ("json.not-canonical", "json.bad-schema")


def test_a_prekey_that_is_gone_or_nearly_is_the_senders_fault() -> None:
    with pytest.raises(Rejected, match=r"envelope\.unknown-prekey"):
        envelope.open_(delivery(), net=NET, me="co-csirt", directory=Known(), prekeys=lambda _: None, now=NOW)
    last = sealed(exp=DESTROY - DAY_MS)
    assert opened(last.upload.delivery(0).to_bytes()).header.exp == DESTROY - DAY_MS
    with pytest.raises(Rejected, match=r"envelope\.outlives-prekey"):
        opened(sealed(exp=DESTROY - DAY_MS + 1).upload.delivery(0).to_bytes())


def test_chance_is_only_what_is_handed_in() -> None:
    """The same stream gives the same secrets; HPKE and Cobblestone add their own, so the bytes differ."""
    first, second = sealed(seed=b"a"), sealed(seed=b"a")
    assert (first.salt, first.nonces, first.header.pc) == (second.salt, second.nonces, second.header.pc)
    assert first.env != second.env
    assert sealed(seed=b"b").salt != first.salt
    assert stream(b"a")(32) == first.salt


def test_no_error_shows_content() -> None:
    canary = b"canary-word"
    for content in (canary, u32(len(canary)) + canary, u32(2) + b"{}" + canary):
        data = sealed(content).upload.delivery(0).to_bytes()
        with pytest.raises(ExchangeError) as caught:
            opened(data)
        assert b"canary" not in repr((caught.value, caught.value.facts, caught.value.__cause__)).encode()


def test_an_upload_needs_as_many_slots_as_recipients() -> None:
    upload = one().upload
    short = Upload(upload.header, upload.signatures, upload.slots[:1], b"")
    with pytest.raises(Rejected, match=r"envelope\.bad-frame"):
        read_upload(short.to_bytes())
