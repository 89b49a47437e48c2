"""The simulator under a hypothesis state machine: what can happen, in whatever order it finds.

Every run ends in peace: links heal, queues drain, and every promise of ledger.py is checked against the files. The
story's own chance is drawn, too, so that the calls that hypothesis prints of a failure are all of it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from tests.simulation import network
from tests.simulation.driver import pass_over_crashes
from tests.simulation.files import SIZES
from tests.simulation.links import ANSWER_LOST, LATE, REPEATED, REPEATED_LATE, REQUEST_LOST
from tests.simulation.people import LANES, LENGTHS, LIVES
from tests.simulation.steps import OneThread, Process
from tests.simulation.story import Story

MEMBERS = 3
EXAMPLES = 33
STEPS = 30
SITES = st.integers(0, MEMBERS - 1)
ANY = st.one_of(st.none(), SITES)  # a node, or the hub
CRASH_AT = st.integers(1, 80)
TURNS = st.one_of(st.none(), st.integers(1, 60))
SEVERAL = st.lists(SITES, min_size=1, max_size=MEMBERS, unique=True)


@pytest.fixture
def folder() -> Iterator[None]:
    with network.working_folder() as made:
        network.work_in(made)
        yield


class Network(RuleBasedStateMachine):
    """Three nodes and a hub."""

    story: Story

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=OneThread)
        self.runner.get_loop().set_exception_handler(pass_over_crashes)
        self.play(network.prepare(MEMBERS))
        self.folder = network.scratch()

    def play(self, work: Coroutine[Any, Any, None]) -> None:
        self.runner.run(work)

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.story = Story(self.folder, f"machine {seed}", MEMBERS)
        self.play(self.story.begin())

    @rule(
        who=SITES,
        to=SEVERAL,
        lane=st.sampled_from(LANES),
        life=st.sampled_from(LIVES),
        separate=st.booleans(),
    )
    def write(self, who: int, to: list[int], lane: str, life: int, separate: bool) -> None:
        self.story.send(who, to, lane, life, separate)

    @rule(
        who=SITES,
        to=SEVERAL,
        lane=st.sampled_from(LANES),
        life=st.sampled_from(LIVES),
        length=st.sampled_from(LENGTHS),
    )
    def write_at_length(self, who: int, to: list[int], lane: str, life: int, length: int) -> None:
        self.story.send(who, to, lane, life, length=length)

    @rule(
        who=SITES,
        to=SEVERAL,
        lane=st.sampled_from(LANES),
        life=st.sampled_from(LIVES),
        size=st.sampled_from(SIZES),
    )
    def write_with_a_file(self, who: int, to: list[int], lane: str, life: int, size: int) -> None:
        self.story.send(who, to, lane, life, file=size)

    @rule(who=SITES, which=st.integers(0, 9))
    def ask(self, who: int, which: int) -> None:
        self.story.ask(who, which)

    @rule(whos=SEVERAL, turns=TURNS)
    def passes(self, whos: list[int], turns: int | None) -> None:
        self.play(self.story.together(whos, turns))

    @rule(turns=TURNS)
    def go_on(self, turns: int | None) -> None:
        self.play(self.story.go_on(turns))

    @rule(whos=SEVERAL, at=CRASH_AT)
    def crash(self, whos: list[int], at: int) -> None:
        self.play(self.story.together(whos, crash_at=at))

    @rule(who=SITES, at=st.integers(0, 10))
    def start(self, who: int, at: int) -> None:
        self.play(self.story.start(who, crash_at=at))

    @rule(at=st.integers(0, 30), whos=SEVERAL)
    def crash_hub(self, at: int, whos: list[int]) -> None:
        self.story.kill_hub(at)
        self.play(self.story.together(whos))

    @precondition(lambda self: self.story.sim.hub is None)
    @rule()
    def start_hub(self) -> None:
        self.play(self.story.start_hub())

    @rule(who=SITES, up=st.booleans())
    def cut(self, who: int, up: bool) -> None:
        self.story.cut(who, up)

    @rule(
        who=SITES,
        kind=st.sampled_from((REQUEST_LOST, ANSWER_LOST, REPEATED, LATE, REPEATED_LATE)),
        share=st.sampled_from((0.0, 0.2)),
    )
    def spoil(self, who: int, kind: str, share: float) -> None:
        self.story.spoil(who, kind, share)

    @rule(who=SITES)
    def hurt(self, who: int) -> None:
        self.story.hurt(who, 1)

    @rule(who=ANY, whos=SEVERAL)
    def full_disk(self, who: int | None, whos: list[int]) -> None:
        self.play(self.story.go_on())
        self.story.fill(who, True)
        self.play(self.story.together(whos))
        self.story.fill(who, False)

    @rule(time=st.sampled_from((MINUTE_MS, HOUR_MS, DAY_MS, 8 * DAY_MS)))
    def wait(self, time: int) -> None:
        self.play(self.story.wait(time))

    @rule(who=ANY, hours=st.integers(-6, 6))
    def clock(self, who: int | None, hours: int) -> None:
        self.story.clock(who, hours * HOUR_MS)

    @rule()
    def expire(self) -> None:
        self.play(self.story.expire())

    @rule(who=SITES, which=st.integers(0, 9))
    def erase(self, who: int, which: int) -> None:
        self.play(self.story.erase(who, which))

    @rule(who=ANY, by_command=st.booleans())
    def backup(self, who: int | None, by_command: bool) -> None:
        self.play(self.story.backup(who, by_command))

    @rule(who=ANY)
    def restore(self, who: int | None) -> None:
        self.play(self.story.restore(who))

    @rule(who=SITES)
    def rotate(self, who: int) -> None:
        self.play(self.story.rotate(who))

    def teardown(self) -> None:
        try:
            if hasattr(self, "story"):  # hypothesis may have broken off before `begin`
                self.end()
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    def end(self) -> None:
        try:
            faults = self.runner.run(self.story.end())
            assert faults == [], "\n".join(self.story.steps)
        finally:
            self.play(self.story.sim.close())


def test_what_is_printed_of_a_failure_is_all_of_it(folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls give the same run, however many there were before it."""
    points: list[str] = []
    point = Process.point

    async def noted(self: Process) -> None:
        points.append(self.name)
        await point(self)

    monkeypatch.setattr(Process, "point", noted)
    runs = []
    for _ in range(2):
        points.clear()
        state = Network()
        state.begin(seed=7)
        state.write(0, [1, 2], "flash", DAY_MS, separate=False)
        state.write(1, [0, 2], "routine", DAY_MS, separate=True)
        state.spoil(0, ANSWER_LOST, 0.2)
        state.passes([0, 1, 2], None)
        state.teardown()
        runs.append((list(points), state.story.steps))
    assert runs[0] == runs[1]


def test_every_promise_holds_whatever_happens(folder: None) -> None:
    run_state_machine_as_test(
        Network,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
