"""The network all vectors play in: hub, two officers, three members, from fixed seeds. Nothing here is random."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from exchange.canonical import b64, h
from exchange.keys import PrekeySecret, PrivateKeys, PublicKey

DAY = 86_400_000
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z, in ms
ORIGIN = "https://hub.example:8443"
SIZE = 7  # leaves of log/good.json
ZERO = bytes(32)
MEMBERS = {"bb": "BB", "co": "CO", "pe": "PE"}
OFFICERS = ("ann", "ben")
UNITS = ("co/npc", "pe/npc", "pe/npc2", "pe/tracing")
NAMES = ("hub", "officer/ann", "officer/ben", "recovery", "bb", "co", "pe", "stranger", "newcomer", *UNITS)


class Chance:
    """As many bytes as are asked for, the same ones for the same name."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name.encode("ascii"), 0

    def __call__(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += hashlib.sha256(b"exchange vectors %d " % self._count + self._name).digest()
            self._count += 1
        return out[:size]


def jcs(value: Any) -> bytes:
    """Signed JSON of a value, right or wrong: nothing is checked, so that flaws can be written down."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def human(text: str) -> str:
    return b64(text.encode("utf-8"))


SEEDS = {name: Chance(f"seed {name}")(32) for name in NAMES}
KEYS = {name: PrivateKeys(seed) for name, seed in SEEDS.items()}
REVOKE = {name: PrivateKeys(Chance(f"revoke {name}")(32)) for name in (*MEMBERS, "newcomer")}
NEXT = {name: PrivateKeys(Chance(f"next {name}")(32)) for name in (*MEMBERS, "newcomer")}


def pair(key: PublicKey) -> dict[str, str]:
    return {"ed25519": b64(key.ed25519), "mldsa65": b64(key.mldsa65)}


def keys_json(name: str) -> dict[str, str]:
    public = KEYS[name].public
    return {**pair(public.signing), "transport": b64(public.transport)}


def genesis(**changed: Any) -> dict[str, Any]:
    """Body of leaf 0 (docs/protocol.md §9.3)."""
    body = {
        "after": b64(ZERO),
        "at": NOW - 30 * DAY,
        "hub": {"address": ORIGIN, "ca": "", "keys": keys_json("hub")},
        "min_suite": "EX1",
        "name": human("Red de ensayo"),
        "net": b64(ZERO),
        "nonce": b64(Chance("genesis")(32)),
        "not_after": NOW,
        "officers": [{"keys": keys_json(f"officer/{name}"), "name": name} for name in OFFICERS],
        "officers_threshold": 2,
        "recovery": pair(KEYS["recovery"].public.signing),
        "sponsors_threshold": 2,
        "subject": ["network", "identity"],
        "type": "genesis",
        "v": 1,
    }
    return {**body, **changed}


NET = hashlib.sha256(b"exchange/v1/genesis\0" + jcs(genesis())).digest()
OTHER_NET = hashlib.sha256(b"another network").digest()


def skid(name: str, net: bytes = NET) -> bytes:
    return KEYS[name].public.signing.skid(net)


class Prekey:
    """An address's prekey: epoch 0 is in use at NOW, epoch 1 from 6 days later."""

    def __init__(self, address: str, epoch: int = 0) -> None:
        self.address, self.bytes = address, Chance(f"prekey {address} {epoch}")(96)
        self.secret = PrekeySecret(self.bytes)
        self.start = NOW - DAY + epoch * 7 * DAY
        self.until = self.start + 7 * DAY
        self.destroy = self.until + 14 * DAY
        self.record = jcs(self.record_json())
        self.kid = h(NET, "prekey", self.record)

    def record_json(self, **changed: Any) -> dict[str, Any]:
        record = {
            "address": self.address,
            "destroy": self.destroy,
            "from": self.start,
            "mlkem768": b64(self.secret.public.mlkem768),
            "net": b64(NET),
            "until": self.until,
            "v": 1,
            "x25519": b64(self.secret.public.x25519),
        }
        return {**record, **changed}

    def row(self) -> list[Any]:
        return [b64(self.kid), self.start, self.until, self.destroy]


PREKEYS = {address: [Prekey(address), Prekey(address, 1)] for address in (*MEMBERS, "co/duty", "stranger")}


def network_json() -> dict[str, Any]:
    """What every vector takes for granted: the file network.json."""
    return {
        "net": b64(NET),
        "genesis": b64(jcs(genesis())),
        "now": NOW,
        "origin": ORIGIN,
        "parties": {
            name: {"seed": b64(SEEDS[name]), "skid": b64(skid(name)), "keys": keys_json(name)}
            for name in NAMES
        },
        "prekeys": [
            {"address": address, "kid": b64(one.kid), "record": b64(one.record), "secret": b64(one.bytes)}
            for address, both in PREKEYS.items()
            for one in both
        ],
    }
