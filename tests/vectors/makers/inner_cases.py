"""Deliveries whose envelope holds but not what is inside (docs/protocol.md §4.5 steps 10-13), and expired ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.cobblestone import Cobblestone128Encryptor

from exchange.canonical import h
from tests.vectors.makers.blob_cases import named, row
from tests.vectors.makers.case import Case
from tests.vectors.makers.deliveries import HOLD, REJECTED, flip, mutated, sealed
from tests.vectors.makers.network import DAY, NET, NOW, PREKEYS, ZERO, Chance
from tests.vectors.makers.plain_cases import deflated
from tests.vectors.makers.sealing import content, meta_json, plain, uuid


def inner_cases() -> Iterator[Case]:
    yield from _bodies()
    yield from _contents()
    yield from _expired()


def _bodies() -> Iterator[Case]:
    def unread(name: str, why: str, **steps: Callable[..., Any]) -> Case:
        return sealed(name, why, "envelope.body-undecryptable", REJECTED, steps=steps)

    yield unread("body_other_key", "the wrap carries another key", body_key=lambda _: bytes(32))
    yield unread(
        "body_other_context", "the context is of another core", context=lambda _: h(NET, "body", ZERO)
    )
    yield unread("body_empty_context", "no context", context=lambda _: b"")
    yield unread("body_empty", "a body of no bytes, validly signed", body=lambda _: b"")
    yield unread("body_short", "a body of 40 bytes, validly signed", body=lambda body: body[:40])
    yield unread("body_cut", "the last byte missing, validly signed", body=lambda body: body[:-1])
    yield unread("body_noise", "noise, validly signed", body=lambda body: Chance("noise")(len(body)))

    def smaller(body: bytes) -> bytes:
        engine = Cobblestone128Encryptor(bytes(32)[:16], b"")
        return engine.update(bytes(1_024)) + engine.finalize()

    yield unread("body_cobblestone_128", "the smaller Cobblestone", body=smaller)

    def inner(name: str, why: str, code: str, make: Callable[[bytes, bytes], bytes]) -> Case:
        steps = {"plain": lambda _, salt, content: make(salt, content)}
        return sealed(f"plain_{name}", why, f"envelope.{code}", REJECTED, steps=steps)

    def packed(
        how: int, change: Callable[[bytes], bytes] = bytes, raw: int = 0
    ) -> Callable[[bytes, bytes], bytes]:
        return lambda salt, whole: plain(salt, change(zlib.compress(whole, 9)), how=how, raw=len(whole) + raw)

    form, over, pad = "bad-compression", "inflate-overflow", "bad-padding"
    yield inner("compression_two", "compression 2", form, packed(2))
    yield inner("zlib_cut", "the stream stops early", form, packed(1, lambda z: z[:-6]))
    yield inner("bytes_after_zlib", "bytes after the stream", form, packed(1, lambda z: z + b"more"))
    yield inner(
        "raw_deflate",
        "deflate without its frame",
        form,
        lambda s, c: plain(s, deflated(c, wbits=-15), how=1, raw=len(c)),
    )
    yield inner("inflates_to_less", "less than announced", form, packed(1, raw=5))
    yield inner(
        "stored_lengths_differ", "stored, raw length one more", form, lambda s, c: plain(s, c, raw=len(c) + 1)
    )
    yield inner("inflates_to_more", "one byte more than announced", over, packed(1, raw=-1))
    yield inner(
        "zip_bomb",
        "10 MiB behind 20,000 announced bytes",
        over,
        lambda s, c: plain(s, zlib.compress(bytes(10_551_296), 9), how=1, raw=20_000),
    )
    yield inner(
        "raw_over_limit", "announces 10,551,297 bytes", over, lambda s, c: plain(s, c, how=1, raw=10_551_297)
    )
    yield inner("padding_not_zero", "the last byte is 1", pad, lambda s, c: plain(s, c)[:-1] + b"\1")
    yield inner("bucket_too_large", "padded to the next bucket", pad, lambda s, c: plain(s, c) + bytes(1_024))
    yield inner("bucket_too_small", "no padding", pad, lambda s, c: plain(s, c, pad=b""))
    yield inner("packed_beyond_end", "packed length over the end", pad, lambda s, c: plain(s, c, said=2_000))
    yield inner("shorter_than_head", "48 bytes", pad, lambda s, c: bytes(48))
    yield inner("nothing", "no bytes", pad, lambda s, c: b"")

    commit = "envelope.commitment-mismatch"
    yield sealed("pc_zeros", "a commitment to nothing", commit, REJECTED, steps={"pc": lambda _: ZERO})
    other = content(meta_json("another"))
    yield inner(
        "other_content",
        "another content than committed to",
        commit.split(".")[1],
        lambda s, c: plain(s, other),
    )
    yield inner(
        "other_salt", "another salt than committed to", commit.split(".")[1], lambda s, c: plain(ZERO, c)
    )


def _contents() -> Iterator[Case]:
    name, frame, schema = "content", "content.bad-frame", "json.bad-schema"

    def whole(case: str, why: str, code: str, data: bytes) -> Case:
        return sealed(f"content_{case}", why, code, REJECTED, steps={"content": lambda _: data})

    yield whole("empty", "no content", frame, b"")
    yield whole("meta_beyond_end", "meta runs over the end", frame, struct.pack(">I", 500) + b"{}")
    yield whole("meta_not_json", "meta isn't JSON", "json.not-canonical", content(b"meta"))
    yield whole("meta_unknown_member", "one member too many", schema, content(meta_json(name, note=1)))
    yield whole(
        "meta_id_capital", "an id in upper case", schema, content(meta_json(name, id=uuid(name).upper()))
    )
    files = [row(), row(1)]
    blobs = named(files)

    def attached(case: str, why: str, blobs: list[Any], **meta: Any) -> Case:
        whole = meta_json(name, **meta)
        return sealed(f"content_{case}", why, "content.blobs-mismatch", REJECTED, meta=whole, blobs=blobs)

    yield attached("blob_unnamed", "a blob that no attachment names", blobs, attachments=files[:1])
    yield attached("blob_missing", "an attachment whose blob the header lacks", blobs[:1], attachments=files)
    yield attached("blobs_without_attachments", "blobs without attachments", blobs)
    yield attached(
        "blob_length_other", "a blob longer than its file", [[blobs[0][0], 9_999]], attachments=files[:1]
    )
    yield whole(
        "lane_other",
        "another lane than the header's",
        "content.lane-mismatch",
        content(meta_json(name, lane="flash")),
    )


def _expired() -> Iterator[Case]:
    area = "envelope_expired"

    def one(case: str, why: str, expect: str = "ok", outcome: str = "", **how: Any) -> Case:
        return sealed(case, why, expect, outcome, area=area, magic=b"EXX1", **how)

    yield one(
        "good", "only its place in the chain is read", link=(4, Chance("before")(32)), now=NOW + 4 * DAY
    )
    yield one("link_seq_zero", "numbers begin with 1", "envelope.link-range", REJECTED, link=(0, ZERO))
    yield one("lc_zeros", "lc of nothing", "envelope.link-mismatch", REJECTED, steps={"lc": lambda _: ZERO})
    yield one(
        "unwrap_failed",
        "sealed to another key",
        "envelope.unwrap-failed",
        REJECTED,
        steps={"prekey": lambda _: PREKEYS["bb"][0].secret.public},
    )
    yield one("not_recipient", "sealed to bb", "envelope.not-recipient", REJECTED, to=("bb",))
    yield one(
        "unknown_sender", "a sender not in the directory yet", "hold.unknown-sender", HOLD, sender="stranger"
    )

    def bad(case: str, why: str, code: str, change: Callable[[list[bytes]], Any]) -> Case:
        return mutated(case, why, f"envelope.{code}", change, of="good", area=area)

    yield bad(
        "mail_as_expired",
        "mail where an expired delivery belongs",
        "bad-frame",
        lambda parts: [b"EXD1", *parts[1:]],
    )
    yield bad("with_body", "a body", "bad-frame", lambda parts: [*parts[:-1], b"x"])
    yield bad("wrap_bit", "a bit of the wrap", "wrap-mismatch", flip(3, 5))
    yield bad("mldsa_wrong", "a bit of the ML-DSA signature", "bad-signature", flip(2, 3_000))
