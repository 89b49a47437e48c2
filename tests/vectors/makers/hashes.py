"""hashes.json: what follows from fixed seeds alone, so that a second implementation can find where it first differs."""

from __future__ import annotations

import struct
from typing import Any

from exchange.canonical import b64, h
from exchange.keys import digits, pae
from tests.vectors.makers.log_cases import log_bodies, root
from tests.vectors.makers.network import (
    KEYS,
    NAMES,
    NET,
    NEXT,
    ORIGIN,
    PREKEYS,
    REVOKE,
    ZERO,
    Chance,
    jcs,
    keys_json,
    skid,
)
from tests.vectors.makers.plain_cases import padding_table
from tests.vectors.makers.token_cases import claims, token


def hashes_json() -> dict[str, Any]:
    """Every value with what it is made from."""
    pre = jcs({"a": "stands for pre"})
    salt, content, nonce, chain = (
        Chance(f"hashes {name}")(size) for name, size in (("s", 32), ("c", 50), ("n", 16), ("h", 16))
    )
    core = h(NET, "core", b"stands for core")
    leaves = [bytes([number]) * number for number in range(70)]
    return {
        "net": {"net": b64(NET), "digits": digits(NET)},
        "h": {
            "label": "any",
            "parts": ["", b64(b"a"), b64(b"bc")],
            "hash": b64(h(NET, "any", b"", b"a", b"bc")),
        },
        "pae": {
            kind: b64(pae(kind, b"{}"))
            for kind in ("envelope", "receipts", "statement", "checkpoint", "submission")
        },
        "keys": [
            {
                "name": name,
                "skid": b64(skid(name)),
                "digits": digits(h(NET, "digits", name.encode("ascii"), jcs(keys_json(name)))),
                "ed25519_of_pae": b64(KEYS[name].sign("envelope", b"{}")[:64]),
            }
            for name in NAMES
        ],
        "next": [
            {
                "name": name,
                "seed": b64(Chance(f"next {name}")(32)),
                "next": b64(keys.public.next_commitment(NET)),
            }
            for name, keys in NEXT.items()
        ],
        "revoke": [
            {
                "name": name,
                "seed": b64(Chance(f"revoke {name}")(32)),
                "skid": b64(keys.public.signing.skid(NET)),
            }
            for name, keys in REVOKE.items()
        ],
        # of the leaves of log/good
        "statements": [b64(h(NET, "statement", jcs(value))) for value in log_bodies()],
        "commitments": {
            "pre": b64(pre),
            "salt": b64(salt),
            "content": b64(content),
            "pc": b64(h(NET, "pc", h(NET, "pre", pre), salt, content)),
            "core_hash": b64(core),
            "address": "co/duty",
            "kid": b64(PREKEYS["co/duty"][0].kid),
            "body_context": b64(h(NET, "body", core)),
            "wrap_info": b64(h(NET, "wrap", core, b"co/duty", PREKEYS["co/duty"][0].kid)),
            "nonce": b64(nonce),
            "chain": b64(chain),
            "link_seq": 2**53 - 1,
            "link_prev": b64(ZERO),
            "lc": b64(h(NET, "link", nonce, chain, struct.pack(">Q", 2**53 - 1), ZERO)),
        },
        "merkle": [b64(root(leaves[:size])) for size in range(71)],
        "buckets": padding_table(),
        "token": {"claims": claims(), "token": token(claims())},
        "socket": {
            "origin": ORIGIN,
            "nonce": b64(nonce),
            "message": b64(h(NET, "ws", ORIGIN.encode("ascii"), nonce)),
        },
    }
