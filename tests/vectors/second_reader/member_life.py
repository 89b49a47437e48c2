"""A member's standing and keys, as docs/protocol.md §9.7-9.9 have them: for leaves that take effect.

No vector here has a threshold of one officer, or a member that left its country out.
"""

from __future__ import annotations

from typing import Any

from second_reader.base import ZERO, b64, h, need, signed_json, skid_of, unb64

HOUR = 3_600_000
DAY = 24 * HOUR
COMMON = "v net type subject after not_after"
OUTRUNNING = ("suspend", "revoke", "veto")
BEGINNING: dict[str, Any] = {
    "lifts": None,  # (hash to name, status to go back to) of a restriction or a notice
    "suspension": None,
    "until": 0,
    "recovery": None,
    "vetoes": 0,
    "rotated": False,
    "revoked": {},  # skid -> since
    "old": {},  # skids of keys it had
}
FROM = {
    "activate": {"provisional"},
    "restrict": {"provisional", "active"},
    "suspend": {"provisional", "active", "restricted", "offboarding"},
    "confirm": {"suspended"},
    "reinstate": {"restricted", "suspended", "offboarding"},
    "leave": {"provisional", "active", "restricted", "suspended"},
    "offboard": {"provisional", "active", "restricted", "suspended"},
    "remove": {"provisional", "active", "restricted", "suspended", "offboarding"},
}


def settle(log: Any, at: int) -> None:
    """§9.7."""
    for handle, one in log.life.items():
        recovery, suspension = one["recovery"], one["suspension"]
        if recovery and recovery["due"] <= at:
            member = log.members[handle]
            one["revoked"] = {**one["revoked"], _skid(log, member["keys"]): recovery["due"] - 72 * HOUR}
            member.update(keys=recovery["keys"], next=recovery["next"], revoke=recovery["revoke"])
            log.keys[handle] = recovery["keys"]
            one.update(recovery=None, vetoes=0)
        if suspension and (suspension["until"] <= at or (suspension["confirm"] or at + 1) <= at):
            one.update(status=suspension["before"], suspension=None)
        if 0 < one["until"] <= at:
            one.update(status="removed", until=0)


def _skid(log: Any, keys: Any) -> str:
    return b64(skid_of(log.net, keys))


def _subject(log: Any, body: bytes, members: str) -> tuple[Any, str, Any]:
    said = signed_json(body, f"{COMMON} {members}")
    handle = said["subject"][0]
    word = "status" if said["type"] in ("status", "suspend") else "identity"
    need(said["subject"][1] == word and log.life[handle]["status"] != "removed", "subject")
    return said, handle, log.life[handle]


def _enough(log: Any, signers: set[str]) -> bool:
    return len(signers & log.officers) >= log.genesis["officers_threshold"]


def _counting(log: Any, handle: str, one: Any) -> None:
    need(one["recovery"] is None and _skid(log, log.keys[handle]) not in one["revoked"], "its key counts")


def _status(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "document ground move names until")
    move, suspension = said["move"], one["suspension"]
    need(one["status"] in FROM[move], "from where")
    signers = log._signed(leaf, body)
    bare = move in ("confirm", "leave", "reinstate")
    need(bare or unb64(said["document"]) != ZERO, "document")
    if move in ("leave", "offboard"):
        least = leaf["at"] + (7 * DAY if move == "leave" else 0)
        need(least <= said["until"] <= leaf["at"] + 366 * DAY and not one["until"], "until")
    else:
        need(said["until"] == 0, "until")
    named = suspension["named"] if suspension else (one["lifts"] or [""])[0]
    need(said["names"] == (named if move in ("confirm", "reinstate") else ""), "names")
    if move == "leave":
        need(signers == {handle}, "its own key")
        _counting(log, handle, one)
    elif move == "confirm":
        need(suspension["confirm"] > 0 and signers - suspension["officers"], "another officer")
        need(_enough(log, signers | suspension["officers"]), "officers")
    else:
        need(_enough(log, signers), "officers")
    if move == "activate":
        need(one["rotated"] and one["sponsors"] & (signers - log.officers), "drill, sponsor")
    _moved(one, move, said["until"], b64(h(log.net, "statement", body)))


def _moved(one: Any, move: str, until: int, named: str) -> None:
    suspension = one["suspension"]
    if move == "confirm":
        suspension["confirm"] = 0
    elif move == "reinstate" and suspension:
        one.update(status=suspension["before"], suspension=None)
    elif move == "reinstate":
        one.update(status=one["lifts"][1], lifts=None, until=0)
    elif move == "restrict":
        one.update(lifts=(named, one["status"]), status="restricted")
    elif move in ("leave", "offboard"):
        stood = suspension["before"] if suspension else one["status"]
        one.update(until=until, lifts=(named, one["lifts"][1] if stood == "restricted" else stood))
        (suspension or {}).update(before="offboarding")
        one["status"] = "suspended" if suspension else "offboarding"
    else:
        one.update(until=0, status={"activate": "active", "remove": "removed"}[move])


def _suspend(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "document ground until")
    need(one["status"] in FROM["suspend"] and unb64(said["document"]) != ZERO, "from where, document")
    need(leaf["at"] <= said["until"] <= leaf["at"] + 366 * DAY, "until")
    signers = log._signed(leaf, body)
    need(signers and signers <= log.officers, "officers")
    emergency = not _enough(log, signers)
    made = log.__dict__.setdefault("emergencies", {})
    if emergency:
        need(any(_free(made.get(one, {}), handle, leaf["at"]) for one in signers), "one in 24 h")
        for officer in signers:
            made.setdefault(officer, {})[handle] = leaf["at"]
    one["suspension"] = {
        "named": b64(h(log.net, "statement", body)),
        "before": one["status"],
        "until": said["until"],
        "confirm": leaf["at"] + DAY if emergency else 0,
        "officers": signers,
    }
    one["status"] = "suspended"


def _free(made: dict[str, int], handle: str, at: int) -> bool:
    same = made.get(handle, at - 30 * DAY)
    return max(made.values(), default=0) + DAY <= at and same + 30 * DAY <= at


def _rotate(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "keys next")
    log._signed(leaf, body, {handle}, more={handle: said["keys"]})
    member = log.members[handle]
    need(not one["recovery"] and _next(log, said["keys"]) == member["next"], "next")
    one["old"] = {**one["old"], _skid(log, member["keys"]): leaf["at"]}
    member.update(keys=said["keys"], next=said["next"])
    log.keys[handle] = said["keys"]
    one.update(rotated=True, vetoes=0)


def _next(log: Any, keys: Any) -> str:
    parts = (unb64(keys[name]) for name in ("ed25519", "mldsa65", "transport"))
    return b64(h(log.net, "next", *parts))


def _recover(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "keys next revoke")
    signers = log._signed(leaf, body, more={handle: said["keys"]})
    need(handle in signers and not one["recovery"] and _enough(log, signers), "possession, officers")
    log.sponsored(handle, log.members[handle]["country"], signers, min(1, one["vetoes"]))
    one["recovery"] = {
        "named": b64(h(log.net, "statement", body)),
        "keys": said["keys"],
        "next": said["next"],
        "revoke": said["revoke"],
        "due": leaf["at"] + 72 * HOUR,
        "next_only": one["vetoes"] > 0,
    }


def _veto(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "keys names")
    own = said["keys"] or log.keys[handle]
    log._signed(leaf, body, {handle}, more={handle: own})
    need(one["recovery"] and one["recovery"]["named"] == said["names"], "the recovery")
    if said["keys"]:
        need(_next(log, said["keys"]) == log.members[handle]["next"], "next")
    else:
        need(not one["recovery"]["next_only"] and _skid(log, own) not in one["revoked"], "may veto")
    one.update(recovery=None, vetoes=one["vetoes"] + 1)


def _revoke(log: Any, leaf: Any, body: bytes) -> None:
    said, handle, one = _subject(log, body, "by ground since skid")
    member = log.members[handle]
    need(said["skid"] in {_skid(log, member["keys"]), *one["old"], *one["revoked"]}, "a key of the member")
    need(said["since"] <= leaf["at"], "since")
    need(said["since"] < one["revoked"].get(said["skid"], leaf["at"] + 1), "only earlier")
    signers = log._signed(leaf, body, more={handle: member["revoke"]} if said["by"] == "printed" else None)
    if said["by"] == "network":
        need(_enough(log, signers), "officers")
        log.sponsored(handle, member["country"], signers)
    else:
        need(handle in signers and signers <= log.officers | {handle}, "signers")
        need(said["since"] >= leaf["at"] - 30 * DAY or _enough(log, signers), "officers")
    if said["by"] == "own":
        _counting(log, handle, one)
    one["revoked"] = {**one["revoked"], said["skid"]: said["since"]}


HANDLERS = {
    "status": _status,
    "suspend": _suspend,
    "rotate": _rotate,
    "recover": _recover,
    "veto": _veto,
    "revoke": _revoke,
}
