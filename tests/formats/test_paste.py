"""Indicators in pasted text: made whole again, found, doubted where they may be something else, and made objects."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from exchange.errors import Refused
from exchange.formats.indicators.defang import defang
from exchange.formats.indicators.paste import extract, objects
from exchange.formats.indicators.refang import refang
from exchange.tlp import Tlp
from tests.foreign_samples import PASTED


def found(text: str) -> dict[str, str]:
    """Value and doubt of all that is found."""
    return {each.indicator.value: each.indicator.doubt for each in extract(text)}


@pytest.mark.parametrize(
    ("harmless", "whole"),
    [
        ("hxxps[:]//a[.]example[.]com/x[.]php", "https://a.example.com/x.php"),
        ("hXXp://a(dot)example(.)com", "http://a.example.com"),
        ("h**p://a.example.com", "http://a.example.com"),
        ("hxxp[://]a.example.com", "http://a.example.com"),
        ("fxp://a.example.com", "ftp://a.example.com"),
        ("a {dot} example [punto] com", "a.example.com"),
        ("a(ponto)example[point]com", "a.example.com"),
        ("x[at]example[dot]org", "x@example.org"),
        ("x (arroba) example.org", "x@example.org"),
        ("203[.]0[.]113[.7", "203.0.113.7"),
        ("2001[:]db8::1", "2001:db8::1"),
        ("evil\\.example\\.com", "evil.example.com"),
        ("evil [.] example (.)com", "evil.example.com"),
        ("hxxps://evil[.]example[.]com[/]path[/]", "https://evil.example.com/path/"),
        ("evil\u200b.example\uff0ecom", "evil.example.com"),
        ("http://left.example.com/as[0]/it.is", "http://left.example.com/as[0]/it.is"),
    ],
)
def test_what_was_made_harmless_is_made_whole(harmless, whole):
    assert refang(harmless) == whole


@given(
    url=st.from_regex(
        r"https?://[a-z]{1,8}\.example\.(com|org)(:[0-9]{2,4})?(/[a-z0-9._-]{1,8}){0,3}", fullmatch=True
    )
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_we_make_harmless_we_make_whole(url):
    assert refang(defang(url)) == url


def test_each_kind_is_found_in_a_mail():
    assert {each.indicator.value: each.indicator.kind for each in extract(PASTED) if each.taken} == {
        "http://evil.example.com/a/b.php?x=1": "url",
        "203.0.113.7": "ip",
        "2001:db8::7": "ip",
        "198.51.100.0/24": "cidr",
        "evil.example.com": "domain",
        "c2.example.net": "domain",
        "phish@example.org": "email",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": "sha256",
        "CVE-2026-12345": "cve",
        "dropper.zip": "domain",
    }


@pytest.mark.parametrize(
    ("text", "value", "doubt"),
    [
        ("see readme.md", "readme.md", "may be the name of a file"),
        ("the run.sh script", "run.sh", "may be the name of a file"),
        ("System.IO", "system.io", "may be a word of a program"),
        ("from 10.0.0.1", "10.0.0.1", "a private address"),
        ("from 127.0.0.1", "127.0.0.1", "an address of the machine itself"),
        ("fe80::1", "fe80::1", "an address of the local link"),
        ("http://192.168.1.1/x", "http://192.168.1.1/x", "a private address"),
        ("below co.uk", "co.uk", "anybody may register names below it"),
        ("kernel32.dll", "kernel32.dll", "the name of a file alone says little"),
        ("AS64496", "AS64496", "a whole autonomous system"),
        ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e", "the hash of an empty file"),
        ("from 0.0.0.0/0", "0.0.0.0/0", "a large part of all addresses"),
        ("203.0.113.7/24", "203.0.113.7", "it stood with the length of a network"),
        ("203.0.113.7-9", "203.0.113.7", "one end of a range"),
        ("fe80::1%eth0", "fe80::1", "an address of the local link"),
        ("*.example.com", "example.com", "it stood for every name below it"),
        ("example.com:8080/x", "example.com", "it stood with a path: the rest of the site may be harmless"),
        ("example.com/user/x", "example.com", "it stood with a path: the rest of the site may be harmless"),
    ],
)
def test_what_may_be_something_else_is_doubted_and_not_taken(text, value, doubt):
    (each,) = extract(text)
    assert (each.indicator.value, each.indicator.doubt, each.taken) == (value, doubt, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SRV _sip._tcp.example.com", "_sip._tcp.example.com"),
        ("_dmarc.example.com.", "_dmarc.example.com"),
        ("_x@example.com", "_x@example.com"),
        ("**_example.com_**", "example.com"),
        ("- #example.com", "example.com"),
        ("ssh root@203.0.113.7", "203.0.113.7"),
        ("root@203.0.113.7:22", "203.0.113.7"),
        ("203.0.113.7:8080/x", "203.0.113.7"),
        ("([2001:db8::7]:443).", "2001:db8::7"),
        ("2001:db8::7/path", "2001:db8::7"),
        ("example.com\u2014bad", "example.com"),
        ("example [.] com", "example.com"),
    ],
)
def test_an_address_is_found_whatever_stands_around_it_and_loses_nothing(text, value):
    assert found(text) == {value: ""}


def test_an_address_with_the_length_of_a_network_is_shown_in_doubt():
    assert found("2001:db8::1/64") == {"2001:db8::1": "it stood with the length of a network"}


def test_both_ends_of_a_range_are_shown_in_doubt():
    assert found("203.0.113.7-203.0.113.10") == dict.fromkeys(
        ("203.0.113.7", "203.0.113.10"), "one end of a range"
    )


@pytest.mark.parametrize(("text", "value"), [("readme[.]md", "readme.md"), ("evil[.]local", "evil.local")])
def test_a_name_that_was_made_harmless_is_meant_as_one(text, value):
    assert found(text) == {value: ""}


@pytest.mark.parametrize(
    "text",
    [
        "e.g. this, i.e. that, etc. and v1.2.3.4",
        "2026-11-20 12:30:11.250 [INFO] 3.5 of 7 (see p. 4)",
        "foo.bar() returns x.y.z",
        "300.1.2.3 and 1.2.3",
        "a@b and @name",
        "deadbeef and 0123456789",
    ],
)
def test_prose_numbers_and_code_are_no_indicators(text):
    assert found(text) == {}


def test_brackets_and_full_stops_around_an_address_are_not_of_it():
    text = "(http://a.example.com/x(1)), [http://b.example.com/]. <http://c.example.com>; 'd.example.com'."
    assert list(found(text)) == [
        "http://a.example.com/x(1)",
        "http://b.example.com/",
        "http://c.example.com",
        "d.example.com",
    ]


def test_repeats_are_counted_and_the_surest_spelling_counts():
    once, again = extract("example.com/x\nexample[.]com and example.com\n203.0.113.7")
    assert (once.line, once.times, once.taken) == (1, 3, True)
    assert (again.line, again.times) == (3, 1)


def test_every_pattern_made_is_of_the_value_and_labelled():
    kept = [each for each in extract(PASTED) if each.taken]
    made = objects(kept, PASTED, at="2026-11-22T08:00:00.000Z", tlp=Tlp.GREEN)
    assert len(made) == len(kept)
    for each, raw in zip(kept, made, strict=True):
        value = orjson.loads(raw.data)
        assert each.indicator.value in (value.get("pattern") or value["name"])
        assert raw.tlp is Tlp.GREEN
    assert made == objects(kept, PASTED, at="2026-11-22T08:00:00.000Z", tlp=Tlp.GREEN)


def test_a_text_over_the_limits_is_refused():
    for text in ("a" * 1_048_577, "\n".join(f"a{n}.example.com" for n in range(5_001))):
        with pytest.raises(Refused) as refused:
            extract(text)
        assert refused.value.code == "format.bad-file"
