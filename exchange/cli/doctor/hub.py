"""Checks of `exchange doctor` on a hub's home, and on an officer's: what each needs to do its work.

Reads beside whoever serves; the hub is asked over the address that its members use.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exchange.cli.call import Call, now_ms
from exchange.cli.doctor.checks import FAIL, OK, WARN, Check, Finding, found
from exchange.cli.doctor.door import certificate
from exchange.cli.doctor.home import MIB, backup, database, disk, hook, modes, server
from exchange.cli.doctor.line import Line, line
from exchange.cli.hub.commands import readyz
from exchange.cli.hub.lists import hub_store
from exchange.cli.officer.home import NETWORK, OfficerHome
from exchange.cli.output import utc
from exchange.errors import ExchangeError, Refused
from exchange.hub.home import LOCK, last_backup, load_settings, open_keystore
from exchange.hub.store import blobs as store_blobs
from exchange.hub.store.store import FILE, MIGRATIONS
from exchange.limits import HOUR_MS, LEAF_AHEAD_MS, MINUTE_MS
from exchange.storage import calls
from exchange.storage.unlock import Unlock
from exchange.tls import CA_FILE

MOST_SILENCE_MS: Final = 3 * HOUR_MS  # a hub signs a checkpoint every hour


def hub_checks(call: Call, unlock: Unlock | ExchangeError) -> list[Check]:
    """What there is to look at in a hub's home; `unlock` opens its keystore, or is why nothing does."""
    return [
        Check("modes", lambda: modes(call.home)),
        Check("disk", lambda: disk(call.home)),
        Check("database", lambda: database(call.home / FILE, MIGRATIONS, role="hub")),
        Check("keys", lambda: _keys(call.home, unlock)),
        Check("server", lambda: [server(call.home / LOCK, None, role="hub", answers=None)]),
        Check("hub-tls", lambda: _certificate(call.home)),
        Check("log", lambda: _log(call)),
        Check("backup", lambda: [backup(last_backup(call.home), role="hub")]),
        Check("hub", lambda: _way(call.home)),
    ]


def _keys(home: Path, unlock: Unlock | ExchangeError) -> Sequence[Finding]:
    if isinstance(unlock, ExchangeError):
        raise unlock
    open_keystore(home, unlock)
    return [found("keys", OK, "ok")]


def _certificate(home: Path) -> Sequence[Finding]:
    """A public certificate's files, without which the hub doesn't start; one by its own authority renews itself."""
    settings = load_settings(home)
    if not settings.tls or not settings.tls_certificate:
        return []
    return [certificate("hub-tls", home / settings.tls_certificate, home / settings.tls_key)]


def _log(call: Call) -> Sequence[Finding]:
    """When the hub last signed its log, by its own database, and what waits in the mailboxes."""
    now = now_ms()
    with hub_store(call) as store:
        newest, totals = store.newest_checkpoint_sync(), store.totals_sync()
        troubles, blobs = store.db.read_sync(lambda c: (calls.trouble(c), store_blobs.totals(c)))
    mail = found("mail", OK, "waits", count=totals.envelopes, mib=totals.bytes // MIB)
    kept = found("attachments", OK, "kept", count=blobs.blobs, mib=blobs.bytes // MIB)
    called = hook(load_settings(call.home).alarm, call.home, troubles, without=OK)
    if newest is None:
        return [found("log", FAIL, "none"), mail, kept, *called]
    size, at = newest
    if at > now + LEAF_AHEAD_MS:
        return [found("clock", FAIL, "back", at=utc(at)), mail, kept, *called]
    if now - at > MOST_SILENCE_MS:
        return [found("log", FAIL, "old", size=size, at=utc(at)), mail, kept, *called]
    return [found("log", OK, "fresh", size=size, minutes=(now - at) // MINUTE_MS), mail, kept, *called]


def _way(home: Path) -> Sequence[Finding]:
    """The way that members take, and whether mail is taken at its end."""
    origin, own = load_settings(home).origins[0], home / CA_FILE
    try:
        context = ssl.create_default_context(cafile=str(own) if own.exists() else None)
    except ssl.SSLError as error:
        raise Refused(
            "settings.invalid", f"{own} isn't a PEM certificate: bring it back from a backup"
        ) from error
    findings = list(line(Line(origin, context)))
    if findings[-1].state == FAIL:
        return findings
    answer = readyz(origin, own if own.exists() else None)
    word = "read-only" if answer.get("log_read_only") else "takes-mail"
    return [*findings, found("hub", WARN if word == "read-only" else OK, word)]


def officer_checks(call: Call, unlock: Unlock | ExchangeError) -> list[Check]:
    """What there is to look at in an officer's home."""
    return [
        Check("modes", lambda: modes(call.home)),
        Check("disk", lambda: disk(call.home)),
        Check("keys", lambda: _officer(call.home, unlock)),
    ]


def _officer(home: Path, unlock: Unlock | ExchangeError) -> Sequence[Finding]:
    """Its keys, and the way to the hub of the network it signs for, where it has signed one."""
    if isinstance(unlock, ExchangeError):
        raise unlock
    officer = OfficerHome.open(home, unlock)
    findings = [found("keys", OK, "ok")]
    if not (home / NETWORK).exists():
        return findings
    hub = officer.network().hub
    ca = ssl.DER_cert_to_PEM_cert(hub.ca) if hub.ca else None
    return [*findings, *line(Line(hub.address, ssl.create_default_context(cadata=ca)))]
