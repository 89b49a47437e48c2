"""How the readers of what servers of feeds answer are driven; as core_drives.py."""

from __future__ import annotations

import pytest

from exchange import feed_settings
from exchange.errors import Unavailable
from exchange.formats import taxii
from exchange.formats.stix.spans import Limits, parse
from exchange.formats.taxii import lenient_timestamp, to_timestamp
from exchange.node.feeds.answers import MAX_WAIT_MS, check_status
from exchange.node.feeds.labels import Definitions, labelled
from exchange.node.feeds.misp import _events
from exchange.node.feeds.taxii import _date, _greatest
from exchange.tlp import DEFAULT
from tests.fuzz.core_drives import same


def page(data: bytes) -> None:
    """What is taken of a page can be kept: its bytes are JSON by themselves, and it has a label."""
    found = taxii.read_page(data, Limits())
    for one in labelled(found.loaded, DEFAULT, Definitions()):
        assert parse(one.data) is not None
    assert len(found.next) <= taxii.MAX_NEXT


def date(line: str) -> None:
    """A date is none, or one that TAXII can be asked by; the later of two is one of them."""
    moment = lenient_timestamp(line)
    if moment is not None and moment >= 0:
        same(lenient_timestamp(to_timestamp(moment)), moment)
        same(_greatest("", line), to_timestamp(moment))
    assert lenient_timestamp(_greatest("2026-10-01T00:00:00.000000Z", line)) is not None
    assert not _date(line) or lenient_timestamp(_date(line)) is not None


def wait(line: str) -> None:
    """However long a server asks to wait, it is a bounded time."""
    with pytest.raises(Unavailable) as fault:
        check_status(503, {"retry-after": line}, now=0)
    assert 0 <= fault.value.facts["retry_after"] * 1_000 <= MAX_WAIT_MS


def index(data: bytes) -> None:
    """Every event of an index has a UUID and a moment."""
    for uuid, moment in _events(data):
        assert len(uuid) == 36
        assert moment >= 0


def span(line: str) -> None:
    """A span of time is longer than nothing, or nothing."""
    assert feed_settings.parse_span(line) >= 0
