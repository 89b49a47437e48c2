"""Log lines: JSON, and nothing of what was handled."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from exchange import logs

CANARY = "canary-in-a-cage"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_event_is_one_line_of_json(lines: io.StringIO) -> None:
    logs.logger("hub").info("accepted", env="abc", size=12)
    (line,) = lines.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("at").endswith("Z")
    assert event == {"event": "accepted", "env": "abc", "size": 12, "level": "info", "logger": "exchange.hub"}


def test_bytes_documents_and_objects_do_not_pass(lines: io.StringIO) -> None:
    logs.logger("hub").info("odd", raw=CANARY.encode(), long="x" * 5000, value={"text": CANARY})
    assert CANARY not in lines.getvalue()
    assert len(lines.getvalue()) < 1000


def test_library_cannot_quote_what_it_was_given(lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("aiohttp.server").exception("bad request %s", CANARY)
    text = lines.getvalue()
    assert CANARY not in text
    event = json.loads(text)
    assert (event["event"], event["error"], event["logger"]) == ("library", "ValueError", "aiohttp.server")
