"""Runs of the simulator by seed alone: each draws its own set of faults, some fifty steps, and the peace at the end.

result = await run(7)       # the same steps every time (under the same PYTHONHASHSEED)
if result.faults: print(result.told())
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.simulation import network
from tests.simulation.files import SIZES
from tests.simulation.links import ANSWER_LOST, LATE, REPEATED, REPEATED_LATE, REQUEST_LOST
from tests.simulation.people import LANES, LENGTHS, LIVES
from tests.simulation.steps import Crash, Endless
from tests.simulation.story import Story

STEPS: Final = 50
Move = Callable[[Story, random.Random], Awaitable[None]]
Moves = Sequence[tuple[Move, int]]  # each with its weight


@dataclass(frozen=True)
class Result:
    """What a run was and what was wrong: `faults` are (kind, what)."""

    seed: int
    steps: int
    messages: int
    deliveries: int
    counts: Counter[str]
    refusals: Counter[str]
    faults: tuple[tuple[str, str], ...]
    story: tuple[str, ...]

    def told(self) -> str:
        """For people: the seed, the steps, what was wrong."""
        lines = [f"seed {self.seed}", *(f"  {step}" for step in self.story)]
        return "\n".join([*lines, *(f"WRONG {kind}: {what}" for kind, what in self.faults)])


async def run(seed: int, *, members: int = 0, steps: int = STEPS, moves: Moves | None = None) -> Result:
    """One run, from a prepared network to the check after the peace. `moves`: these, instead of a drawn set."""
    chance = random.Random(f"run {seed}")
    members = members or chance.choice((3, 3, 3, 4))
    await network.prepare(members)
    asyncio.get_running_loop().set_exception_handler(pass_over_crashes)
    folder = network.scratch()
    story = Story(folder, str(seed), members)
    try:
        await story.begin()
        await _play(story, chance, steps, moves or _chosen(chance))
        await story.end()
    except (Exception, Crash, Endless) as error:  # noqa: BLE001 - told like any other fault, with the steps that led to it
        story.sim.fault("raised", f"{type(error).__name__}: {error}")
    finally:
        await story.sim.close()
        shutil.rmtree(folder)
    return Result(
        seed=seed,
        steps=steps,
        messages=len(story.ledger.letters),
        deliveries=story.ledger.deliveries,
        counts=story.counts,
        refusals=story.refusals,
        faults=tuple(story.sim.faults),
        story=tuple(story.steps),
    )


def pass_over_crashes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A task of a dead process ends with its Crash, which nobody waits for."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


async def _play(story: Story, chance: random.Random, steps: int, chosen: Moves) -> None:
    moves, weights = zip(*chosen, strict=True)
    for number in range(steps):
        if number == steps - 1 and not story.counts:
            story.kill(chance.randrange(9))  # a run without any fault shows little
        story.sim.world.now += chance.randrange(1, 90) * SECOND_MS
        (move,) = chance.choices(moves, weights)
        await move(story, chance)


def _chosen(chance: random.Random) -> list[tuple[Move, int]]:
    """What may happen in this run: mail always, of the faults about half, so that they meet in all combinations."""
    return [(move, weight) for (move, weight), always in MOVES.items() if always or chance.random() < 0.5]


# -- what may happen --------------------------------------------------------------------------------------------


async def _send(story: Story, chance: random.Random) -> None:
    to = [chance.randrange(4) for _ in range(chance.choice((1, 1, 2, 3)))]
    lane, life = chance.choice(LANES), chance.choice(LIVES)
    story.send(chance.randrange(4), to, lane, life, separate=chance.random() < 0.2)


async def _send_long(story: Story, chance: random.Random) -> None:
    """What goes and comes in pieces: long letters, and at once something short on the way there, urgent or not."""
    who, to = chance.sample(range(len(story.sim.nodes)), 2)
    story.send(who, [to], chance.choice(LANES), chance.choice(LIVES), length=chance.choice(LENGTHS))
    if chance.random() < 0.5:
        story.send(who, [to], chance.choice(LANES), chance.choice(LIVES))
    await story.run(who, crash_at=chance.choice((0, 0, chance.randrange(1, 60))))


async def _send_file(story: Story, chance: random.Random) -> None:
    """A letter with a file; its pieces go up at the end of a pass, and so do those of what went before."""
    who, to = chance.sample(range(len(story.sim.nodes)), 2)
    others = [to, chance.randrange(4)] if chance.random() < 0.3 else [to]
    story.send(who, others, chance.choice(LANES), chance.choice(LIVES), file=chance.choice(SIZES))
    await story.run(who, crash_at=chance.choice((0, 0, chance.randrange(1, 60))))


async def _ask(story: Story, chance: random.Random) -> None:
    """Somebody takes in the mail, and asks for a file."""
    who = chance.randrange(4)
    await story.run(who)
    story.ask(who, chance.randrange(99))
    await story.run(who, crash_at=chance.choice((0, 0, chance.randrange(1, 60))))


async def _run(story: Story, chance: random.Random) -> None:
    await story.run(chance.randrange(12))


async def _together(story: Story, chance: random.Random) -> None:
    whos = chance.sample(range(4), chance.choice((2, 3)))
    await story.together(whos, turns=chance.choice((None, chance.randrange(1, 80))))


async def _go_on(story: Story, chance: random.Random) -> None:
    await story.go_on(chance.choice((None, chance.randrange(1, 40))))


async def _crash(story: Story, chance: random.Random) -> None:
    who = chance.randrange(12)
    await story.run(who, crash_at=chance.randrange(1, 90))
    if chance.random() < 0.7:
        await story.start(who, crash_at=chance.choice((0, 0, 0, chance.randrange(1, 12))))


async def _crash_on_arrival(story: Story, chance: random.Random) -> None:
    """A node dies while it takes in what was sent to it just before."""
    who, by = chance.sample(range(len(story.sim.nodes)), 2)
    story.send(by, [who], chance.choice(LANES), LIVES[-1])
    await story.run(by)
    await story.run(who, crash_at=chance.randrange(1, 60))
    await story.start(who)


async def _start(story: Story, chance: random.Random) -> None:
    await story.start(chance.randrange(12))


async def _crash_hub(story: Story, chance: random.Random) -> None:
    story.kill_hub(chance.choice((0, chance.randrange(1, 40))))
    await _together(story, chance)
    if chance.random() < 0.7:
        await story.start_hub()


async def _start_hub(story: Story, _: random.Random) -> None:
    await story.start_hub()


async def _cut(story: Story, chance: random.Random) -> None:
    story.cut(chance.randrange(12), up=chance.random() < 0.5)


async def _spoil(story: Story, chance: random.Random) -> None:
    kind = chance.choice((REQUEST_LOST, ANSWER_LOST, REPEATED, LATE, REPEATED_LATE))
    story.spoil(chance.randrange(12), kind, chance.choice((0, 0.05, 0.2)))


async def _hurt(story: Story, chance: random.Random) -> None:
    story.hurt(chance.randrange(12), chance.randrange(1, 3))


async def _fill(story: Story, chance: random.Random) -> None:
    who = chance.choice((None, *range(4)))
    story.fill(who, True)
    await _together(story, chance)
    await story.go_on()
    story.fill(who, False)


async def _wait(story: Story, chance: random.Random) -> None:
    await story.wait(chance.choice((5 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS)))


async def _wait_long(story: Story, chance: random.Random) -> None:
    await story.wait(chance.choice((3 * DAY_MS, 8 * DAY_MS, 20 * DAY_MS)))


async def _clock(story: Story, chance: random.Random) -> None:
    story.clock(chance.choice((None, *range(4))), chance.choice((-5, -1, 0, 0, 1, 5)) * HOUR_MS)


async def _expire(story: Story, _: random.Random) -> None:
    await story.expire()


async def _erase(story: Story, chance: random.Random) -> None:
    await story.erase(chance.randrange(12), chance.randrange(99))


async def _backup(story: Story, chance: random.Random) -> None:
    await story.backup(chance.choice((None, *range(4))), by_command=chance.random() < 0.5)


async def _restore(story: Story, chance: random.Random) -> None:
    await story.restore(chance.choice((None, *range(4))))


async def _rotate(story: Story, chance: random.Random) -> None:
    await story.rotate(chance.randrange(12))


async def _withhold(story: Story, chance: random.Random) -> None:
    who, by, lane = chance.randrange(12), chance.randrange(12), chance.choice(LANES)
    story.withhold(who)
    for _ in range(2):  # the second shows that the first is missing
        story.send(by, [who], lane, LIVES[-1])
        await story.run(by)
        await story.run(who)


async def _forge(story: Story, chance: random.Random) -> None:
    who, by = chance.randrange(12), chance.randrange(12)
    story.forge(who, by)
    story.send(by, [who], "routine", LIVES[-1])
    await story.run(by)
    await story.run(who)


MAIL: Final[Moves] = ((_send, 8), (_run, 8))
CRASHES: Final[Moves] = (
    *MAIL,
    (_together, 8),
    (_crash, 8),
    (_crash_hub, 8),
    (_start, 3),
    (_start_hub, 3),
    (_go_on, 3),
)
ARRIVALS: Final[Moves] = (*MAIL, (_crash_on_arrival, 16), (_start, 3))
RESTORES: Final[Moves] = (*MAIL, (_backup, 4), (_restore, 3), (_spoil, 2))
LOSSES: Final[Moves] = (*MAIL, (_wait_long, 4), (_expire, 2))
SLOW_CLOCKS: Final[Moves] = (*MAIL, (_clock, 4), (_rotate, 3))
PIECES: Final[Moves] = (*MAIL, (_send_long, 12), (_spoil, 4), (_cut, 2), (_together, 4))
FILES: Final[Moves] = (*MAIL, (_send_file, 12), (_ask, 8), (_spoil, 3), (_hurt, 4), (_fill, 2))
LIES: Final[Moves] = (*MAIL, (_withhold, 2), (_forge, 2))
MOVES: Final[dict[tuple[Move, int], bool]] = {
    (_send, 16): True,
    (_run, 14): True,
    (_start, 3): True,
    (_start_hub, 2): True,
    (_go_on, 3): True,
    (_wait, 3): True,
    (_expire, 1): True,
    (_send_long, 4): False,
    (_send_file, 4): False,
    (_ask, 3): False,
    (_together, 6): False,
    (_crash, 5): False,
    (_crash_hub, 3): False,
    (_cut, 3): False,
    (_spoil, 3): False,
    (_hurt, 2): False,
    (_fill, 2): False,
    (_wait_long, 2): False,
    (_clock, 3): False,
    (_erase, 3): False,
    (_backup, 4): False,
    (_restore, 2): False,
    (_rotate, 1): False,
}
