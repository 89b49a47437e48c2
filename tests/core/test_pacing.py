"""The window of what may be under way: by time in the queue, whatever the link's length."""

from __future__ import annotations

import pytest

from exchange.pacing import Window


def run(window: Window, *, rate: float, trip: float, times: int = 40) -> list[int]:
    """Sizes of a window that is always used whole on a link of `rate` bytes a second."""
    sizes = []
    for _ in range(times):
        window.passed(window.size, trip + window.size / rate)
        sizes.append(window.size)
    return sizes


@pytest.mark.parametrize(("rate", "trip"), [(8_000, 0.65), (125_000, 0.05), (1_250_000, 0.65), (1e8, 0.001)])
def test_it_grows_as_far_as_the_link_bears(rate: float, trip: float) -> None:
    settled = run(Window(least=32_768, most=4_194_304), rate=rate, trip=trip)[-10:]
    assert all(size == 32_768 or size / rate < 1.0 for size in settled)
    if rate * 0.2 > 4_194_304:
        assert set(settled) == {4_194_304}
    if rate < 32_768:
        assert set(settled) == {32_768}


def test_a_queue_shrinks_it_and_it_comes_back() -> None:
    window = Window(least=1_000, most=64_000)
    run(window, rate=1e6, trip=0.01)
    assert window.size == 64_000
    for _ in range(10):
        window.passed(window.size, 5.0)
    assert window.size == 1_000
    run(window, rate=1e6, trip=0.01)
    assert window.size == 64_000


def test_little_says_nothing_of_much() -> None:
    window = Window(least=1_000, most=64_000)
    for _ in range(10):
        window.passed(10, 0.01)
    assert window.size == 1_000
