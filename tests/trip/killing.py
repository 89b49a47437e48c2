"""A hub and nodes under load, killed with -9 again and again by a plan that a seed repeats; then everything is counted.

Owns the plan, the load and the count. The load is written as commands write it: beside the servers, whether they run
or not, and now and then by the command itself. A sending counts once whoever queued it was told that it is safe.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.trip.finder import find_in_database
from tests.trip.holdings import LANES, Mail, is_in_chain_order
from tests.trip.network import Network
from tests.trip.processes import Child, until

HUB: Final = "hub"
WORD: Final = "Guanabana5Lm3"  # in every subject, and in clear nowhere at the hub
PAUSE: Final = (0.5, 4.0)  # seconds from one kill to the next
AWAY: Final = (0.0, 2.5)  # seconds until it is started again; it takes longer than most pauses to be ready
TWO: Final = 0.25  # share of the kills that take two processes at once
SEND_PAUSE: Final = (0.05, 0.5)  # seconds between two sendings
SIZES: Final = (0, 0, 0, 0, 0, 0, 2_000, 20_000, 120_000, 400_000)  # bytes of the attachment
HUGE: Final = 3_000_000  # one in so many sendings, and another by the command
RARE: Final = 25
DRAIN_SECONDS: Final = 240.0
KILLED: Final = -9
_OWN_TABLES: Final = (
    "addressees WHERE state = 'queued'",
    "sealings WHERE state = 'sealed'",
    "owed WHERE batch IS NULL",
    "batches_out WHERE sent_at IS NULL",
    "gaps_in",
    "held",
    "damaged",
)
_HUB_TABLES: Final = ("mailbox", "bodies")


@dataclass(frozen=True)
class Kill:
    """At `at` seconds `victims` die, all at once; each is started again after as many seconds as `away` says."""

    at: float
    victims: tuple[str, ...]
    away: tuple[float, ...]


def plan(seed: int, seconds: float, names: Sequence[str]) -> list[Kill]:
    """The kills of a run: the same for the same seed, length and names."""
    chance, kills = random.Random(f"kills {seed}"), list[Kill]()
    at = chance.uniform(*PAUSE)
    while at < seconds:
        victims = chance.sample(list(names), 2 if chance.random() < TWO else 1)
        kills.append(Kill(at, tuple(victims), tuple(chance.uniform(*AWAY) for _ in victims)))
        at += chance.uniform(*PAUSE)
    return kills


@dataclass
class Outcome:
    """What a run did and what was wrong with its end; sound if nothing is in `faults`."""

    kills: Counter[str] = field(default_factory=Counter)  # of processes that ran, by name
    sent: int = 0  # copies: a message to two counts twice
    delivered: int = 0
    lost: int = 0
    twice: int = 0
    false_alarms: int = 0
    faults: list[str] = field(default_factory=list)


class KillRun:
    """One run on a network of which nothing runs yet."""

    def __init__(self, network: Network, *, seed: int, seconds: float) -> None:
        self._network = network
        self._seconds = seconds
        self._chance = random.Random(f"load {seed}")
        self._children: dict[str, Child] = {
            HUB: network.hub.serve,
            **{handle: node.serve for handle, node in network.nodes.items()},
        }
        self._plan = plan(seed, seconds, list(self._children))
        self._sent: list[tuple[str, str, str]] = []  # sender, recipient, id
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Kill and send for the whole time, bring everything up, let it drain, count."""
        await self._network.up()
        load = asyncio.create_task(self._load())
        try:
            await asyncio.gather(self._kill(), load)
        finally:
            load.cancel()
        self._search()
        for child in self._children.values():
            await self._bring_up(child)
        for node in self._network.nodes.values():
            node.poke()
        try:
            await until(
                lambda: not any(self._waits().values()), "all queues are empty", seconds=DRAIN_SECONDS
            )
        except AssertionError as late:
            waits = {place: count for place, count in self._waits().items() if count}
            self.outcome.faults.append(f"{late}: {waits}")
        self._search()
        for child in [*self._children.values()][::-1]:  # nodes first
            code = await child.stop()
            if code:
                self.outcome.faults.append(f"{child.name} ended with {code}: {child.last_words()}")
        self._count()
        return self.outcome

    async def _bring_up(self, child: Child) -> None:
        """Have it ready."""
        if not child.runs:
            child.start()
        await child.ready()

    async def _kill(self) -> None:
        """Carry the plan out. A process that has ended by itself is a fault."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        events = [(kill.at, 0, kill.victims) for kill in self._plan]
        events += [
            (kill.at + away, 1, (victim,))
            for kill in self._plan
            for victim, away in zip(kill.victims, kill.away, strict=True)
        ]
        for at, is_start, names in sorted(events):
            await asyncio.sleep(began + at - loop.time())  # the moment is the point: anywhere
            for name in names:
                child = self._children[name]
                if not child.runs and child.exit_code != KILLED:
                    self.outcome.faults.append(
                        f"{name} ended with {child.exit_code} at {at:.1f} s: {child.last_words()}"
                    )
                if is_start and not child.runs:
                    child.start()
                elif not is_start and child.runs:
                    child.kill()
                    self.outcome.kills[name] += 1

    async def _load(self) -> None:
        """Everybody sends to everybody, in all lanes, from small to some megabytes."""
        loop, chance = asyncio.get_running_loop(), self._chance
        until_, handles = loop.time() + self._seconds, list(self._network.nodes)
        while loop.time() < until_:
            sender = chance.choice(handles)
            others = [handle for handle in handles if handle != sender]
            to = chance.sample(others, chance.randint(1, len(others)))
            urgency = chance.choice(LANES)
            size = HUGE if chance.randrange(RARE) == 0 else chance.choice(SIZES)
            subject = f"{WORD} {len(self._sent)}"
            node = self._network[sender]
            if chance.randrange(RARE) == 0:
                words = ("--to", ",".join(to), "--kind", "alert", "--tlp", "amber", "--urgency", urgency)
                code, answer = await node.command("send", *words, "--subject", subject, "--text", WORD)
                if code:
                    self.outcome.faults.append(f"send said {code}: {answer}")
                    continue
                id_ = str(answer["id"])
            else:
                id_ = await asyncio.to_thread(node.send, to, subject, urgency=urgency, size=size)
            self._sent += [(sender, recipient, id_) for recipient in to]
            await asyncio.sleep(chance.uniform(*SEND_PAUSE))

    def _waits(self) -> dict[str, int]:
        """Rows of every queue, by place."""
        waits = {f"hub {table}": self._network.hub.holds.count(table) for table in _HUB_TABLES}
        for handle, node in self._network.nodes.items():
            waits |= {f"{handle} {table}": node.holds.count(table) for table in _OWN_TABLES}
            waits[f"{handle} not receipted"] = sum(copy.stored_at is None for copy in node.holds.copies())
        return waits

    def _search(self) -> None:
        """No word of a message may stand in clear at the hub, neither in a row nor in what is left of one."""
        hub = self._network.hub
        found = find_in_database(WORD, hub.holds.path)
        found += [path.name for path in hub.path.rglob("*") if path.is_file() and _holds(path.read_bytes())]
        self.outcome.faults += [f"in clear at the hub: {where}" for where in found]

    def _count(self) -> None:
        """Compare what was sent with what each holds."""
        outcome, wanted = self.outcome, Counter(self._sent)
        got: Counter[tuple[str, str, str]] = Counter()
        for handle, node in self._network.nodes.items():
            mails = node.holds.inbox()
            got.update((mail.sender, handle, mail.id) for mail in mails)
            outcome.faults += [f"{handle}: {fault}" for fault in _told(partial(is_in_chain_order, mails))]
            outcome.faults += [f"{handle}: {mail.id} conflicts" for mail in mails if mail.conflict]
            alarms: list[Any] = [*node.holds.alarms(), *node.holds.quarantine()]
            outcome.false_alarms += len(alarms)
            outcome.faults += [f"{handle}: false alarm {alarm}" for alarm in alarms]
            marks = _marks(mails)
            outcome.faults += [f"{handle}: marks {marks}"] if marks else []
        outcome.sent, outcome.delivered = len(self._sent), len(set(got) & set(wanted))
        outcome.lost, outcome.twice = len(set(wanted) - set(got)), sum(n - 1 for n in got.values())
        outcome.faults += [f"lost: {one}" for one in sorted(set(wanted) - set(got))]
        outcome.faults += [f"twice: {one}" for one, times in sorted(got.items()) if times > 1]
        outcome.faults += [f"nobody sent {one}" for one in sorted(set(got) - set(wanted))]


def _holds(data: bytes) -> bool:
    return WORD.encode() in data or WORD.encode("utf-16-le") in data


def _marks(mails: Sequence[Mail]) -> dict[str, int]:
    return dict(Counter(mark for mail in mails for mark in mail.marks))


def _told(check: Callable[[], None]) -> list[str]:
    """The fault that a check that fails by AssertionError tells, if it does."""
    try:
        check()
    except AssertionError as fault:
        return [str(fault)]
    return []
