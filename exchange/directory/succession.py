"""When another hub takes the place of one that is lost: may it, on the log that this side holds? (§9.11)

Owns what a change of hub must satisfy before any leaf of the new hub is seen: a reader that is handed one goes back in
its own log, and an attacker must not be able to make it. Cutting and storing is node/directory/succession's business.
"""

from __future__ import annotations

from exchange.directory.bodies import parse_body
from exchange.directory.bodies_network import HubChange
from exchange.directory.network import HubTerm
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, RECOVERY, Statement
from exchange.errors import Rejected
from exchange.keys import STATEMENT


def read_change(statement: Statement, net: bytes) -> HubChange:
    """The value of a change of hub; nothing is verified. Raises Rejected directory.bad-statement."""
    statement.check_form()
    body = parse_body(statement.body, net)
    if not isinstance(body, HubChange):
        raise Rejected("directory.bad-statement", "this is no change of hub")
    return body


def check_succession(held: Directory, statement: Statement) -> HubTerm:
    """May the log `held` go back to from.size leaves, or on to as many, for this change of hub? Its place there.

    The officers of `held` must have signed it, besides those of the log as it was at from.size, who decide whether it
    takes effect (`Directory.judge`): officers that were replaced since could otherwise lead every reader back.

    Raises Rejected directory.repeated (the log has it), directory.stale (a later hub, or one of the same rank, is in
    place), directory.wrong-from, directory.no-possession, directory.bad-signature, directory.too-few-officers.
    """
    body, digest = read_change(statement, held.net), statement.hash(held.net)
    if held.took_effect(digest):
        raise Rejected("directory.repeated")
    signers = held.signers_of(statement)
    officers = sum(officer.address in signers for officer in held.officers.values())
    place = HubTerm(body.size, digest, by_officers=officers >= held.officers_threshold)
    if body.term <= held.term and not (body.term == held.term and place.outranks(held.terms[-1])):
        raise Rejected("directory.stale", "another hub is in place already")
    if body.term > held.term + 1:
        raise Rejected("directory.wrong-from", "a hub in between is unknown here: take its change first")
    if body.size <= held.size and held.root(body.size) != body.root:
        raise Rejected("directory.wrong-from")
    signature = dict(statement.signatures).get(HUB)
    if signature is None:
        raise Rejected("directory.no-possession", "the new hub hasn't signed")
    body.hub.keys.signing.verify(STATEMENT, statement.body, signature, code="directory.bad-signature")
    if not place.by_officers and RECOVERY not in signers:
        facts = {"officers": (officers, held.officers_threshold)}
        raise Rejected("directory.too-few-officers", "the officers of today haven't signed it", **facts)
    return place
