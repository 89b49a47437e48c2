"""Where objects begin and end in a file, and what is no JSON or too much of it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings, strategies as st

from exchange.errors import ExchangeError, Refused
from exchange.formats.stix.spans import Document, Limits, load, parse, scan, scan_thoroughly

LIMITS = Limits()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WHITESPACE = st.text(alphabet=" \t\r\n", max_size=3)


def spell(draw, value) -> str:
    """The value as JSON, with whitespace and escapes wherever the grammar lets them be."""

    def ws() -> str:
        return draw(WHITESPACE)

    if isinstance(value, dict):
        members = (f"{spell(draw, key)}{ws()}:{ws()}{spell(draw, each)}" for key, each in value.items())
        return "{" + ws() + f"{ws()},{ws()}".join(members) + ws() + "}"
    if isinstance(value, list):
        return "[" + ws() + f"{ws()},{ws()}".join(spell(draw, each) for each in value) + ws() + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def files(draw):
    """A bundle as text, and the text of each of its objects."""
    texts = [spell(draw, value) for value in draw(st.lists(VALUES, max_size=5))]
    gaps = [draw(WHITESPACE) for _ in range(len(texts) + 3)]
    inner = ",".join(f"{gap}{text}{gap}" for gap, text in zip(gaps, texts, strict=False))
    before = draw(st.sampled_from(['"type":"bundle",', '"x":{"objects":[1,{}]},', ""]))
    after = draw(st.sampled_from(["", ',"id":"bundle--1"', ',"z":[[],{"objects":[2]}]']))
    return f'{gaps[-1]}{{{before}"objects"{gaps[-2]}:{gaps[-3]}[{inner}]{after}}}{gaps[-1]}', texts


def code_of(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Refused) as caught:
        scan(data, limits)
    return caught.value.code


def item_bytes(document: Document) -> list[bytes]:
    return [document.bytes_of(span) for span in document.items]


@settings(deadline=None)  # the processor is shared
@given(files())
def test_every_object_keeps_its_exact_bytes(case):
    text, texts = case
    document = scan(text.encode(), LIMITS)
    assert item_bytes(document) == [each.encode() for each in texts]
    assert document.repeated is None


@settings(deadline=None)  # the processor is shared
@given(VALUES)
def test_any_value_is_read_whole(value):
    data = json.dumps(value, ensure_ascii=False).encode()
    document = scan(data, LIMITS)
    assert document.bytes_of(document.root) == data


@settings(deadline=None)  # the processor is shared
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data):
    code = outcome_of(data)
    assert code == "" or code.startswith("json.")


def outcome_of(data: bytes) -> str:
    """The code `data` is refused with, or an empty text."""
    try:
        scan(data, LIMITS)
    except ExchangeError as error:
        return error.code
    return ""


def is_json(data: bytes) -> bool:
    """What Python's own parser says, without the constants that are no JSON."""
    try:
        json.loads(data, parse_constant=int)  # int("NaN") is a ValueError
    except ValueError:
        return False
    return True


@settings(deadline=None)  # the processor is shared
@given(VALUES, st.data())
def test_what_is_accepted_is_json_for_others_too(value, data):
    text = bytearray(json.dumps(value).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'{}[]",:\\ 01e-.u\n'))
    assert (outcome_of(bytes(text)) == "") == is_json(bytes(text))


def test_a_list_of_objects_has_its_elements_as_items():
    assert item_bytes(scan(b' [ {"a":1} , 2,[3] ] ', LIMITS)) == [b'{"a":1}', b"2", b"[3]"]


def test_members_of_the_outermost_object_are_noted():
    document = scan(b'{"a": [1, {"objects": [5]}], "b" :"x"}', LIMITS)
    assert {key: document.bytes_of(span) for key, span in document.members.items()} == {
        "a": b'[1, {"objects": [5]}]',
        "b": b'"x"',
    }
    assert document.items == ()
    assert document.depth == 4


def test_a_byte_order_mark_is_skipped():
    assert item_bytes(scan(b'\xef\xbb\xbf[{"a":1}]', LIMITS)) == [b'{"a":1}']


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1,]",
        '{"a":1,}',
        "[1 2]",
        '{"a" 1}',
        "{1:2}",
        "01",
        "1.",
        "+1",
        ".5",
        "1e",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "'a'",
        '"\\x"',
        '"\\u12g4"',
        '"a\nb"',
        '"a',
        "1 1",
        "[}",
        '{"a":NaN}',
        "{]",
        "// c",
        "]",
        '{"a":1}}',
        "\ufeff",
    ],
)
def test_what_is_not_json_is_refused(text):
    assert code_of(text.encode()) == "json.bad-syntax"


def test_the_place_of_bad_syntax_is_named():
    with pytest.raises(Refused) as caught:
        scan(b'{"a": NaN}', LIMITS)
    assert caught.value.facts == {"offset": 5}


@pytest.mark.parametrize("data", [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'{"a":"\xe2\x82"}'])
def test_text_that_is_not_utf_8_is_refused(data):
    assert code_of(data) == "json.not-utf8"


@pytest.mark.parametrize(
    ("text", "repeated", "of_items"),
    [
        (b'{"objects":[{"a":1,"a":2},{"a":1}]}', None, ["a", None]),
        (b'{"objects":[{"x":{"a":1,"\\u0061":2}}]}', None, ["a"]),
        (b'{"objects":[{"a":{"a":1}},{"a":[{"a":1},{"a":2}]}]}', None, [None, None]),
        (b'{"objects":[{}],"objects":[{}]}', "objects", [None, None]),
        (b'{"x":{"b":1,"b":2},"objects":[{}]}', "b", [None]),
        (b'{"objects":[{}],"x":{"b":1,"b":2}}', "b", [None]),
        ('{"objects":[{"ñ":1,"\\u00f1":2}]}'.encode(), None, ["ñ"]),
    ],
)
def test_a_key_that_stands_twice_is_reported_where_it_stands(text, repeated, of_items):
    document = scan(text, LIMITS)
    assert document.repeated == repeated
    assert [span.repeated for span in document.items] == of_items


def test_a_repeated_key_within_a_list_of_a_bare_object_is_the_objects_own():
    assert scan(b'{"objects":[{"a":1,"a":2}]}', LIMITS).root.repeated == "a"


def test_the_limits_hold_at_their_edge():
    limits = Limits(max_bytes=100, max_objects=3, max_depth=4, max_values=12)
    assert scan(b"[1,2,3]", limits).depth == 1
    assert code_of(b"[1,2,3,4]", limits) == "json.too-many-objects"
    assert scan(b"[[[[]]]]", limits).depth == 4
    assert code_of(b"[[[[[]]]]]", limits) == "json.too-deep"
    assert scan(b'{"a":[1,1,1,1,1,1,1,1,1,1]}', limits).items == ()
    assert code_of(b'{"a":[1,1,1,1,1,1,1,1,1,1,1]}', limits) == "json.too-many-values"
    assert code_of(b" " * 101, limits) == "json.too-large"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[" * 10_000_000, "json.too-deep"),
        (b'{"a":' * 2_000_000, "json.too-deep"),
        (b'{"objects":[' + b"{}," * 100_000 + b"{}]}", "json.too-many-objects"),
        (b'{"a":[' + b"[]," * 3_000_000 + b"[]]}", "json.too-many-values"),
        (b'"' + b"\\n" * 5_000_000, "json.bad-syntax"),
        (b"1" * 10_000_000 + b"x", "json.bad-syntax"),
        (b'{"a":1' + b" " * 10_000_000, "json.bad-syntax"),
    ],
)
def test_ten_hostile_megabytes_end_soon_with_a_clear_error(data, code):
    start = time.process_time()
    assert code_of(data) == code
    assert time.process_time() - start < 20  # anything but linear would take hours


@settings(deadline=None)  # the processor is shared
@example(('{"type":"bundle","objects":[-9223372036854775809]}', []), '"k":1,"k":2')
@given(
    files(),
    st.sampled_from(['"k":1,"k":2', '"k":{"a":[{"b":1,"\\u0062":2}]}', '"k":"\\ud800"', '"k":"a:\\":"']),
)
def test_the_quick_reader_says_what_the_thorough_one_says_or_nothing(file, member: str) -> None:
    text, _ = file
    for each in (text, text.replace('"objects"', f'{member},"objects"', 1), f"\ufeff{text}", f"[{text}]"):
        data = each.encode()
        value = load(data, LIMITS)
        document = scan(data, LIMITS)
        assert document == scan_thoroughly(data, LIMITS)
        assert list(document.values()) == [parse(one) for one in item_bytes(document)]
        if value is not None:
            assert document.root.repeated is None
            assert all(span.repeated is None for span in document.items)
            assert document.is_object
            assert value == json.loads(each)
            assert value["objects"] == list(document.values())


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " { } ",
        '{"":1,"a":[]}',
        '{"objects":{"objects":[1]},"b":{"objects":[2]}}',
        '{"\\u006fbjects" : [ "a,]" , {"objects":[3]} ,-0.5e+3 ] , "ñ\\u00f1" : "\\\\" }',
        '{"objects":[],"type":"a:"}',
        '{"objects":["ñ€😀",{"é":"\\ud83d\\ude00"}],"id":"\x7f\u0080"}',
        '{"objects":[' + "9" * 300 + "]}",
    ],
)
def test_the_short_way_finds_what_the_thorough_one_finds(text: str) -> None:
    data = text.encode()
    is_exact = "9" * 19 not in text  # beyond 64 bits an integer would be read as a float
    assert (load(data, LIMITS) is not None) == is_exact
    document = scan(data, LIMITS)
    assert document == scan_thoroughly(data, LIMITS)
    assert list(document.values()) == [parse(one) for one in item_bytes(document)]


def test_a_number_longer_than_a_parser_takes_is_no_matter() -> None:
    data = b'{"objects":[0.%b,-0e%b]}' % (b"1" * 10_000, b"1" * 10)
    assert scan(data, LIMITS) == scan_thoroughly(data, LIMITS)


def test_the_quick_reader_reads_what_is_ordinary() -> None:
    data = b'{"type": "bundle", "objects": [{"a:\\"b": "http://\\\\", "c": [1, {"d": "\\u00e9: "}]}, {}]}'
    assert load(data, LIMITS) == json.loads(data)


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b'{"a":[[1]]}', Limits(max_depth=2)),
        (b'{"objects":[1,2]}', Limits(max_objects=1)),
        (b'{"a":[1,2]}', Limits(max_values=3)),
        (b'{"a":1}', Limits(max_bytes=6)),
    ],
)
def test_the_quick_reader_leaves_what_is_over_a_limit_to_the_thorough_one(
    data: bytes, limits: Limits
) -> None:
    assert load(data, LIMITS) is not None
    assert load(data, limits) is None
    code_of(data, limits)
