"""Checkpoints and submissions: their form, whose signature, and how a rollback and a split view are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import NOW, World, keys, make_world

from exchange.canonical import b64, dumps, h, loads
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint, check_consistent, check_fresh, compare
from exchange.directory.log import Tree
from exchange.directory.submission import LOGGED, PENDING, SUPERSEDED, SignedSubmission, Submission
from exchange.errors import Rejected, Unavailable
from exchange.keys import CHECKPOINT, SUBMISSION
from exchange.limits import DAY_MS
from exchange.merkle import root

HUB = keys("hub").public.signing
HASH = bytes(range(32))


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def forged(world: World, size: int) -> SignedCheckpoint:
    """A checkpoint that the hub really signed, of a log that nobody else was shown."""
    return SignedCheckpoint.sign(Checkpoint(world.net, 0, size, HASH, NOW), world.hub_keys)


def test_hub_signed_checkpoint_says_what_the_log_is(world: World) -> None:
    signed = world.checkpoint
    checkpoint = signed.verify(world.net, world.directory)
    assert (checkpoint.size, checkpoint.root, checkpoint.at) == (7, world.directory.root(), NOW)
    ref = signed.ref(world.net)
    assert (ref.size, ref.root) == (7, world.directory.root())
    assert ref.checkpoint == h(world.net, "checkpoint", signed.body, signed.signature)
    assert SignedCheckpoint.from_json(signed.to_json()) == signed


def test_checkpoint_by_anybody_else_is_rejected(world: World) -> None:
    signed = SignedCheckpoint.sign(Checkpoint(world.net, 0, 7, HASH, NOW), keys("pe-csirt"))
    with pytest.raises(Rejected, match=r"checkpoint.bad-signature"):
        signed.verify(world.net, world.directory)


CHECKPOINT_FLAWS = {
    "v": 2,
    "net": b64(HASH),
    "accepts": ["x"],
    "term": "0",
    "size": 0,
    "root": b64(bytes(31)),
    "at": "now",
    "more": 1,
}


@pytest.mark.parametrize("name", CHECKPOINT_FLAWS)
def test_checkpoint_of_a_wrong_form_is_rejected_though_signed(world: World, name: str) -> None:
    good = Checkpoint(world.net, 0, 7, HASH, NOW).to_bytes()
    body = dumps({**loads(good, most=1_024), name: CHECKPOINT_FLAWS[name]})
    signed = SignedCheckpoint(body, world.hub_keys.sign(CHECKPOINT, body))
    with pytest.raises(Rejected, match=r"checkpoint.bad-format"):
        signed.verify(world.net, world.directory)


@pytest.mark.parametrize("value", [None, {}, {"body": "AA", "signature": "AA"}, {"body": 1, "signature": 2}])
def test_json_that_is_no_signed_thing_is_rejected(value: object) -> None:
    with pytest.raises(Rejected, match=r"checkpoint.bad-format"):
        SignedCheckpoint.from_json(value)
    with pytest.raises(Rejected, match=r"submission.bad-format"):
        SignedSubmission.from_json(value)


def test_growing_log_follows(world: World) -> None:
    for held, offered in ((None, 1), (None, 7), (1, 7), (6, 7), (7, 7)):
        compare(
            world.checkpoint_at(held) if held else None,
            world.checkpoint_at(offered),
            world.directory,
            world.net,
        )
    compare(world.checkpoint, forged(world, 8), world.directory, world.net)  # nothing known of leaf 8 yet


def test_shorter_log_is_a_rollback_with_both_as_evidence(world: World) -> None:
    held, offered = world.checkpoint, world.checkpoint_at(6)
    with pytest.raises(Rejected) as refused:
        compare(held, offered, world.directory, world.net)
    assert refused.value.code == "directory.rollback"
    assert refused.value.facts == {"held": held, "offered": offered}
    check_consistent(held, offered, world.directory, world.net)  # from a peer that is behind it is no fault


@pytest.mark.parametrize("size", [1, 6, 7])
def test_another_root_is_a_split_with_both_as_evidence(world: World, size: int) -> None:
    held, offered = world.checkpoint, forged(world, size)
    for check in (compare, check_consistent):
        with pytest.raises(Rejected) as refused:
            check(held, offered, world.directory, world.net)
        assert refused.value.code == "directory.split"
        assert refused.value.facts == {"held": held, "offered": offered}


def test_split_shows_before_the_leaves_are_here(world: World) -> None:
    held = SignedCheckpoint.sign(Checkpoint(world.net, 0, 9, bytes(32), NOW), world.hub_keys)
    with pytest.raises(Rejected, match=r"directory.split"):
        compare(held, forged(world, 9), world.directory, world.net)


def test_checkpoint_older_than_a_day_takes_no_new_keys(world: World) -> None:
    checkpoint = world.checkpoint.verify(world.net, world.directory)
    check_fresh(checkpoint, NOW + DAY_MS)
    with pytest.raises(Unavailable, match=r"directory.stale-checkpoint"):
        check_fresh(checkpoint, NOW + DAY_MS + 1)


# -- the tree ---------------------------------------------------------------------------------------------------


def test_tree_has_the_root_of_every_size() -> None:
    leaves, tree = [bytes([number]) for number in range(70)], Tree()
    for size in range(71):
        assert tree.size == size
        assert [tree.root(n) for n in range(size + 1)] == [root(leaves[:n]) for n in range(size + 1)]
        assert tree.root_with(leaves[size:]) == root(leaves)
        assert tree.root_with(()) == tree.root(size)
        if size < 70:
            tree.append(leaves[size])


@pytest.mark.parametrize("size", [-1, 2])
def test_tree_has_no_root_beyond_its_size(size: int) -> None:
    tree = Tree()
    tree.append(b"leaf")
    with pytest.raises(IndexError):
        tree.root(size)


def test_root_of_a_page_is_known_before_it_is_taken(world: World) -> None:
    behind = type(world.directory).replay(world.leaves[:3], now=NOW)
    assert behind.root_with(world.leaves[3:]) == world.directory.root()
    assert behind.size == 3


# -- submissions ------------------------------------------------------------------------------------------------


def submission(world: World, outcome: str = LOGGED, **more) -> Submission:
    return Submission(net=world.net, statement=HASH, outcome=outcome, at=NOW, **more)


@pytest.mark.parametrize(
    ("outcome", "more"),
    [(LOGGED, {"index": 9}), (PENDING, {"until": NOW + DAY_MS}), (SUPERSEDED, {"by": bytes(32)})],
)
def test_hub_answers_for_a_statement(world: World, outcome: str, more) -> None:
    answer = submission(world, outcome, **more)
    signed = SignedSubmission.sign(answer, world.hub_keys)
    assert SignedSubmission.from_json(signed.to_json()).verify(world.net, HUB, statement=HASH) == answer


def test_answer_by_anybody_else_is_rejected(world: World) -> None:
    signed = SignedSubmission.sign(submission(world), keys("pe-csirt"))
    with pytest.raises(Rejected, match=r"submission.bad-signature"):
        signed.verify(world.net, HUB, statement=HASH)


def test_answer_for_another_statement_is_rejected(world: World) -> None:
    signed = SignedSubmission.sign(submission(world), world.hub_keys)
    with pytest.raises(Rejected, match=r"submission.bad-format"):
        signed.verify(world.net, HUB, statement=bytes(32))


@pytest.mark.parametrize(
    "flaw",
    [
        {"v": 2},
        {"net": b64(HASH)},
        {"outcome": "lost"},
        {"until": 1},
        {"by": b64(HASH)},
        {"outcome": PENDING, "index": 1},
        {"outcome": SUPERSEDED},
        {"statement": ""},
        {"more": 1},
    ],
    ids=str,
)
def test_answer_of_a_wrong_form_is_rejected_though_signed(world: World, flaw) -> None:
    body = dumps({**loads(submission(world).to_bytes(), most=1_024), **flaw})
    signed = SignedSubmission(body, world.hub_keys.sign(SUBMISSION, body))
    with pytest.raises(Rejected, match=r"submission.bad-format"):
        signed.verify(world.net, HUB, statement=HASH)


def test_signature_of_one_kind_is_none_of_another(world: World) -> None:
    signed = world.checkpoint
    with pytest.raises(Rejected, match=r"submission.bad-signature"):
        SignedSubmission(signed.body, signed.signature).verify(world.net, HUB, statement=HASH)
    changed = replace(signed, signature=world.hub_keys.sign(SUBMISSION, signed.body))
    with pytest.raises(Rejected, match=r"checkpoint.bad-signature"):
        changed.verify(world.net, world.directory)
