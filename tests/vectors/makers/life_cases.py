"""Leaves about a member's standing and keys: one flaw each, by the rules of docs/protocol.md §9.4, §9.7-9.9.

Each begins with log/good and, as `more`, the statements that bring the member to where the case begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exchange.canonical import b64, h
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.log_cases import BOTH, HOUR, add, body, leaf, prekeys
from tests.vectors.makers.network import (
    DAY,
    KEYS,
    NET,
    NEXT,
    NOW,
    REVOKE,
    SIZE,
    ZERO,
    Chance,
    jcs,
    keys_json,
    pair,
    skid,
)

AT = NOW - HOUR
PAPER = b64(Chance("paper")(32))
LATER = b64(Chance("keys after the next ones")(32))
SPONSORS = ("bb", "co")
ANN, BEN = BOTH
# a signer is a name, or `name:key` where it signs with another key than its first one
Said = tuple[dict[str, Any], Sequence[str]] | tuple[dict[str, Any], Sequence[str], int]


def _key(signer: str) -> Any:
    name, _, which = signer.partition(":")
    return (
        {"next": NEXT, "revoke": REVOKE}[which][name] if which in ("next", "revoke") else KEYS[which or name]
    )


def _signed(raw: bytes, signers: Sequence[str]) -> list[list[str]]:
    return sorted([signer.partition(":")[0], b64(_key(signer).sign("statement", raw))] for signer in signers)


def digest(value: dict[str, Any]) -> bytes:
    return h(NET, "statement", jcs(value))


def _times(said: Sequence[Said]) -> list[int]:
    times = [AT]
    for _, _, *when in said:
        times.append(when[0] if when else times[-1] + 1)
    return times[1:]


def life_leaves(said: Sequence[Said]) -> Callable[[], list[str]]:
    """What makes leaves after log/good of what was said, each 1 ms after the one before or when it says."""

    def made() -> list[str]:
        leaves = []
        for number, (at, (value, signers, *_)) in enumerate(zip(_times(said), said, strict=True)):
            raw = jcs(value)
            leaves.append(leaf(raw, _signed(raw, signers), SIZE + number, at).decode("ascii"))
        return leaves

    return made


def life_case(name: str, why: str, code: str, *said: Said, quiet: bool = False) -> Case:
    """The last of `said` is the leaf, the others come before it."""

    def made() -> Made:
        leaves = life_leaves(said)()
        now = max(NOW, *_times(said))
        given = {"after": "log/good", "more": leaves[:-1], "leaf": leaves[-1], "now": now}
        return given, {"effective": not code, "alarm": bool(code) and not quiet}

    outcome = "no-effect" if code else ""
    return Case("leaf", name, why, made, f"directory.{code}" if code else "ok", outcome, fixed=False)


def status(move: str, handle: str = "pe", after: bytes = ZERO, **changed: Any) -> dict[str, Any]:
    rest = {"document": PAPER, "ground": "audit", "move": move, "names": "", "until": 0}
    return body("status", [handle, "status"], **{**rest, "after": b64(after), **changed})


def suspend(handle: str = "pe", **changed: Any) -> dict[str, Any]:
    rest = {"document": PAPER, "ground": "key-theft", "until": NOW + 20 * DAY}
    return body("suspend", [handle, "status"], **{**rest, **changed})


ADD_PE = digest(add("pe", "PE"))
NEXT_PE = {**pair(NEXT["pe"].public.signing), "transport": b64(NEXT["pe"].public.transport)}
ROTATE = body("rotate", ["pe", "identity"], after=b64(ADD_PE), keys=NEXT_PE, next=LATER)
ROTATED: Said = (ROTATE, ["pe:next"])


def recover(name: str = "newcomer", after: bytes = ADD_PE, **changed: Any) -> dict[str, Any]:
    rest = {"keys": keys_json(name), "next": LATER, "revoke": pair(REVOKE["newcomer"].public.signing)}
    return body("recover", ["pe", "identity"], after=b64(after), **{**rest, **changed})


def veto(named: dict[str, Any], keys: Any = "") -> dict[str, Any]:
    return body("veto", ["pe", "identity"], keys=keys, names=b64(digest(named)))


def revoke(by: str = "own", **changed: Any) -> dict[str, Any]:
    rest = {"by": by, "ground": "key-theft", "since": AT - HOUR, "skid": b64(skid("pe"))}
    return body("revoke", ["pe", "identity"], **{**rest, **changed})


def life_cases() -> Iterator[Case]:
    yield from _beginnings()
    yield from _moves()
    yield from _emergencies()
    yield from _endings()
    yield from _rotations()
    yield from _recoveries()
    yield from _revocations()


NEWCOMER = add("newcomer", "EC", status="provisional")
ADMITTED: Said = (NEWCOMER, [*BOTH, *SPONSORS, "newcomer"])
NEXT_NEW = {**pair(NEXT["newcomer"].public.signing), "transport": b64(NEXT["newcomer"].public.transport)}
DRILL = body("rotate", ["newcomer", "identity"], after=b64(digest(NEWCOMER)), keys=NEXT_NEW, next=LATER)
DRILLED: Said = (DRILL, ["newcomer:next"])


def _beginnings() -> Iterator[Case]:
    late, limit = {"not_after": NOW + 90 * DAY}, NOW + 60 * DAY
    founder = {**add("newcomer", "EC"), **late}
    signers = ADMITTED[1]
    yield life_case("add_provisional", "on trial", "", ADMITTED)
    yield life_case("add_founder_last", "active, 90 days after the genesis", "", (founder, signers, limit))
    yield life_case("add_founder_late", "active, 1 ms later", "not-founding", (founder, signers, limit + 1))
    hub = (NEWCOMER, ["hub", "newcomer"])
    yield life_case("add_by_hub", "a member that the hub invented", "too-few-officers", hub)
    go = status("activate", "newcomer")
    ready = (ADMITTED, DRILLED)
    yield life_case("activate", "officers and a sponsor, after a drill", "", *ready, (go, [*BOTH, "co"]))
    yield life_case("activate_no_drill", "it never rotated", "no-drill", ADMITTED, (go, [*BOTH, "co"]))
    yield life_case("activate_no_sponsor", "officers alone", "too-few-sponsors", *ready, (go, BOTH))
    yield life_case("activate_by_other", "pe sponsored nobody", "not-own", *ready, (go, [*BOTH, "pe"]))
    yield life_case("activate_one_officer", "one of two", "too-few-officers", *ready, (go, [ANN, "co"]))
    again = (status("activate"), BOTH)
    yield life_case("activate_active", "pe is active", "wrong-status", again)


def _moves() -> Iterator[Case]:
    stop = (suspend(), BOTH)
    named = b64(digest(stop[0]))
    restrict = status("restrict")
    yield life_case("restrict", "both officers", "", (restrict, BOTH))
    yield life_case(
        "restrict_no_document", "no paper", "no-document", (status("restrict", document=b64(ZERO)), BOTH)
    )
    yield life_case("suspend", "both officers", "", stop)
    yield life_case("suspend_no_document", "no paper", "no-document", (suspend(document=b64(ZERO)), BOTH))
    yield life_case("suspend_past", "it ended before", "bad-time", (suspend(until=AT), BOTH))
    year = suspend(until=AT + 1 + 366 * DAY + 1)
    yield life_case("suspend_too_long", "366 days and 1 ms", "bad-time", (year, BOTH))
    yield life_case("suspend_by_member", "co wants pe out", "not-own", (suspend(), ["co"]))
    yield life_case("suspend_nobody", "no such member", "unknown-member", (suspend("stranger"), BOTH))
    twice = (suspend(ground="again"), BOTH)
    yield life_case("suspend_suspended", "it is suspended", "wrong-status", stop, twice)
    back = status("reinstate", after=digest(stop[0]), names=named, document=b64(ZERO))
    yield life_case("reinstate", "it names the suspension", "", stop, (back, BOTH))
    other = {**back, "names": PAPER}
    yield life_case("reinstate_other", "it names another one", "wrong-reference", stop, (other, BOTH))
    yield life_case("reinstate_by_one", "one officer", "too-few-officers", stop, (back, [BEN]))
    replay = (stop, (back, BOTH), stop)
    yield life_case("suspend_replayed", "the same suspension again", "repeated", *replay, quiet=True)
    later = (suspend(ground="again"), BOTH, NOW + 20 * DAY)
    yield life_case("suspend_ended", "the first one has ended by itself", "", stop, later)


def _emergencies() -> Iterator[Case]:
    start = AT - DAY  # an hour after log/good
    first = (suspend(), [ANN], start)
    yield life_case("emergency", "one officer", "", first)
    yield life_case(
        "emergency_twice",
        "one officer, twice in 24 h",
        "too-often",
        first,
        (suspend("co"), [ANN], start + DAY - 1),
    )
    yield life_case("emergency_next_day", "24 h later", "", first, (suspend("co"), [ANN], start + DAY))
    anew = suspend(ground="again", not_after=start + 31 * DAY, until=start + 40 * DAY)
    month = (anew, [ANN], start + 30 * DAY)
    early = (anew, [ANN], start + 30 * DAY - 1)
    yield life_case("emergency_same", "the same officer and member, in 30 days", "too-often", first, early)
    yield life_case("emergency_same_later", "30 days later", "", first, month)
    other = (suspend(ground="again"), [BEN])
    yield life_case("emergency_void", "never confirmed, so it is over", "", first, (*other, start + DAY))
    yield life_case("emergency_holds", "1 ms before", "wrong-status", first, (*other, start + DAY - 1))
    sure = status("confirm", after=digest(first[0]), names=b64(digest(first[0])))
    yield life_case("confirm_emergency", "by another officer", "", first, (sure, [BEN]))
    yield life_case("confirm_by_same", "by the same officer", "too-few-officers", first, (sure, [ANN]))
    yield life_case("confirm_late", "24 h later", "wrong-status", first, (sure, [BEN], start + DAY))
    whole = (suspend(), BOTH)
    yield life_case("confirm_whole", "it was no emergency", "wrong-status", whole, (sure, [BEN]))


def _endings() -> Iterator[Case]:
    leave = status("leave", document=b64(ZERO), until=NOW + 10 * DAY)
    yield life_case("leave", "by its own key", "", (leave, ["pe"]))
    yield life_case("leave_by_other", "co signs for pe", "not-own", (leave, ["co"]))
    yield life_case("leave_by_officers", "officers sign for pe", "not-own", (leave, BOTH))
    yield life_case("leave_past", "it ended before", "bad-time", ({**leave, "until": AT}, ["pe"]))
    yield life_case("leave_no_until", "until is 0", "bad-time", ({**leave, "until": 0}, ["pe"]))
    week = {**leave, "until": AT + 1 + 7 * DAY}
    yield life_case("leave_week", "the shortest notice", "", (week, ["pe"]))
    soon = ({**week, "until": AT + 7 * DAY}, ["pe"])
    yield life_case("leave_soon", "1 ms less", "bad-time", soon)
    back = status("reinstate", after=digest(leave), names=b64(digest(leave)), document=b64(ZERO))
    yield life_case("leave_taken_back", "the officers don't believe it", "", (leave, ["pe"]), (back, BOTH))
    over = status("restrict", after=digest(leave), not_after=NOW + 40 * DAY)
    yield life_case(
        "leave_over", "removed when it is over", "wrong-status", (leave, ["pe"]), (over, BOTH, NOW + 10 * DAY)
    )
    remove = (status("remove"), BOTH)
    yield life_case("remove", "both officers", "", remove)
    anew = {**add("pe", "PE", keys=keys_json("newcomer")), "after": b64(ADD_PE)}
    came_back = (anew, [*BOTH, *SPONSORS, "pe:newcomer"])
    yield life_case("removed_returns", "a removed handle never comes back", "handle-taken", remove, came_back)
    undead = status("reinstate", after=digest(remove[0]), names=b64(digest(remove[0])))
    yield life_case("removed_reinstated", "nor is it reinstated", "wrong-status", remove, (undead, BOTH))
    for name, why, changed in (
        ("move_unknown", "no such move", {"move": "banish"}),
        ("until_beside", "until where none is", {"until": NOW}),
        ("names_beside", "names where none are", {"names": PAPER}),
        ("suspend_as_move", "suspend is a type of its own", {"move": "suspend"}),
    ):
        yield life_case(f"status_{name}", why, "bad-statement", ({**status("restrict"), **changed}, BOTH))


def _rotations() -> Iterator[Case]:
    yield life_case("rotate", "the keys committed to", "", ROTATED)
    stolen = {**ROTATE, "keys": keys_json("newcomer")}
    yield life_case("rotate_not_next", "keys nobody committed to", "not-next", (stolen, ["pe:newcomer"]))
    yield life_case("rotate_by_old", "signed by the old key", "bad-signature", (ROTATE, ["pe"]))
    yield life_case("rotate_by_two", "an officer beside", "not-own", (ROTATE, [ANN, "pe:next"]))
    mine = prekeys("pe", digest(prekeys("pe")))
    yield life_case("rotated_key_signs", "the key from before", "bad-signature", ROTATED, (mine, ["pe"]))
    yield life_case("rotated_next_signs", "the key from now on", "", ROTATED, (mine, ["pe:next"]))


def _recoveries() -> Iterator[Case]:
    signers = [*BOTH, *SPONSORS, "pe:newcomer"]
    first = (recover(), signers)
    yield life_case("recover", "officers, two sponsors, possession", "", first)
    yield life_case(
        "recover_one_sponsor", "one of two", "too-few-sponsors", (recover(), [*BOTH, "co", "pe:newcomer"])
    )
    yield life_case(
        "recover_one_officer", "one of two", "too-few-officers", (recover(), [ANN, *SPONSORS, "pe:newcomer"])
    )
    yield life_case(
        "recover_no_possession", "the new key didn't sign", "no-possession", (recover(), [*BOTH, *SPONSORS])
    )
    used = recover("bb")
    yield life_case("recover_key_reused", "bb's keys", "key-reused", (used, [*BOTH, *SPONSORS, "pe:bb"]))
    mine = prekeys("pe", digest(prekeys("pe")))
    yield life_case("recover_suspends", "the old key signs nothing", "bad-signature", first, (mine, ["pe"]))
    due = AT + 1 + 72 * HOUR
    yield life_case(
        "recover_early", "1 ms before 72 h", "bad-signature", first, (mine, ["pe:newcomer"], due - 1)
    )
    yield life_case("recover_due", "72 h later", "", first, (mine, ["pe:newcomer"], due))
    second = recover("stranger", digest(first[0]), revoke=pair(NEXT["newcomer"].public.signing))
    again = (second, [*BOTH, *SPONSORS, "pe:stranger"])
    yield life_case("recover_pending", "one is pending", "wrong-status", first, again)
    no = veto(first[0])
    yield life_case("veto", "by the old key", "", first, (no, ["pe"]))
    yield life_case("veto_by_next", "by the next keys", "", first, (veto(first[0], NEXT_PE), ["pe:next"]))
    other = (veto(second), ["pe"])
    yield life_case("veto_other", "it names another one", "wrong-reference", first, other)
    forged = (veto(first[0], keys_json("co")), ["pe:co"])
    yield life_case("veto_not_next", "keys nobody committed to", "not-next", first, forged)
    yield life_case("veto_by_officers", "officers for the member", "not-own", first, (no, BOTH))
    late = (veto(first[0], NEXT_PE), ["pe:next"], due)
    yield life_case("veto_late", "72 h later", "wrong-reference", first, late)
    vetoed = (first, (no, ["pe"]), (mine, ["pe"]))
    yield life_case("vetoed", "the old key signs again", "", *vetoed)
    more = {**second, "after": b64(digest(no))}
    third = (more, again[1])
    yield life_case("recover_second", "as many sponsors as there are countries", "", *vetoed[:2], third)
    yield life_case(
        "veto_second", "the old key once more", "no-veto", *vetoed[:2], third, (veto(more), ["pe"])
    )
    yield life_case(
        "veto_second_by_next", "only next keys", "", *vetoed[:2], third, (veto(more, NEXT_PE), ["pe:next"])
    )
    stale = (second, again[1])
    yield life_case("recover_stale", "made before the veto", "stale", *vetoed[:2], stale, quiet=True)


def _revocations() -> Iterator[Case]:
    own = (revoke(), ["pe"])
    yield life_case("revoke", "its own key", "", own)
    yield life_case("revoke_printed", "its revoke-only key", "", (revoke("printed"), ["pe:revoke"]))
    network = revoke("network")
    yield life_case("revoke_network", "officers and sponsors", "", (network, [*BOTH, *SPONSORS]))
    yield life_case("revoke_by_stranger", "co revokes pe's key", "not-own", (revoke(), ["co"]))
    yield life_case("revoke_printed_by_own", "the wrong key", "bad-signature", (revoke("printed"), ["pe"]))
    few = (network, [*BOTH, "co"])
    yield life_case("revoke_network_sponsor", "one of two", "too-few-sponsors", few)
    unknown = revoke(skid=b64(skid("co")))
    yield life_case("revoke_unknown_key", "a key of co", "unknown-key", (unknown, ["pe"]))
    yield life_case("revoke_future", "since ahead of at", "bad-time", (revoke(since=AT + 2), ["pe"]))
    later = (revoke("printed", since=AT - HOUR + 1), ["pe:revoke"])
    yield life_case("revoke_later", "since moved later", "bad-time", own, later)
    earlier = (revoke("printed", since=AT - 2 * HOUR), ["pe:revoke"])
    yield life_case("revoke_earlier", "since moved earlier", "", own, earlier)
    long_ago = revoke(since=AT - 30 * DAY)
    yield life_case("revoke_long_ago", "more than 30 days back", "too-few-officers", (long_ago, ["pe"]))
    yield life_case("revoke_long_ago_officers", "and the officers", "", (long_ago, [*BOTH, "pe"]))
    mine = prekeys("pe", digest(prekeys("pe")))
    yield life_case("revoked_key_signs", "after its revocation", "bad-signature", own, (mine, ["pe"]))
    yield life_case("revoked_rotates", "the next keys are still good", "", own, ROTATED)
    undone = (recover(), [*BOTH, *SPONSORS, "pe:newcomer"])
    yield life_case("revoke_voids_nothing", "a recovery from before a revocation", "", later, undone)
    untimely = revoke(after=b64(ADD_PE))
    yield life_case("revoke_with_after", "after isn't zeros", "stale", (untimely, ["pe"]), quiet=True)
