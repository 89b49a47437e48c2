"""What a server does unasked: a task that can't go on is told of, one that is done or stopped isn't."""

from __future__ import annotations

import asyncio

import pytest

from exchange.chores import doing
from exchange.errors import ExchangeError, Refused


async def done() -> None:
    """A chore with nothing to do."""


async def fails(fault: Exception) -> None:
    """One that can't go on."""
    raise fault


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Refused("settings.invalid", "ca"), ("settings.invalid", "ca")),
        (KeyError("a secret"), ("internal.error", "KeyError")),
    ],
)
async def test_chore_that_fails_is_told(fault: Exception, told: tuple[str, str]) -> None:
    heard: asyncio.Future[ExchangeError] = asyncio.get_running_loop().create_future()
    async with doing([done(), fails(fault), asyncio.sleep(600)], on_fault=heard.set_result):
        error = await asyncio.wait_for(heard, 20)
    assert (error.code, error.detail) == told


async def test_end_of_the_block_ends_the_chores_and_tells_nothing() -> None:
    heard: list[ExchangeError] = []
    async with doing([asyncio.sleep(600), done()], on_fault=heard.append):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    assert heard == []
