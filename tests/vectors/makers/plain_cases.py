"""What can be made without any key: padded plaintexts, contents, mailbox items and frames."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from exchange.canonical import b64
from tests.vectors.makers.blob_cases import LARGEST, row, row_flaws
from tests.vectors.makers.case import Case, steady
from tests.vectors.makers.network import NOW, Chance, human, jcs
from tests.vectors.makers.sealing import PAYLOAD, bucket, content, meta_json, plain, uuid

SALT = Chance("plaintexts")(32)
TEXT = b"Aviso. " * 40
LIMIT = 10_551_296
CHAIN, ENV = Chance("some chain")(16), Chance("some envelope")(32)


def deflated(data: bytes, **how: Any) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, **how)
    return engine.compress(data) + engine.flush()


def body_cases() -> Iterator[Case]:
    """Padded plaintexts of docs/protocol.md §4.2 step 2."""

    def good(name: str, why: str, data: bytes, text: bytes) -> Case:
        output = {"salt": b64(SALT), "content": b64(text)}
        return steady("body", name, why, {"plain": b64(data)}, output=output)

    def bad(name: str, why: str, code: str, data: bytes) -> Case:
        code = f"envelope.{code}"
        return steady("body", name, why, {"plain": b64(data)}, expect=code, outcome="rejected")

    small = zlib.compress(TEXT, 9)
    full = bytes(1_024 - 49)
    yield good("stored", "compression 0", plain(SALT, TEXT), TEXT)
    yield good("compressed", "compression 1", plain(SALT, small, how=1, raw=len(TEXT)), TEXT)
    yield good("empty", "no content at all", plain(SALT, b""), b"")
    yield good("exactly_full", "975 bytes fill the bucket of 1,024: no padding", plain(SALT, full), full)
    yield good("one_more", "976 bytes need 2,048", plain(SALT, full + b"x"), full + b"x")
    two = zlib.compress(bytes(7_000), 9)
    yield good("very_small", "7,000 zeros in a few bytes", plain(SALT, two, how=1, raw=7_000), bytes(7_000))

    over = "inflate-overflow"
    yield bad(
        "zip_bomb",
        "10 MiB behind 20,000 announced bytes",
        over,
        plain(SALT, zlib.compress(bytes(LIMIT), 9), how=1, raw=20_000),
    )
    yield bad(
        "one_byte_over", "inflates to one byte more", over, plain(SALT, small, how=1, raw=len(TEXT) - 1)
    )
    yield bad("raw_over_limit", "announces 10,551,297 bytes", over, plain(SALT, small, how=1, raw=LIMIT + 1))
    yield bad("raw_largest", "announces 2^64-1 bytes", over, plain(SALT, small, how=1, raw=2**64 - 1))
    yield bad(
        "raw_over_limit_stored", "announces 10,551,297 stored bytes", over, plain(SALT, TEXT, raw=LIMIT + 1)
    )

    form = "bad-compression"
    yield bad("compression_two", "compression 2", form, plain(SALT, TEXT, how=2))
    yield bad("compression_255", "compression 255", form, plain(SALT, TEXT, how=255))
    yield bad(
        "stored_lengths_differ", "stored, raw length one more", form, plain(SALT, TEXT, raw=len(TEXT) + 1)
    )
    yield bad("not_zlib", "no zlib stream", form, plain(SALT, b"\xff" * 40, how=1, raw=280))
    yield bad("truncated_zlib", "the stream stops early", form, plain(SALT, small[:-5], how=1, raw=len(TEXT)))
    yield bad("without_checksum", "Adler-32 missing", form, plain(SALT, small[:-4], how=1, raw=len(TEXT)))
    yield bad(
        "checksum_wrong",
        "Adler-32 wrong",
        form,
        plain(SALT, small[:-1] + bytes([small[-1] ^ 1]), how=1, raw=len(TEXT)),
    )
    yield bad(
        "bytes_after_zlib", "a byte after the stream", form, plain(SALT, small + b"x", how=1, raw=len(TEXT))
    )
    yield bad(
        "two_streams", "a second stream after the first", form, plain(SALT, small * 2, how=1, raw=len(TEXT))
    )
    yield bad(
        "inflates_to_less", "one byte less than announced", form, plain(SALT, small, how=1, raw=len(TEXT) + 1)
    )
    yield bad(
        "not_shorter", "compressed, but not shorter", form, plain(SALT, zlib.compress(b"abc"), how=1, raw=3)
    )
    yield bad(
        "gzip", "gzip instead of zlib", form, plain(SALT, gzip.compress(TEXT, mtime=0), how=1, raw=len(TEXT))
    )
    yield bad(
        "raw_deflate",
        "deflate without its frame",
        form,
        plain(SALT, deflated(TEXT, wbits=-15), how=1, raw=len(TEXT)),
    )
    yield bad(
        "dictionary",
        "a preset dictionary",
        form,
        plain(SALT, deflated(TEXT, zdict=b"Aviso"), how=1, raw=len(TEXT)),
    )

    pad = "bad-padding"
    right = plain(SALT, TEXT)
    yield bad("last_pad_byte", "the last byte of the padding is 1", pad, right[:-1] + b"\1")
    yield bad(
        "first_pad_byte",
        "the first byte of the padding is 1",
        pad,
        plain(SALT, TEXT + b"\1", raw=len(TEXT), said=len(TEXT)),
    )
    yield bad("bucket_too_large", "padded to the next bucket", pad, right + bytes(len(right)))
    yield bad("bucket_too_small", "no padding", pad, plain(SALT, TEXT, pad=b""))
    yield bad("one_byte_less", "one byte of padding missing", pad, right[:-1])
    yield bad(
        "packed_beyond_end",
        "the packed length runs over the end",
        pad,
        plain(SALT, TEXT, raw=2_000, said=2_000),
    )
    yield bad("packed_largest", "packed length 2^64-1", pad, plain(SALT, TEXT, said=2**64 - 1))
    yield bad("shorter_than_head", "48 bytes", pad, right[:48])
    yield bad("nothing", "no bytes", pad, b"")


def padding_table() -> list[list[int]]:
    """[length, bucket] around every edge, for hashes.json."""
    edges = [0, 49, 1_024, 1_025, 2_048, 2_049, 20_000, 65_535, 65_536, 65_537, 100_000, 131_072, 131_073]
    return [[n, bucket(n)] for n in (*edges, 1_000_000, 1_048_577, 10_485_809, 10_551_345)]


def content_cases() -> Iterator[Case]:
    """Frame, meta and control payloads of docs/protocol.md §5."""
    yield from _contents()
    yield from _payloads()


def _contents() -> Iterator[Case]:
    name = "content"

    def good(case: str, why: str, payload: bytes = PAYLOAD, **changed: Any) -> Case:
        meta = meta_json(name, **changed)
        output = {"meta": meta, "payload": b64(payload)}
        return steady("content", case, why, {"content": b64(content(meta, payload))}, output=output)

    def bad(case: str, why: str, code: str, data: bytes) -> Case:
        return steady("content", case, why, {"content": b64(data)}, expect=code, outcome="rejected")

    def meta(case: str, why: str, **changed: Any) -> Case:
        return bad(f"meta_{case}", why, "json.bad-schema", content(meta_json(name, **changed)))

    right = content(meta_json(name))
    yield good("stix", "a bundle")
    yield good("resealed", "replaces an earlier sealing", reseal_of=[b64(ENV), b64(CHAIN), 7])
    yield good("unknown_type", "a type of a later version", type="poll", payload=b"anything")
    yield good("empty_payload", "no payload", payload=b"")
    yield good("attachment", "a file", attachments=[row()])
    most = [row(n, size=LARGEST, name=human("x" * 255), malware=n % 2) for n in range(16)]
    yield good("attachments", "as many as may be, as large, with names as long", attachments=most)
    for flaw, why, rows in row_flaws():
        yield meta(f"attachments_{flaw}", why, attachments=rows)
    yield meta("attachments_of_status", "only a bundle has them", type="status", attachments=[row()])
    frame = "content.bad-frame"
    yield bad("nothing", "no bytes", frame, b"")
    yield bad("three_bytes", "cut in the length", frame, right[:3])
    yield bad(
        "meta_beyond_end", "the length runs over the end", frame, struct.pack(">I", len(right)) + right[4:]
    )
    yield bad("meta_largest", "length 2^32-1", frame, b"\xff" * 4 + right[4:])
    long = meta_json(name, reseal_of=["A" * 16_384])
    yield bad("meta_over_limit", "more than 16,384 bytes of meta", frame, content(long))
    yield bad("meta_empty", "meta of no bytes", "json.not-canonical", bytes(4) + PAYLOAD)
    spaced = jcs(meta_json(name)).replace(b",", b", ")
    yield bad("meta_with_space", "white space in meta", "json.not-canonical", content(spaced))
    lacking = {key: value for key, value in meta_json(name).items() if key != "lane"}
    yield bad("meta_without_lane", "a member missing", "json.bad-schema", content(lacking))
    yield meta("unknown_member", "one member too many", note="x")
    yield meta("version_two", "v is 2", v=2)
    yield meta("id_capital", "an id in upper case", id=uuid(name).upper())
    yield meta("id_braces", "an id in braces", id="{" + uuid(name) + "}")
    yield meta("type_capital", "a type in upper case", type="STIX")
    yield meta("lane_unknown", "no such lane", lane="bulk")
    yield meta("created_text", "created isn't an integer", created=str(NOW))
    yield meta("reseal_zero", "reseal_of is 0", reseal_of=0)
    yield meta("reseal_object", "reseal_of is an object", reseal_of={})
    yield meta("reseal_of_two", "reseal_of without number", reseal_of=[b64(ENV), b64(CHAIN)])
    yield meta("reseal_number_zero", "reseal_of with number 0", reseal_of=[b64(ENV), b64(CHAIN), 0])
    yield meta("reseal_chain_short", "15 bytes of chain", reseal_of=[b64(ENV), b64(CHAIN[:15]), 1])


def _signed_by(count: int) -> dict[str, Any]:
    return {"body": b64(b"{}"), "signatures": [[f"m{number:02}", b64(b"")] for number in range(count)]}


def _payloads() -> Iterator[Case]:
    sealing = {"env": b64(ENV), "chain": b64(CHAIN), "link_seq": 3}
    words = {
        "at": NOW,
        "who": human("Ñusta"),
        "action": human("open"),
        "what": human(f"co {uuid('message')}"),
    }
    access_hash = hashlib.sha256(ENV + jcs(words)).digest()
    row = [NOW, words["who"], words["action"], words["what"], b64(ENV), b64(access_hash)]
    bases: dict[str, dict[str, Any]] = {
        "status": {
            "v": 1,
            "of": uuid("message"),
            "level": "acknowledged",
            "person": human("Ñusta"),
            "note": "",
            "code": "",
            "at": NOW,
        },
        "missing": {"v": 1, "lane": "routine", "gaps": [[b64(CHAIN), 2, 4]]},
        "void": {"v": 1, "lane": "routine", **sealing, "why": "envelope.expired"},
        "restored": {"v": 1, "positions": [["flash", b64(CHAIN), 3, b64(ENV)]]},
        "checkpoint": {"v": 1, "body": b64(b"{}"), "signature": b64(bytes(8))},
        "part": {
            "v": 1,
            "address": "co/tracing",
            "level": "holders",
            "salt": b64(CHAIN),
            "bytes": b64(b"{}"),
        },
        "notice": {"v": 1, "statement": {"body": b64(b"{}"), "signatures": [["co", b64(bytes(8))]]}},
        "disclosure-inquiry": {"v": 1, "of": uuid("message")},
        "disclosure-record": {
            "v": 1,
            "inquiry": uuid("message"),
            "of": uuid("message"),
            "at": NOW,
            "state": "here",
            "total": 1,
            "head": b64(access_hash),
            "rows": [row],
        },
    }

    def payload(kind: str, data: bytes) -> dict[str, str]:
        return {"content": b64(content(meta_json("control", type=kind), data))}

    def bad(kind: str, name: str, why: str, data: bytes) -> Case:
        code = "content.bad-payload"
        return steady("content", f"{kind}_{name}", why, payload(kind, data), expect=code, outcome="rejected")

    for kind, base in bases.items():
        output = {"meta": meta_json("control", type=kind), "payload": b64(jcs(base)), "control": base}
        yield steady("content", kind, f"a {kind} payload", payload(kind, jcs(base)), output=output)
        yield bad(kind, "with_space", "white space", jcs(base).replace(b",", b", "))
        yield bad(kind, "unknown_member", "one member too many", jcs({**base, "note_": 1}))
    empty = jcs({"v": 1, "positions": []})
    value = {
        "meta": meta_json("control", type="restored"),
        "payload": b64(empty),
        "control": {"v": 1, "positions": []},
    }
    yield steady(
        "content", "restored_nothing", "holds nothing in any lane", payload("restored", empty), output=value
    )
    for kind, name, why, changed in (
        ("status", "level_unknown", "no such level", {"level": "seen"}),
        ("status", "of_capital", "an id in upper case", {"of": uuid("message").upper()}),
        ("status", "person_not_utf8", "no UTF-8", {"person": b64(b"\xff")}),
        ("status", "person_not_nfc", "a letter in two characters", {"person": human("N\u0303usta")}),
        ("status", "person_long", "257 bytes of name", {"person": human("x" * 257)}),
        ("status", "note_long", "4,097 bytes of note", {"note": human("x" * 4_097)}),
        ("status", "code_capital", "a code in upper case", {"code": "TLP"}),
        ("missing", "no_gap", "no gap", {"gaps": []}),
        ("missing", "backwards", "from after to", {"gaps": [[b64(CHAIN), 4, 2]]}),
        ("missing", "from_zero", "numbers begin with 1", {"gaps": [[b64(CHAIN), 0, 2]]}),
        ("missing", "too_many", "1,001 gaps", {"gaps": [[b64(CHAIN), 1, 1]] * 1_001}),
        ("void", "number_zero", "numbers begin with 1", {"link_seq": 0}),
        ("void", "env_short", "31 bytes of env", {"env": b64(ENV[:31])}),
        ("restored", "lane_twice", "a lane twice", {"positions": bases["restored"]["positions"] * 2}),
        ("restored", "lane_unknown", "no such lane", {"positions": [["bulk", b64(CHAIN), 3, b64(ENV)]]}),
        ("checkpoint", "body_number", "the body isn't a text", {"body": 1}),
        ("part", "level_public", "a level that the hub hands out", {"level": "public"}),
        ("part", "salt_short", "15 bytes of salt", {"salt": b64(CHAIN[:15])}),
        ("part", "address_capital", "no address", {"address": "CO"}),
        ("notice", "not_a_statement", "a statement without signatures", {"statement": {"body": ""}}),
        ("notice", "many_signatures", "65 signatures", {"statement": _signed_by(65)}),
        ("disclosure-inquiry", "of_capital", "an id in upper case", {"of": uuid("message").upper()}),
        ("disclosure-record", "state_unknown_word", "no such state", {"state": "lost"}),
        ("disclosure-record", "total_small", "fewer in all than there are rows", {"total": 0}),
        ("disclosure-record", "many_rows", "129 rows", {"total": 129, "rows": [row] * 129}),
        ("disclosure-record", "row_short", "a row without its hash", {"rows": [row[:5]]}),
        (
            "disclosure-record",
            "hash_short",
            "31 bytes of hash",
            {"rows": [[*row[:5], b64(access_hash[:31])]]},
        ),
        ("disclosure-record", "time_negative", "no time", {"rows": [[-1, *row[1:]]]}),
        ("disclosure-record", "who_long", "257 bytes of who", {"rows": [[NOW, human("x" * 257), *row[2:]]]}),
        ("disclosure-record", "what_not_utf8", "no UTF-8", {"rows": [[*row[:3], b64(b"\xff"), *row[4:]]]}),
    ):
        yield bad(kind, name, why, jcs({**bases[kind], **changed}))


def frame_cases() -> Iterator[Case]:
    """Mailbox items (§8.1) and binary pages (§11)."""

    def items(name: str, why: str, data: bytes, output: Any = None) -> Case:
        more = {"expect": "request.bad", "outcome": "rejected"} if output is None else {"output": output}
        return steady("items", name, why, {"page": b64(data)}, **more)

    def item(kind: int, cursor: bytes, payload: bytes, size: int | None = None) -> bytes:
        rest = bytes([kind, len(cursor)]) + cursor + payload
        return struct.pack(">I", len(rest) if size is None else size) + rest

    two = item(1, b"e1.7", b"delivery") + item(2, b"", b"{}")
    rows = [[1, "e1.7", b64(b"delivery")], [2, "", b64(b"{}")]]
    yield items("empty_page", "no items", b"", {"items": []})
    yield items("two", "a delivery and a proof", two, {"items": rows})
    yield items("unknown_type", "a type of a later version", item(9, b"x", b""), {"items": [[9, "x", ""]]})
    yield items("cut_in_length", "three bytes", two[:3])
    yield items("cut_in_payload", "the last byte missing", two[:-1])
    yield items("length_zero", "a length that holds not even its type", item(1, b"", b"", 0))
    yield items("length_one", "a length that ends before the cursor's", item(1, b"", b"", 1))
    yield items("cursor_over_item", "the cursor runs over the item", item(1, b"abc", b"", 3))
    yield items("length_largest", "length 2^32-1", item(1, b"", b"x", 2**32 - 1))
    yield items("cursor_beyond_ascii", "a cursor beyond ASCII", item(1, "é".encode(), b"x"))

    def page(name: str, why: str, data: bytes, output: Any = None) -> Case:
        more = {"expect": "request.bad", "outcome": "rejected"} if output is None else {"output": output}
        return steady("frames", name, why, {"data": b64(data), "most_items": 2, "most_bytes": 10}, **more)

    one = struct.pack(">I", 3) + b"abc"
    yield page("empty", "no frames", b"", {"frames": []})
    yield page("two", "two frames, one empty", one + bytes(4), {"frames": [b64(b"abc"), ""]})
    yield page("three", "three frames where two are allowed", one * 3)
    yield page("over_size", "11 bytes where 10 are allowed", struct.pack(">I", 11) + b"x" * 11)
    yield page("cut_in_length", "three bytes", one[:3])
    yield page("cut_in_frame", "the last byte missing", one[:-1])
    yield page("length_largest", "length 2^32-1", b"\xff" * 4 + b"abc")
