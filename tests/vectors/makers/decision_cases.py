"""Leaves about the network itself: officers, policy, change of hub, tick (§9.7, §9.10, §9.11); checkpoints of terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from exchange.canonical import b64, sha256
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.life_cases import AT, PAPER, Said, digest, life_case, life_leaves, status, suspend
from tests.vectors.makers.log_cases import BOTH, body, checkpoint, checkpoint_json, good_leaves, root
from tests.vectors.makers.network import DAY, NOW, OFFICERS, ORIGIN, SIZE, jcs, keys_json

ANN, BEN = BOTH
MOST = ("bb", "co")  # of three members


def decision_cases() -> Iterator[Case]:
    yield from _officers()
    yield from _policies()
    yield from _changes_of_hub()
    yield from _ticks()
    yield from _checkpoints()


def officers(*names: str, keys: dict[str, str] | None = None, **changed: Any) -> dict[str, Any]:
    """A team; an officer has the keys of `officer/NAME` unless `keys` names others'."""
    rows = [{"name": one, "keys": keys_json((keys or {}).get(one, f"officer/{one}"))} for one in names]
    return body("officers", ["network", "officers"], **{"officers": rows, "threshold": 2, **changed})


def _officers() -> Iterator[Case]:
    one, two = sorted(OFFICERS)
    newcomer = {"zoe": "newcomer"}
    team = officers(one, two, "zoe", keys=newcomer)
    proof = "officer/zoe:newcomer"
    yield life_case("officers", "old threshold, most members, the new one", "", (team, [*BOTH, proof, *MOST]))
    few = (team, [*BOTH, proof, "bb"])
    yield life_case("officers_few_members", "one member of three", "too-few-members", few)
    alone = (team, [ANN, proof, *MOST])
    yield life_case("officers_few_officers", "one old officer and the new", "too-few-officers", alone)
    yield life_case(
        "officers_no_possession", "the new one didn't sign", "no-possession", (team, [*BOTH, *MOST])
    )
    used = officers(one, two, "zoe", keys={"zoe": "co"})
    yield life_case(
        "officers_key_reused", "co's keys", "key-reused", (used, [*BOTH, "officer/zoe:co", *MOST])
    )
    renewed = officers(one, two, keys={one: "newcomer"})
    yield life_case(
        "officers_old_key", "signed by the key that goes", "bad-signature", (renewed, [*BOTH, *MOST])
    )
    counted = (renewed, [f"officer/{one}:newcomer", f"officer/{two}", *MOST])
    yield life_case("officers_new_key_counts", "the new key is no old officer", "too-few-officers", counted)
    gone = officers(one, "zoe", keys=newcomer)
    after = (gone, [*BOTH, proof, *MOST])
    late = (status("restrict"), BOTH)
    yield life_case("officers_gone_signs", "an officer that went", "bad-signature", after, late)
    yield life_case("officers_new_signs", "one that came", "", after, (status("restrict"), [ANN, proof]))
    for name, why, value in (
        ("unsorted", "not in order of name", officers(two, one)),
        ("twice", "one twice", officers(one, one)),
        ("threshold_high", "more than there are", officers(one, threshold=2)),
        ("threshold_zero", "nobody", officers(one, two, threshold=0)),
    ):
        yield life_case(f"officers_{name}", why, "bad-statement", (value, [*BOTH, *MOST]))


def policy(**changed: Any) -> dict[str, Any]:
    rest = {
        "agreement": b64(sha256(b"accession agreement")),
        "officers": 2,
        "secretariat": "bb",
        "sponsors": 1,
    }
    return body("policy", ["network", "policy"], **{**rest, **changed})


def _policies() -> Iterator[Case]:
    yield life_case("policy", "officers and most members", "", (policy(), [*BOTH, *MOST]))
    none = policy(agreement="", secretariat="")
    yield life_case("policy_none", "no secretariat, no agreement", "", (none, [*BOTH, *MOST]))
    lower = (policy(), BOTH)
    yield life_case("policy_no_members", "sponsors lowered by officers", "too-few-members", lower)
    yield life_case("policy_one_officer", "one of two", "too-few-officers", (policy(), [ANN, *MOST]))
    voice = (policy(), [*BOTH, "bb", "pe"])
    yield life_case("policy_suspended", "a suspended member has its say", "", (suspend(), BOTH), voice)
    stranger = (policy(secretariat="stranger"), [*BOTH, *MOST])
    yield life_case("policy_unknown_member", "no such secretariat", "unknown-member", stranger)
    removed = (policy(secretariat="pe"), [*BOTH, *MOST])
    yield life_case("policy_removed", "pe is removed", "unknown-member", (status("remove"), BOTH), removed)
    for name, why, changed in (
        ("officers_high", "more officers than there are", {"officers": 3}),
        ("sponsors_zero", "nobody", {"sponsors": 0}),
        ("agreement_short", "31 bytes", {"agreement": b64(bytes(31))}),
        ("secretariat_unit", "a unit's address", {"secretariat": "bb/desk"}),
    ):
        yield life_case(f"policy_{name}", why, "bad-statement", (policy(**changed), [*BOTH, *MOST]))


def hub_change(size: int = SIZE, **changed: Any) -> dict[str, Any]:
    """Another hub, with the keys of `newcomer`, after log/good."""
    hub = {"address": "https://hub2.example", "ca": "", "keys": keys_json("newcomer")}
    rest = {"from": [size, b64(root(good_leaves()[:size]))], "hub": hub, "term": 1}
    return body("hub-change", ["network", "hub"], **{**rest, **changed})


NEW_HUB = "hub:newcomer"


def _changes_of_hub() -> Iterator[Case]:
    change = hub_change()
    yield life_case("hub_change", "the new hub and both officers", "", (change, [*BOTH, NEW_HUB]))
    yield life_case("hub_change_recovery", "the new hub and recovery", "", (change, [NEW_HUB, "recovery"]))
    bare = (change, [NEW_HUB])
    yield life_case("hub_change_alone", "no officers, no recovery", "too-few-officers", bare)
    mob = (change, [NEW_HUB, "bb", "co", "pe"])
    yield life_case("hub_change_members", "every member", "too-few-officers", mob)
    yield life_case("hub_change_one_officer", "one of two", "too-few-officers", (change, [ANN, NEW_HUB]))
    yield life_case("hub_change_no_possession", "the new hub didn't sign", "no-possession", (change, BOTH))
    yield life_case("hub_change_old_hub", "the old hub signed", "bad-signature", (change, [*BOTH, "hub"]))
    other = (hub_change(SIZE - 1), [*BOTH, NEW_HUB])
    yield life_case("hub_change_size", "from one leaf before", "wrong-from", other)
    elsewhere = hub_change(**{"from": [SIZE, b64(bytes(range(32)))]})
    yield life_case("hub_change_root", "from another log", "wrong-from", (elsewhere, [*BOTH, NEW_HUB]))
    skipped = (hub_change(term=2), [*BOTH, NEW_HUB])
    yield life_case("hub_change_term", "a term is skipped", "wrong-from", skipped)
    used = hub_change(hub={"address": "https://hub2.example", "ca": "", "keys": keys_json("co")})
    yield life_case("hub_change_key_reused", "co's keys", "key-reused", (used, [*BOTH, "hub:co"]))
    second = hub_change(SIZE + 1, hub={"address": ORIGIN, "ca": "", "keys": keys_json("stranger")}, term=2)
    first = (change, [*BOTH, NEW_HUB])
    stale = (second, [*BOTH, "hub:stranger"])
    yield life_case("hub_change_stale", "made before the first", "stale", first, stale, quiet=True)
    for name, why, changed in (
        ("size_zero", "from nothing", {"from": [0, b64(root([]))]}),
        ("term_zero", "the genesis' hub has term 0", {"term": 0}),
        (
            "address_path",
            "no origin",
            {"hub": {"address": "https://x/y", "ca": "", "keys": keys_json("newcomer")}},
        ),
    ):
        yield life_case(f"hub_change_{name}", why, "bad-statement", (hub_change(**changed), [*BOTH, NEW_HUB]))


def _ticks() -> Iterator[Case]:
    tick = body("tick", ["network", "time"], not_after=NOW + 40 * DAY)
    start = AT - DAY
    emergency = (suspend(), [ANN], start)
    yield life_case("tick", "an emergency is over", "", emergency, (tick, ["hub"], start + DAY))
    yield life_case("tick_not_due", "1 ms before", "not-due", emergency, (tick, ["hub"], start + DAY - 1))
    again = {**tick, "after": b64(digest(tick))}
    twice = (emergency, (tick, ["hub"], start + DAY), (again, ["hub"]))
    yield life_case("tick_twice", "it has been said", "not-due", *twice)
    yield life_case("tick_by_member", "pe signs", "not-own", emergency, (tick, ["pe"], start + DAY))
    yield life_case(
        "tick_by_two", "an officer beside", "not-own", emergency, (tick, ["hub", ANN], start + DAY)
    )
    more = {**tick, "note": PAPER}
    yield life_case("tick_more", "a further member", "bad-statement", emergency, (more, ["hub"], start + DAY))


# -- checkpoints of terms ---------------------------------------------------------------------------------------------


def _checkpoints() -> Iterator[Case]:
    def case(
        name: str,
        why: str,
        code: str,
        signer: str,
        *,
        term: int = 1,
        before: bool = False,
        said: Sequence[Said] = (),
    ) -> Case:
        def made() -> Made:
            more = life_leaves(said or ((hub_change(), [*BOTH, NEW_HUB]),))()
            leaves = [*good_leaves(), *(one.encode("ascii") for one in more)]
            size = SIZE if before else len(leaves)
            value = checkpoint(size=size, root=b64(root(leaves[:size])), term=term)
            given = {"after": "log/good", "more": more, "checkpoint": checkpoint_json(jcs(value), signer)}
            return given, None if code else {"size": size, "term": term}

        outcome = {"": "", "hold.directory-behind": "hold"}.get(code, "rejected")
        return Case("checkpoint_term", name, why, made, code or "ok", outcome, fixed=False)

    forged = "checkpoint.bad-signature"
    yield case("new_hub", "of term 1, by its hub", "", "newcomer")
    yield case("old_hub_before", "of term 0, by its hub, over what it logged", "", "hub", term=0, before=True)
    yield case("old_hub", "of term 1, by the hub of term 0", forged, "hub")
    yield case(
        "new_hub_of_old_term", "of term 0, by the hub of term 1", forged, "newcomer", term=0, before=True
    )
    yield case(
        "later_term", "of a term that the log doesn't have", "hold.directory-behind", "newcomer", term=2
    )
    yield case("by_member", "of term 1, by a member", forged, "pe")
