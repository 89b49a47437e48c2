"""A member's life in statements: what the tests of its rules say and sign. Checks only that a step took effect."""

from __future__ import annotations

from typing import Any

from worlds import World, keys, signed

from exchange.directory.bodies_members import (
    OWN,
    build_recover,
    build_revoke,
    build_rotate,
    build_status,
    build_suspend,
    build_veto,
)
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS

PE = "pe-csirt"
CO = "co-csirt"
OFFICERS = ("officer/alba", "officer/bruno")
PAPER = bytes(range(32))
NEXT = f"next/{PE}"


def done(world: World, statement: Statement) -> bytes:
    """Logged with effect; its hash."""
    outcome = world.append(statement)
    assert outcome.code == ""
    return outcome.statement_hash


def heartbeat(world: World) -> None:
    """Any leaf: before it is judged, what is due takes effect."""
    assert world.append(world.prekeys_statement(CO)).effective


def skid(world: World, name: str = PE) -> bytes:
    return keys(name).public.signing.skid(world.net)


def status(world: World, move: Move, *signers: str, handle: str = PE, **changed: Any) -> Statement:
    values: dict[str, Any] = {
        "ground": "found-in-audit",
        "document": PAPER,
        "after": world.directory.last_hash(handle, "status"),
        "not_after": world.now + 30 * DAY_MS,
    }
    return signed(build_status(net=world.net, handle=handle, move=move, **{**values, **changed}), *signers)


def suspend(world: World, *signers: str, handle: str = PE, **changed: Any) -> Statement:
    values: dict[str, Any] = {
        "ground": "key-theft",
        "document": PAPER,
        "until": world.now + 30 * DAY_MS,
        "not_after": world.now + 30 * DAY_MS,
    }
    return signed(build_suspend(net=world.net, handle=handle, **{**values, **changed}), *signers)


def rotate(world: World, to: str = NEXT, then: str = "later", by: PrivateKeys | None = None) -> Statement:
    body = build_rotate(
        net=world.net,
        handle=PE,
        keys=keys(to).public,
        next_keys=keys(then).public.next_commitment(world.net),
        after=world.directory.last_hash(PE, "identity"),
        not_after=world.now + DAY_MS,
    )
    return Statement(body).with_signature(PE, by or keys(to))


def recover(world: World, *signers: str, to: str = "new", by: str = "new") -> Statement:
    body = build_recover(
        net=world.net,
        handle=PE,
        keys=keys(to).public,
        next_keys=keys(f"next/{to}").public.next_commitment(world.net),
        revoke=keys(f"revoke/{to}").public.signing,
        after=world.directory.last_hash(PE, "identity"),
        not_after=world.now + DAY_MS,
    )
    return signed(body, *signers).with_signature(PE, keys(by))


def veto(world: World, named: bytes, by: str = PE, *, reveal: str = "") -> Statement:
    body = build_veto(
        net=world.net,
        handle=PE,
        names=named,
        keys=keys(reveal).public if reveal else None,
        not_after=world.now + DAY_MS,
    )
    return Statement(body).with_signature(PE, keys(by))


def revoke(world: World, by: str = OWN, *signers: str, **changed: Any) -> Statement:
    values: dict[str, Any] = {
        "address": PE,
        "ground": "key-theft",
        "skid": skid(world),
        "since": world.now,
        "not_after": world.now + DAY_MS,
    }
    return signed(build_revoke(net=world.net, by=by, **{**values, **changed}), *signers)
