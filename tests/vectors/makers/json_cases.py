"""Signed JSON and base64url: every second spelling of a value that has a first one (docs/protocol.md §2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exchange.canonical import b64
from tests.vectors.makers.case import Case, steady
from tests.vectors.makers.network import jcs

GOOD: dict[str, Any] = {
    "empty_object": {},
    "empty_array": [],
    "top_level_text": "text",
    "top_level_number": 0,
    "largest_integer": [2**53 - 1],
    "sorted_members": {"a": 1, "aa": 2, "b": [{"c": ""}]},
    "capitals_before_small": {"B": 1, "a": 2},
    "every_character": "".join(chr(code) for code in range(0x20, 0x7F)),
    "escaped_name": {'quote"backslash\\': "x"},
    "eight_levels": [[[[[[[[1]]]]]]]],
}

BAD = {
    "nothing": (b"", "no bytes"),
    "not_json": (b"{", "cut short"),
    "two_values": (b"{}{}", "something after the value"),
    "trailing_newline": (b"{}\n", "a newline after the value"),
    "leading_space": (b" {}", "white space before the value"),
    "space_after_colon": (b'{"a": 1}', "white space after a colon"),
    "space_after_comma": (b"[1, 2]", "white space after a comma"),
    "byte_order_mark": (b"\xef\xbb\xbf{}", "a byte order mark"),
    "unsorted": (b'{"b":1,"a":2}', "members not sorted"),
    "unsorted_inside": (b'[{"a":{"y":1,"x":2}}]', "members of an inner object not sorted"),
    "duplicate": (b'{"a":1,"a":1}', "a member twice"),
    "duplicate_differs": (b'{"a":1,"a":2}', "a member twice with other values"),
    "null": (b'{"a":null}', "null"),
    "true": (b'{"a":true}', "a boolean"),
    "false": (b"[false]", "a boolean"),
    "fraction": (b"[1.5]", "a fraction"),
    "fraction_zero": (b"[1.0]", "an integer spelt as a fraction"),
    "exponent": (b"[1e3]", "an exponent"),
    "negative": (b"[-1]", "a negative integer"),
    "minus_zero": (b"[-0]", "minus zero"),
    "leading_zero": (b"[01]", "a leading zero"),
    "plus": (b"[+1]", "a plus sign"),
    "integer_2_53": (b"[9007199254740992]", "2^53"),
    "integer_2_64": (b"[18446744073709551616]", "2^64"),
    "integer_of_400_digits": (b"[" + b"9" * 400 + b"]", "400 digits"),
    "not_a_number": (b"[NaN]", "NaN"),
    "infinity": (b"[Infinity]", "Infinity"),
    "escaped_letter": (b'["\\u0061"]', "a letter spelt as an escape"),
    "escaped_solidus": (b'["\\/"]', "an escaped solidus"),
    "escaped_name": (b'{"\\u0061":1}', "a name spelt as an escape"),
    "tab_escaped": (b'["\\t"]', "a control character"),
    "tab_bare": (b'["\t"]', "a bare control character"),
    "delete": (b'["\x7f"]', "0x7F isn't printable"),
    "beyond_ascii": ('["é"]'.encode(), "a letter beyond ASCII"),
    "beyond_ascii_escaped": (b'["\\u00e9"]', "a letter beyond ASCII as an escape"),
    "beyond_ascii_name": ('{"é":1}'.encode(), "a name beyond ASCII"),
    "lone_surrogate": (b'["\\ud800"]', "a lone surrogate"),
    "invalid_utf8": (b'["\xff"]', "no UTF-8"),
    "overlong_utf8": (b'["\xc1\xa1"]', "an overlong letter"),
    "nul": (b'["\x00"]', "a NUL"),
    "utf16": ("{}".encode("utf-16-le"), "UTF-16"),
    "trailing_comma": (b"[1,]", "a comma too many"),
    "single_quotes": (b"['a']", "single quotes"),
    "comment": (b"[1/**/]", "a comment"),
    "nine_levels": (b"[" * 9 + b"1" + b"]" * 9, "nine levels"),
    "nine_levels_mixed": (b'{"a":' * 9 + b"1" + b"}" * 9, "nine levels of objects"),
    "deep": (b"[" * 3_000 + b"]" * 3_000, "3,000 levels"),
}

ENCODED = {
    "padded": ("AA==", None, "padding"),
    "unused_bits": ("AB", None, "unused trailing bits not zero"),
    "unused_bits_of_two": ("AAB", None, "unused trailing bits not zero"),
    "one_character": ("A", None, "one character is no byte"),
    "standard_alphabet": ("+/8", None, "the other alphabet"),
    "newline": ("AA\n", None, "a line break at the end"),
    "inner_space": ("AA AA", None, "a space"),
    "beyond_ascii": ("\u0410\u0410", None, "letters that only look right"),
    "number": (0, None, "not a text"),
    "too_short": (b64(bytes(31)), 32, "31 bytes where 32 belong"),
    "too_long": (b64(bytes(33)), 32, "33 bytes where 32 belong"),
}


def json_cases() -> Iterator[Case]:
    for name, value in GOOD.items():
        given = {"bytes": b64(jcs(value))}
        yield steady("json", f"good_{name}", name.replace("_", " "), given, output={"value": value})
    for name, (data, why) in BAD.items():
        yield steady("json", name, why, {"bytes": b64(data)}, expect="json.not-canonical", outcome="rejected")


def base64_cases() -> Iterator[Case]:
    for size in (0, 1, 2, 3, 32):
        data = bytes(range(255, 255 - size, -1))
        given = {"text": b64(data), "size": size}
        yield steady("base64", f"good_{size}_bytes", f"{size} bytes", given, output={"hex": data.hex()})
    for name, (text, size, why) in ENCODED.items():
        given = {"text": text, "size": size}
        yield steady("base64", name, why, given, expect="json.bad-schema", outcome="rejected")
