"""Settings of a feed: what is taken, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.errors import Refused
from exchange.feed_settings import FeedKind, FeedSettings, Proof, parse_span


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://feed.example/taxii2/", {}),
        ("ftp://feed.example/", {}),
        ("https:///x", {}),
        ("https://u:p@feed.example/", {}),
        ("https://feed.example/?key=1", {}),
        ("https://feed.example/#x", {}),
        ("https://feed.example:99999/", {}),
        ("https://[::1", {}),
        ("https://feed.example/a b", {}),
        ("https://feed.example/" + "a" * 2_048, {}),
        ("https://feed.example/", {"collection": ""}),
        ("https://feed.example/", {"collection": "../../x"}),
        ("https://feed.example/", {"collection": ".."}),
        ("https://feed.example/", {"kind": FeedKind.MISP}),
        ("https://feed.example/", {"proof": Proof.BASIC}),
        ("https://feed.example/", {"user": "ana"}),
        ("https://feed.example/", {"every": 59_999}),
        ("https://feed.example/", {"every": parse_span("8d")}),
        ("https://feed.example/", {"keep": 1}),
        ("https://feed.example/", {"ca": "x" * 70_000}),
        ("https://feed.example/", {"readers": ("a",) * 17}),
    ],
)
def test_settings_that_are_refused(url: str, settings: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        FeedSettings(**{"kind": FeedKind.TAXII, "url": url, "collection": "c", **settings}).check()
    assert refusal.value.code == "feed.bad-setting"


@pytest.mark.parametrize(
    "url", ["https://feed.example/taxii2", "http://127.0.0.1:8480/x/", "http://[::1]/", "http://localhost/"]
)
def test_settings_that_are_taken(url: str) -> None:
    made = FeedSettings(kind=FeedKind.TAXII, url=url, collection="c", readers=("a-b.c",)).check()
    assert FeedSettings.from_mapping(made.to_mapping()) == made
    assert (
        FeedSettings(kind=FeedKind.TAXII, url=url.replace("http", "HTTP"), collection="c").check().url == url
    )


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5w", "999999d"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(Refused, match=r"feed\.bad-setting"):
        parse_span(text)
