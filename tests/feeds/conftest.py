"""A home for each test, and a server for each; a whole node with its door open for each file of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.doors import Place, place
from tests.feeds.places import Home
from tests.feeds.servers import Server, serving


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path / "node.db").open()
    yield home
    await home.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """Without memory of the test before."""
    running.answer, running.about = None, None
    running.requests.clear()
    return running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("feeds")) as running:
        yield running
