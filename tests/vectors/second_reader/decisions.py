"""Officers, policy, hubs and ticks, as docs/protocol.md §9.7, §9.10-9.11 have them: for leaves that take effect."""

from __future__ import annotations

from typing import Any

from second_reader.base import b64, merkle, need, signed_json, unb64

COMMON = "v net type subject after not_after"
HAVE_A_SAY = ("active", "restricted", "suspended")


def _majority(log: Any, signers: set[str]) -> bool:
    members = {name for name, one in log.life.items() if one["status"] in HAVE_A_SAY}
    return 2 * len(members & signers) > len(members)


def _threshold(log: Any, signers: set[str]) -> bool:
    return len(signers & log.officers) >= log.genesis["officers_threshold"]


def _officers(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} officers threshold")
    names = [one["name"] for one in said["officers"]]
    need(said["subject"] == ["network", "officers"] and names == sorted(set(names)), "subject, order")
    need(1 <= said["threshold"] <= len(names) <= 16, "threshold")
    team = {f"officer/{one['name']}": one["keys"] for one in said["officers"]}
    new = {name: keys for name, keys in team.items() if log.keys.get(name) != keys}
    signers = log._signed(leaf, body, more=new)
    need(new.keys() <= signers, "possession")
    need(_threshold(log, signers - new.keys()) and _majority(log, signers), "officers, members")
    log.keys = {name: keys for name, keys in log.keys.items() if name not in log.officers} | team
    log.officers = set(team)
    log.genesis = {**log.genesis, "officers_threshold": said["threshold"]}


def _policy(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} agreement officers secretariat sponsors")
    need(said["subject"] == ["network", "policy"] and len(unb64(said["agreement"])) in (0, 32), "subject")
    need(1 <= said["officers"] <= len(log.officers) and 1 <= said["sponsors"] <= 32, "thresholds")
    need(said["secretariat"] in {"", *log.members}, "secretariat")
    signers = log._signed(leaf, body)
    need(_threshold(log, signers) and (len(log.members) < 3 or _majority(log, signers)), "officers, members")
    thresholds = {"officers_threshold": said["officers"], "sponsors_threshold": said["sponsors"]}
    log.genesis = {**log.genesis, **thresholds}


def _hub_change(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} from hub term")
    need(
        said["subject"] == ["network", "hub"] and set(said["hub"]) == {"address", "ca", "keys"},
        "subject, hub",
    )
    hubs = log.__dict__.setdefault("hubs", [log.keys["hub"]])
    need(said["term"] == len(hubs), "term")
    need(said["from"] == [len(log.leaves), b64(merkle(log.leaves))], "from")
    signers = log._signed(leaf, body, more={"hub": said["hub"]["keys"]})
    need("hub" in signers and ("recovery" in signers or _threshold(log, signers)), "signers")
    hubs.append(said["hub"]["keys"])
    log.keys["hub"] = said["hub"]["keys"]


def _tick(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, COMMON)
    need(said["subject"] == ["network", "time"], "subject")
    log._signed(leaf, body, {"hub"})


HANDLERS = {"officers": _officers, "policy": _policy, "hub-change": _hub_change, "tick": _tick}
