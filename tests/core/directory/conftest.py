"""What tests of contact points begin with."""

from __future__ import annotations

import pytest

from tests.contact_points import NPC, TRACING, Country
from tests.worlds import make_world


@pytest.fixture
def bare() -> Country:
    """Nobody nominates yet."""
    return Country(make_world())


@pytest.fixture
def peru(bare: Country) -> Country:
    bare.npc()
    return bare


@pytest.fixture
def tracing(peru: Country) -> Country:
    """And a tracing contact whose mail is answered by the member's node."""
    peru.log(peru.contact_body(TRACING), NPC, "pe-csirt")
    return peru
