"""The directory log at the hub, without HTTP: what is logged, what is answered, what a restore makes it wait for."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.canonical import ZERO32, framed
from exchange.directory.bodies_network import build_hub_change
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity
from exchange.directory.prekeys import PrekeyRecord
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, PENDING, SUPERSEDED, SignedSubmission
from exchange.errors import ExchangeError
from exchange.hub.applications import create_invitation
from exchange.hub.log import read_back
from exchange.keys import PrekeyPublic
from exchange.limits import DAY_MS, HOUR_MS, SECOND_MS
from exchange.settings import HubLimits
from tests.hub_services import Services, chance, services
from tests.worlds import World, keys, make_world, prekey_secret, signed

SETTLING = HubLimits(settle_seconds=30)


async def code_of(call) -> str:
    with pytest.raises(ExchangeError) as caught:
        await call
    return caught.value.code


def new_prekeys(world: World, member: str, *, start: int) -> tuple[Statement, list[bytes]]:
    """A prekeys statement and its records."""
    refs = world.refs(member, start=start)
    return world.prekeys_statement(member, refs), [world.records[ref.kid] for ref in refs]


def said(hub: Services, statement: Statement, submission: SignedSubmission):
    world = hub.world
    return submission.verify(world.net, world.hub_keys.public.signing, statement=statement.hash(world.net))


async def test_statement_is_logged_once_and_answered_always(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        statement, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        before = hub.registrar.dir_ref
        first = said(hub, statement, await hub.registrar.submit(statement, records))
        assert (first.outcome, first.index) == (LOGGED, 7)
        again = said(hub, statement, await hub.registrar.submit(statement, ()))
        assert (again.outcome, again.index) == (LOGGED, 7)
        assert hub.registrar.dir_ref.size == before.size + 1
        kids = [ref.kid for ref in hub.registrar.directory.prekeys("pe-csirt")]
        assert sorted(await hub.registrar.records([*kids, bytes(32)])) == sorted(records)
        leaves = await hub.registrar.leaves(0)
        replayed = Directory.replay(leaves, now=None)
        assert replayed.root() == hub.registrar.dir_ref.root
        assert await hub.registrar.leaves(8) == []


async def test_prekeys_without_their_records_are_refused(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        statement, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        for wrong in (
            records[:1],
            [],
            [*records, records[0]],
            [b"nonsense"],
            [*records[:1], _foreign(world)],
        ):
            assert await code_of(hub.registrar.submit(statement, wrong)) == "directory.bad-prekeys"
        assert hub.registrar.directory.size == 7


def _foreign(world: World) -> bytes:
    """A record of another member."""
    (ref,) = world.refs("co-csirt", start=world.now - 2 * HOUR_MS, epochs=1)
    return world.records[ref.kid]


async def test_prekey_nothing_can_be_sealed_to_is_refused(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        begin, until = world.now, world.now + DAY_MS
        good = prekey_secret("pe-csirt", begin).public
        for public in (PrekeyPublic(good.mlkem768, bytes(32)), PrekeyPublic(b"\xff" * 1_184, good.x25519)):
            record = PrekeyRecord("pe-csirt", begin, until, until + DAY_MS, public)
            statement = world.prekeys_statement("pe-csirt", [record.ref(world.net)])
            sent = hub.registrar.submit(statement, [record.to_bytes(world.net)])
            assert await code_of(sent) == "directory.bad-prekeys"


async def test_published_prekeys_outlive_a_clock_far_ahead(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        published = []
        for start in (world.now - HOUR_MS, world.now):
            statement, records = new_prekeys(world, "pe-csirt", start=start)
            await hub.registrar.submit(statement, records)
            world.append(statement)
            published.append([(hash_of(world, record), record) for record in records])
        world.advance(400 * DAY_MS)
        await hub.mailboxes.expire_due()
        kids = [kid for statement in published for kid, _ in statement]
        # the second statement replaced the first
        assert sorted(await hub.registrar.records(kids)) == sorted(record for _, record in published[1])


def hash_of(world: World, record: bytes) -> bytes:
    return PrekeyRecord.from_bytes(record, world.net).kid(world.net)


async def test_loser_of_two_statements_learns_by_whom(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        winner, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        loser, others = new_prekeys(world, "pe-csirt", start=world.now - 2 * HOUR_MS)
        await hub.registrar.submit(winner, records)
        with pytest.raises(ExchangeError) as caught:
            await hub.registrar.submit(loser, others)
        assert caught.value.code == "directory.stale"
        submission = SignedSubmission.from_json(caught.value.facts["submission"])
        answer = said(hub, loser, submission)
        assert (answer.outcome, answer.by) == (SUPERSEDED, winner.hash(world.net))


async def test_after_a_start_statements_wait_for_every_member_or_the_time(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path, limits=SETTLING) as hub:
        statement, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        assert hub.registrar.read_only
        assert await code_of(hub.registrar.submit(statement, records)) == "directory.read-only"
        for member in world.member_keys:
            page = await hub.mailboxes.page(member, "", wait_seconds=0, most=100_000)
            assert hub.registrar.read_only
            await hub.mailboxes.page(member, str(page.cursor), wait_seconds=0, most=100_000)
        assert not hub.registrar.read_only
        await hub.registrar.submit(statement, records)
    async with services(world, tmp_path, limits=SETTLING, epoch="second") as hub:
        assert hub.registrar.read_only
        world.advance(30 * SECOND_MS)
        assert not hub.registrar.read_only


async def test_restored_hub_stays_read_only_until_it_has_the_longest_log(
    world: World, tmp_path: Path
) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    for folder in (early, late):
        folder.mkdir()
    async with services(world, early):
        pass  # the copy, as old as the world's log
    async with services(world, late) as hub:
        statement, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        await hub.registrar.submit(statement, records)
        longest, lost = hub.registrar.checkpoint, await hub.registrar.leaves(7)
    async with services(world, early, epoch="second") as hub:
        assert await hub.registrar.take_checkpoint(longest) == (7, 8)
        assert await hub.registrar.take_checkpoint(longest) == (7, 8)
    async with services(world, early, epoch="third") as hub:  # it remembers over a restart
        assert hub.registrar.read_only
        hub.registrar.check_dir(longest.ref(world.net))
        for wrong in ([], [lost[0], lost[0]]):
            assert await code_of(hub.registrar.take_leaves(framed(wrong))) == "directory.no-need"
        assert await code_of(hub.registrar.take_leaves(framed([lost[0] + b" "]))) == "directory.split"
        assert await code_of(hub.registrar.take_leaves(b"\0\0\0\1")) == "request.bad"
        assert await hub.registrar.take_leaves(framed(lost)) == 8
        assert not hub.registrar.read_only
        assert await hub.registrar.take_checkpoint(longest) is None
        assert hub.registrar.directory.last_hash("pe-csirt", "prekeys") == statement.hash(world.net)


async def test_checkpoint_of_another_log_is_a_split(world: World, tmp_path: Path) -> None:
    forked = make_world(members=("pe-csirt", "co-csirt"))
    forked.append(forked.prekeys_statement("pe-csirt", forked.refs("pe-csirt", start=forked.now - HOUR_MS)))
    async with services(world, tmp_path) as hub:
        other = forked.checkpoint
        assert await code_of(hub.registrar.take_checkpoint(other)) == "directory.split"
        bad = SignedCheckpoint(other.body, bytes(len(other.signature)))
        assert await code_of(hub.registrar.take_checkpoint(bad)) == "checkpoint.bad-signature"


async def test_hub_with_another_key_does_not_start(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path):
        pass
    world.hub_keys = world.member_keys["pe-csirt"]
    assert await code_of(_start(world, tmp_path)) == "hub.wrong-key"


async def test_own_log_is_verified_once(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:  # the world's leaves are nobody's judgement yet
        statement, records = new_prekeys(world, "pe-csirt", start=world.now - HOUR_MS)
        await hub.registrar.submit(statement, records)
        whole = Directory.replay(await hub.registrar.leaves(0), now=None)
    async with services(world, tmp_path, epoch="second") as hub:
        rows, _ = await hub.store.load_log()
        assert [judged for _, judged in rows] == [True] * 8
        read, judged = read_back(rows)
        assert (read.root(), read.at, judged) == (whole.root(), whole.at, 8)
        assert dict(read.members) == dict(whole.members)
        assert read.last_hash("pe-csirt", "prekeys") == statement.hash(world.net)
        leaves = [leaf for leaf, _ in rows]
    forged = statement.merged([("officer/alba", bytes(3_373))])
    leaves += [
        Leaf(8, world.now, forged).to_bytes(world.net),
        Leaf(9, world.now, statement).to_bytes(world.net),
    ]
    found, judged = read_back([(leaf, n < 7) for n, leaf in enumerate(leaves)])
    assert (found.size, judged) == (
        10,
        8,
    )  # what had no effect is judged anew at every start, and all after it


async def test_hub_does_not_log_its_own_successor(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        body = build_hub_change(
            net=world.net,
            size=world.directory.size,
            root=world.directory.root(),
            hub=HubIdentity("https://new.example", b"", keys("new hub").public),
            term=1,
            after=ZERO32,
            not_after=world.now + DAY_MS,
        )
        change = signed(body, "officer/alba", "officer/bruno").with_signature("hub", keys("new hub"))
        assert await code_of(hub.registrar.submit(change, ())) == "directory.wrong-from"
        assert world.append(change).effective  # it is a good one, as the first leaf of the new hub
        assert hub.registrar.directory.size == 7


async def _start(world: World, folder: Path) -> None:
    async with services(world, folder):
        pass


async def test_application_replaced_by_its_owner_starts_collecting_again(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        invitation = create_invitation(
            hub.store,
            member="ar-csirt",
            member_class="national_csirt",
            country="AR",
            origin="https://hub.example",
            valid_days=7,
            now=world.now,
            random=chance,
        )
        invited = await hub.applications.invited(invitation.token)
        first = signed(world.add_body("ar-csirt"), "ar-csirt")
        answer = said(hub, first, await hub.applications.apply(invited, first))
        assert (answer.outcome, answer.until) == (PENDING, world.now + 30 * 86_400_000)
        sponsored = signed(first.body, "pe-csirt").signatures
        await hub.applications.sign("ar-csirt", first.hash(world.net), sponsored)
        await hub.applications.apply(invited, first)  # a repeat loses no signature
        (waiting,) = await hub.applications.waiting()
        assert waiting.statement.signers == ("ar-csirt", "pe-csirt")
        world.advance(1)
        second = signed(world.add_body("ar-csirt"), "ar-csirt")
        await hub.applications.apply(invited, second)
        (waiting,) = await hub.applications.waiting()
        assert waiting.statement == second
        world.advance(31 * 86_400_000)
        assert await hub.applications.waiting() == []
        await hub.mailboxes.expire_due()
        assert await hub.store.applications() == []


def test_invitation_for_nobody_is_refused(world: World, tmp_path: Path) -> None:
    from exchange.hub.store.store import HubStore
    from tests.hub_services import write_log

    store = HubStore.open(tmp_path)
    wanted = {
        "member": "ar-csirt",
        "member_class": "national_csirt",
        "country": "AR",
        "origin": "https://hub.example",
        "valid_days": 7,
        "now": world.now,
        "random": chance,
    }
    cases = (
        ("hub.genesis-incomplete", {}),
        ("invitation.bad-request", {"member": "hub"}),
        ("invitation.bad-request", {"member_class": "club"}),
        ("invitation.bad-request", {"country": "Peru"}),
        ("invitation.bad-request", {"valid_days": 0}),
        ("directory.handle-taken", {"member": "pe-csirt"}),
    )
    for code, change in cases:
        if change == {"member": "hub"}:
            write_log(store, world)
        with pytest.raises(ExchangeError) as caught:
            create_invitation(store, **{**wanted, **change})
        assert caught.value.code == code
    line = create_invitation(store, **wanted).to_line()
    assert line.startswith("exchange-invitation-1.")
    store.close_sync()
