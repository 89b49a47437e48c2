"""What a hub and a node show to operators is what docs/metrics.md lists, and what the example alerts ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exchange.errors import CODES
from exchange.header import LANES
from exchange.hub.metrics import Metrics, Reading
from exchange.hub.store.alarm import flash_copies, oldest_flash
from exchange.limits import DAY_MS, SECOND_MS
from exchange.loop_lag import LoopLag
from exchange.message import Urgency
from exchange.node import metrics
from exchange.node.store.inbox import Quarantined, quarantine
from exchange.node.store.store import Transaction, raise_alarm
from exchange.storage.commits import Commits
from tests.simulator import Simulation, Site, simulation
from tests.worlds import MEMBERS

ROOT = Path(__file__).resolve().parent.parent
ALERTS = (ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(exchange_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
SUBJECT = "canary-of-the-subject"


@dataclass(frozen=True)
class Listed:
    """A row of docs/metrics.md."""

    kind: str
    labels: frozenset[str]


LISTED = {
    name: Listed(kind, frozenset(re.findall(r"`(\w+)`", labels)))
    for name, kind, labels in ROW.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
}


async def read_hub(sim: Simulation, shown: Metrics) -> bytes:
    """The hub's numbers."""
    hub = sim.running_hub
    flash, count = hub.store.db.read_sync(lambda c: (oldest_flash(c), flash_copies(c)))
    reading = Reading(
        now=sim.world.now,
        totals=await hub.store.totals(),
        blobs=await hub.blobs.totals(),
        flash=flash,
        flash_copies=count,
        connections=1,
        sockets=1,
        pending=0,
        applications=0,
        read_only=False,
        free_bytes=1,
        disk_bytes=1,
        certificate_until=0,
        backup_at=0,
        lag=0.0,
        calls=0,
    )
    return shown.text(hub.store, hub.registrar.directory, reading)


@pytest.fixture
async def shown(tmp_path: Path) -> str:
    """Both expositions, after some mail."""
    async with simulation(tmp_path) as sim:
        pe, co = sim.sites["pe-csirt"], sim.sites["co-csirt"]
        pe.send("co-csirt", subject=SUBJECT, urgency=Urgency.FLASH)
        await sim.rounds()
        await co.stop()
        pe.send("co-csirt", "bb-csirt", subject=SUBJECT, urgency=Urgency.FLASH)
        await sim.rounds()
        await sim.wait(90 * SECOND_MS)
        await co.start()
        counters = Metrics()
        counters.refused.labels("quota.exceeded").inc()
        node = (await metrics.text(pe.up, LoopLag())) + (await metrics.text(co.up, LoopLag()))
        return ((await read_hub(sim, counters)) + node).decode()


def families(text: str) -> Iterator[tuple[str, str, str, list[dict[str, str]]]]:
    """Name as in the file, kind, help and the labels of each sample."""
    for one in text_string_to_metric_families(text):
        if not one.name.endswith("_created"):
            name = f"{one.name}_total" if one.type == "counter" else one.name
            yield name, one.type, one.documentation, [sample.labels for sample in one.samples]


async def test_every_metric_is_documented_with_its_kind_and_labels(shown: str) -> None:
    found = list(families(shown))
    assert {name for name, *_ in found} == LISTED.keys()
    for name, kind, help_, samples in found:
        assert kind == LISTED[name].kind, name
        assert len(help_) > 10, name
        for labels in samples:
            assert labels.keys() <= LISTED[name].labels, name


async def test_labels_name_no_member_and_no_content(shown: str) -> None:
    assert SUBJECT not in shown
    for member in MEMBERS:
        assert member not in shown
    words = {
        "lane": set(LANES),
        "code": CODES.keys(),
        "kind": {"held", "damaged", "quarantine"},
        "state": {"queued", "sealed", "accepted"},
    }
    for name, _, _, samples in families(shown):
        for labels in samples:
            for label, word in labels.items():
                assert label not in words or word in words[label], (name, label, word)


async def test_numbers_are_those_of_the_mail(shown: str) -> None:
    lines = shown.splitlines()
    for line in (
        'exchange_hub_accepted_total{lane="flash"} 2.0',
        'exchange_hub_receipt_leaves_total{status="stored"} 2.0',
        "exchange_hub_flash_waiting_copies 1.0",
        "exchange_hub_flash_waiting_members 1.0",
        "exchange_hub_flash_waiting_oldest_seconds 90.0",
        'exchange_node_outbox_copies{lane="flash",state="accepted"} 1.0',
        'exchange_node_outbox_oldest_seconds{lane="flash",state="accepted"} 90.0',
        "exchange_node_flash_unacknowledged 1.0",
        "exchange_node_flash_unacknowledged_oldest_seconds 90.0",
    ):
        assert line in lines, line


async def test_newest_alarm_and_refusal_are_told_by_their_time(tmp_path: Path) -> None:
    """Before the first there is a sample too: an alert that compares with nothing never fires."""

    async def shown_of(site: Site) -> list[str]:
        lines = (await metrics.text(site.up, LoopLag())).decode().splitlines()
        return [line.split()[1] for line in lines if re.match(r"exchange_node_\w+_newest_timestamp", line)]

    async with simulation(tmp_path, ("pe-csirt", "co-csirt")) as sim:
        pe = sim.sites["pe-csirt"]
        assert await shown_of(pe) == ["0.0", "0.0"]
        at = sim.world.now

        def write(connection: Transaction) -> None:
            for ahead in (0, DAY_MS):  # a clock that was ahead raises no alert a day later
                raise_alarm(connection, key=f"x/{ahead}", at=at + ahead, code="chain.fork", subject="")
            row = Quarantined(bytes(32), "co-csirt", "content.bad-frame", at - SECOND_MS)
            quarantine(connection, row, b"")

        await pe.up.store.db.write(write)
        assert [float(one) for one in await shown_of(pe)] == [(at - SECOND_MS) / SECOND_MS, at / SECOND_MS]


def test_names_follow_the_conventions() -> None:
    for name, listed in LISTED.items():
        assert name.endswith("_total") == (listed.kind == "counter"), name
        assert not re.search(r"_(ms|millis|mib|kb|minutes|days)(_|$)", name), name


def test_a_commit_is_counted_in_its_bucket() -> None:
    commits = Commits()
    commits.add(1, 0.001)
    commits.add(64, 7.0)
    assert (commits.jobs.counts[0], commits.jobs.counts[-2], commits.jobs.counts[-1]) == (1, 1, 0)
    assert (commits.seconds.counts[0], commits.seconds.counts[-1]) == (1, 1)
    assert commits.seconds.sum == pytest.approx(7.001)


def test_alerts_ask_for_metrics_that_exist_and_say_what_to_do() -> None:
    rules = ALERTS.split("- alert: ")[1:]
    asked = set(re.findall(r"\bexchange_\w+", " ".join(re.findall(r"expr: (.*)", ALERTS))))
    histograms = {f"{name}_{end}" for name in LISTED for end in ("bucket", "sum", "count")}
    assert asked
    assert not re.search(r"\boffset\b", ALERTS)  # a series that begins has nothing to be compared with
    assert asked - LISTED.keys() - histograms == set()
    assert len({rule.split()[0] for rule in rules}) == len(rules) >= 20
    for rule in rules:
        for key in ("expr", "labels", "severity", "annotations", "summary", "action"):
            assert rule.count(f"{key}: ") + rule.count(f"{key}:\n") == 1, (rule, key)
