"""What the tests of mail at the hub share: the hub's services, short words for its calls, a batch of receipts read."""

from __future__ import annotations

import json

from exchange.hub.mailboxes import Answer
from exchange.protocol import ITEM_CHECKPOINT
from exchange.receipt import verify_proof
from tests.hub_services import Services
from tests.worlds import World

MANY = 4 * 1024 * 1024


def copies(made, *members: str) -> list[tuple[bytes, bytes]]:
    """(env, lc) of these members' copies."""
    return [(made.env, made.upload.slots[made.header.position(member)][-32:]) for member in members]


async def put(hub: Services, made, issuer: str = "pe-csirt") -> Answer:
    return await hub.mailboxes.accept(issuer, [made.upload.to_bytes()], env=made.env)


async def mail(hub: Services, member: str, after: str = "") -> list:
    page = await hub.mailboxes.page(member, after, wait_seconds=0, most=MANY)
    return [item for item in page.items if item.type != ITEM_CHECKPOINT]


def codes(answer: Answer) -> list[str]:
    return [one.error.code if one.error else "" for one in answer.results]


def verified(world: World, proof: bytes):
    key = {"hub": world.hub_keys, **world.member_keys}
    return verify_proof(world.net, json.loads(proof), lambda signer, skid: key[signer].public.signing)
