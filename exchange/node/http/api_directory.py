"""The REST API's endpoints for the directory: on this node's own copy, asked of nobody.

What is restricted (night phones) is there as far as this node holds it; that it is given out is logged before.
"""

from __future__ import annotations

from typing import Final, cast

from aiohttp import web

from exchange.access import Scope
from exchange.directory.find import Hit, Need, find
from exchange.directory.owners import Owned
from exchange.errors import Refused
from exchange.keys import member_digits
from exchange.node.http import api_asked, api_models as models
from exchange.node.http.api_call import Answer, Call, Route, answer
from exchange.node.http.api_models import time_of
from exchange.zones import zones

MOST_FOUND: Final = 200


async def members(call: Call) -> web.StreamResponse:
    """Everybody in the network."""
    replica = call.context.api.replica
    directory = replica.directory
    found = [
        models.Member(
            member=one.handle,
            country=one.country,
            member_class=one.member_class,
            status=one.status.value,
            since=time_of(one.since) or "",
            digits=member_digits(directory.net, one.handle, one.keys),
        )
        for _, one in sorted(directory.members.items())
    ]
    at = time_of(replica.checkpoint.at) or ""
    return answer(models.Members(members=found, size=directory.size, checkpoint_at=at))


async def counterparts(call: Call) -> web.StreamResponse:
    """Whom to turn to, the best first."""
    query = cast("api_asked.CounterpartQuery", call.query)
    book = await call.context.api.book.book()
    need = Need(
        country=query.country.upper(),
        topic=query.topic.lower(),
        function=query.function.lower(),
        language=query.language,
        community=query.community.lower(),
        at=book.now if query.now else 0,
        urgent=query.urgent,
    )
    hits = find(book, need, zones)[:MOST_FOUND]
    restricted = [f"{hit.address} holders" for hit in hits if hit.entry.holders is not None]
    await call.context.api.view.note_read(call.access, restricted)
    return answer(models.Counterparts(hits=[_counterpart(hit) for hit in hits]))


async def owner(call: Call) -> web.StreamResponse:
    """Which members answer for an asset."""
    query = cast("api_asked.OwnerQuery", call.query)
    owned = (await call.context.api.book.owners()).owner(query.asset)
    if owned.fault:
        raise Refused("api.bad-parameter", f"asset: {owned.fault}", field="asset")
    return answer(_owner(owned))


def _counterpart(hit: Hit) -> models.Counterpart:
    entry = hit.entry
    return models.Counterpart(
        address=entry.address,
        member=entry.home.handle,
        country=entry.country,
        function=entry.contact.function,
        community=entry.contact.community,
        rung=hit.rung,
        standing=entry.standing,
        suspect=bool(entry.contact.suspect),
        answering=None if hit.answering is None else hit.answering.now,
        topics=list(entry.contact.topics),
        languages=[one.lang for one in entry.languages],
        phones=[models.Phone(kind=kind, number=number) for kind, number in entry.phones],
        email=entry.record.email_role if entry.record else None,
        reasons=[reason.code for reason in hit.reasons],
    )


def _owner(owned: Owned) -> models.Owner:
    return models.Owner(
        asset=owned.asked,
        kind=owned.kind,
        members=list(owned.nearest) if owned.matches else [],
        claims=[models.Claim(member=one.member, by=one.by, claim=one.claim) for one in owned.matches],
        conflict=owned.conflict if owned.matches else False,
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/directory/members",
        name="listMembers",
        summary="The members of the network",
        scope=Scope.API_DIRECTORY,
        handler=members,
        answers={200: Answer("The members.", models.Members)},
        codes=("node.not-joined",),
    ),
    Route(
        method="GET",
        path="/directory/counterparts",
        name="findCounterparts",
        summary="Contact points to turn to, the best first, with the reasons of each",
        scope=Scope.API_DIRECTORY,
        handler=counterparts,
        query=api_asked.CounterpartQuery,
        answers={200: Answer("Who may help.", models.Counterparts)},
        codes=("node.not-joined",),
    ),
    Route(
        method="GET",
        path="/directory/owners",
        name="findOwner",
        summary="The members that answer for an address, prefix, AS number or domain name",
        scope=Scope.API_DIRECTORY,
        handler=owner,
        query=api_asked.OwnerQuery,
        answers={200: Answer("Whose it is.", models.Owner)},
        codes=("node.not-joined",),
    ),
)
