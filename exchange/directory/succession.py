"""When another hub takes the place of one that is lost: may it, on the log that this side holds? (§9.11)

Owns what a change of hub must satisfy before any leaf of the new hub is seen: a reader that is handed one goes back in
its own log, and an attacker must not be able to make it. Cutting and storing is `node/store_succession`'s business.
"""

from __future__ import annotations

from exchange.directory.bodies import parse_body
from exchange.directory.bodies_network import HubChange
from exchange.directory.network import HubTerm
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, RECOVERY, Statement
from exchange.errors import Hold, Rejected
from exchange.keys import STATEMENT


def read_change(statement: Statement, net: bytes) -> HubChange:
    """The value of a change of hub; nothing is verified. Raises Rejected directory.bad-statement."""
    statement.check_form()
    body = parse_body(statement.body, net)
    if not isinstance(body, HubChange):
        raise Rejected("directory.bad-statement", "this is no change of hub")
    return body


def check_succession(held: Directory, earlier: Directory | None, statement: Statement) -> HubTerm:
    """May the log `held` go back to `earlier`, its first from.size leaves, for this change of hub? Its place there.

    None for `earlier`: this side holds fewer leaves, so that nothing is cut and the root can't be compared yet.
    The officers of `held` must have signed as well as those of `earlier`: one that was replaced since could otherwise
    lead every reader back to when it was an officer.

    Raises Rejected directory.stale (a later hub, or one of the same rank, is in place), directory.wrong-from,
    directory.no-possession, directory.too-few-officers and the other codes of docs/protocol.md §9.2; Hold
    hold.directory-behind when hubs in between are unknown here.
    """
    body = read_change(statement, held.net)
    signers = held.signers_of(statement)
    officers = sum(officer.address in signers for officer in held.officers.values())
    place = HubTerm(body.size, statement.hash(held.net), by_officers=officers >= held.officers_threshold)
    if body.term <= held.term and not (body.term == held.term and place.outranks(held.terms[-1])):
        raise Rejected("directory.stale", "another hub is in place already")
    if earlier is not None:
        earlier.judge(statement, earlier.at)
    else:
        _check_ahead(held, body, statement)
    if not place.by_officers and RECOVERY not in signers:
        raise Rejected("directory.too-few-officers", "the officers of today haven't signed it")
    return place


def _check_ahead(held: Directory, body: HubChange, statement: Statement) -> None:
    if body.term > held.term + 1:
        raise Hold("hold.directory-behind", "hubs in between are unknown here")
    if body.size <= held.size:
        raise Rejected("directory.wrong-from")
    signature = dict(statement.signatures).get(HUB)
    if signature is None:
        raise Rejected("directory.no-possession", "the new hub hasn't signed")
    body.hub.keys.signing.verify(STATEMENT, statement.body, signature, code="directory.bad-signature")
