"""Keys and signatures: what one made the other verifies, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from exchange import keys as k
from exchange.canonical import dumps
from exchange.errors import Rejected
from tests.worlds import keys, prekey_secret

KINDS = (k.ENVELOPE, k.RECEIPTS, k.STATEMENT, k.CHECKPOINT, k.SUBMISSION)
CODE = "envelope.bad-signature"
NET = bytes(32)


def test_pae_is_that_of_dsse() -> None:
    media = b"application/vnd.exchange.receipts.v1+json"
    assert k.pae("receipts", b"hello world") == b"DSSEv1 41 " + media + b" 11 hello world"


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_holds_for_its_kind_only(kind: str) -> None:
    signature = keys("hub").sign(kind, b"body")
    public = keys("hub").public.signing
    for other in KINDS:
        if other == kind:
            public.verify(other, b"body", signature, code=CODE)
        else:
            with pytest.raises(Rejected, match=CODE):
                public.verify(other, b"body", signature, code=CODE)


@pytest.mark.parametrize("cut", [slice(0), slice(64), slice(64, None), slice(3_372), slice(1, None)])
def test_half_a_signature_is_none(cut: slice) -> None:
    signature = keys("hub").sign(k.ENVELOPE, b"body")
    with pytest.raises(Rejected, match=CODE):
        keys("hub").public.signing.verify(k.ENVELOPE, b"body", signature[cut], code=CODE)


def test_both_halves_must_be_the_signers() -> None:
    mine, other = (keys(name).sign(k.ENVELOPE, b"body") for name in ("hub", "co-csirt"))
    for mixed in (mine[:64] + other[64:], other[:64] + mine[64:]):
        with pytest.raises(Rejected, match=CODE):
            keys("hub").public.signing.verify(k.ENVELOPE, b"body", mixed, code=CODE)


@settings(max_examples=60)
@given(st.integers(0, k.SIGNATURE_BYTES - 1), st.integers(1, 255))
def test_no_byte_of_a_signature_may_change(at: int, change: int) -> None:
    signature = bytearray(keys("hub").sign(k.ENVELOPE, b"body"))
    signature[at] ^= change
    with pytest.raises(Rejected, match=CODE):
        keys("hub").public.signing.verify(k.ENVELOPE, b"body", bytes(signature), code=CODE)


def test_a_transport_signature_is_the_transport_keys() -> None:
    public = keys("hub").public
    public.verify_transport(b"m", keys("hub").sign_transport(b"m"), code="auth.bad-signature")
    for forged in (keys("co-csirt").sign_transport(b"m"), keys("hub").sign_transport(b"n"), b"", bytes(64)):
        with pytest.raises(Rejected, match=r"auth\.bad-signature"):
            public.verify_transport(b"m", forged, code="auth.bad-signature")


def test_public_keys_come_back() -> None:
    public = keys("hub").public
    assert k.PublicKeys.from_json(public.to_json(), what="keys") == public
    assert k.PublicKey.from_json(public.signing.to_json(), what="key") == public.signing
    dumps(public.to_json())


@pytest.mark.parametrize("name", ["ed25519", "mldsa65", "transport"])
@pytest.mark.parametrize("bad", ["", "AA", None, 7])
def test_keys_of_the_wrong_form_are_refused(name: str, bad: object) -> None:
    with pytest.raises(Rejected, match=rf"json\.bad-schema.*{name}"):
        k.PublicKeys.from_json({**keys("hub").public.to_json(), name: bad}, what="keys")


def test_keys_of_the_wrong_size_cannot_be_made() -> None:
    good = keys("hub").public.signing
    for make in (
        lambda: k.PublicKey(good.ed25519[:-1], good.mldsa65),
        lambda: k.PublicKey(good.ed25519, good.mldsa65[:-1]),
        lambda: k.PublicKeys(good, bytes(31)),
    ):
        with pytest.raises(Rejected, match=r"json\.bad-schema"):
            make()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_the_wrong_size_is_a_fault_of_the_program(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        k.PrivateKeys(bytes(size))
    with pytest.raises(ValueError, match="96 bytes"):
        k.PrekeySecret(bytes(size))


def test_the_same_seed_gives_the_same_keys() -> None:
    assert k.PrivateKeys(bytes(32)).public == k.PrivateKeys(bytes(32)).public
    assert k.PrivateKeys(bytes(32)).public != k.PrivateKeys(bytes([1]) * 32).public


@given(st.binary(max_size=200), st.binary(max_size=40))
@settings(max_examples=30)
def test_a_wrap_comes_back(plain: bytes, info: bytes) -> None:
    secret = prekey_secret("co-csirt", 0)
    wrapped = secret.public.wrap(plain, info)
    assert len(wrapped) == len(plain) + 1_136
    assert secret.unwrap(wrapped, info, code="envelope.unwrap-failed") == plain
    with pytest.raises(Rejected, match="unwrap-failed"):
        secret.unwrap(wrapped, info + b"x", code="envelope.unwrap-failed")


@given(st.binary(max_size=1_300))
@settings(max_examples=60)
def test_noise_never_unwraps(noise: bytes) -> None:
    with pytest.raises(Rejected, match="unwrap-failed"):
        prekey_secret("co-csirt", 0).unwrap(noise, b"", code="envelope.unwrap-failed")


def test_an_unusable_prekey_is_refused_by_the_sender() -> None:
    good = prekey_secret("co-csirt", 0).public
    for bad in (k.PrekeyPublic(good.mlkem768, bytes(32)), k.PrekeyPublic(b"\xff" * 1_184, good.x25519)):
        with pytest.raises(Rejected, match=r"directory\.bad-prekeys"):
            bad.wrap(b"key", b"info")


def test_digits_are_eight_groups_of_five() -> None:
    assert k.digits(bytes(32)) == " ".join(["00000"] * 8)
    assert k.digits(b"\xff" * 32).split() == [f"{0xFFFFFFFF % 100_000:05}"] * 8
    one = k.member_digits(NET, "co", keys("hub").public)
    assert one != k.member_digits(NET, "pe", keys("hub").public)
    assert one != k.member_digits(NET, "co", keys("co-csirt").public)


def test_every_key_has_its_own_name() -> None:
    first, second = keys("hub").public, keys("co-csirt").public
    assert first.signing.skid(NET) != second.signing.skid(NET)
    assert first.signing.skid(NET) != first.signing.skid(bytes([1]) * 32)
    assert first.next_commitment(NET) != second.next_commitment(NET)
    swapped = k.PublicKeys(first.signing, second.transport)
    assert swapped.next_commitment(NET) != first.next_commitment(NET)
