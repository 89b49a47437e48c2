"""Attachments at a node: sealed before their message, fetched on request, refused when they aren't what was said."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.attachment import Attachment
from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS, HOUR_MS, MAX_ATTACHMENT
from exchange.node.attachments.attaching import attach
from exchange.node.attachments.desk import AttachmentDesk, Shown
from exchange.node.doors.doors import own_reader
from exchange.node.store import attachments as rows
from exchange.node.store.attachment_files import files_of
from exchange.release import Door
from exchange.retention import DEFAULTS
from tests.simulator import Simulation, Site

SIZE = 150_000  # bytes: three pieces


def desk_of(site: Site) -> AttachmentDesk:
    node = site.up
    return AttachmentDesk(
        node.store, node.identity, site.sources(), desk=site.desk, doors=node.doors("analyst")
    )


def a_file(folder: Path, size: int = SIZE, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def attached(site: Site, path: Path, *, malware: bool = False) -> Attachment:
    return desk_of(site).attach(path, malware=malware)


def come(site: Site, message: str) -> Shown:
    (one,) = desk_of(site).come(message)
    return one


def files(site: Site) -> list[str]:
    return sorted(path.suffix for path in (site.home / "attachments").rglob("*") if path.is_file())


async def fetched(site: Site, message: str) -> Shown:
    desk_of(site).want(message, None)
    await site.once()
    return come(site, message)


async def delivered(sim: Simulation, pe: Site, attachment: Attachment) -> str:
    sent = pe.send("co-csirt", attachments=[attachment])
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    return sent


async def test_it_comes_only_when_asked_for_and_stays_sealed(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    path = a_file(tmp_path)
    sent = await delivered(sim, pe, attached(pe, path))
    assert (come(co, sent).state, files(co)) == (rows.OFFERED, [])
    assert desk_of(co).counts([co.inbox()[0].env]) == {co.inbox()[0].env: 1}
    one = await fetched(co, sent)
    assert (one.state, one.have, one.name, files(co)) == ("here", one.of, "list.csv", [".sealed"])
    desk_of(co).save(sent, "1", lambda _: tmp_path / "out", own_reader("co-csirt"), infected_zip=False)
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert [one.state for one in desk_of(pe).sent(sent)] == [rows.THERE]
    with pytest.raises(Refused, match=r"attachment\.unknown"):
        desk_of(co).want(sent, "another")


async def test_a_door_knows_how_many_files_came_or_went_beside_a_message(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    two = [attached(pe, a_file(tmp_path, name=name)) for name in ("a.csv", "b.csv")]
    sent, plain = pe.send("co-csirt", attachments=two), pe.send("co-csirt")
    await sim.rounds()

    def beside(site: Site, message: str) -> int:
        reader = own_reader(site.member)
        return site.up.doors("analyst").let_out(Door.EXPORT, message, [reader], lambda one: one.attachments)

    assert [beside(site, message) for site in (pe, co) for message in (sent, plain)] == [2, 0, 2, 0]


async def test_other_mail_does_not_wait_for_it(sim: Simulation, pe: Site, co: Site, tmp_path: Path) -> None:
    first = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])
    then = pe.send("co-csirt")
    await pe.once()
    calls = pe.hub.wire.calls
    assert calls.index("put_envelope") < calls.index("put_blob")
    await co.once()
    assert co.received() == [then, first]


async def test_a_cut_link_is_taken_up_where_it_was(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])
    starts = list[int]()

    def cut(name: str, value: tuple[bytes, int]) -> None:
        if name in ("put_blob", "blob"):
            starts.append(value[1])
            if len(starts) == 3:
                raise Unavailable("hub.unreachable")

    pe.hub.wire.before = co.hub.wire.before = cut
    with pytest.raises(Unavailable):
        await pe.once()
    await pe.restart()
    await sim.rounds()
    assert starts == [0, 0, 65_536, 0, 65_536, 131_072]  # the first of each run asks
    starts.clear()
    desk_of(co).want(sent, None)
    with pytest.raises(Unavailable):
        await co.once()
    await co.restart()
    await sim.rounds()
    assert starts == [0, 65_536, 131_072, 131_072]
    assert come(co, sent).state == "here"


async def test_a_hub_that_refuses_for_now_is_asked_again(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])

    def refuse(name: str, _: object) -> None:
        if name in ("put_blob", "blob"):
            raise Refused("auth.forbidden")

    pe.hub.wire.before = co.hub.wire.before = refuse
    with pytest.raises(Unavailable, match=r"auth\.forbidden"):
        await pe.once()
    (one,) = desk_of(pe).sent(sent)
    assert (one.state, one.code, pe.state(sent, "co-csirt")) == (rows.WAITING, "auth.forbidden", "queued")
    pe.hub.wire.before = lambda _name, _value: None
    await sim.rounds()
    desk_of(co).want(sent, None)
    with pytest.raises(Unavailable, match=r"auth\.forbidden"):
        await co.once()
    assert (come(co, sent).state, co.alarm_codes()) == (rows.WANTED, [])
    co.hub.wire.before = lambda _name, _value: None
    await co.once()
    assert (come(co, sent).state, pe.alarm_codes()) == ("here", [])


async def test_a_hub_that_never_takes_it_as_it_is_named_ends_it(
    sim: Simulation, pe: Site, tmp_path: Path
) -> None:
    attachment = attached(pe, a_file(tmp_path))
    sent = pe.send("co-csirt", attachments=[attachment])
    with files_of(pe.up.store).sealed(attachment.blob).open("r+b") as file:
        file.write(b"spoilt")
    await pe.once()
    assert (pe.state(sent, "co-csirt"), pe.copy(sent, "co-csirt").code) == ("lost", "blob.wrong-hash")


async def test_what_is_not_what_its_sender_says_is_refused(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    good = attached(pe, a_file(tmp_path))
    sent = await delivered(sim, pe, replace(good, digest=bytes(32)))
    one = await fetched(co, sent)
    assert (one.state, one.code, files(co)) == (rows.BAD, "blob.bad-digest", [])
    assert co.alarm_codes() == ["blob.bad-digest"]
    with pytest.raises(Refused, match=r"attachment\.not-here"):
        desk_of(co).save(sent, None, lambda _: tmp_path / "out", own_reader("co-csirt"), infected_zip=False)
    assert not (tmp_path / "out").exists()


async def test_what_was_spoilt_on_the_way_is_fetched_again_and_then_refused(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    spoilt = list[int]()

    def spoil(data: bytes) -> bytes:
        spoilt.append(1)
        return data if len(spoilt) > 3 else bytes(len(data))

    co.hub.wire.piece = spoil
    assert (await fetched(co, sent)).state == "here"
    assert (len(spoilt), co.alarm_codes()) == (6, [])

    again = await delivered(sim, pe, attached(pe, a_file(tmp_path, name="other.csv")))
    co.hub.wire.piece = lambda data: bytes(len(data))
    one = await fetched(co, again)
    assert (one.state, one.code, files(co)) == (rows.BAD, "blob.wrong-hash", [".sealed"])


async def test_what_the_hub_has_forgotten_is_gone(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    sim.world.now += 365 * DAY_MS
    assert await sim.running_hub.blobs.forget_due() == 1
    desk_of(co).want(sent, None)
    assert await co.up.sync._services.attachments.fetch(co.hub)
    one = come(co, sent)
    assert (one.state, one.code, files(co)) == (rows.GONE, "attachment.gone", [])


async def test_a_blob_that_the_hub_lost_is_brought_again_before_its_envelope(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await pe.once()
    sent = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])
    await pe.up.sync._services.attachments.carry(pe.hub)
    sim.world.now += DAY_MS + HOUR_MS
    assert await sim.running_hub.blobs.forget_due() == 1
    await sim.running_hub.registrar.renew()
    with pytest.raises(Unavailable, match=r"envelope\.blob-missing"):
        await pe.once()
    (one,) = desk_of(pe).sent(sent)
    assert (one.state, pe.state(sent, "co-csirt")) == (rows.WAITING, "sealed")
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    assert (await fetched(co, sent)).state == "here"
    assert (
        co.up.store.db.read_sync(lambda c: c.exec_driver_sql("SELECT max(seq) FROM links_in").scalar_one())
        == 1
    )


async def test_a_new_hub_is_brought_what_the_old_one_had(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    for blob in (sim.folder / "hub" / "blobs").iterdir():
        blob.unlink()
    await sim.restart_hub()
    await sim.rounds()
    assert (await fetched(co, sent)).state == "here"


async def test_a_message_whose_file_is_lost_is_reported_lost(
    sim: Simulation, pe: Site, tmp_path: Path
) -> None:
    attachment = attached(pe, a_file(tmp_path))
    sent = pe.send("co-csirt", "bb-csirt", attachments=[attachment])
    files_of(pe.up.store).drop(attachment.blob)
    await pe.once()
    assert [(one.state, one.code) for one in pe.desk.sent(sent).addressees] == [
        ("lost", "attachment.gone")
    ] * 2
    assert pe.alarm_codes() == ["outbox.lost"] * 2


async def test_files_go_with_their_message_and_a_day_after_they_were_sent(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    await fetched(co, sent)
    retention = co.up.retention
    assert (files(pe), files(co)) == ([".sealed"], [".sealed"])
    sim.world.now += DAY_MS + HOUR_MS
    await pe.up.retention.erase_due()
    assert (files(pe), [one.state for one in desk_of(pe).sent(sent)]) == ([], [rows.DROPPED])
    await co.up.retention.erase_due()
    assert files(co) == [".sealed"]
    sim.world.now += (DEFAULTS.amber + 1) * DAY_MS
    await sim.running_hub.registrar.renew()
    await co.once()
    await retention.erase_due()
    assert (co.received(), files(co)) == ([], [])


async def test_what_a_command_left_behind_goes(sim: Simulation, pe: Site, tmp_path: Path) -> None:
    store, folder = pe.up.store, pe.home / "attachments"
    attached(pe, a_file(tmp_path))
    (folder / "half.new").write_bytes(b"x")
    for old in folder.glob("*.*"):
        os.utime(old, (1, 1))
    kept = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])
    await pe.up.retention._drop_strays()
    assert files(pe) == [".sealed"]
    (one,) = desk_of(pe).sent(kept)
    assert files_of(store).holds(one.attachment.blob, one.of)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.mkdir(), "attachment.bad-file"),
        (os.mkfifo, "attachment.bad-file"),
        (lambda path: None, "attachment.bad-file"),
        (lambda path: path.touch() or os.truncate(path, MAX_ATTACHMENT + 1), "blob.too-large"),
    ],
)
async def test_what_cannot_be_attached(pe: Site, tmp_path: Path, make: object, code: str) -> None:
    path = tmp_path / "it"
    make(path)  # type: ignore[operator] # each is called with a path
    with pytest.raises(Refused, match=code):
        attach(files_of(pe.up.store), path, net=pe.up.identity.net, malware=False, random=os.urandom)
    assert files(pe) == []


async def test_a_restored_home_knows_which_it_lacks(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    await fetched(co, sent)
    store = co.up.store
    files_of(store).drop(come(co, sent).attachment.blob)
    assert come(co, sent).state == rows.OFFERED
    assert store.db.write_sync(rows.forget_files) == 1
    assert (await fetched(co, sent)).state == "here"
