"""Replays the directory log, verifies checkpoints, submissions and receipts, as docs/protocol.md §7 and §9 have it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from second_reader import contact_points, decisions, member_life
from second_reader.base import (
    NET,
    PARTIES,
    ZERO,
    b64,
    h,
    human,
    merkle,
    need,
    signed_json,
    skid_of,
    unb64,
    verify,
)

DAY = 86_400_000
COMMON = "v net type subject after not_after"
GENESIS = f"{COMMON} nonce name hub officers officers_threshold sponsors_threshold recovery min_suite at"
BATCH = "at batch dir from n net root skid suite v"
LEAF = "code env lc salt status to"
HANDLERS = {**member_life.HANDLERS, **contact_points.HANDLERS, **decisions.HANDLERS}


class Log:
    """State as a function of the leaves alone (§9.2). Every leaf must take effect here; the rest is a disagreement."""

    def __init__(self, leaf: bytes) -> None:
        value, body = self._leaf(leaf, 0)
        genesis = signed_json(body, GENESIS)
        self.net = hashlib.sha256(b"exchange/v1/genesis\0" + body).digest()
        need(value["net"] == b64(self.net) and value["at"] <= genesis["not_after"], "leaf 0")
        need((genesis["net"], genesis["after"]) == (b64(ZERO), b64(ZERO)), "net and after of a genesis")
        need(
            (genesis["subject"], genesis["min_suite"]) == (["network", "identity"], "EX1"),
            "subject, min_suite",
        )
        self.keys = {f"officer/{one['name']}": one["keys"] for one in genesis["officers"]}
        self.officers = set(self.keys)
        need(
            [one["name"] for one in genesis["officers"]]
            == sorted({one["name"] for one in genesis["officers"]}),
            "order",
        )
        need(1 <= genesis["officers_threshold"] <= len(self.officers), "officers_threshold")
        self.keys |= {"hub": genesis["hub"]["keys"], "recovery": genesis["recovery"]}
        self._signed(value, body, set(self.keys))
        human(genesis["name"])
        self.genesis, self.members, self.prekeys = genesis, {}, {}
        self.units, self.contacts, self.life = {}, {}, {}
        self.last = {("network", "identity"): h(self.net, "statement", body)}
        self.leaves, self.at = [leaf], value["at"]

    def apply(self, leaf: bytes) -> None:
        """The next leaf, which must take effect."""
        value, body = self._leaf(leaf, len(self.leaves))
        need(value["net"] == b64(self.net) and value["at"] >= self.at, "net, at")
        said = json.loads(body)
        subject = tuple(said["subject"])
        need(said["net"] == b64(self.net) and said["not_after"] >= value["at"], "net, not_after")
        outruns = said["type"] in member_life.OUTRUNNING
        need(unb64(said["after"]) == (ZERO if outruns else self.last.get(subject, ZERO)), "after")
        member_life.settle(self, value["at"])
        own = {"add": self._add, "prekeys": self._prekeys}
        if said["type"] in own:
            own[said["type"]](value, body)
        else:
            HANDLERS[said["type"]](self, value, body)
        if said["type"] != "revoke":
            self.last[subject] = h(self.net, "statement", body)
        self.leaves.append(leaf)
        self.at = value["at"]

    def _leaf(self, leaf: bytes, index: int) -> tuple[Any, bytes]:
        value = signed_json(leaf, "at body index net signatures v")
        signers = [signer for signer, _ in value["signatures"]]
        need((value["v"], value["index"]) == (1, index) and signers == sorted(set(signers)), "leaf")
        return value, unb64(value["body"])

    def _signed(self, leaf: Any, body: bytes, wanted: set[str] | None = None, more: Any = None) -> set[str]:
        keys = {**self.keys, **(more or {})}
        for signer, signature in leaf["signatures"]:
            verify(keys[signer], "statement", body, unb64(signature))
        signers = {signer for signer, _ in leaf["signatures"]}
        need(wanted is None or signers == wanted, "signers")
        return signers

    def _add(self, leaf: Any, body: bytes) -> None:
        member = signed_json(body, f"{COMMON} member")["member"]
        handle, country = member["handle"], member["country"]
        named = "agreement application class country handle keys next revoke status"
        need(set(member) == set(named.split()), "member")
        founding = leaf["at"] <= self.genesis["at"] + 90 * DAY
        need(handle not in self.members, "handle")
        need(member["status"] == "provisional" or (member["status"] == "active" and founding), "status")
        signers = self._signed(leaf, body, more={handle: member["keys"]})
        need(handle in signers, "possession")
        need(len(signers & self.officers) >= self.genesis["officers_threshold"], "officers")
        self.sponsored(handle, country, signers)
        self.members[handle], self.keys[handle] = member, member["keys"]
        self.life[handle] = {**member_life.BEGINNING, "status": member["status"], "sponsors": signers}

    def sponsored(self, handle: str, country: str, signers: set[str], more: int = 0) -> None:
        """§9.4: enough members from other countries than the one this is about."""
        others = {name: one for name, one in self.members.items() if name != handle}
        countries = {one["country"] for one in others.values()} - {country, ""}
        fit = {name for name in others.keys() & signers if self.life[name]["status"] == "active"}
        least = min(self.genesis["sponsors_threshold"] + more, len(countries))
        need(len({others[one]["country"] for one in fit} - {country, ""}) >= least, "sponsors")

    def _prekeys(self, leaf: Any, body: bytes) -> None:
        said = signed_json(body, f"{COMMON} prekeys")
        self._signed(leaf, body, {said["subject"][0]})
        starts = [start for _, start, _, _ in said["prekeys"]]
        need(starts == sorted(set(starts)) and 1 <= len(starts) <= 16, "order of prekeys")
        for _, start, until, destroy in said["prekeys"]:
            need(start < until <= start + 8 * DAY and until < destroy <= until + 15 * DAY, "times of prekeys")
        self.prekeys[said["subject"][0]] = [kid for kid, *_ in said["prekeys"]]


def replay(leaves: list[str]) -> Log:
    first, *rest = (leaf.encode("ascii") for leaf in leaves)
    log = Log(first)
    for leaf in rest:
        log.apply(leaf)
    return log


def check_log(given: Any) -> Any:
    log = replay(given["leaves"])
    roots = [b64(merkle(log.leaves[: size + 1])) for size in range(len(log.leaves))]
    return {"net": b64(log.net), "roots": roots, "members": sorted(log.members), "prekeys": log.prekeys}


def by_hub(given: Any, kind: str, members: str) -> Any:
    body, signature = unb64(given["body"]), unb64(given["signature"])
    verify(PARTIES["hub"], kind, body, signature)
    value = signed_json(body, members)
    need(value["v"] == 1 and value["net"] == b64(NET), "v, net")
    return value


def check_checkpoint(given: Any) -> Any:
    value = by_hub(given, "checkpoint", "accepts at net root size term v")
    need((value["accepts"], value["term"]) == ([], 0), "accepts, term")
    digest = h(NET, "checkpoint", unb64(given["body"]), unb64(given["signature"]))
    return {"size": value["size"], "root": value["root"], "at": value["at"], "hash": b64(digest)}


def check_term(given: Any, log: Log) -> Any:
    """A checkpoint by the hub of its term, over leaves of the log."""
    body, signature = unb64(given["checkpoint"]["body"]), unb64(given["checkpoint"]["signature"])
    value = signed_json(body, "accepts at net root size term v")
    hubs = getattr(log, "hubs", [log.keys["hub"]])
    verify(hubs[value["term"]], "checkpoint", body, signature)
    need(value["root"] == b64(merkle(log.leaves[: value["size"]])), "root")
    return {"size": value["size"], "term": value["term"]}


def check_snapshot(given: Any, log: Log) -> Any:
    """A snapshot over leaves that `log` has replayed: the checkpoint covers them all, the log names each part."""
    said = given["snapshot"]
    need(set(said) == {"checkpoint", "leaves", "level", "parts", "v"} and said["v"] == 1, "members, v")
    need(said["level"] in ("public", "members"), "level")
    need(check_term(said, log)["size"] == len(log.leaves), "size")
    named = set()
    for leaf in log.leaves:
        body = json.loads(unb64(json.loads(leaf)["body"]))
        named |= {digest for _, digest in body.get("parts", [])}
    for address, level, salt, data in said["parts"]:
        need(level == "public" or said["level"] == "members", "a part's level")
        digest = h(log.net, "part", address.encode(), level.encode(), unb64(salt), unb64(data))
        need(b64(digest) in named, "a part that the log names")
    return {"size": len(log.leaves), "parts": len(said["parts"])}


def check_pair(given: Any) -> None:
    held, offered = (check_checkpoint(given[name]) for name in ("held", "offered"))
    need(offered["size"] >= held["size"], "rollback")
    need(offered["size"] > held["size"] or offered["root"] == held["root"], "split")


def check_submission(given: Any) -> Any:
    value = by_hub(given["answer"], "submission", "at by index net outcome statement until v")
    need(value["statement"] == given["statement"], "the statement it answers")
    return {name: value[name] for name in ("outcome", "index", "until", "by", "at")}


def batch(given: Any) -> tuple[Any, bytes]:
    body = unb64(given["body"])
    value = signed_json(body, BATCH)
    need((value["v"], value["suite"], value["net"]) == (1, "EX1", b64(NET)), "v, suite, net")
    keys = PARTIES[value["from"]]
    need(b64(skid_of(NET, keys)) == value["skid"], "skid")
    verify(keys, "receipts", body, unb64(given["signatures"]))
    return value, unb64(value["root"])


def told(value: Any, rows: list[bytes]) -> Any:
    leaves = [signed_json(row, LEAF) for row in rows]
    for leaf in leaves:
        by_hub_only = leaf["status"] in ("accepted", "expired")
        need(value["from"] == ("hub" if by_hub_only else leaf["to"]), "who may say so")
        need((leaf["to"] == "*" and unb64(leaf["lc"]) == ZERO) == (leaf["status"] == "accepted"), "to, lc")
        coarse = ("unreadable", "invalid", "policy", "expired") if leaf["status"] == "rejected" else ("",)
        need(leaf["code"] in coarse and len(unb64(leaf["salt"])) == 16, "code, salt")
    return {"signer": value["from"], "batch": value["batch"], "at": value["at"], "leaves": leaves}


def check_receipts(given: Any) -> Any:
    value, root = batch(given["upload"])
    rows = [unb64(leaf) for leaf in given["upload"]["leaves"]]
    need(len(rows) == value["n"] and merkle(rows) == root, "root")
    return told(value, rows)


def from_path(digest: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2."""
    fn, sn = index, size - 1
    need(index < size, "index")
    for step in path:
        need(sn != 0, "path too long")
        if fn % 2 == 1 or fn == sn:
            digest = hashlib.sha256(b"\1" + step + digest).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn // 2, sn // 2
        else:
            digest = hashlib.sha256(b"\1" + digest + step).digest()
        fn, sn = fn // 2, sn // 2
    need(sn == 0, "path too short")
    return digest


def check_proof(given: Any) -> Any:
    value, root = batch(given["proof"])
    if isinstance(given["proof"]["leaves"][0], str):  # all of them, as uploaded
        return check_receipts({"upload": given["proof"]})
    rows = []
    for index, leaf, path in given["proof"]["leaves"]:
        rows.append(unb64(leaf))
        need(from_path(merkle(rows[-1:]), index, value["n"], [unb64(step) for step in path]) == root, "path")
    return told(value, rows)
