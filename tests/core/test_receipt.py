"""Receipts: what was signed verifies whole or in part, and nothing else does."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from exchange import receipt as r
from exchange.canonical import b64, sha256, unb64
from exchange.errors import CODES, Rejected
from exchange.header import DirRef
from exchange.keys import PublicKey
from exchange.limits import MAX_RECEIPT_LEAVES
from tests.core.refusals import attempt
from tests.worlds import NOW, keys

NET = sha256(b"net")
DIR = DirRef(5, sha256(b"root"), sha256(b"checkpoint"))
ME = "co-csirt"
HASHES = st.binary(min_size=32, max_size=32)
SALTS = st.binary(min_size=16, max_size=16)
OWN_LEAVES = st.one_of(
    st.builds(r.Leaf, st.just(ME), HASHES, HASHES, st.sampled_from([r.STORED, r.HELD]), st.just(""), SALTS),
    st.builds(
        r.Leaf,
        st.just(ME),
        HASHES,
        HASHES,
        st.just(r.REJECTED),
        st.sampled_from(["unreadable", "invalid", "policy", "expired"]),
        SALTS,
    ),
)
HUB_LEAVES = st.one_of(
    st.builds(r.accepted, HASHES, SALTS),
    st.builds(r.Leaf, st.just(ME), HASHES, HASHES, st.just(r.EXPIRED), st.just(""), SALTS),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 400) | st.text(max_size=8) | st.binary(max_size=40).map(b64),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


def key_of(signer: str, skid: bytes) -> PublicKey:
    if signer not in (ME, r.HUB) or keys(signer).public.signing.skid(NET) != skid:
        raise Rejected("receipt.unknown-signer")
    return keys(signer).public.signing


def made(leaves: list[r.Leaf], signer: str = ME, number: int = 3) -> r.Batch:
    return r.make_batch(
        net=NET, signer=signer, keys=keys(signer), number=number, dir_ref=DIR, at=NOW, leaves=leaves
    )


def leaf(number: int, to: str = ME) -> r.Leaf:
    return r.Leaf(to, sha256(b"env %d" % number), sha256(b"lc"), r.STORED, "", bytes(16))


@cache
def batch() -> r.Batch:
    return made([leaf(number) for number in range(5)])


@given(OWN_LEAVES | HUB_LEAVES)
def test_a_leaf_comes_back(one: r.Leaf) -> None:
    assert r.Leaf.from_bytes(one.to_bytes()) == one


@settings(max_examples=25, deadline=None)
@given(st.lists(OWN_LEAVES, min_size=1, max_size=12), st.integers(1, 10**9))
def test_an_upload_verifies_with_all_it_says(leaves: list[r.Leaf], number: int) -> None:
    whole = made(leaves, number=number)
    found = r.verify_upload(NET, whole.upload(), key_of)
    assert found == r.VerifiedBatch(
        ME, keys(ME).public.signing.skid(NET), number, NOW, DIR, tuple(leaves), whole
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(HUB_LEAVES, min_size=1, max_size=12), st.data())
def test_a_proof_shows_some_leaves_and_hides_the_others(leaves: list[r.Leaf], data: st.DataObject) -> None:
    whole = made(leaves, signer=r.HUB)
    indexes = data.draw(st.lists(st.integers(0, len(leaves) - 1), min_size=1, unique=True))
    proof = whole.proof(indexes)
    found = r.verify_proof(NET, proof, key_of)
    assert found.leaves == tuple(leaves[index] for index in indexes)
    hidden = {b64(row) for row in whole.leaves} - {b64(whole.leaves[index]) for index in indexes}
    assert not any(text in json.dumps(proof) for text in hidden)


def test_a_proof_of_all_leaves_needs_no_paths_and_can_give_each_its_own() -> None:
    leaves = tuple(leaf(number) for number in range(5))
    proof = batch().proof(range(5))
    found = r.verify_proof(NET, proof, key_of)
    assert (proof, found.leaves) == (batch().upload(), leaves)
    for index, row in enumerate(found.batch.disclosed(range(5))):
        alone = r.verify_proof(NET, {**proof, "leaves": [row]}, key_of)
        assert alone.leaves == (leaves[index],)


def test_the_largest_batch_and_not_one_more() -> None:
    leaves = [leaf(number) for number in range(MAX_RECEIPT_LEAVES)]
    whole = made(leaves)
    assert len(r.verify_upload(NET, whole.upload(), key_of).leaves) == MAX_RECEIPT_LEAVES
    assert r.verify_proof(NET, whole.proof([255]), key_of).leaves == (leaves[255],)
    with pytest.raises(Rejected, match=r"json\.bad-schema"):
        r.verify_upload(NET, made([*leaves, leaf(0)]).upload(), key_of)


@pytest.mark.parametrize("form", ["upload", "proof"])
def test_no_byte_of_a_receipt_may_change(form: str) -> None:
    value = batch().upload() if form == "upload" else batch().proof([0, 3])
    verify = r.verify_upload if form == "upload" else r.verify_proof
    text = bytearray(json.dumps(value).encode("ascii"))
    accepted = []
    for at in range(len(text)):
        for flip in (1 if at % 2 else 0x10,):
            text[at] ^= flip
            changed, broken = readable(bytes(text))
            text[at] ^= flip
            if broken or changed == value:
                continue  # no JSON any more, or another spelling of the JSON around the signed part
            _, fault = attempt(lambda changed=changed: verify(NET, changed, key_of))
            if not isinstance(fault, Rejected):
                accepted.append(at)
    assert accepted == []


def readable(data: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(data), False
    except ValueError:
        return None, True


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.parametrize("form", ["upload", "proof"])
def test_any_json_in_the_place_of_a_part_is_refused(form: str, data: st.DataObject) -> None:
    value = batch().upload() if form == "upload" else batch().proof([0, 3])
    verify = r.verify_upload if form == "upload" else r.verify_proof
    if form == "proof" and data.draw(st.booleans()):
        row = list(value["leaves"][0])
        row[data.draw(st.integers(0, 2))] = data.draw(JSON)
        changed = {**value, "leaves": [row, value["leaves"][1]]}
    else:
        changed = {**value, data.draw(st.sampled_from(sorted(value))): data.draw(JSON)}
    _, fault = attempt(lambda: verify(NET, changed, key_of))
    assert isinstance(fault, Rejected) or changed == value


@given(JSON | st.dictionaries(st.sampled_from(["body", "leaves", "signatures"]), JSON))
def test_any_json_is_refused(value: Any) -> None:
    for verify in (r.verify_upload, r.verify_proof):
        _, fault = attempt(lambda verify=verify: verify(NET, value, key_of))
        assert isinstance(fault, Rejected)


@given(st.binary(max_size=200))
def test_noise_is_no_leaf(noise: bytes) -> None:
    _, fault = attempt(lambda: r.Leaf.from_bytes(noise))
    assert isinstance(fault, Rejected)


def test_a_batch_of_another_network_or_signer_is_refused() -> None:
    with pytest.raises(Rejected, match=r"receipt\.other-network"):
        r.verify_upload(bytes(32), batch().upload(), key_of)
    with pytest.raises(Rejected, match=r"receipt\.unknown-signer"):
        r.verify_upload(NET, made([leaf(0, "pe-csirt")], signer="pe-csirt").upload(), key_of)
    for foreign in (
        [leaf(0, "pe-csirt")],
        [leaf(0), leaf(1, "pe-csirt")],
        [r.accepted(bytes(32), bytes(16))],
    ):
        with pytest.raises(Rejected, match=r"receipt\.wrong-signer"):
            r.verify_upload(NET, made(foreign).upload(), key_of)


def test_a_leaf_of_one_batch_proves_nothing_in_another() -> None:
    other = made([leaf(number) for number in range(10, 15)]).proof([0])
    mixed = {**batch().proof([0]), "leaves": other["leaves"]}
    with pytest.raises(Rejected, match=r"receipt\.bad-root"):
        r.verify_proof(NET, mixed, key_of)
    swapped = {**batch().proof([0]), "signatures": made([leaf(0)]).proof([0])["signatures"]}
    with pytest.raises(Rejected, match=r"receipt\.bad-signature"):
        r.verify_proof(NET, swapped, key_of)


def test_every_code_becomes_a_coarse_one() -> None:
    table = {
        "envelope.unknown-prekey": "unreadable",
        "envelope.unwrap-failed": "unreadable",
        "envelope.body-undecryptable": "unreadable",
        "envelope.outlives-prekey": "policy",
        "policy.sender-status": "policy",
        "tlp.red-needs-persons": "policy",
        "envelope.expired": "expired",
        "envelope.link-range": "invalid",
        "content.bad-frame": "invalid",
        "message.urgency-mismatch": "invalid",
    }
    assert {code: r.coarse(code) for code in table} == table
    for code in CODES:
        one = r.Leaf(ME, bytes(32), bytes(32), r.REJECTED, r.coarse(code), bytes(16))
        assert r.Leaf.from_bytes(one.to_bytes()) == one


def test_a_receipt_tells_no_more_than_its_leaf() -> None:
    said = json.loads(unb64(batch().upload()["body"]))
    assert set(said) == {"at", "batch", "dir", "from", "n", "net", "root", "skid", "suite", "v"}
    assert set(json.loads(leaf(0).to_bytes())) == {"code", "env", "lc", "salt", "status", "to"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_pattern_reads_no_leaf_that_the_rules_read_otherwise(data: st.DataObject) -> None:
    status = data.draw(st.sampled_from([r.STORED, r.REJECTED, r.HELD, r.EXPIRED, r.ACCEPTED]))
    whole = r.Leaf("*", b"e" * 32, b"l" * 32, status, "policy", b"s" * 16).to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    to = data.draw(st.integers(at, at + 2))
    raw = (
        whole[:at]
        + data.draw(st.binary(max_size=2) | st.sampled_from([b"A", b"B", b"-", b"\n"]))
        + whole[to:]
    )
    beside = data.draw(st.lists(st.just(leaf(0).to_bytes()), max_size=2))
    quick = r._in_their_one_spelling([*beside, raw, *beside])
    thorough, fault = attempt(lambda: r.Leaf.read(raw))
    if quick is not None:
        assert fault is None
        assert quick[len(beside)] == thorough
        assert [one.to_bytes() for one in quick] == [*beside, raw, *beside]


def test_leaves_are_told_apart_by_their_rows() -> None:
    one, other = leaf(0).to_bytes(), leaf(1).to_bytes()
    assert r.read_leaves([one, other]) == (leaf(0), leaf(1))
    for rows in (
        [one + b"\n" + other, b""],
        [one + b"\n", other],
        [b"\n" + one, other],
        [one + b"\n" + other],
    ):
        with pytest.raises(Rejected):
            r.read_leaves(rows)
