"""What becomes of attachments that a hub or a node has lost, or that were damaged: nothing in silence, nobody waits."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from exchange.attachment import Attachment
from exchange.errors import Refused, Rejected, Unavailable
from exchange.limits import DAY_MS, HOUR_MS, MAX_ATTACHMENT_NAME
from exchange.message import Urgency
from exchange.node.attachments.desk import Shown, choose
from exchange.node.doors.doors import own_reader
from exchange.node.retention import Records
from exchange.node.store import attachments as rows
from exchange.node.store.attachment_files import AttachmentFiles, files_of
from exchange.node.uplink.answers import problem
from exchange.retention import DEFAULTS
from tests.node.test_node_attachments import a_file, attached, come, delivered, desk_of, fetched, files
from tests.simulator import Simulation, Site

PATIENCE: Final = 20  # seconds until a test says that it never came about


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def save(site: Site, message: str, target: Path, *, infected_zip: bool = False) -> None:
    desk_of(site).save(message, None, lambda _: target, own_reader("co-csirt"), infected_zip=infected_zip)


async def test_a_hub_restored_from_before_it_is_brought_all_again(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await sim.rounds()
    copy = tmp_path / "copy"
    await sim.copy_hub(copy)
    path = a_file(tmp_path)
    sent = pe.send("co-csirt", attachments=[attached(pe, path)])
    await pe.once()
    assert pe.copy(sent, "co-csirt").accepted_at
    await sim.restore_hub(copy)
    assert (await sim.running_hub.blobs.totals()).blobs == 0
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    assert (await fetched(co, sent)).state == "here"
    save(co, sent, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


async def test_what_the_hub_has_needs_no_file_here(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    """A home that was restored has no files, and offers everything again."""
    attachment = attached(pe, a_file(tmp_path))
    sent = pe.send("co-csirt", attachments=[attachment])
    await pe.once()
    files_of(pe.up.store).drop(attachment.blob)
    await sim.restart_hub()
    await sim.rounds()
    assert (pe.state(sent, "co-csirt"), pe.alarm_codes()) == ("stored", [])
    assert (await fetched(co, sent)).state == "here"


@pytest.mark.parametrize("urgency", [Urgency.FLASH, Urgency.ROUTINE])
async def test_an_envelope_whose_file_is_nowhere_stands_in_no_way(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path, urgency: Urgency
) -> None:
    await sim.rounds()
    copy = tmp_path / "copy"
    await sim.copy_hub(copy)
    attachment = attached(pe, a_file(tmp_path))
    sent = pe.send("co-csirt", urgency=urgency, attachments=[attachment])
    await pe.once()
    assert pe.copy(sent, "co-csirt").accepted_at
    files_of(pe.up.store).drop(attachment.blob)
    await sim.restore_hub(copy)
    then = pe.send("co-csirt", urgency=urgency)
    await sim.rounds(4)
    assert co.received() == [then]
    assert (pe.state(sent, "co-csirt"), pe.copy(sent, "co-csirt").code) == ("lost", "attachment.gone")
    assert (pe.alarm_codes(), co.alarm_codes()) == (["outbox.lost"], ["inbox.lost"])


async def test_what_was_damaged_here_is_fetched_again(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    path = a_file(tmp_path)
    sent = await delivered(sim, pe, attached(pe, path))
    one = await fetched(co, sent)
    with files_of(co.up.store).sealed(one.attachment.blob).open("r+b") as sealed:
        sealed.seek(70_000)
        sealed.write(b"damaged")
    with pytest.raises(Rejected, match=r"blob\.bad-seal"):
        save(co, sent, tmp_path / "out")
    assert "out" not in names(tmp_path)
    assert (come(co, sent).state, come(co, sent).code) == (rows.OFFERED, "blob.bad-seal")
    assert (await fetched(co, sent)).state == "here"
    save(co, sent, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


async def test_nothing_leaves_before_the_log_says_so(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    await fetched(co, sent)
    before = len(co.desk.access_log())
    with pytest.raises(Refused, match=r"cli\.bad-file"):
        save(
            co, sent, tmp_path / ("n" * 256)
        )  # too long a name: found out when it is put there, at the very end
    assert [row.action for row in co.desk.access_log()][: -before or None] == ["save", "export"]
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


async def test_a_place_that_will_not_do_is_refused_before_anything_leaves(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    await fetched(co, sent)
    before = co.desk.access_log()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place in ("folder", "file", "link", "none/file", "file/file"):
        with pytest.raises(Refused, match=r"cli\.bad-file"):
            save(co, sent, tmp_path / place)
    assert (co.desk.access_log(), (tmp_path / "file").read_text()) == (before, "mine")


def test_a_number_is_one_whatever_names_senders_give() -> None:
    attachment = Attachment(bytes(32), bytes(32), 1, bytes(32), "a", "text/plain", malware=False)
    found = [
        Shown(n, name, attachment, "here", 1, 1, "") for n, name in enumerate(("2", "1", "x", "x"), start=1)
    ]
    assert [[one.n for one in choose(found, which)] for which in ("1", "2", None)] == [[1], [2], [1, 2, 3, 4]]
    for which in ("x", "9"):
        with pytest.raises(Refused, match=r"attachment\.unknown"):
            choose(found, which)


async def test_a_name_as_long_as_any_can_be_saved(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    attachment = replace(attached(pe, a_file(tmp_path)), name="n" * (MAX_ATTACHMENT_NAME - 4) + ".csv")
    one = await fetched(co, await delivered(sim, pe, attachment))
    sent = co.received()[0]
    for name in (one.name, f"{one.name}.zip"):
        save(co, sent, tmp_path / name, infected_zip=name.endswith(".zip"))
        assert (tmp_path / name).stat().st_size > 0


async def test_another_length_of_a_blob_that_is_here_does_not_drop_it(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    """A hub that is in league with a member could have such a message accepted."""
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    one = await fetched(co, sent)
    (row,) = co.up.store.db.read_sync(lambda c: rows.come_with(c, co.up.store.cipher, co.inbox()[0].env))
    attachments = co.up.sync._services.attachments
    files_of(co.up.store).append(one.attachment.blob, 0, b"another")
    await attachments._judge(replace(row, size=one.of + 1), files_of(co.up.store).part(one.attachment.blob))
    assert files(co) == [".sealed"]


@asynccontextmanager
async def serving(*sites: Site) -> AsyncIterator[None]:
    """Their loops run."""
    tasks = [asyncio.create_task(site.up.sync.run()) for site in sites]
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_proxy_that_refuses_a_file_ends_no_session(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    later = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path, name="other"))])

    def refuse(name: str, _: object) -> None:
        if name in ("put_blob", "blob"):
            raise problem(403, b"<html>This file is not for you</html>")

    pe.hub.wire.before = co.hub.wire.before = refuse
    desk_of(co).want(sent, None)
    before = pe.hub.wire.calls.count("state"), co.hub.wire.calls.count("state")
    async with serving(pe, co):
        while "put_blob" not in pe.hub.wire.calls or "blob" not in co.hub.wire.calls:
            await co.up.sync.changed.wait(1)
        mail = pe.send("co-csirt")
        pe.up.sync.poke()
        while mail not in co.received():
            await co.up.sync.changed.wait(1)
        assert pe.up.sync.condition.connected
        assert co.up.sync.condition.connected
    assert (pe.hub.wire.calls.count("state"), co.hub.wire.calls.count("state")) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert [desk_of(pe).sent(later)[0].code, come(co, sent).code] == ["hub.unreachable"] * 2


async def test_one_that_cannot_be_had_holds_up_no_other(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    first = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    then = await delivered(sim, pe, attached(pe, a_file(tmp_path, name="other.csv")))
    lost = come(co, first).attachment.blob

    def fail(name: str, value: tuple[bytes, int]) -> None:
        if name == "blob" and value[0] == lost:
            raise Unavailable("storage.io")

    co.hub.wire.before = fail
    desk_of(co).want(first, None)
    desk_of(co).want(then, None)
    with pytest.raises(Unavailable, match=r"storage\.io"):
        await co.once()
    assert (come(co, first).state, come(co, first).code) == (rows.WANTED, "storage.io")
    with pytest.raises(Unavailable, match=r"storage\.io"):  # when it is its turn again
        await co.once()
    assert come(co, then).state == "here"
    co.hub.wire.before = lambda _name, _value: None
    await co.once()
    assert (come(co, first).state, come(co, first).code) == ("here", "")


async def test_what_a_withdrawn_message_had_goes_nowhere(sim: Simulation, pe: Site, tmp_path: Path) -> None:
    await pe.once()
    sent = pe.send("co-csirt", attachments=[attached(pe, a_file(tmp_path))])
    pe.up.store.db.write_sync(lambda c: pe.up.outbox.withdraw(c, sent))
    pe.hub.wire.calls.clear()
    await pe.once()
    assert "put_blob" not in pe.hub.wire.calls
    assert pe.up.store.db.read_sync(rows.waiting) == (0, 0)


async def test_what_has_come_stays_when_a_hub_says_it_is_not_there(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    """For a moment a hub may: one that is behind another, or that a proxy answers for."""
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    starts = list[int]()

    def deny(name: str, value: tuple[bytes, int]) -> None:
        if name == "blob":
            starts.append(value[1])
            if len(starts) == 2:
                raise Refused("request.not-found")

    co.hub.wire.before = deny
    assert (await fetched(co, sent)).state == rows.GONE
    assert (await fetched(co, sent)).state == "here"
    assert starts == [0, 65_536, 65_536, 131_072, 131_072 + 65_536][: len(starts)]
    again = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    starts[:] = []
    assert (await fetched(co, again)).state == rows.GONE
    sim.world.now += 10 * 365 * DAY_MS  # files say by the machine's clock when they were written
    await co.up.retention._drop_strays()
    assert ".part" not in files(co)


async def test_a_legal_hold_keeps_what_was_sent(sim: Simulation, pe: Site, co: Site, tmp_path: Path) -> None:
    sent = await delivered(sim, pe, attached(pe, a_file(tmp_path)))
    records = Records(pe.up.store, DEFAULTS, pe.sources(), who="officer")
    records.hold("message", sent, "letter 17 of the court")
    sim.world.now += DAY_MS + HOUR_MS
    await pe.up.retention.erase_due()
    assert files(pe) == [".sealed"]
    records.release("message", sent)
    await pe.up.retention.erase_due()
    assert files(pe) == []


def test_pieces_that_come_twice_or_too_late_spoil_nothing(tmp_path: Path) -> None:
    here, blob = AttachmentFiles(tmp_path), bytes(32)
    assert here.append(blob, 0, b"abcd") == 4
    assert here.append(blob, 2, b"cdef") == 6
    assert here.append(blob, 0, b"ab") == 6
    assert here.append(blob, 9, b"x") == 6  # what stood before it has gone
    assert here.part(blob).read_bytes() == b"abcdef"


def test_what_the_disk_could_not_keep_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of a lost write once, and the next fsync succeeds without it."""
    here, blob, sync, faults = AttachmentFiles(tmp_path), bytes(32), os.fsync, [errno.EIO]
    here.append(blob, 0, b"abcd")

    def failing(descriptor: int) -> None:
        if faults:
            raise OSError(faults.pop(), "lost")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(Unavailable, match=r"storage\.io"):
        here.keep(blob)
    assert (here.have(blob), here.holds(blob, 4)) == (0, False)
    here.append(blob, 0, b"abcd")
    here.keep(blob)
    assert here.holds(blob, 4)
