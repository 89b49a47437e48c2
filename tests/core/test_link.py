"""Chains against a model: a sender that restarts and is restored, a way that drops and reorders, a recipient that keeps
what docs/protocol.md §6.2 says. The single rules have a vector each (tests/vectors/link).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st

from exchange.canonical import ZERO32, sha256
from exchange.link import Gap, LaneView, Link, Placement, StoredLink, close, commitment, place

NET = sha256(b"net")


@dataclass
class Sender:
    """What a home holds of one (lane, recipient); a restore brings an earlier state back."""

    runs: int = 0
    made: int = 0
    seq: int = 0
    prev: bytes = ZERO32
    chain: bytes = b""
    states: list[tuple[int, bytes]] = field(default_factory=list)

    def restart(self) -> None:
        self.runs += 1
        self.chain = sha256(b"run %d" % self.runs)[:16]

    def restore(self, back: int) -> None:
        self.seq, self.prev = self.states[-1 - back % len(self.states)] if self.states else (0, ZERO32)
        self.restart()

    def send(self) -> StoredLink:
        self.states.append((self.seq, self.prev))
        self.made += 1
        sent = StoredLink(self.chain, self.seq + 1, sha256(b"env %d" % self.made), self.prev)
        self.seq, self.prev = sent.seq, sent.env
        return sent


@dataclass
class Recipient:
    """What a node keeps of one (sender, lane)."""

    links: list[StoredLink] = field(default_factory=list)
    head: StoredLink | None = None
    gaps: list[Gap] = field(default_factory=list)

    def take(self, new: StoredLink) -> Placement:
        view = LaneView(
            head=self.head,
            near=[one for one in self.links if abs(one.seq - new.seq) <= 1],
            gaps=self.gaps,
            chain_known=any(one.chain == new.chain for one in self.links),
        )
        verdict = place(view, Link(new.chain, new.seq, new.prev), new.env)
        self.links.append(new)
        if verdict.becomes_head:
            self.head = new
        if verdict.opened:
            self.gaps.append(verdict.opened)
        if verdict.filled:
            self.gaps = close(self.gaps, new.seq)
        return verdict

    @property
    def open(self) -> set[int]:
        return {number for gap in self.gaps for number in range(gap.first, gap.last + 1)}

    @property
    def unaccounted(self) -> set[int]:
        """Numbers up to the highest seen that are neither here nor missed."""
        seen = {one.seq for one in self.links}
        return set(range(1, max(seen, default=0) + 1)) - seen - self.open


# what a sender does: messages of a run, then how the next run comes about (a plain restart, or a restore)
RUNS = st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(0, 10)), min_size=1, max_size=5)


def sent(runs: list[tuple[int, int | None]], *, restores: bool) -> list[list[StoredLink]]:
    """The messages, run by run."""
    sender = Sender()
    whole = []
    for count, back in runs:
        if restores and back is not None:
            sender.restore(back)
        else:
            sender.restart()
        whole.append([sender.send() for _ in range(count)])
    return whole


@given(RUNS)
def test_in_order_nothing_is_marked_across_restarts(runs: list[tuple[int, int | None]]) -> None:
    node = Recipient()
    for message in (one for run in sent(runs, restores=False) for one in run):
        assert node.take(message) == Placement("", becomes_head=True)
    assert node.gaps == []


@settings(max_examples=300)
@given(RUNS, st.data())
def test_whatever_happens_nothing_is_a_fork_and_nothing_is_forgotten(
    runs: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    """Any order, any loss, any restore: no sender ever uses a number of its chain twice."""
    whole = [one for run in sent(runs, restores=True) for one in run]
    arriving = data.draw(st.lists(st.sampled_from(whole), unique=True)) if whole else []
    node = Recipient()
    for message in arriving:
        verdict = node.take(message)
        assert verdict.mark in ("", "late", "restarted")
        assert verdict.fork_with is None
        assert node.unaccounted == set()


@settings(max_examples=300)
@given(RUNS, st.data())
def test_what_was_lost_closes_its_gap_when_it_comes(
    runs: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    """Reordered within a run and lost at will; then the sender answers `missing`, the highest number first (§6.3)."""
    whole = sent(runs, restores=False)
    node = Recipient()
    for run in whole:
        for message in data.draw(st.permutations(run)) if run else []:
            if data.draw(st.booleans()):
                node.take(message)
                assert node.unaccounted == set()
    every = [one for run in whole for one in run]
    lost = sorted((one for one in every if one not in node.links), key=lambda one: -one.seq)
    head = node.head.seq if node.head else 0
    assert node.open == {one.seq for one in lost if one.seq < head}
    for message in lost:
        if message.seq < head:
            verdict = node.take(message)
            assert (verdict.mark, verdict.filled, verdict.becomes_head) == ("late", True, False)
    assert node.open == set()


@given(RUNS.filter(lambda runs: sum(count for count, _ in runs) > 0), st.data())
def test_a_number_used_twice_is_a_fork(runs: list[tuple[int, int | None]], data: st.DataObject) -> None:
    node = Recipient()
    whole = [one for run in sent(runs, restores=False) for one in run]
    for message in whole:
        node.take(message)
    first = data.draw(st.sampled_from(whole))
    second = StoredLink(first.chain, first.seq, sha256(b"another"), first.prev)
    verdict = node.take(second)
    assert verdict.mark == "fork"
    assert verdict.fork_with in {one.env for one in whole if abs(one.seq - first.seq) <= 1}
    assert verdict.becomes_head is False


@given(RUNS.filter(lambda runs: sum(count for count, _ in runs) > 0))
def test_another_past_of_the_same_run_is_a_fork(runs: list[tuple[int, int | None]]) -> None:
    node = Recipient()
    whole = [one for run in sent(runs, restores=False) for one in run]
    for message in whole:
        node.take(message)
    last = whole[-1]
    verdict = node.take(StoredLink(last.chain, last.seq + 1, sha256(b"next"), sha256(b"another past")))
    assert (verdict.mark, verdict.fork_with, verdict.becomes_head) == ("fork", last.env, True)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=6),
    st.integers(1, 70),
)
def test_closing_takes_one_number_out(bounds: list[tuple[int, int]], seq: int) -> None:
    gaps = [Gap(first, first + length, b"c" * 16) for first, length in bounds]

    def numbers(some: list[Gap]) -> list[int]:
        return sorted(number for gap in some for number in range(gap.first, gap.last + 1))

    left = close(gaps, seq)
    assert numbers(left) == [number for number in numbers(gaps) if number != seq]
    assert all(gap.first <= gap.last for gap in left)


def test_a_commitment_is_of_all_its_parts() -> None:
    nonce, link = bytes(16), Link(bytes(16), 1)
    others = [
        commitment(NET, bytes([1]) * 16, link),
        commitment(NET, nonce, Link(bytes([1]) * 16, 1)),
        commitment(NET, nonce, Link(bytes(16), 2)),
        commitment(NET, nonce, Link(bytes(16), 1, bytes([1]) * 32)),
        commitment(sha256(NET), nonce, link),
        commitment(NET, nonce, link),
    ]
    assert len(set(others)) == 6
