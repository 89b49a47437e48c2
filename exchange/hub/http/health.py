"""The calls of operators and their machines: is it alive, can it work, its numbers (§11.13)."""

from __future__ import annotations

import ipaddress
import shutil

from aiohttp import web

from exchange.errors import Rejected, Unavailable
from exchange.hub.home import last_backup
from exchange.hub.http.auth import stranger
from exchange.hub.http.context import CONTEXT
from exchange.hub.http.mail import answer_json
from exchange.hub.metrics import CONTENT_TYPE, Reading
from exchange.hub.store.alarm import flash_copies, oldest_flash
from exchange.storage import calls


async def healthz(request: web.Request) -> web.Response:
    """The process answers."""
    stranger(request)
    return answer_json({"ok": True})


async def readyz(request: web.Request) -> web.Response:
    """Mail can be taken: the store's writer takes turns, the disk has room. Else a problem with its code.

    A log that takes no statements yet is shown, and no reason to send traffic away: mail flows.
    """
    stranger(request)
    context = request.app[CONTEXT]
    if context.free_bytes() < context.settings.limits.free_bytes:
        raise Unavailable("storage.full")
    await context.store.check_writable()
    return answer_json({"ok": True, "log_read_only": context.registrar.read_only})


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text; to loopback and the configured addresses only.

    A hub that leaves TLS to a proxy has everybody come from where the proxy is, mostly loopback: there loopback is to
    be named in the settings, by an operator whose proxy doesn't pass this on.
    """
    stranger(request)
    context = request.app[CONTEXT]
    remote = request.remote or ""
    is_own_machine = context.settings.tls and _is_loopback(remote)
    if not is_own_machine and remote not in context.settings.metrics_from:
        raise Rejected("auth.forbidden")
    store = context.store
    flash, copies, uncalled = await store.db.read(
        lambda c: (oldest_flash(c), flash_copies(c), len(calls.trouble(c)))
    )
    reading = Reading(
        now=context.clock(),
        totals=await store.totals(),
        blobs=await context.blobs.totals(),
        flash=flash,
        flash_copies=copies,
        connections=context.connections.count if context.connections else 0,
        sockets=sum(map(len, context.sockets.values())),
        pending=await store.count_pending(),
        applications=len(await context.applications.waiting()),
        read_only=context.registrar.read_only,
        free_bytes=context.free_bytes(),
        disk_bytes=shutil.disk_usage(store.db.path.parent).total,
        certificate_until=context.tls.until if context.tls else 0,
        backup_at=last_backup(store.db.path.parent),
        lag=context.lag.take(),
        calls=uncalled,
    )
    text = context.metrics.text(store, context.registrar.directory, reading)
    return web.Response(body=text, content_type=CONTENT_TYPE)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
