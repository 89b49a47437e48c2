"""Sealed attachments, and the rows that name them (docs/protocol.md §5.1). Seals with flaws; checks nothing."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.cobblestone import Cobblestone256Encryptor

from exchange.canonical import b64, h, unb64
from tests.vectors.makers.case import Case, Made, committed
from tests.vectors.makers.network import NET, OTHER_NET, Chance, human
from tests.vectors.makers.sealing import bucket

AREA = "blob"
TEXT = b"%PDF-1.7 informe de Lima\n" * 100
SEAL, PADDING, DIGEST = "blob.bad-seal", "blob.bad-padding", "blob.bad-digest"
LARGEST, LARGEST_BLOB = 104_857_600, 104_960_072


def row(number: int = 0, **changed: Any) -> list[Any]:
    """One attachment as meta names it; a higher `number` sorts later."""
    value = {
        "blob": b64(bytes([number]) * 32),
        "key": b64(Chance("blob key")(32)),
        "size": len(TEXT),
        "digest": b64(hashlib.sha256(TEXT).digest()),
        "name": human("Informe Ñusta.pdf"),
        "media_type": "application/pdf",
        "malware": 0,
    }
    return list({**value, **changed}.values())


def named(rows: list[list[Any]]) -> list[list[Any]]:
    """What the header of a message with these attachments names."""
    return [[one[0], sealed_size(one[2])] for one in rows]


def sealed_size(size: int) -> int:
    padded = bucket(size)
    return 56 + padded + 16 * (padded // 16_384 + 1)


def _sealed(
    name: str,
    why: str,
    expect: str = "ok",
    *,
    text: bytes = TEXT,
    plain: bytes | None = None,
    net: bytes = NET,
    context: bytes | None = None,
    said: int | None = None,
    key: bytes | None = None,
    digest: bytes | None = None,
) -> Case:
    """A blob of `text`. `plain`: what is sealed instead of the padded text; the rest: what is said or used wrongly."""

    def make() -> Made:
        own = Chance(f"blob {name}")(32)
        where = h(net, "blob", struct.pack(">Q", len(text))) if context is None else context
        engine = Cobblestone256Encryptor(own, where)
        padded = text + bytes(bucket(len(text)) - len(text)) if plain is None else plain
        given = {
            "blob": b64(engine.update(padded) + engine.finalize()),
            "key": b64(own if key is None else key),
            "size": len(text) if said is None else said,
            "digest": b64(hashlib.sha256(text).digest() if digest is None else digest),
        }
        return given, {"plain": b64(text)} if expect == "ok" else None

    return Case(AREA, name, why, make, expect, "" if expect == "ok" else "rejected", fixed=False)


def _mutated(name: str, why: str, change: Callable[[bytes], bytes], of: str = "chunks") -> Case:
    def make() -> Made:
        given = committed(AREA, of)["input"]
        return {**given, "blob": b64(change(unb64(given["blob"])))}, None

    return Case(AREA, name, why, make, SEAL, "rejected")


def blob_cases() -> Iterator[Case]:
    yield _sealed("small", "a file in the smallest bucket that holds it")
    yield _sealed("empty", "a file of no bytes is 1,024 zeros", text=b"")
    yield _sealed("full", "1,024 bytes need no padding", text=TEXT[:1_024])
    yield _sealed("chunks", "two whole chunks, and an empty last one", text=Chance("chunks")(32_768))
    yield _sealed("padme", "above 64 KiB the bucket is Padmé's", text=Chance("padme")(65_537))

    yield _sealed("other_key", "another key", SEAL, key=bytes(32))
    yield _sealed("other_net", "sealed for another network", SEAL, net=OTHER_NET)
    yield _sealed("other_size", "sealed for another size", SEAL, said=len(TEXT) + 1)
    yield _sealed("empty_context", "no context", SEAL, context=b"")
    yield _mutated("nothing", "no bytes", lambda blob: b"")
    yield _mutated("only_head", "no chunk", lambda blob: blob[:56])
    yield _mutated("head_bit", "a bit before the first chunk", lambda blob: bytes([blob[0] ^ 1]) + blob[1:])
    yield _mutated("last_bit", "the last bit", lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]))
    yield _mutated("cut", "the last byte missing", lambda blob: blob[:-1])
    yield _mutated("cut_at_chunk", "cut where a chunk ends", lambda blob: blob[: 56 + 2 * 16_400])
    yield _mutated("extended", "a byte more", lambda blob: blob + b"x")
    first, second = slice(56, 56 + 16_400), slice(56 + 16_400, 56 + 2 * 16_400)
    yield _mutated(
        "swapped",
        "the second chunk before the first",
        lambda blob: blob[:56] + blob[second] + blob[first] + blob[second.stop :],
    )
    yield _mutated("twice", "a chunk twice", lambda blob: blob[: second.stop] + blob[second.start :])

    padded = TEXT + bytes(bucket(len(TEXT)) - len(TEXT))
    yield _sealed("last_pad_byte", "the last byte of the padding is 1", PADDING, plain=padded[:-1] + b"\1")
    yield _sealed("without_padding", "no padding", PADDING, plain=TEXT)
    yield _sealed("padded_too_far", "padded to the next bucket", PADDING, plain=padded + bytes(4_096))
    yield _sealed("shorter", "the last byte of the file missing", PADDING, plain=TEXT[:-1])
    yield _sealed("other_file", "another file than the message names", DIGEST, digest=bytes(32))


def row_flaws() -> Iterator[tuple[str, str, list[Any]]]:
    """(name, why, attachments) of metas that are refused as json.bad-schema."""
    yield "none", "an empty list", []
    yield "seventeen", "17 of them", [row(number) for number in range(17)]
    yield "twice", "a blob twice", [row(), row()]
    yield "unsorted", "not in the order of their blobs", [row(1), row()]
    yield "row_short", "a row of six values", [row()[:6]]
    yield "object", "an object instead of a list", [{}]
    for name, why, changed in (
        ("blob_short", "31 bytes of blob", {"blob": b64(bytes(31))}),
        ("key_short", "31 bytes of key", {"key": b64(bytes(31))}),
        ("digest_short", "31 bytes of digest", {"digest": b64(bytes(31))}),
        ("size_negative_text", "a size that is a text", {"size": "-1"}),
        ("size_over", "one byte over the limit", {"size": LARGEST + 1}),
        ("name_long", "256 bytes of name", {"name": human("x" * 256)}),
        ("name_not_utf8", "a name that isn't UTF-8", {"name": b64(b"\xff")}),
        ("name_not_nfc", "a letter in two characters", {"name": human("N\u0303")}),
        ("media_type_capital", "a media type in upper case", {"media_type": "Application/pdf"}),
        ("media_type_of_one", "a media type without its second half", {"media_type": "pdf"}),
        ("media_type_with_parameter", "a media type with a parameter", {"media_type": "text/plain; a=b"}),
        ("malware_two", "malware is 2", {"malware": 2}),
        ("malware_text", "malware is a text", {"malware": "1"}),
    ):
        yield name, why, [row(**changed)]
