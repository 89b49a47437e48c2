"""Uploads as the hub checks them, in the order of docs/protocol.md §4.4, but for what only its store knows."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from exchange.canonical import b64, h, unb64
from tests.vectors.makers import header_flaws
from tests.vectors.makers.blob_cases import named, row
from tests.vectors.makers.case import Case, Made, committed
from tests.vectors.makers.deliveries import flip
from tests.vectors.makers.life_cases import AT, ROTATED, life_leaves, revoke
from tests.vectors.makers.network import DAY, KEYS, NET, NOW, OTHER_NET, PREKEYS, ZERO, skid
from tests.vectors.makers.open_cases import LIMIT
from tests.vectors.makers.sealing import EXP, join, seal, split

AREA = "envelope_hub"


def sealed(
    name: str,
    why: str,
    expect: str = "ok",
    *,
    issuer: str = "pe",
    now: int = NOW,
    path: bytes = b"",
    leaves: Callable[[], list[str]] | None = None,
    **how: Any,
) -> Case:
    def make() -> Made:
        one = seal(f"hub {name}", **how)
        given = {
            "upload": b64(one.upload()),
            "path": b64(path) if path else one.facts["env"],
            "issuer": issuer,
            "now": now,
        }
        if leaves:
            given["more"] = leaves()
        facts = {"env": one.facts["env"], "to": list(how.get("to", ("co",)))}
        return given, facts if expect == "ok" else None

    return Case(AREA, name, why, make, expect, "" if expect == "ok" else "refused", fixed=False)


def mutated(
    name: str, why: str, expect: str, change: Callable[[list[bytes]], list[bytes] | bytes], **more: Any
) -> Case:
    def make() -> Made:
        given = committed(AREA, "three_recipients")["input"]
        parts = change(split(unb64(given["upload"])))
        data = (
            parts if isinstance(parts, bytes) else join(parts[0], parts[1], parts[2], parts[3:-1], parts[-1])
        )
        header = parts[1] if isinstance(parts, list) and len(parts) > 1 else b""
        path = b64(h(NET, "env", header)) if header else given["path"]
        return {**given, "upload": b64(data), "path": path, **more}, None

    return Case(AREA, name, why, make, f"envelope.{expect}", "refused")


def hub_cases() -> Iterator[Case]:
    yield sealed("one_recipient", "the plainest one")
    yield sealed("three_recipients", "two members and a third", to=("bb", "co", "pe"))
    yield sealed("attachments", "names two blobs", blobs=named([row(), row(1)]))
    yield sealed("day_ahead", "iat exactly 24 h ahead of the hub", now=NOW - DAY)
    yield sealed("last_moment", "1 ms before exp", now=EXP - 1)
    yield sealed("exp_at_limit", "exp is the prekey's destroy - 1 day", exp=LIMIT)
    yield from _frames()
    for flaw in header_flaws.flaws():
        if flaw.name in header_flaws.AT_HUB:
            yield sealed(f"header_{flaw.name}", flaw.why, flaw.code, steps=flaw.steps, **flaw.pre)
    yield from _parties()
    yield from _integrity()


def _frames() -> Iterator[Case]:
    def bad(name: str, why: str, change: Callable[[list[bytes]], list[bytes] | bytes]) -> Case:
        return mutated(name, why, "bad-frame", change)

    yield bad("empty", "no bytes", lambda parts: b"")
    yield bad("magic_of_delivery", "EXD1", lambda parts: [b"EXD1", *parts[1:]])
    yield bad(
        "header_cut",
        "cut in the header",
        lambda parts: parts[0] + struct.pack(">I", len(parts[1])) + parts[1][:-1],
    )
    yield bad(
        "signatures_short", "3,372 bytes of signatures", lambda parts: [*parts[:2], parts[2][:-1], *parts[3:]]
    )
    yield bad("slot_missing", "two of three wraps", lambda parts: [*parts[:5], parts[-1]])
    yield bad(
        "slot_short", "1,271 bytes of wrap and lc", lambda parts: [*parts[:3], parts[3][:-1], *parts[4:]]
    )
    yield bad("nothing_after_signatures", "no wraps, no body", lambda parts: [*parts[:3], b""])
    yield mutated("over_limit", "13,107,201 bytes", "too-large", lambda parts: parts, fill_to=13_107_201)
    yield sealed(
        "other_id_in_path", "the path names another envelope", "envelope.wrong-id", path=ZERO[:31] + b"\1"
    )


def _parties() -> Iterator[Case]:
    yield sealed("other_network", "sealed in another network", "envelope.other-network", net=OTHER_NET)
    yield sealed("uploaded_by_other", "co's token, pe's envelope", "envelope.not-sender", issuer="co")
    yield sealed(
        "uploaded_by_unit", "a unit's token, its member's envelope", "envelope.not-sender", issuer="pe/duty"
    )
    yield sealed("unit_unknown", "from a unit without keys", "envelope.unknown-sender", **{"from": "pe/duty"})
    yield sealed(
        "sender_unknown", "from nobody known", "envelope.unknown-sender", sender="stranger", issuer="stranger"
    )
    yield sealed(
        "key_unknown", "a skid that pe doesn't have", "envelope.unknown-key", skid=b64(skid("stranger"))
    )
    yield from _old_keys()
    yield sealed(
        "recipient_unknown", "one of two is no member", "envelope.unknown-recipient", to=("co", "stranger")
    )
    fresh = [["co", b64(bytes(range(32)))]]
    yield sealed("prekey_unknown", "a kid that was never published", "envelope.unknown-prekey", rows=fresh)
    others = [["co", b64(PREKEYS["bb"][0].kid)]]
    yield sealed("prekey_of_other", "bb's kid for co", "envelope.unknown-prekey", rows=others)
    yield sealed("future", "iat 24 h and 1 ms ahead", "envelope.future", now=NOW - DAY - 1)
    yield sealed("expired", "now is exp", "envelope.expired", now=EXP)
    yield sealed(
        "outlives_prekey", "exp 1 ms beyond destroy - 1 day", "envelope.outlives-prekey", exp=LIMIT + 1
    )


def _old_keys() -> Iterator[Case]:
    """pe's envelope under its first key, at a hub whose log has since taken in more."""
    rotated, revoked = life_leaves([ROTATED]), life_leaves([(revoke(), ["pe"])])
    fortnight = AT + 1 + 14 * DAY
    at_limit = {"exp": LIMIT, "now": fortnight}
    yield sealed("key_rotated", "14 days after pe rotated its keys", leaves=rotated, **at_limit)
    over = {**at_limit, "now": fortnight + 1}
    yield sealed("key_retired", "1 ms more", "envelope.retired-key", leaves=rotated, **over)
    yield sealed("key_revoked", "the key is revoked", "envelope.revoked-key", leaves=revoked)
    long_ago = NOW - 20 * DAY
    yield sealed("backdated", "sealed before, it says", "envelope.revoked-key", leaves=revoked, iat=long_ago)


def _integrity() -> Iterator[Case]:
    body, wrap, forged = "body-mismatch", "wrap-mismatch", "bad-signature"
    yield mutated("body_bit", "a bit of the body", body, flip(6, 300))
    yield mutated(
        "body_truncated", "the last byte missing", body, lambda parts: [*parts[:-1], parts[-1][:-1]]
    )
    yield mutated("body_extended", "a byte more", body, lambda parts: [*parts[:-1], parts[-1] + b"x"])
    yield mutated(
        "slot_added",
        "a fourth wrap is taken for the body",
        body,
        lambda parts: [*parts[:-1], parts[-2], parts[-1]],
    )
    yield mutated("wrap_bit", "a bit of the second wrap", wrap, flip(4, 9))
    yield mutated("lc_bit", "a bit of the third lc", wrap, flip(5, 1_271))
    yield mutated(
        "wraps_swapped",
        "two wraps in each other's place",
        wrap,
        lambda parts: [*parts[:3], parts[4], parts[3], *parts[5:]],
    )
    yield mutated("ed25519_wrong", "a bit of the Ed25519 signature", forged, flip(2, 63))
    yield mutated("mldsa_wrong", "a bit of the ML-DSA signature", forged, flip(2, 64))
    by_other = {"signatures": lambda _, raw: KEYS["co"].sign("envelope", raw)}
    yield sealed("signature_by_other_member", "signed by co", f"envelope.{forged}", steps=by_other)
    as_statement = {"signatures": lambda _, raw: KEYS["pe"].sign("statement", raw)}
    yield sealed(
        "signature_as_statement", "signed with KIND statement", f"envelope.{forged}", steps=as_statement
    )
