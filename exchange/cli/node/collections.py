"""`exchange node collections`: what a tool is told of the node's TAXII server, with the ids that some tools ask for.

Owns this verb. It works beside a running server.
"""

from __future__ import annotations

import asyncio

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "collections", role="node", unlocks=True)(collections)


def collections(call: Call) -> None:
    """The TAXII collections of this node, by alias and id, and where the API root is."""
    from exchange.cli.node.home import opened, server_status
    from exchange.node.app import real_sources
    from exchange.node.http.taxii import API_ROOT
    from exchange.node.taxii.collections import Collections

    with opened(call) as home:
        found = Collections(home.store, home.home.identity(), home.loaded, real_sources())
        asyncio.run(found.open())
        listed = found.every()
        status = server_status(home.home)
    door = status.get("http") if isinstance(status, dict) else None
    root = f"{door.rstrip('/')}{API_ROOT}" if isinstance(door, str) and door else None
    value = {
        "api_root": root,
        "collections": [
            {"alias": one.alias, "id": one.id, "title": one.title, "writable": one.writable} for one in listed
        ],
    }
    lines = [f"API root: {root or 'closed: [http] open = true in config.toml, then exchange node serve'}"]
    lines += table(["alias", "id", "title"], [[one.alias, one.id, one.title] for one in listed])
    call.out.result(value, lines, next_step="exchange node token add NAME --scope taxii:read")
