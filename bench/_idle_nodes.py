"""Many idle nodes in one process, for `idle`: each a member with a WebSocket of its own, as a node keeps it.

`python -m bench._idle_nodes` reads one JSON object from stdin (`origin`, `net`, `ca`, `members`), connects them all
with the node's own client, prints `connected` once each has had the hub's checkpoint, and stays until stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import uvloop

from bench._founded_hub import keys
from exchange.node.identity import Identity
from exchange.node.uplink.feed import SocketFeed, open_socket

AT_ONCE = 16  # handshakes: nodes don't come all in the same moment
POLL_SECONDS = 25.0


async def _stay(asked: dict[str, Any]) -> None:
    context = ssl.create_default_context(cafile=asked["ca"])
    net, loop = bytes.fromhex(asked["net"]), asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0, ssl=context, force_close=True)
    turn = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack, aiohttp.ClientSession(connector=connector) as session:

        async def connect(member: str) -> SocketFeed:
            async with turn:
                identity = Identity(net, member, keys(member))
                opening = open_socket(
                    session, asked["origin"], identity, after="", proxy=None, proxy_headers=None
                )
                feed = await stack.enter_async_context(opening)
                page = await feed.next(POLL_SECONDS)
                await feed.stored(page.items[-1].cursor)
            return feed

        feeds = await asyncio.gather(*map(connect, asked["members"]))
        print("connected", flush=True)
        # whatever happens, the nodes stay until they are told
        await loop.run_in_executor(None, sys.stdin.read)
        assert not any(feed.is_closed for feed in feeds), "the hub closed a socket"
        print("stayed", flush=True)


def main() -> None:
    """Run it. Exit code 0, or the exception that ended it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_stay(asked))


if __name__ == "__main__":
    main()
