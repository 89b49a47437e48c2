"""The good log and its checkpoint, leaf by leaf, and the checkpoints and submissions a hub may get wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from exchange.canonical import b64, h, sha256, unb64
from tests.vectors.makers.case import Case, Made, committed, steady
from tests.vectors.makers.network import (
    DAY,
    KEYS,
    MEMBERS,
    NET,
    NEXT,
    NOW,
    OFFICERS,
    OTHER_NET,
    PREKEYS,
    REVOKE,
    SIZE,
    ZERO,
    genesis,
    jcs,
    keys_json,
    pair,
)

HOUR = 3_600_000
BOTH = tuple(f"officer/{name}" for name in OFFICERS)


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, as it is written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"".join(b"\0" + leaf for leaf in leaves)).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def member_json(name: str, country: str, /, **changed: Any) -> dict[str, Any]:
    following = NEXT[name].public
    member = {
        "agreement": b64(sha256(b"accession agreement")),
        "application": b64(h(NET, "application", bytes(16), b"{}")),
        "class": "national_csirt",
        "country": country,
        "handle": name,
        "keys": keys_json(name),
        "next": b64(following.next_commitment(NET)),
        "revoke": pair(REVOKE[name].public.signing),
        "status": "active",
    }
    return {**member, **changed}


def body(type_: str, subject: list[str], **rest: Any) -> dict[str, Any]:
    common = {"after": b64(ZERO), "net": b64(NET), "not_after": NOW + 30 * DAY, "v": 1}
    return {**common, "type": type_, "subject": subject, **rest}


def add(name: str, country: str, /, **changed: Any) -> dict[str, Any]:
    return body("add", [name, "identity"], member=member_json(name, country, **changed))


def prekeys(address: str, after: bytes = ZERO, rows: list[Any] | None = None) -> dict[str, Any]:
    rows = [one.row() for one in PREKEYS[address]] if rows is None else rows
    return body("prekeys", [address, "prekeys"], after=b64(after), prekeys=rows)


def signed(raw: bytes, signers: Sequence[str], kind: str = "statement") -> list[list[str]]:
    """Signatures in the order of `signers`, which a right statement has sorted."""
    return [[name, b64(KEYS[name].sign(kind, raw))] for name in signers]


def leaf(raw: bytes, signatures: Any, index: int = SIZE, at: int = NOW - HOUR, **changed: Any) -> bytes:
    value = {"at": at, "body": b64(raw), "index": index, "net": b64(NET), "signatures": signatures, "v": 1}
    return jcs({**value, **changed})


def log_bodies() -> list[dict[str, Any]]:
    """What the leaves of log/good say."""
    members = [add("pe", "PE"), add("co", "CO"), add("bb", "BB")]
    return [genesis(), *members, *(prekeys(name) for name in MEMBERS)]


def good_log() -> Made:
    """Genesis, three members with growing numbers of sponsors, the prekeys of each."""
    start = NOW - 30 * DAY
    signers = (("hub", *BOTH, "recovery"), (*BOTH, "pe"), ("co", *BOTH, "pe"), ("bb", "co", *BOTH, "pe"))
    leaves = []
    for index, value in enumerate(log_bodies()):
        raw = jcs(value)
        names = signers[index] if index < len(signers) else [value["subject"][0]]
        at = start + index * HOUR if index < 4 else NOW - 2 * DAY + index
        leaves.append(leaf(raw, signed(raw, sorted(names)), index, at))
    output = {
        "net": b64(NET),
        "roots": [b64(root(leaves[: size + 1])) for size in range(len(leaves))],
        "members": list(MEMBERS),
        "prekeys": {name: [b64(one.kid) for one in PREKEYS[name]] for name in MEMBERS},
    }
    return {"leaves": [one.decode("ascii") for one in leaves]}, output


def good_leaves() -> list[bytes]:
    return [one.encode("ascii") for one in committed("log", "good")["input"]["leaves"]]


def checkpoint(**changed: Any) -> dict[str, Any]:
    size = changed.get("size", SIZE)
    value = {
        "accepts": [],
        "at": NOW - HOUR,
        "net": b64(NET),
        "root": b64(root(good_leaves()[:size])),
        "size": SIZE,
        "term": 0,
        "v": 1,
    }
    return {**value, **changed}


def checkpoint_json(raw: bytes, signer: str = "hub", kind: str = "checkpoint") -> dict[str, str]:
    return {"body": b64(raw), "signature": b64(KEYS[signer].sign(kind, raw))}


def good_checkpoint() -> Made:
    given = checkpoint_json(jcs(checkpoint()))
    digest = h(NET, "checkpoint", unb64(given["body"]), unb64(given["signature"]))
    return given, {"size": SIZE, "root": checkpoint()["root"], "at": NOW - HOUR, "hash": b64(digest)}


def flipped(text: str, at: int) -> str:
    """b64 with one bit of the byte at `at` turned over."""
    data = bytearray(unb64(text))
    data[at] ^= 1
    return b64(bytes(data))


def base_cases() -> Iterator[Case]:
    """What all others stand on; these two come first."""
    yield Case("log", "good", "genesis, three members, prekeys of each", good_log, fixed=False)
    yield Case("checkpoint", "good", "the hub's checkpoint over log/good", good_checkpoint, fixed=False)


def checkpoint_cases() -> Iterator[Case]:
    def wrong(name: str, why: str, expect: str, make: Any) -> Case:
        return Case(
            "checkpoint", name, why, lambda: (make(), None), f"checkpoint.{expect}", "rejected", fixed=False
        )

    def altered(name: str, why: str, **changed: Any) -> Case:
        return wrong(name, why, "bad-format", lambda: checkpoint_json(jcs(checkpoint(**changed))))

    def mutated(name: str, why: str, expect: str, part: str, at: int) -> Case:
        def make() -> Made:
            good = committed("checkpoint", "good")["input"]
            return {**good, part: flipped(good[part], at)}, None

        return Case("checkpoint", name, why, make, f"checkpoint.{expect}", "rejected")

    yield mutated("ed25519_wrong", "the Ed25519 signature has a flipped bit", "bad-signature", "signature", 5)
    yield mutated("mldsa_wrong", "the ML-DSA signature has a flipped bit", "bad-signature", "signature", 900)
    yield mutated("body_altered", "a byte of the body changed after signing", "bad-signature", "body", 30)
    yield wrong(
        "signed_by_member",
        "a member signed it",
        "bad-signature",
        lambda: checkpoint_json(jcs(checkpoint()), "pe"),
    )
    yield wrong(
        "signed_as_statement",
        "signed with KIND statement",
        "bad-signature",
        lambda: checkpoint_json(jcs(checkpoint()), kind="statement"),
    )
    yield altered("other_network", "net of another network", net=b64(OTHER_NET))
    yield altered("size_zero", "a log has its genesis at least", size=0, root=b64(root([])))
    yield Case(
        "checkpoint",
        "term_one",
        "of a hub that this log doesn't know yet",
        lambda: (checkpoint_json(jcs(checkpoint(term=1))), None),
        "hold.directory-behind",
        "hold",
        fixed=False,
    )
    yield altered("accepts_something", "accepts is empty in this version", accepts=["EX2"])
    yield altered("unknown_member", "one member too many", note="x")
    yield altered("version_two", "v is 2", v=2)
    yield wrong(
        "with_space",
        "white space between members",
        "bad-format",
        lambda: checkpoint_json(jcs(checkpoint()).replace(b",", b", ")),
    )

    def short() -> Made:
        good = committed("checkpoint", "good")["input"]
        return {**good, "signature": b64(unb64(good["signature"])[:-1])}, None

    yield Case(
        "checkpoint",
        "signature_short",
        "3,372 bytes of signature",
        short,
        "checkpoint.bad-format",
        "rejected",
    )


def comparison_cases() -> Iterator[Case]:
    """Two signed checkpoints beside log/good: may `offered` follow `held`?"""

    def case(name: str, why: str, expect: str = "ok", **offered: Any) -> Case:
        def make() -> Made:
            held = committed("checkpoint", "good")["input"]
            return {"held": held, "offered": checkpoint_json(jcs(checkpoint(**offered)))}, None

        return Case("checkpoints", name, why, make, expect, "" if expect == "ok" else "rejected", fixed=False)

    yield case("same_later", "the same size and root, signed an hour later", at=NOW)
    yield case("longer", "a longer log, not fetched yet", size=9, root=b64(bytes(range(32))))
    yield case(
        "shorter", "a true prefix, but shorter than what was shown before", "directory.rollback", size=5
    )
    yield case("same_size_other_root", "two roots of one size", "directory.split", root=b64(bytes(range(32))))
    yield case(
        "shorter_no_prefix", "no prefix of the log", "directory.split", size=5, root=b64(bytes(range(32)))
    )


def submission_cases() -> Iterator[Case]:
    statement = h(NET, "statement", b"a statement")
    logged = {
        "at": NOW,
        "by": "",
        "index": SIZE,
        "net": b64(NET),
        "outcome": "logged",
        "statement": b64(statement),
        "until": 0,
        "v": 1,
    }

    def case(
        name: str, why: str, expect: str = "ok", signer: str = "hub", kind: str = "submission", **changed: Any
    ) -> Case:
        def make() -> Made:
            value = {**logged, **changed}
            answer = checkpoint_json(jcs(value), signer, kind)
            output = {key: value[key] for key in ("outcome", "index", "until", "by", "at")}
            return {"answer": answer, "statement": b64(statement)}, output if expect == "ok" else None

        return Case("submission", name, why, make, expect, "" if expect == "ok" else "rejected", fixed=False)

    form, forged = "submission.bad-format", "submission.bad-signature"
    yield case("logged", "at an index")
    yield case("pending", "more signatures are needed", outcome="pending", index=0, until=NOW + DAY)
    yield case("superseded", "by another statement", outcome="superseded", index=0, by=b64(bytes(range(32))))
    yield case("by_member", "a member signed it", forged, signer="co")
    yield case("signed_as_checkpoint", "signed with KIND checkpoint", forged, kind="checkpoint")
    yield case("other_statement", "it answers another statement", form, statement=b64(bytes(32)))
    yield case("other_network", "net of another network", form, net=b64(OTHER_NET))
    yield case("unknown_outcome", "an outcome there isn't", form, outcome="lost")
    yield case("logged_until", "logged has no until", form, until=NOW)
    yield case(
        "superseded_by_nothing", "superseded names the other statement", form, outcome="superseded", index=0
    )


def record_cases() -> Iterator[Case]:
    """Prekey records beside the log: is this the one that the signed row names?"""
    one = PREKEYS["co"][0]

    def case(
        name: str, why: str, record: bytes, expect: str = "directory.bad-prekeys", row: Any = None
    ) -> Case:
        given = {"address": "co", "row": row or one.row(), "record": b64(record)}
        return steady(
            "prekey_record", name, why, given, expect=expect, outcome="" if expect == "ok" else "rejected"
        )

    yield case("good", "the record of co's first epoch", one.record, "ok")
    yield case("other_key", "another X25519 key", jcs(one.record_json(x25519=b64(bytes(range(32))))))
    yield case("other_address", "the record of another member", PREKEYS["pe"][0].record)
    yield case("other_network", "net of another network", jcs(one.record_json(net=b64(OTHER_NET))))
    yield case(
        "other_times", "it would be destroyed a day later", jcs(one.record_json(destroy=one.destroy + DAY))
    )
    yield case("mlkem_short", "1,183 bytes of ML-KEM key", jcs(one.record_json(mlkem768=b64(bytes(1_183)))))
    yield case("with_space", "white space between members", one.record.replace(b",", b", "))
    yield case("unknown_member", "one member too many", jcs(one.record_json(note="x")))
    for name, why, changed in (
        ("x25519_small_order", "nothing can be sealed to X25519 key 0", {"x25519": b64(bytes(32))}),
        ("mlkem_no_key", "nothing can be sealed to 1,184 bytes of 255", {"mlkem768": b64(b"\xff" * 1_184)}),
    ):
        record = jcs(one.record_json(**changed))
        yield case(name, why, record, row=[b64(h(NET, "prekey", record)), *one.row()[1:]])
