"""Every rule of docs/protocol.md §6.2 on where an envelope stands in its chain. Nothing here refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from exchange.canonical import b64
from tests.vectors.makers.case import Case, steady

ZERO = bytes(32)


def env(label: str) -> bytes:
    """The envelope id that the test calls `label`."""
    return hashlib.sha256(label.encode("ascii")).digest()


def chain(label: str) -> bytes:
    return env(f"chain {label}")[:16]


def stored(where: str, seq: int, name: str, prev: bytes = ZERO) -> dict[str, Any]:
    return {"chain": b64(chain(where)), "seq": seq, "env": b64(env(name)), "prev": b64(prev)}


def link_cases() -> Iterator[Case]:
    """c: the chain of the head; d: a new one. Envelopes of chain c are called c1, c2, ..."""

    def case(
        name: str,
        why: str,
        link: tuple[str, int, bytes],
        *,
        head: dict[str, Any] | None = None,
        near: Any = (),
        gaps: Any = (),
        seen: bool | None = None,
        this: str = "new",
        **output: Any,
    ) -> Case:
        where, seq, prev = link
        known = head is not None and where == "c" if seen is None else seen
        view = {
            "head": head,
            "near": list(near),
            "gaps": [{"first": a, "last": b, "chain": b64(chain(c))} for a, b, c in gaps],
            "chain_known": known,
        }
        given = {
            "view": view,
            "link": {"chain": b64(chain(where)), "seq": seq, "prev": b64(prev)},
            "env": b64(env(this)),
        }
        verdict = {
            "mark": "",
            "becomes_head": False,
            "opened": None,
            "filled": False,
            "fork_with": None,
            **output,
        }
        return steady("link", name, why, given, output=verdict)

    c5 = stored("c", 5, "c5", env("c4"))
    c3, c7 = stored("c", 3, "c3", env("c2")), stored("c", 7, "c7", env("c6"))
    d3 = stored("d", 3, "d3", env("c2"))
    head = {"becomes_head": True}
    late = {"mark": "late"}
    fills = {"mark": "late", "filled": True}

    def gap(first: int, last: int, where: str = "c") -> dict[str, Any]:
        return {"first": first, "last": last, "chain": b64(chain(where))}

    yield case("rule2_first", "the first message", ("c", 1, ZERO), **head)
    yield case(
        "rule2_first_missed", "the third is the first to come", ("c", 3, env("c2")), **head, opened=gap(1, 2)
    )
    yield case("rule2_first_of_unknown", "number 1 with a prev", ("c", 1, env("x")), **head, mark="restarted")
    yield case("rule3_in_order", "follows the head", ("c", 6, env("c5")), head=c5, near=[c5], **head)
    yield case("rule3_new_chain", "the sender's next run", ("d", 6, env("c5")), head=c5, near=[c5], **head)
    yield case(
        "rule4_fills_by_chain",
        "the missing number of the gap's chain",
        ("c", 4, env("c3")),
        head=c5,
        near=[c3, c5],
        gaps=[(4, 4, "c")],
        this="c4",
        **fills,
    )
    yield case(
        "rule4_fills_middle",
        "one of three missing",
        ("c", 3, env("c2")),
        head=c5,
        gaps=[(2, 4, "c")],
        **fills,
    )
    yield case(
        "rule4_fills_by_prev",
        "an unseen chain, but it follows a stored link",
        ("d", 4, env("c3")),
        head=c5,
        near=[c3, c5],
        gaps=[(4, 4, "c")],
        **fills,
    )
    yield case(
        "rule4_fills_first",
        "an unseen chain, but it is a first message",
        ("d", 1, ZERO),
        head=c5,
        near=[],
        gaps=[(1, 4, "c")],
        **fills,
    )
    yield case(
        "rule4_fills_by_next",
        "an unseen chain, but a stored link follows it",
        ("d", 4, env("x")),
        head=c5,
        near=[c5],
        gaps=[(4, 4, "c")],
        this="c4",
        **fills,
    )
    yield case(
        "rule4_fits_nothing",
        "an unseen chain that fits no neighbour: a restored sender",
        ("d", 4, env("x")),
        head=c5,
        near=[c3, c5],
        gaps=[(4, 4, "c")],
        mark="restarted",
        **head,
    )
    after_restart = {"head": d3, "gaps": [(4, 4, "c")], "near": [d3, c5]}
    yield case(
        "rule4_before_rule5",
        "one above the head of a restarted sender, but missing",
        ("c", 4, env("c3")),
        seen=True,
        this="c4",
        **after_restart,
        **fills,
    )
    yield case("rule5_gap", "two numbers skipped", ("c", 8, env("c7")), head=c5, **head, opened=gap(6, 7))
    yield case(
        "rule5_gap_new_chain",
        "skipped across runs",
        ("d", 7, env("c6")),
        head=c5,
        **head,
        opened=gap(6, 6, "d"),
    )
    yield case(
        "rule5_prev_unknown",
        "the next number after something never seen",
        ("d", 6, env("x")),
        head=c5,
        near=[c5],
        **head,
        mark="restarted",
    )
    yield case(
        "rule5_largest", "2^53-1", ("c", 2**53 - 1, env("x")), head=c5, **head, opened=gap(6, 2**53 - 2)
    )
    yield case(
        "rule6_late",
        "an old number of a known chain, not missing any more",
        ("c", 2, env("c1")),
        head=c5,
        **late,
    )
    yield case(
        "rule6_late_of_older_chain",
        "an old number of a chain seen before",
        ("b", 2, env("b1")),
        head=c5,
        seen=True,
        **late,
    )
    yield case(
        "rule7_restored",
        "an old number in a new chain",
        ("d", 3, env("c2")),
        head=c5,
        **head,
        mark="restarted",
    )
    fork = {"mark": "fork"}
    yield case(
        "rule1_same_number",
        "the head's number again with another envelope",
        ("c", 5, env("c4")),
        head=c5,
        near=[c5],
        **fork,
        fork_with=c5["env"],
    )
    yield case(
        "rule1_wrong_prev",
        "prev isn't the stored link before",
        ("c", 6, env("x")),
        head=c5,
        near=[c5],
        **fork,
        **head,
        fork_with=c5["env"],
    )
    yield case(
        "rule1_wrong_next",
        "the stored link after names another prev",
        ("c", 6, env("c5")),
        head=c7,
        near=[c5, c7],
        gaps=[(6, 6, "c")],
        **{**fills, **fork},
        fork_with=c7["env"],
    )
    yield case(
        "rule1_other_chain",
        "the same number in another chain is no fork",
        ("d", 5, env("c4")),
        head=c5,
        near=[c5],
        **head,
        mark="restarted",
    )
    yield case(
        "rule1_opens_gap",
        "a fork above a restarted head that skips numbers",
        ("c", 8, env("x")),
        head=d3,
        near=[c7],
        seen=True,
        **fork,
        **head,
        opened=gap(4, 7),
        fork_with=c7["env"],
    )
    yield case(
        "rule1_fits_both",
        "fits both neighbours",
        ("c", 6, env("c5")),
        head=c7,
        near=[c5, c7],
        gaps=[(6, 6, "c")],
        this="c6",
        **fills,
    )
    yield case(
        "repeated_gap_number",
        "in a gap, beside a stored link of another chain",
        ("c", 6, env("c5")),
        head=stored("d", 9, "d9"),
        near=[c5, stored("d", 7, "d7")],
        gaps=[(6, 6, "d")],
        seen=True,
        this="c6",
        **fills,
    )
