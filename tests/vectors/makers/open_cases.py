"""Deliveries as a recipient opens them: frames, headers, senders, wraps (docs/protocol.md §4.5 steps 1-9)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from exchange.canonical import b64, h, unb64
from tests.vectors.makers import header_flaws
from tests.vectors.makers.blob_cases import named, row
from tests.vectors.makers.case import Case, committed
from tests.vectors.makers.deliveries import HOLD, REJECTED, TRANSPORT, flip, mutated, sealed
from tests.vectors.makers.network import DAY, KEYS, NET, NOW, OTHER_NET, PREKEYS, SIZE, ZERO, Chance, skid
from tests.vectors.makers.sealing import PAYLOAD, join, meta_json, split

THREE = ("bb", "co", "co/duty")
LIMIT = PREKEYS["co"][0].destroy - DAY


def open_cases() -> Iterator[Case]:
    yield from _good()
    yield from _frames()
    yield from _headers()
    yield from _senders()
    yield from _bindings()
    yield from _wraps()


def _good() -> Iterator[Case]:
    yield sealed("one_recipient", "the plainest one")
    yield sealed("three_recipients", "opened by the second of three", to=THREE, me="co", index=1)
    yield sealed("unit", "opened by a unit", to=THREE, me="co/duty", index=2)
    yield sealed("compressed", "compression 1", compress=True, payload=PAYLOAD * 20)
    yield sealed("two_chunks", "a body of two Cobblestone chunks", payload=Chance("long")(17_000))
    yield sealed("follows", "the 7th of its chain", link=(7, Chance("before")(32)))
    yield sealed("largest_number", "link_seq 2^53-1", link=(2**53 - 1, Chance("before")(32)))
    yield sealed("flash", "lane flash", lane="flash", meta=meta_json("flash", lane="flash"))
    yield sealed("unknown_type", "a content type of a later version opens", meta=meta_json("x", type="poll"))
    again = [b64(Chance("old env")(32)), b64(Chance("old chain")(16)), 3]
    yield sealed("reseal", "replaces an earlier sealing", meta=meta_json("reseal", reseal_of=again))
    files = [row(), row(1, malware=1)]
    attached = meta_json("attachments", attachments=files)
    yield sealed("attachments", "two files", meta=attached, blobs=named(files))
    yield sealed("exp_at_limit", "exp is the prekey's destroy - 1 day", exp=LIMIT)
    yield sealed("at_exp", "now is exp: not late yet", now=NOW + 3 * DAY)
    yield sealed("late", "1 ms after exp: opens, marked", now=NOW + 3 * DAY + 1, marks=("late",))
    yield sealed("ten_minutes_ahead", "iat 10 minutes ahead: no mark yet", now=NOW - 600_000)
    yield sealed(
        "clock", "iat more than 10 minutes ahead: opens, marked", now=NOW - 600_001, marks=("clock",)
    )
    yield sealed("years_late", "a clock years off opens all the same", now=NOW + 3_650 * DAY, marks=("late",))
    yield sealed("old_directory", "the sender knew fewer leaves than the recipient", size=SIZE + 5)


def _frames() -> Iterator[Case]:
    def bad(name: str, why: str, change: Callable[[list[bytes]], list[bytes] | bytes]) -> Case:
        return mutated(name, why, "envelope.bad-frame", change)

    def length(part: int, size: int) -> Callable[[list[bytes]], bytes]:
        def change(parts: list[bytes]) -> bytes:
            before = b"".join(struct.pack(">I", len(one)) + one for one in parts[1:part])
            after = b"".join(struct.pack(">I", len(one)) + one for one in parts[part + 1 : -1])
            return parts[0] + before + struct.pack(">I", size) + parts[part] + after + parts[-1]

        return change

    yield bad("empty", "no bytes", lambda parts: b"")
    yield bad("magic_only", "nothing after the magic", lambda parts: parts[0])
    yield bad("magic_unknown", "EXD2", lambda parts: [b"EXD2", *parts[1:]])
    yield bad("magic_of_upload", "EXE1", lambda parts: [b"EXE1", *parts[1:]])
    yield bad("magic_of_expired", "EXX1 with a body", lambda parts: [b"EXX1", *parts[1:]])
    yield bad(
        "expired_as_mail",
        "an expired delivery where mail belongs",
        lambda parts: [b"EXX1", *parts[1:-1], b""],
    )
    yield bad("header_length_zero", "header length 0", length(1, 0))
    yield bad("header_length_largest", "header length 2^32-1", length(1, 2**32 - 1))
    yield bad(
        "cut_in_header",
        "cut in the header",
        lambda parts: parts[0] + struct.pack(">I", len(parts[1])) + parts[1][:-1],
    )
    yield bad(
        "signatures_short", "3,372 bytes of signatures", lambda parts: [*parts[:2], parts[2][:-1], *parts[3:]]
    )
    yield bad(
        "signatures_long",
        "3,374 bytes of signatures",
        lambda parts: [*parts[:2], parts[2] + b"x", *parts[3:]],
    )
    yield bad("signatures_length_wrong", "the length is one less", length(2, 3_372))
    yield bad("slot_short", "1,271 bytes of wrap and lc", lambda parts: [*parts[:3], parts[3][:-1], parts[4]])
    yield bad(
        "slot_long", "1,273 bytes of wrap and lc", lambda parts: [*parts[:3], parts[3] + b"x", parts[4]]
    )
    yield bad("slot_cut", "ends in the wrap", lambda parts: join(*parts[:3], [parts[3]], b"")[:-9])


def _headers() -> Iterator[Case]:
    for flaw in header_flaws.flaws():
        if flaw.name not in header_flaws.SIGNED:
            continue
        yield sealed(f"header_{flaw.name}", flaw.why, flaw.code, TRANSPORT, steps=flaw.steps, **flaw.pre)
    yield sealed(
        "other_network", "sealed in another network", "envelope.other-network", TRANSPORT, net=OTHER_NET
    )


def _senders() -> Iterator[Case]:
    yield sealed(
        "unknown_sender", "a sender not in the directory yet", "hold.unknown-sender", HOLD, sender="stranger"
    )
    key = {"steps": {"signatures": lambda _, raw: KEYS["stranger"].sign("envelope", raw)}}
    yield sealed(
        "unknown_key",
        "a key pe doesn't have yet",
        "hold.unknown-key",
        HOLD,
        skid=b64(skid("stranger")),
        **key,
    )

    def forged(name: str, why: str, sign: Callable[..., bytes]) -> Case:
        return sealed(name, why, "envelope.bad-signature", TRANSPORT, steps={"signatures": sign})

    yield forged("signature_by_other_member", "signed by co", lambda _, raw: KEYS["co"].sign("envelope", raw))
    yield forged(
        "signature_as_receipts", "signed with KIND receipts", lambda _, raw: KEYS["pe"].sign("receipts", raw)
    )
    yield forged(
        "signature_mldsa_of_other",
        "co's ML-DSA signature",
        lambda mine, raw: mine[:64] + KEYS["co"].sign("envelope", raw)[64:],
    )
    yield forged(
        "signature_ed25519_of_other",
        "co's Ed25519 signature",
        lambda mine, raw: KEYS["co"].sign("envelope", raw)[:64] + mine[64:],
    )
    yield forged(
        "signature_of_changed_header",
        "signed before a change",
        lambda _, raw: KEYS["pe"].sign("envelope", raw.replace(b"priority", b"routine")),
    )
    yield forged("signature_zeros", "3,373 zeros", lambda mine, raw: bytes(len(mine)))
    bad = "envelope.bad-signature"
    yield mutated("ed25519_wrong", "a bit of the Ed25519 signature", bad, flip(2, 10))
    yield mutated("mldsa_wrong", "a bit of the ML-DSA signature", bad, flip(2, 64 + 1_000))
    yield mutated("mldsa_last_byte", "a bit of the last byte", bad, flip(2, 3_372, 0x80))
    swapped = lambda parts: [*parts[:2], parts[2][64:] + parts[2][:64], *parts[3:]]  # noqa: E731 - one piece of a table
    yield mutated("signatures_swapped", "ML-DSA before Ed25519", bad, swapped)
    digit = lambda parts: [parts[0], parts[1].replace(b'"lane":"priority"', b'"lane":"routine"'), *parts[2:]]  # noqa: E731 - same
    yield mutated("header_changed", "another lane after signing", bad, digit)


def _bindings() -> Iterator[Case]:
    yield sealed(
        "not_recipient", "sealed to bb and delivered to co", "envelope.not-recipient", REJECTED, to=("bb",)
    )
    yield sealed(
        "unit_is_not_member",
        "sealed to co/duty and delivered to co",
        "envelope.not-recipient",
        REJECTED,
        to=("co/duty",),
    )
    wrap, body = "envelope.wrap-mismatch", "envelope.body-mismatch"
    yield mutated("wrap_bit", "a bit of the wrap", wrap, flip(3, 700))
    yield mutated("lc_bit", "a bit of lc", wrap, flip(3, 1_250))

    def slot_of(name: str) -> Callable[[list[bytes]], list[bytes]]:
        def change(parts: list[bytes]) -> list[bytes]:
            other = split(unb64(committed("envelope_open", name)["input"]["delivery"]))
            return [*parts[:3], other[3], parts[-1]]

        return change

    yield mutated("wrap_of_unit", "the wrap of another recipient", wrap, slot_of("unit"))
    yield mutated("wrap_of_other_envelope", "co's wrap of another envelope", wrap, slot_of("one_recipient"))
    yield mutated("body_bit", "a bit of the body", body, flip(4, 500))
    yield mutated("body_truncated", "the last byte missing", body, lambda parts: [*parts[:4], parts[4][:-1]])
    yield mutated("body_extended", "a byte more", body, lambda parts: [*parts[:4], parts[4] + b"x"])
    yield mutated("body_missing", "no body", body, lambda parts: [*parts[:4], b""])

    def altered(name: str, why: str, **changed: Any) -> Case:
        return sealed(name, why, body, TRANSPORT, steps={"header": lambda header: {**header, **changed}})

    yield altered("bl_wrong", "bl is one more, validly signed", bl=1_097)
    yield altered("bh_wrong", "bh of something else, validly signed", bh=b64(ZERO))
    other = {"header": lambda header: {**header, "wh": [b64(ZERO)]}}
    yield sealed("wh_wrong", "wh of something else, validly signed", wrap, TRANSPORT, steps=other)
    yield sealed(
        "directory_behind", "the sender knows a leaf more", "hold.directory-behind", HOLD, size=SIZE - 1
    )


def _wraps() -> Iterator[Case]:
    yield sealed(
        "prekey_unknown",
        "a kid nobody has",
        "envelope.unknown-prekey",
        REJECTED,
        rows=[["co", b64(bytes(range(32)))]],
    )
    yield sealed(
        "outlives_prekey",
        "exp 1 ms beyond destroy - 1 day",
        "envelope.outlives-prekey",
        REJECTED,
        exp=LIMIT + 1,
    )

    def unopened(name: str, why: str, **steps: Callable[..., Any]) -> Case:
        return sealed(name, why, "envelope.unwrap-failed", REJECTED, steps=steps)

    def info(net: bytes = NET, label: str = "wrap", address: bytes = b"co") -> Callable[..., bytes]:
        return lambda _, core, kid: h(net, label, core, address, kid)

    yield unopened(
        "prekey_of_other",
        "sealed to bb's key under co's kid",
        prekey=lambda _: PREKEYS["bb"][0].secret.public,
    )
    yield unopened(
        "prekey_of_next_epoch", "sealed to co's next key", prekey=lambda _: PREKEYS["co"][1].secret.public
    )
    yield unopened("info_other_address", "info names bb", info=info(address=b"bb"))
    yield unopened("info_other_label", "info with label body", info=info(label="body"))
    yield unopened("info_other_network", "info of another network", info=info(net=OTHER_NET))
    yield unopened(
        "info_without_core",
        "info of another core",
        info=lambda _, core, kid: h(NET, "wrap", ZERO, b"co", kid),
    )
    yield unopened(
        "info_without_kid", "info of another kid", info=lambda _, core, kid: h(NET, "wrap", core, b"co", ZERO)
    )
    link = "envelope.link-range"
    yield sealed("link_seq_zero", "numbers begin with 1", link, REJECTED, link=(0, ZERO))
    yield sealed("link_seq_2_53", "2^53", link, REJECTED, link=(2**53, ZERO))
    yield sealed("link_seq_2_64", "2^64-1", link, REJECTED, link=(2**64 - 1, ZERO))

    def mismatch(name: str, why: str, **steps: Callable[..., Any]) -> Case:
        return sealed(name, why, "envelope.link-mismatch", REJECTED, steps=steps)

    def wrapped(start: int, new: bytes) -> Callable[[bytes], bytes]:
        return lambda inner: inner[:start] + new + inner[start + len(new) :]

    yield mismatch("lc_zeros", "lc of nothing", lc=lambda _: ZERO)
    yield mismatch("lc_other_nonce", "lc of another nonce", wrapped=wrapped(32, bytes(16)))
    yield mismatch("lc_other_chain", "lc of another chain", wrapped=wrapped(48, bytes(16)))
    yield mismatch("lc_other_number", "lc of another number", wrapped=wrapped(64, struct.pack(">Q", 2)))
    yield mismatch("lc_other_prev", "lc of another prev", wrapped=wrapped(72, bytes(range(32))))
