"""Tells the stories beside this file: what a person types and sees, against a real hub and real nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.stage import stage
from tests.cli.transcript import Story

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A hub and two members that serve, as network.txt makes them; one key file opens every home."""
    with stage(tmp_path_factory.mktemp("story")) as told:
        told.tell((HERE / "network.txt").read_text())
        yield told


# In this order, in one network: each story begins as the one before ends.
@pytest.mark.parametrize(
    "name",
    [
        "first_message",
        "retention",
        "doors",
        "foreign_files",
        "attachments",
        "tokens",
        "onboarding",
        "units",
        "decisions",
        "refusals",
        "hub_change",
    ],
)
def test_story(name: str, network: Story) -> None:
    network.tell((HERE / f"{name}.txt").read_text())
