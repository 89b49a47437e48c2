"""Networks for the trip tests: founded once a run, copied for each test or file of tests, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trip.founding import Homes, found
from tests.trip.network import Network, running


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """The homes of a network of three members, at rest: never changed, only copied."""
    return asyncio.run(found(tmp_path_factory.mktemp("founded") / "network"))


@pytest.fixture(scope="session")
def other_homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Another network, whose members happen to have the same names."""
    return asyncio.run(found(tmp_path_factory.mktemp("founded") / "other", ("pe-csirt", "co-csirt")))


@pytest.fixture
def network(homes: Homes, tmp_path: Path) -> Iterator[Network]:
    """A network of a test's own; nothing runs yet."""
    with running(homes, tmp_path / "network") as network:
        yield network


@pytest.fixture(scope="module")
def served(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One network for all tests of a file, of which only the hub runs. Not together with `network`: same port."""
    with running(homes, tmp_path_factory.mktemp("served") / "network") as network:
        asyncio.run(network.hub.serve.up())
        yield network
