"""What a command may ask of the process that serves a home, over its control socket: status, wake, wait, own keys."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from exchange.canonical import MAX_INT, Json
from exchange.errors import Refused
from exchange.node.control import channel as control, keys as control_keys
from exchange.node.directory.membership import anchor_confirmed
from exchange.node.feeds import feeds
from exchange.node.node import Node
from exchange.node.store.outbox import ENDED, Addressee

MAX_WAITED: Final = 100  # messages in one `wait`
MAX_WAIT_SECONDS: Final = 3_600


def verbs(node: Node, *, url: str = "") -> control.Verbs:
    """What a command may ask of the serving process; `url`: of its HTTP door, "" while that is closed."""

    async def poke(_: dict[str, Json]) -> Json:
        await node.notices.load()  # a command may have stored one
        await node.retention.fold()  # ... or erased something
        node.feeds.poke()
        node.sync.poke()
        return {}

    async def status(_: dict[str, Json]) -> Json:
        return {**condition(node), "http": url}

    async def wait(value: dict[str, Json]) -> Json:
        ids, seconds = value.get("ids"), _seconds(value)
        if not isinstance(ids, list) or len(ids) > MAX_WAITED or not all(isinstance(one, str) for one in ids):
            raise Refused("request.bad", "ids: a list of message ids")
        node.sync.poke()
        return {"done": await wait_for(node, ids, seconds)}

    async def change(value: dict[str, Json]) -> Json:
        await node.sync.changed.wait(_seconds(value))
        return {}

    async def follow(value: dict[str, Json]) -> Json:
        size, seconds = value.get("size"), _seconds(value)
        if type(size) is not int or not 0 <= size <= MAX_INT:
            raise Refused("request.bad", "size: how many leaves the log must have here")
        return {"done": await followed(node, size, seconds)}

    keys = {verb: partial(control_keys.act, node, verb) for verb in control_keys.ACTIONS}
    return {
        "poke": poke,
        "status": status,
        "wait": wait,
        "change": change,
        "follow": follow,
        "feed": partial(ask_feed, node),
        **keys,
    }


async def ask_feed(node: Node, value: dict[str, Json]) -> Json:
    """Ask the feed `name` now (`begins`), or see how far it is; wait `seconds` for its end."""
    name, begins, seconds = value.get("name"), value.get("begins"), value.get("seconds")
    if not isinstance(name, str) or not isinstance(begins, bool):
        raise Refused("request.bad", "name: of a feed; begins: whether it is asked now")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise Refused("request.bad", f"seconds: 0..{MAX_WAIT_SECONDS}")
    look = node.feeds.poll if begins else node.feeds.watch
    progress, ended = await look(name, seconds=seconds)
    return feeds.as_json(progress, ended=ended)


def _seconds(value: dict[str, Json]) -> float:
    seconds = value.get("seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise Refused("request.bad", f"seconds: 0..{MAX_WAIT_SECONDS}")
    return seconds


def condition(node: Node) -> dict[str, Json]:
    """How the node stands: what `status` shows, without content."""
    now, state = node.sources.clock(), node.sync.condition
    known = not node.replica.is_empty
    return {
        "anchor_confirmed": anchor_confirmed(node.store),
        "clock_offset_ms": state.clock_offset,
        "connected": state.connected,
        "directory_limited": known and node.replica.directory.limited,
        "directory_problem": state.directory_problem,
        "directory_size": node.replica.directory.size if known else 0,
        "directory_stale": known and node.replica.is_stale(),
        "drained": state.drained,
        "heard_at": state.heard_at,
        "is_member": node.replica.is_member(),
        "member": node.identity.address,
        "now": now,
        "problem": state.problem,
        "transport": node.hub.transport if state.connected else "",
    }


async def wait_for(node: Node, ids: list[str], seconds: float) -> bool:
    """Wait until every addressee of these messages has it or won't get it; False when `seconds` were not enough.

    Raises Refused message.unknown.
    """
    desk = node.desk("")
    end = node.sources.monotonic() + seconds * 1_000

    def is_done() -> bool:
        return all(_has_ended(copy) for one in ids for copy in desk.sent(one).addressees)

    while not await asyncio.to_thread(is_done):
        left = (end - node.sources.monotonic()) / 1_000
        if left <= 0:
            return False
        await node.sync.changed.wait(min(left, 1.0))
    return True


async def followed(node: Node, size: int, seconds: float) -> bool:
    """Wait until this node's log has `size` leaves; False when `seconds` were not enough."""
    end = node.sources.monotonic() + seconds * 1_000
    while node.replica.is_empty or node.replica.directory.size < size:
        left = (end - node.sources.monotonic()) / 1_000
        if left <= 0:
            return False
        await node.sync.changed.wait(min(left, 1.0))
    return True


def _has_ended(copy: Addressee) -> bool:
    return copy.state in ENDED
