"""What commands may ask of whoever owns the home about its keys: rotate, revoke, veto, leave; the same with no server.

Owns the reading of these requests. What is done stands in own_keys.py; secrets only cross the home's own 0600 socket.
"""

from __future__ import annotations

from typing import Final

from exchange.canonical import HANDLE, Fields, Json, unb64
from exchange.directory.submission import Submission
from exchange.errors import Rejected
from exchange.keys import SEED_BYTES, PublicKeys
from exchange.limits import DAY_MS
from exchange.node.keys.own_keys import a_revocation
from exchange.node.node import Node

REVOKE_LIFE_MS: Final = 30 * DAY_MS  # a revocation that travels by hand must not lapse on its way


async def rotate(node: Node, value: Json) -> Json:
    """`seed` (b64) of the printed next keys, `next`: the public half of those after them."""
    fields = Fields(value, ("next", "seed"), what="rotate")
    next_keys = PublicKeys.from_json(fields.raw("next"), what="next")
    submission = await node.own_keys.rotate(node.hub, fields.binary("seed", SEED_BYTES), next_keys)
    return _answer(submission)


async def revoke(node: Node, value: Json) -> Json:
    """The key of `member`, compromised `since` (ms): by its own key, or by `printed` (b64 of the seed, or "")."""
    fields = Fields(value, ("ground", "member", "printed", "since"), what="revoke")
    statement = a_revocation(
        node.identity,
        node.replica,
        address=fields.address("member"),
        ground=fields.matching("ground", HANDLE),
        since=fields.integer("since"),
        printed=_seed(fields, "printed"),
        not_after=node.sources.clock() + REVOKE_LIFE_MS,
    )
    answer = _answer(await node.own_keys.revoke(node.hub, statement))
    return {**answer, "statement": statement.to_json()}


async def veto(node: Node, value: Json) -> Json:
    """Against the pending recovery: by the key in use, or by the next keys (`seed`, b64 or "")."""
    fields = Fields(value, ("seed",), what="veto")
    return _answer(await node.own_keys.veto(node.hub, _seed(fields, "seed")))


async def leave(node: Node, value: Json) -> Json:
    """At `until` (ms)."""
    fields = Fields(value, ("until",), what="leave")
    return _answer(await node.own_keys.leave(node.hub, until=fields.integer("until")))


ACTIONS: Final = {"rotate": rotate, "revoke": revoke, "veto": veto, "leave": leave}


async def act(node: Node, verb: str, value: Json) -> Json:
    """One of ACTIONS, on the newest log that can be had. Raises what it raises; Rejected json.bad-schema."""
    if type(value) is not dict:
        raise Rejected("json.bad-schema", "an object")
    return await ACTIONS[verb](node, {name: given for name, given in value.items() if name != "verb"})


def _seed(fields: Fields, name: str) -> bytes | None:
    raw = fields.raw(name)
    return None if raw == "" else unb64(raw, size=SEED_BYTES, field=name)


def _answer(submission: Submission | None) -> dict[str, Json]:
    return {"outcome": submission.outcome if submission else "", "at": submission.at if submission else 0}
