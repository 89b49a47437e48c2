"""One node with its door open for each file of tests, and the clients they call it with."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.doors import READS, Client, Place, place


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("taxii")) as running:
        yield running


@pytest.fixture(scope="module")
def client(door: Place) -> Client:
    """May read and write."""
    return door.client("siem")


@pytest.fixture(scope="module")
def reader(door: Place) -> Client:
    """May only read."""
    return door.client("reader", scopes=READS)


def indicator(
    name: str = "An address", *, modified: str = "2026-09-01T00:00:00.000Z", **more: Any
) -> dict[str, Any]:
    """A new indicator, unless `more` has its id."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": modified,
        "name": name,
        "pattern": "[ipv4-addr:value = '203.0.113.57']",
        "pattern_type": "stix",
        "valid_from": "2026-09-01T00:00:00.000Z",
    } | more
