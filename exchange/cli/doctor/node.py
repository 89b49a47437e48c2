"""Checks of `exchange doctor` on a node: its standing, directory, prekeys and mail, what it keeps, its hub's answer.

Reads beside whoever owns the home; what the server knows is asked over its socket.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from exchange.canonical import Json
from exchange.cli.call import Call, now_ms
from exchange.cli.doctor.checks import FAIL, OK, WARN, Check, Finding, found
from exchange.cli.doctor.door import door
from exchange.cli.doctor.home import backup, database, disk, hook, modes, server
from exchange.cli.doctor.line import Line, line
from exchange.cli.node.home import Opened, opened, server_status
from exchange.cli.node.status import alarms_that_hold
from exchange.cli.output import utc
from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.limits import DAY_MS, LEAF_AHEAD_MS, SECOND_MS, STALE_CHECKPOINT_MS
from exchange.node.app import real_sources, route
from exchange.node.home import Home, Paths, open_home
from exchange.node.retention import Records
from exchange.node.store import figures as store_figures
from exchange.node.store.attachment_files import files_of
from exchange.node.store.feeds import listed
from exchange.node.store.restore import LAST
from exchange.node.store.store import MIGRATIONS, number
from exchange.node.uplink.carrier import POLL
from exchange.node.uplink.client import HubClient
from exchange.storage import calls
from exchange.storage.unlock import Unlock

PATIENCE: Final = 15.0  # seconds for the hub's answer
MOST_OFFSET_MS: Final = 30_000
BAD_OFFSET_MS: Final = 300_000  # tokens are corrected, but not what people read
LEAST_PREKEYS_DAYS: Final = 14
DUE_DAYS: Final = 30
MOST_FAILURES: Final = 3  # of a feed in a row
_UNKNOWN: Final = frozenset({"auth.unknown-issuer", "auth.bad-signature"})
_WELL: Final = frozenset({"active", "provisional"})


def checks(call: Call, unlock: Unlock | ExchangeError) -> list[Check]:
    """What there is to look at; `unlock` opens the keystore, or is why nothing does."""
    paths = Paths(call.home)
    always = [
        Check("modes", lambda: modes(call.home)),
        Check("disk", lambda: disk(call.home)),
        Check("database", lambda: database(paths.database, MIGRATIONS, role="node")),
    ]
    if isinstance(unlock, ExchangeError):
        error = unlock

        def refuse() -> Sequence[Finding]:
            raise error

        return [*always, Check("keys", refuse)]
    return [*always, Check("keys", lambda: _home(call, unlock)), Check("hub", lambda: _way(call, unlock))]


def _home(call: Call, unlock: Unlock) -> Sequence[Finding]:
    """What needs the keys: all that is read from the database."""
    home = open_home(call.home, unlock)
    findings = [found("keys", OK, "ok")]
    if not home.settings.net:
        return [*findings, found("network", FAIL, "none", role="node")]
    status = server_status(home)
    findings.append(server(home.paths.lock, home.paths.socket, role="node", answers=status is not None))
    if status is not None:
        findings.append(_link(home, status))
    served = None if status is None else status.get("http", "")
    findings += door(home.paths.root, home.settings.http, served)
    with opened(call) as inside:
        findings += [_anchor(inside), *_directory(inside), *_mail(inside), *_kept(inside)]
    return findings


def _link(home: Home, status: Json) -> Finding:
    if not status["connected"]:
        return found("link", FAIL, "down", problem=status["problem"] or "-")
    if not home.settings.websocket:
        return found("link", WARN, "poll")
    return found("link", WARN, "killed") if status["transport"] == POLL else found("link", OK, "socket")


def _anchor(home: Opened) -> Finding:
    return found("anchor", OK, "ok") if home.anchor_confirmed() else found("anchor", FAIL, "open")


def _directory(home: Opened) -> list[Finding]:
    """The log here, this member's standing in it, its prekeys, and whether the clock was ahead of now."""
    replica, now = home.loaded, now_ms()
    if replica.seen_at is None:
        return [found("directory", FAIL, "none")]
    directory, facts = replica.directory, {"size": replica.directory.size, "at": utc(replica.seen_at)}
    back = replica.seen_at > now + LEAF_AHEAD_MS
    findings = [
        found("clock", FAIL, "back", at=utc(replica.seen_at)) if back else found("clock", OK, "forward")
    ]
    if directory.limited:
        findings.append(found("directory", FAIL, "limited", **facts))
    else:
        stale = now - replica.seen_at > STALE_CHECKPOINT_MS
        findings.append(found("directory", FAIL if stale else OK, "stale" if stale else "ok", **facts))
    me = home.home.identity().address
    if not replica.is_member():
        return [*findings, found("standing", WARN, "none")]
    member = directory.members.get(me.partition("/")[0])
    standing = "suspended" if member and member.suspension else member.status.value if member else "removed"
    findings.append(
        Finding("standing", OK if standing in _WELL else FAIL, "standing.ok", {"status": standing})
    )
    until = max((ref.until for ref in directory.prekeys(me)), default=0)
    days = (until - now) // DAY_MS
    if until <= now:
        return [*findings, found("prekeys", FAIL, "none")]
    low = days < LEAST_PREKEYS_DAYS
    return [*findings, found("prekeys", WARN if low else OK, "low" if low else "ok", days=days)]


def _mail(home: Opened) -> list[Finding]:
    overdue, oldest = home.desk.count_overdue()
    figures = home.store.db.read_sync(lambda c: store_figures.figures(c, now=now_ms()))
    if overdue:
        first = found("queues", WARN, "overdue", count=overdue, at=utc(oldest))
    else:
        first = found("queues", OK, "ok", count=figures.undelivered)
    missing = _counted(figures.missing)
    alarms = alarms_that_hold(home)
    named = _counted(Counter(one.code for one in alarms))
    evidence = sum(bool(one.evidence) for one in alarms)
    aside = _counted(Counter(one.what for one in home.set_aside()))
    return [
        first,
        found("missing", WARN, "some", names=missing) if missing else found("missing", OK, "ok"),
        found("alarms", WARN, "some", names=named, count=evidence) if named else found("alarms", OK, "ok"),
        found("aside", WARN, "some", names=aside) if aside else found("aside", OK, "ok"),
    ]


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(names.items()))


def _kept(home: Opened) -> list[Finding]:
    """What is erased in time, and what lies elsewhere for the day this machine is lost."""
    records = Records(home.store, home.home.settings.retention, real_sources(), who="")
    over, soon = records.counts(), records.counts(days=DUE_DAYS)
    last = home.store.db.read_sync(lambda c: number(c, LAST))
    return [
        found("retention", WARN, "waits", due=over.due)
        if over.due
        else found("retention", OK, "ok", due=soon.due, holds=soon.holds),
        backup(last, role="node"),
        *hook(
            home.home.settings.alarm,
            home.home.paths.root,
            home.store.db.read_sync(calls.trouble),
            without=WARN,
        ),
        *_feeds(home),
        *_attachments(home),
    ]


def _attachments(home: Opened) -> list[Finding]:
    """What no backup has, if there is any."""
    sizes = files_of(home.store).sizes()
    if not sizes:
        return []
    return [found("attachments", OK, "kept", count=len(sizes), mib=sum(sizes) // 2**20)]


def _feeds(home: Opened) -> list[Finding]:
    """How the feeds from outside do, if there are any: one that fails now and then is nothing to act on."""
    cipher = home.store.cipher
    feeds = [one for one in home.store.db.read_sync(lambda c: listed(c, cipher)) if not one.paused]
    failing = Counter(
        one.code for one in feeds if one.failures >= MOST_FAILURES or (one.failures and not one.succeeded_at)
    )
    if not feeds:
        return []
    if failing:
        return [found("feeds", WARN, "failing", names=_counted(failing))]
    return [found("feeds", OK, "ok", count=len(feeds))]


def _way(call: Call, unlock: Unlock) -> Sequence[Finding]:
    """The way to the hub, step by step; then what it answers to this node's key."""
    home = open_home(call.home, unlock)
    if not home.settings.net:
        return []
    way = route(home)
    findings = list(line(Line(way.origin, way.tls, way.proxy, way.login)))
    if findings[-1].state == FAIL:
        return findings
    return [*findings, *asyncio.run(_hub(home))]


async def _hub(home: Home) -> list[Finding]:
    try:
        async with asyncio.timeout(PATIENCE), HubClient(route(home), home.identity(), real_sources()) as hub:
            await hub.state()
            offset = hub.clock_offset
    except TimeoutError:
        return [Finding("hub", FAIL, "late", {"seconds": int(PATIENCE)})]
    except (Refused, Rejected, Unavailable) as error:
        if error.code in _UNKNOWN:
            return [found("hub", FAIL, "unknown-key")]
        raise
    far = abs(offset) > MOST_OFFSET_MS
    state = FAIL if abs(offset) > BAD_OFFSET_MS else WARN if far else OK
    return [
        found("hub", OK, "ok"),
        found("clock", state, "off" if far else "ok", offset=f"{offset // SECOND_MS:+d}"),
    ]
