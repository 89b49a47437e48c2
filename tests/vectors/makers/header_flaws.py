"""What may be wrong with a header, at the hub and at a recipient alike (docs/protocol.md §4.1).

Owns the list of flaws and their vectors as bare headers. The envelopes of `SIGNED` also stand under valid signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from exchange.canonical import b64, h
from tests.vectors.makers.blob_cases import LARGEST_BLOB, named, row
from tests.vectors.makers.case import Case, steady
from tests.vectors.makers.network import DAY, NET, NOW, PREKEYS, SIZE, ZERO, Chance, jcs, skid
from tests.vectors.makers.sealing import EXP

SCHEMA, CANONICAL, HEADER = "json.bad-schema", "json.not-canonical", "envelope.bad-header"
BH = b'"bh":'
# validly signed in an envelope too; the parser is the same everywhere, so the others stand as bare headers only
SIGNED = (
    "space",
    "duplicate",
    "float",
    "boolean",
    "null",
    "integer_2_64",
    "beyond_ascii",
    "deep",
    "unsorted",
)
SIGNED += (
    "without_pc",
    "unknown_member",
    "to_empty",
    "suite_two",
    "blob_twice",
    "exp_at_iat",
    "to_unsorted",
    "to_twice",
)
AT_HUB = (
    "space",
    "duplicate",
    "deep",
    "without_pc",
    "to_empty",
    "suite_two",
    "blob_twice",
    "exp_at_iat",
    "to_twice",
)


@dataclass(frozen=True)
class Flaw:
    """`steps` and `pre` go to `sealing.seal`."""

    name: str
    why: str
    code: str
    steps: dict[str, Callable[..., Any]] = field(default_factory=dict)
    pre: dict[str, Any] = field(default_factory=dict)


def flaws() -> Iterator[Flaw]:
    yield from _spellings()
    yield from _schema()
    yield from _rules()


def _spellings() -> Iterator[Flaw]:
    def raw(name: str, why: str, change: Callable[[bytes], bytes]) -> Flaw:
        return Flaw(name, why, CANONICAL, {"raw": change})

    def first(text: bytes) -> Callable[[bytes], bytes]:
        return lambda header: header.replace(b'{"bh":', b"{" + text + BH, 1)

    def number(text: bytes) -> Callable[[bytes], bytes]:
        return lambda header: header.replace(b'"v":1,', b'"v":' + text + b",").replace(
            b'"iat":%d' % NOW, b'"iat":' + text
        )

    yield raw("space", "white space after the first brace", lambda header: b"{ " + header[1:])
    yield raw("newline", "a newline at the end", lambda header: header + b"\n")
    yield raw("byte_order_mark", "a byte order mark", lambda header: b"\xef\xbb\xbf" + header)
    yield raw("unsorted", "v comes first", lambda header: b'{"v":1,' + header[1:].replace(b',"v":1', b""))
    yield raw("duplicate", "bh twice", lambda header: b"{" + header[1 : header.index(b",") + 1] + header[1:])
    yield raw("float", "iat as a fraction", number(b"%d.0" % NOW))
    yield raw("exponent", "iat with an exponent", number(b"1767225600e3"))
    yield raw("null", "a null", first(b'"a":null,'))
    yield raw("boolean", "a boolean", first(b'"a":true,'))
    yield raw("negative", "iat negative", number(b"-5"))
    yield raw("integer_2_53", "iat 2^53", number(b"9007199254740992"))
    yield raw("integer_2_64", "iat 2^64", number(b"18446744073709551616"))
    yield raw(
        "escape",
        "a letter spelt as an escape",
        lambda header: header.replace(b'"priority"', b'"p\\u0072iority"'),
    )
    yield raw("beyond_ascii", "a letter beyond ASCII", first('"a":"é",'.encode()))
    yield raw("deep", "nine levels", first(b'"a":' + b"[" * 8 + b"1" + b"]" * 8 + b","))
    yield raw("very_deep", "3,000 levels", first(b'"a":' + b"[" * 3_000 + b"]" * 3_000 + b","))
    yield raw("cut", "the last brace missing", lambda header: header[:-1])
    yield raw("not_json", "no JSON", lambda _: b"header")


def _schema() -> Iterator[Flaw]:
    def altered(name: str, why: str, **changed: Any) -> Flaw:
        return Flaw(name, why, SCHEMA, {"header": lambda header: {**header, **changed}})

    def without(name: str) -> Flaw:
        drop = {"header": lambda header: {key: value for key, value in header.items() if key != name}}
        return Flaw(f"without_{name}", f"no {name}", SCHEMA, drop)

    yield Flaw("an_array", "an array instead of an object", SCHEMA, {"raw": lambda _: b"[]"})
    yield without("pc")
    yield without("blobs")
    yield altered("unknown_member", "one member too many", id="x")
    yield altered("version_two", "v is 2", v=2)
    yield altered("version_text", "v is a text", v="1")
    yield altered("suite_number", "suite is a number", suite=1)
    yield altered("net_short", "31 bytes of net", net=b64(bytes(31)))
    yield altered("skid_padded", "padded base64", skid=b64(ZERO) + "=")
    yield altered("pc_unused_bits", "unused trailing bits not zero", pc="A" * 42 + "B")
    yield altered("bh_standard_alphabet", "the other base64 alphabet", bh="+" * 42 + "A")
    yield altered("from_capital", "an address in upper case", **{"from": "PE"})
    yield altered("from_two_units", "two units", **{"from": "pe/a1/b2"})
    yield altered("lane_unknown", "no such lane", lane="urgent")
    yield altered("iat_text", "iat is a text", iat=str(NOW))
    yield altered("bl_over_limit", "bl over 11,534,336", bl=11_534_337)
    yield altered("dir_of_two", "dir without its checkpoint", dir=[SIZE, b64(ZERO)])
    yield altered("dir_size_zero", "a log has its genesis at least", dir=[0, b64(ZERO), b64(ZERO)])
    yield altered("dir_size_text", "a size that is a text", dir=["7", b64(ZERO), b64(ZERO)])
    yield altered("dir_root_short", "31 bytes of root", dir=[SIZE, b64(bytes(31)), b64(ZERO)])
    yield altered("to_empty", "nobody", to=[], wh=[])
    yield altered("to_of_three", "three values in a row", to=[["co", b64(PREKEYS["co"][0].kid), 1]])
    yield altered("to_capital", "an address in upper case", to=[["CO", b64(PREKEYS["co"][0].kid)]])
    yield altered("kid_short", "31 bytes of kid", to=[["co", b64(bytes(31))]])
    yield altered("wh_too_few", "no wh for a recipient", wh=[])
    yield altered("wh_too_many", "a wh too many", wh=[b64(ZERO), b64(ZERO)])
    yield altered("blob_of_one", "a blob without its length", blobs=[[b64(ZERO)]])
    yield altered("blob_short", "31 bytes of a blob's hash", blobs=[[b64(bytes(31)), 1_096]])
    yield altered("blob_of_nothing", "a blob of no bytes", blobs=[[b64(ZERO), 0]])
    yield altered("blob_largest", "a blob over 104,960,072 bytes", blobs=[[b64(ZERO), LARGEST_BLOB + 1]])
    yield altered("blob_length_text", "a length that is a text", blobs=[[b64(ZERO), "1096"]])
    yield altered("blobs_seventeen", "17 blobs", blobs=named([row(number) for number in range(17)]))


def _rules() -> Iterator[Flaw]:
    yield Flaw("suite_two", "suite EX2", "envelope.unknown-suite", pre={"suite": "EX2"})
    yield Flaw("blob_twice", "a blob twice", HEADER, pre={"blobs": named([row(), row()])})
    yield Flaw("blobs_unsorted", "blobs unsorted", HEADER, pre={"blobs": named([row(1), row()])})
    yield Flaw("exp_at_iat", "exp is iat", HEADER, pre={"iat": EXP})
    yield Flaw("exp_before_iat", "exp before iat", HEADER, pre={"iat": EXP + DAY})
    both = sorted([["bb", b64(PREKEYS["bb"][0].kid)], ["co", b64(PREKEYS["co"][0].kid)]])
    wh = [b64(ZERO)] * 2

    def to(rows: list[Any]) -> dict[str, Callable[..., Any]]:
        return {"header": lambda header: {**header, "to": rows, "wh": wh}}

    yield Flaw("to_unsorted", "co before bb", HEADER, to(both[::-1]))
    yield Flaw("to_twice", "co twice", HEADER, to([both[1], both[1]]))


def header_json(**changed: Any) -> dict[str, Any]:
    """A header with a body and wraps that there never were: parsing asks for no more."""
    chance = Chance("header")
    value = {
        "bh": b64(chance(32)),
        "bl": 1_096,
        "blobs": [],
        "dir": [SIZE, b64(chance(32)), b64(chance(32))],
        "exp": EXP,
        "from": "pe",
        "iat": NOW,
        "lane": "priority",
        "net": b64(NET),
        "pc": b64(chance(32)),
        "skid": b64(skid("pe")),
        "suite": "EX1",
        "to": [["co", b64(PREKEYS["co"][0].kid)]],
        "v": 1,
        "wh": [b64(chance(32))],
    }
    return {**value, **changed}


def header_cases() -> Iterator[Case]:
    def good(name: str, why: str, **changed: Any) -> Case:
        raw = jcs(header_json(**changed))
        return steady("header", name, why, {"header": b64(raw)}, output={"env": b64(h(NET, "env", raw))})

    many = [["co", b64(PREKEYS["co"][0].kid)], ["co/duty", b64(ZERO)]]
    yield good("good", "one recipient")
    yield good("good_unit", "a unit after its member", to=many, wh=[b64(ZERO)] * 2)
    yield good("good_largest", "the largest numbers", bl=11_534_336, iat=2**53 - 2, exp=2**53 - 1)
    blobs = [*named([row(number) for number in range(15)]), [b64(b"\x0f" * 32), LARGEST_BLOB]]
    yield good("good_blobs", "16 blobs, the last as long as may be", blobs=blobs)
    yield good("good_empty_body", "parsing alone doesn't mind a body of no bytes", bl=0)
    for flaw in flaws():
        value = {**header_json(), **flaw.pre}
        value = flaw.steps.get("header", dict)(value)
        raw = flaw.steps.get("raw", bytes)(jcs(value))
        yield steady(
            "header", flaw.name, flaw.why, {"header": b64(raw)}, expect=flaw.code, outcome="rejected"
        )
