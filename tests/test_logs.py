"""Log lines: JSON, and nothing of what was handled."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

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


def test_service_that_logs_by_the_standard_library_has_its_facts_but_no_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("exchange.node.sync").exception(
            "put off", extra={"code": "storage.io", "raw": CANARY * 99}
        )
    event = json.loads(lines.getvalue())
    assert (event["event"], event["code"], event["error"]) == ("put off", "storage.io", "ValueError")
    assert len(event["raw"]) == 200
    assert event.keys() == {"at", "code", "error", "event", "level", "logger", "raw"}


def test_event_below_the_level_is_left_out(lines: io.StringIO) -> None:
    logs.configure(level="warning", stream=lines)
    logs.logger("hub").info("accepted")
    logs.logger("hub").warning("put off", name="any fact may have any name")
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["put off"]
