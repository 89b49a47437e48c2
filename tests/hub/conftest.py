"""Fixtures of the hub's tests."""

from __future__ import annotations

import pytest

from tests.worlds import World, make_world


@pytest.fixture
def world() -> World:
    """Two officers and three members, one of their own for every test."""
    return make_world()
