"""How mail gets in at the hub: each check with its code, one durable receipt, the quota, a full disk."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.errors import ExchangeError, Unavailable
from exchange.header import DirRef
from exchange.hub.store.accept import NewEnvelope
from exchange.limits import DAY_MS, HOUR_MS
from exchange.settings import HubLimits
from exchange.wire import Delivery
from tests.hub.mail import MANY, codes, copies, mail, put, verified
from tests.hub_services import chance, receipts, sealed, services
from tests.worlds import World, make_world


async def test_accepted_envelope_has_a_durable_signed_receipt(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref, to=("bb-csirt", "co-csirt"))
        answer = await put(hub, made)
        assert codes(answer) == [""]
        batch = verified(world, answer.proofs[0])
        assert [(leaf.env, leaf.status, leaf.to) for leaf in batch.leaves] == [(made.env, "accepted", "*")]
        assert batch.signer == "hub"
        (item,) = await mail(hub, "co-csirt")
        delivery = Delivery.from_bytes(item.payload)
        assert (delivery.header, delivery.body) == (made.upload.header, made.upload.body)
        assert delivery.slot == made.upload.slots[1]


async def test_repeat_gets_the_same_receipt_also_after_restart_and_expiry(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref)
        first = await put(hub, made)
        again = await put(hub, made)
        assert first.results[0].new
        assert not again.results[0].new
        assert again.proofs == first.proofs
    world.advance(2 * DAY_MS)
    async with services(world, tmp_path, epoch="second") as hub:
        late = await put(hub, made)
        assert codes(late) == [""]
        assert late.proofs == first.proofs
        assert codes(await put(hub, made, issuer="co-csirt")) == ["envelope.not-sender"]


async def test_fault_of_one_group_leaves_the_next_its_turn(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        both = [sealed(world, dir_ref, type_="stix", payload=bytes(800_000)) for _ in range(2)]
        chances = iter([RuntimeError("no randomness")])

        def random(size: int) -> bytes:
            for fault in chances:
                raise fault
            return chance(size)

        last = (await hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=MANY)).items[-1].cursor
        hub.mailboxes._random = random
        with pytest.raises(RuntimeError):
            await hub.mailboxes.accept("pe-csirt", [made.upload.to_bytes() for made in both])
        page = await hub.mailboxes.page("co-csirt", last, wait_seconds=20, most=MANY)
        assert [Delivery.from_bytes(item.payload).header for item in page.items] == [both[1].header.raw]


async def test_many_at_once_share_batches_and_lose_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = [
            sealed(world, hub.registrar.dir_ref, sender=sender, to=("bb-csirt",))
            for sender in ("pe-csirt", "co-csirt")
            for _ in range(10)
        ]
        answers = await asyncio.gather(*(put(hub, one, issuer=one.header.sender) for one in made))
        proofs = {proof for answer in answers for proof in answer.proofs}
        assert len({verified(world, proof).batch.body for proof in proofs}) < len(made)
        said = {leaf.env for proof in proofs for leaf in verified(world, proof).leaves}
        assert said == {one.env for one in made}
        for one, answer in zip(made, answers, strict=True):
            senders = {
                next(m for m in made if m.env == leaf.env).header.sender
                for proof in answer.proofs
                for leaf in verified(world, proof).leaves
            }
            assert senders == {one.header.sender}  # nobody sees another's leaves
            assert len(answer.proofs) == 1  # and only those of the request
        assert len(await mail(hub, "bb-csirt")) == 20


async def test_same_envelope_twice_in_one_group_is_stored_once(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref)
        data = made.upload.to_bytes()
        answer = await hub.mailboxes.accept("pe-csirt", [data, data])
        assert codes(answer) == ["", ""]
        assert [one.new for one in answer.results] == [True, False]
        assert len(answer.proofs) == 1
        assert len(await mail(hub, "co-csirt")) == 1


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def stranger(world: World, dir_ref: DirRef) -> bytes:
    """To an address that is no member (with a prekey of somebody else's)."""
    world.prekeys["zz-csirt"] = world.prekeys["co-csirt"]
    kid = next(iter(world.prekeys["co-csirt"]))
    return sealed(world, dir_ref, to=("zz-csirt",), kids={"zz-csirt": kid}).upload.to_bytes()


FLAWS = {
    "envelope.bad-frame": lambda w, d: sealed(w, d).upload.to_bytes()[:300],
    "envelope.wrong-id": lambda w, d: sealed(w, d).upload.to_bytes(),
    "json.not-canonical": lambda w, d: replace(
        sealed(w, d).upload, header=sealed(w, d).upload.header + b" "
    ).to_bytes(),
    "json.bad-schema": lambda w, d: replace(sealed(w, d).upload, header=b'{"suite":"EX1","v":1}').to_bytes(),
    "envelope.bad-header": lambda w, d: replace(
        (made := sealed(w, d)).upload,
        header=made.upload.header.replace(b'"iat":%d' % made.header.iat, b'"iat":%d' % made.header.exp),
    ).to_bytes(),
    "envelope.unknown-suite": lambda w, d: replace(
        (made := sealed(w, d)).upload, header=made.upload.header.replace(b'"EX1"', b'"EX2"')
    ).to_bytes(),
    "envelope.other-network": lambda w, d: sealed(w, d, net=bytes(32)).upload.to_bytes(),
    "envelope.not-sender": lambda w, d: sealed(w, d, sender="co-csirt", to=("bb-csirt",)).upload.to_bytes(),
    "envelope.unknown-key": lambda w, d: sealed(w, d, signer="co-csirt").upload.to_bytes(),
    "envelope.unknown-recipient": stranger,
    "envelope.unknown-prekey": lambda w, d: sealed(w, d, kids={"co-csirt": foreign_kid(w)}).upload.to_bytes(),
    "envelope.future": lambda w, d: sealed(
        w, d, iat=w.now + DAY_MS + 1, exp=w.now + 2 * DAY_MS
    ).upload.to_bytes(),
    "envelope.expired": lambda w, d: sealed(w, d, iat=w.now - 2, exp=w.now).upload.to_bytes(),
    "envelope.outlives-prekey": lambda w, d: sealed(w, d, exp=w.now + 60 * DAY_MS).upload.to_bytes(),
    "directory.unknown-checkpoint": lambda w, d: sealed(
        w, DirRef(d.size, d.root, bytes(32))
    ).upload.to_bytes(),
    "envelope.body-mismatch": lambda w, d: flipped(data := sealed(w, d).upload.to_bytes(), len(data) - 1),
    "envelope.wrap-mismatch": lambda w, d: replace(
        (made := sealed(w, d)).upload, slots=(flipped(made.upload.slots[0], 5),)
    ).to_bytes(),
    "envelope.bad-signature": lambda w, d: replace(
        (made := sealed(w, d)).upload, signatures=flipped(made.upload.signatures, 100)
    ).to_bytes(),
}


def foreign_kid(world: World) -> bytes:
    """A kid that its owner never published."""
    (ref,) = world.refs("co-csirt", start=world.now - 3 * HOUR_MS, epochs=1)
    return ref.kid


@pytest.mark.parametrize("code", FLAWS)
async def test_flawed_upload_is_refused_with_its_code_and_leaves_nothing(
    code: str, world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        data = FLAWS[code](world, hub.registrar.dir_ref)
        env = bytes(32) if code == "envelope.wrong-id" else None
        answer = await hub.mailboxes.accept("pe-csirt", [data], env=env)
        assert codes(answer) == [code]
        assert answer.proofs == ()
        assert (await hub.store.totals()).envelopes == 0


async def test_sender_that_left_the_log_is_unknown(world: World, tmp_path: Path) -> None:
    stranger_world = make_world(members=(*world.member_keys, "xx-csirt"))
    async with services(world, tmp_path) as hub:
        made = sealed(stranger_world, hub.registrar.dir_ref, sender="xx-csirt", net=world.net)
        answer = await hub.mailboxes.accept("xx-csirt", [made.upload.to_bytes()])
        assert codes(answer) == ["envelope.unknown-sender"]


async def test_quota_is_the_senders_and_comes_back_with_receipts(world: World, tmp_path: Path) -> None:
    limits = HubLimits(settle_seconds=0, quota_envelopes=2)
    async with services(world, tmp_path, limits=limits) as hub:
        dir_ref = hub.registrar.dir_ref
        made = [sealed(world, dir_ref) for _ in range(3)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["", "", "quota.exceeded"]
        other = sealed(world, dir_ref, sender="co-csirt", to=("bb-csirt",))
        assert codes(await put(hub, other, issuer="co-csirt")) == [""]
        await hub.mailboxes.receipts(
            "co-csirt", receipts(world, dir_ref, "co-csirt", copies(made[0], "co-csirt"))
        )
        assert codes(await put(hub, made[2])) == [""]


async def test_quota_of_bytes(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path, limits=HubLimits(settle_seconds=0, quota_bytes=10_000)) as hub:
        made = [sealed(world, hub.registrar.dir_ref) for _ in range(2)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["", "quota.exceeded"]


async def test_what_expired_counts_until_it_is_receipted_or_forgotten(world: World, tmp_path: Path) -> None:
    limits = HubLimits(settle_seconds=0, quota_bytes=20_000, quota_envelopes=2, expired_days=3)
    async with services(world, tmp_path, limits=limits) as hub:
        made, answered = [], []
        while answered[-1:] != ["quota.exceeded"]:
            made.append(sealed(world, hub.registrar.dir_ref, to=("bb-csirt", "co-csirt")))
            answered += codes(await put(hub, made[-1]))
            world.advance(DAY_MS)
            await hub.mailboxes.expire_due()
            assert len(answered) < 6
        assert (
            len(answered) == 3
        )  # two that expired leave too little room, though they are none of the two at once
        both = [("bb-csirt", 1), ("co-csirt", 2)]
        for member, left in both:
            upload = receipts(
                world,
                hub.registrar.dir_ref,
                member,
                copies(made[1], member),
                status="rejected",
                code="expired",
            )
            assert (await hub.mailboxes.receipts(member, upload)).matched == 1
            assert (await hub.store.totals()).rows == 4 - left
        assert codes(await put(hub, sealed(world, hub.registrar.dir_ref))) == [""]
        for _ in range(4):
            world.advance(DAY_MS)
            await hub.mailboxes.expire_due()
        totals = await hub.store.totals()
        assert (totals.envelopes, totals.bytes, totals.rows) == (0, 0, 0)


async def test_full_disk_takes_nothing_and_still_hands_out(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        first = sealed(world, hub.registrar.dir_ref)
        await put(hub, first)
    async with services(world, tmp_path, free_bytes=0) as hub:
        answer = await put(hub, sealed(world, hub.registrar.dir_ref))
        assert codes(answer) == ["storage.full"]
        assert answer.results[0].error.facts["retry_after"] == 60
        assert len(await mail(hub, "co-csirt")) == 1
        assert codes(await put(hub, first)) == [""]  # a known one still has its receipt


async def test_group_that_cannot_commit_refuses_each_and_the_next_goes_on(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        real = hub.store.accept
        failures: list[ExchangeError] = [Unavailable("storage.full")]

        async def accept(group: list[NewEnvelope], **rest):
            if failures:
                raise failures.pop()
            return await real(group, **rest)

        hub.store.accept = accept  # the disk's fault itself is tests/storage's subject
        made = [sealed(world, dir_ref) for _ in range(2)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["storage.full"] * 2
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == [""] * 2
