"""Spellings of addresses, names and AS numbers that people use: all of them are seen, and ordinary prose is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from exchange.formats.indicators.refang import refang
from exchange.formats.mentions import UNREADABLE, Assets, _seen, in_text, mentions

OWN = Assets.read(["203.0.113.0/24", "AS64500", "water.example"])


def seen(text: str) -> set[str]:
    return {asset.text for asset in in_text(text)}


@pytest.mark.parametrize(
    "words",
    [
        "also at bank . example",
        "also at bank .example",
        "also at bank. example",
        "also at bank [ . ] example",
        "also at bank\t(\n.\n) example",
        "also at bank<.>example",
        "also at bank DOT example",
        "also at bank dot example",
        "también en bank PUNTO example",
        "also at bank.\nexample",
        "also at bank\r\n.example",
        "luz [ at ] bank . example",
        "x=bank%252eexample",
        "x=bank%25252Eexample",
        "x=bank%5B.%5Dexample",
        "x=bank%20%2e%20example",
    ],
)
def test_a_name_is_seen_however_its_dot_is_spelt(words: str) -> None:
    assert seen(words) == {"bank.example"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("and 198 . 51 . 100 . 4", "198.51.100.4"),
        ("and 198. 51. 100. 4 too", "198.51.100.4"),
        ("and 198.51.\n100.4", "198.51.100.4"),
        ("and 198 dot 51 dot 100 dot 4", "198.51.100.4"),
        ("and 198 [ . ] 51 [ . ] 100 [ . ] 4", "198.51.100.4"),
        ("and 198.51.100/24", "198.51.100.0/24"),
        ("and 198.51/16", "198.51.0.0/16"),
        ("http://3325256708/x", "198.51.100.4"),
        ("hxxp://3325256708", "198.51.100.4"),
        ("https://luz@0xc6336404:8443", "198.51.100.4"),
        ("http://0306.063.0144.04/", "198.51.100.4"),
        ("http://198.51.25604/", "198.51.100.4"),
        ("asn=64501", "AS64501"),
        ("ASN = 64501", "AS64501"),
        ("as=64501", "AS64501"),
        ("AS_64501", "AS64501"),
        ("src_asn: 64501", "AS64501"),
        ('{"asn": "64501"}', "AS64501"),
        ("Autonomous System 64501", "AS64501"),
        ("autonomous\nsystem number (ASN) 64501", "AS64501"),
        ("AS no. 64501", "AS64501"),
        ("sistema autónomo 64501", "AS64501"),
        ("sistema auto\u0302nomo n\u00famero 64501", "AS64501"),
        ("système autonome 64501", "AS64501"),
    ],
)
def test_an_address_a_net_and_an_as_number_are_seen_however_they_are_spelt(words: str, text: str) -> None:
    assert seen(words) == {text}


@pytest.mark.parametrize(
    "words", ["http://99999999999/", "http://0xfffffffff/", "http://1.2.3.999/", "a%2525252525252ecom"]
)
def test_what_is_spelt_so_that_nobody_can_read_it_counts_as_unreadable(words: str) -> None:
    assert UNREADABLE in in_text(f"with {words}")


@pytest.mark.parametrize(
    "words",
    [
        "then 203 . 0 . 113 . 9 and portal . water . example",
        "203.0.113/24 is announced by asn=64500",
        "http://3405803785/login",
        "portal.\nwater.example%252Flogin",
        "cookie for .water.example, seen at mail.water.example. It is back.",
    ],
)
def test_ones_own_assets_in_such_spellings_are_still_ones_own(words: str) -> None:
    found = [*in_text(words)]
    assert found
    assert all(OWN.covers(asset) for asset in found)


@pytest.mark.parametrize(
    "prose",
    [
        "The group went in by mail. In May it moved on. It is back. No other host. As said. To be seen.",
        "At 12:00 all was quiet. My colleagues, e.g. in Lima, and the like, etc. in Quito. So be it.",
        "Written in C# on .NET, signed. Score 9.8/10 (CVSS 3.1). ASN.1 and version 1.2.3, 24/7 by 4 people.",
        "Atacaron el correo. No hay más. Es grave. La Cía. de Aguas y el Sr. de Lima, pág. 3, lo vieron. Se sabe.",
        "O ataque foi por e-mail. No dia 3. É grave. A Cia. de Água, p. ex. em Lisboa, viu. As contas mudaram.",
        "L'attaque est venue par courriel. Il est tard. La suite ? Le site de M. Dupont. De plus, c'est tout.",
        "known as 3 hosts; the 3. of 4. Known AS before; 50% off, 100%25 sure; a line ends here.\nIt goes on.",
        "HTTP/1.1 200, Mozilla/5.0, on 11/22, 3. 11. 2026, 1/2 of 7.5/10; hasta el punto de que no.",
    ],
)
def test_ordinary_prose_mentions_nobody(prose: str) -> None:
    assert seen(prose) == set()


def test_a_number_is_read_with_the_name_of_its_member() -> None:
    for number in (64501, "64501"):
        assert {one.text for one in mentions({"type": "file", "x_row": {"asn": number}})} == {"AS64501"}
        assert mentions({"type": "file", "x_count": number}) == frozenset()


@pytest.mark.parametrize(
    "piece",
    [
        *(" ", " . ", "a . ", "a. ", "a\n. ", "[ ", "[ . ]", "1 . ", "1.1/", "a dot "),
        *("://", "://a@", "://0x1", "ASN number ", "%25", "%252e"),
    ],
)
def test_what_is_looked_for_in_a_text_takes_time_linear_in_it(piece: str) -> None:
    taken = []
    for count in (20_000, 80_000):
        text, began = piece * (count // len(piece)), time.process_time()
        assert len(seen(text)) <= 2
        taken.append(time.process_time() - began)
    assert taken[1] < 12 * taken[0] + 0.2  # what is quadratic takes sixteen times as long


def test_real_texts_say_hardly_more_in_their_second_spelling(data_dir: Path) -> None:
    """What is read besides keeps next to no text of publishers from going."""
    texts = {
        text
        for path in sorted(data_dir.rglob("*.json"))
        for text in _texts(orjson.loads(path.read_bytes()))
        if " " in text and len(text) > 30
    }
    assert len(texts) > 5_000
    more = [
        text for text in texts if {*in_text(text)} - {*_seen(refang(text)), *_seen(unquote(refang(text)))}
    ]
    assert len(more) < len(texts) / 500


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)
