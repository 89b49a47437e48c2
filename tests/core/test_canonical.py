"""One spelling: what goes in comes out, and nothing else comes in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from exchange.canonical import (
    MAX_DEPTH,
    MAX_INT,
    Fields,
    b64,
    b64_text,
    dumps,
    framed,
    h,
    is_member_handle,
    loads,
    text_b64,
    unb64,
    unframed,
)
from exchange.errors import ExchangeError, Refused, Rejected
from tests.core.refusals import attempt

ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
SCALARS = ASCII | st.integers(0, MAX_INT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII, inner, max_size=4),
    max_leaves=20,
)


def depth(value: object) -> int:
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return max((depth(one) for one in inner), default=0) + (1 if isinstance(value, list | dict) else 0)


@given(VALUES)
def test_signed_json_comes_back(value: object) -> None:
    if depth(value) > MAX_DEPTH:
        with pytest.raises(Refused, match="not-canonical"):
            dumps(value)
    else:
        assert loads(dumps(value), most=100_000) == value


@given(VALUES)
def test_signed_json_is_what_the_standard_library_would_sort(value: object) -> None:
    if depth(value) <= MAX_DEPTH:
        assert dumps(value) == json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


@given(st.binary(max_size=200))
def test_what_is_read_is_written_the_same(data: bytes) -> None:
    value, fault = attempt(lambda: loads(data, most=200))
    assert fault.code == "json.not-canonical" if fault else dumps(value) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
    st.sampled_from([None, 1]),
)
def test_any_json_is_read_the_same_or_refused(value: object, indent: int | None) -> None:
    data = json.dumps(value, indent=indent).encode("utf-8")
    found, fault = attempt(lambda: loads(data, most=1_000_000))
    assert fault.code == "json.not-canonical" if fault else dumps(found) == data


@pytest.mark.parametrize("value", [None, True, 1.0, -1, 2**53, "é", b"", ("a",), {"é": 1}, "\n"])
def test_what_has_no_form_is_not_written(value: object) -> None:
    with pytest.raises(Refused, match=r"json\.not-canonical"):
        dumps(value)


def test_a_document_over_its_limit_is_not_parsed() -> None:
    assert loads(b'"abc"', most=5) == "abc"
    with pytest.raises(Rejected, match=r"json\.not-canonical"):
        loads(b'"abc"', most=4)


@given(st.binary(max_size=100))
def test_base64url_comes_back(data: bytes) -> None:
    assert unb64(b64(data), size=len(data)) == data


@given(st.text(max_size=12) | st.text("ABQgwZaz09-_=+/\n", max_size=12))
def test_base64url_has_one_spelling(text: str) -> None:
    data, fault = attempt(lambda: unb64(text))
    assert fault.code == "json.bad-schema" if fault else b64(data or b"") == text


@given(st.text(max_size=30).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_human_text_comes_back_in_its_normal_form(text: str) -> None:
    stored = text_b64(text)
    assert text_b64(b64_text(stored, most=1_000, field="x")) == stored


@pytest.mark.parametrize("data", [b"\xff", "N\u0303".encode(), b"xxxxx"])
def test_human_text_is_utf8_nfc_and_short(data: bytes) -> None:
    with pytest.raises(Rejected, match=r"json\.bad-schema"):
        b64_text(b64(data), most=4, field="x")


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_frames_come_back(parts: list[bytes]) -> None:
    assert list(unframed(framed(parts), most_items=6, most_bytes=30)) == parts


@given(st.binary(max_size=60))
def test_bytes_are_frames_or_refused(data: bytes) -> None:
    parts, fault = attempt(lambda: list(unframed(data, most_items=5, most_bytes=20)))
    assert fault.code == "request.bad" if fault else framed(parts or []) == data


def test_frames_stop_before_the_one_too_many() -> None:
    frames = unframed(framed([b"a", b"b", b"c"]), most_items=2, most_bytes=1)
    assert [next(frames), next(frames)] == [b"a", b"b"]
    with pytest.raises(Rejected, match=r"request\.bad"):
        next(frames)


def test_a_hash_tells_its_parts_apart() -> None:
    net = bytes(32)
    parts = [(), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"b", b"a")]
    assert len({h(net, "x", *part) for part in parts}) == len(parts)
    assert h(net, "x", b"a") != h(net, "y", b"a")
    assert h(net, "x", b"a") != h(bytes([1]) * 32, "x", b"a")


@pytest.mark.parametrize(
    ("handle", "good"),
    [("co", True), ("co-csirt-2", True), ("c", False), ("Co", False), ("co/duty", False), ("a" * 33, False)]
    + [(name, False) for name in ("hub", "officer", "network", "recovery", "co\n", "")],
)
def test_handles(handle: str, good: bool) -> None:
    assert is_member_handle(handle) is good


GOOD = {
    "number": 5,
    "word": "red",
    "bytes": b64(b"ab"),
    "rows": [[1, 2]],
    "items": [1],
    "human": text_b64("Ñ"),
    "who": "co/duty",
}


class TestFields:
    """A closed object: every reader names the member and refuses everything but its own type."""

    def fields(self, **changed: object) -> Fields:
        return Fields({**GOOD, **changed}, tuple(GOOD), what="thing")

    def test_good_values_are_read(self) -> None:
        fields = self.fields()
        assert fields.integer("number", least=5, most=5) == 5
        assert fields.text("word", most=3) == fields.one_of("word", ("red",)) == "red"
        assert fields.binary("bytes", 2) == b"ab"
        assert fields.rows("rows", 2, most=1) == [[1, 2]]
        assert fields.items("items", most=1) == fields.raw("items") == [1]
        assert fields.human("human", most=2) == "Ñ"
        assert fields.address("who") == "co/duty"
        fields.exactly("number", 5)

    @pytest.mark.parametrize("value", [None, [], "x", {}, {"number": 5}, {**GOOD, "more": 1}])
    def test_another_object_is_refused(self, value: object) -> None:
        with pytest.raises(Rejected, match=r"json\.bad-schema.*thing"):
            Fields(value, tuple(GOOD), what="thing")

    @pytest.mark.parametrize(
        ("read", "bad"),
        [
            (lambda f: f.integer("number", most=5), [6, -1, True, 5.0, "5", None]),
            (lambda f: f.exactly("number", 1), [True, 1.0, "1", 2]),
            (lambda f: f.text("word", most=3), ["blue", 1, None, ["red"]]),
            (lambda f: f.one_of("word", ("red",)), ["blue", 1, ["red"], None]),
            (lambda f: f.binary("bytes", 2), ["", "YWI=", 1, None, b64(b"abc")]),
            (
                lambda f: f.rows("rows", 2, most=1, least=1),
                [[], [[1]], [[1, 2], [3, 4]], "ab", [1], [(1, 2)]],
            ),
            (lambda f: f.items("items", most=1, least=1), [[], [1, 2], "a", {"a": 1}]),
            (lambda f: f.human("human", most=2), [b64(b"abc"), b64(b"\xff"), 1]),
            (lambda f: f.address("who"), ["Co", "c", "co/", "co/x", "co/duty/x", 1, "co "]),
        ],
    )
    def test_a_wrong_value_is_refused_by_name(self, read: object, bad: list[object]) -> None:
        name = next(n for n in GOOD if n in read.__code__.co_consts)
        for value in bad:
            with pytest.raises(ExchangeError, match=rf"json\.bad-schema: .*{name}") as caught:
                read(self.fields(**{name: value}))
            assert type(caught.value) is Rejected
