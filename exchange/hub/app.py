"""Puts a hub together and runs it: the only place that wires its parts, and that knows signals, sockets and the clock.

Owns the order of starting and stopping. After a fault of the disk nothing is written any more: `serve` raises, and the
next start recovers from what is on the disk (design §3.9).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import web

from exchange import logs
from exchange.canonical import b64
from exchange.chores import doing
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.http_guard import LINGER_SECONDS, Connections, Handler
from exchange.http_rate import Rate, Room
from exchange.hub import alarm_hook
from exchange.hub.applications import Applications
from exchange.hub.blobs import Blobs
from exchange.hub.home import LOCK, SEED, begin_in, has_settled, settle_seconds
from exchange.hub.http import server as http
from exchange.hub.http.context import Context
from exchange.hub.http.problems import unreadable
from exchange.hub.mailboxes import Mailboxes
from exchange.hub.metrics import Metrics
from exchange.hub.pending import Pending
from exchange.hub.pieces import Pieces
from exchange.hub.registrar import Registrar
from exchange.hub.store.blob_files import BlobFiles
from exchange.hub.store.store import FILE, HubStore
from exchange.keys import PrivateKeys
from exchange.limits import BLOB_CALLS, CALLER_BYTES
from exchange.settings import HubSettings
from exchange.storage import backup_copy
from exchange.storage.files import HomeLock
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import drop_old_copies
from exchange.tls import ServerTls

EPOCH_BYTES: Final = 9
ROOM_BYTES: Final = 256 * 1024 * 1024  # of requests in work, and as much of answers on their way
ROOM_CALLS: Final = 256  # with attachments, in each direction: each takes half a MiB
OUTSIDE_BYTES: Final = 2 * 1024 * 1024  # of requests in work of one address, by callers without a token
GARBAGE: Final = 20_000  # objects more since the last search; Python: 700
BACKLOG: Final = 512
SPARE_FILES: Final = 256  # beside connections: database, log, libraries
DAY_SECONDS: Final = 24 * 3600

_log = logs.logger("hub")


@dataclass(frozen=True)
class Listening:
    """Where the hub listens."""

    host: str
    port: int


def system_clock() -> int:
    """UTC in ms."""
    return time.time_ns() // 1_000_000


def run(
    home: Path, settings: HubSettings, keystore: Keystore, *, ready: Callable[[Listening], None] | None = None
) -> None:
    """`serve` in an event loop of its own, until SIGTERM or SIGINT."""
    _allow_files(settings.limits.connections + SPARE_FILES)
    _collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(home, settings, keystore, ready=ready))


def _collect_seldom() -> None:
    """Leave what was imported out of the search for cycles, and search after more allocations.

    It was a tenth of the work under load, and mail makes hardly any cycles.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE)


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files: each connection is one, and shells often give 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        _log.warning("too few open files allowed", allowed=soft, wanted=wanted)


async def serve(
    home: Path,
    settings: HubSettings,
    keystore: Keystore,
    *,
    ready: Callable[[Listening], None] | None = None,
    clock: Callable[[], int] = system_clock,
    random: Callable[[int], bytes] = os.urandom,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve the hub in `home` until SIGTERM, SIGINT or `stop`; `ready` is called once it listens.

    Begins the log if the genesis is complete. Raises Refused hub.genesis-incomplete, hub.wrong-key, home.locked,
    tls.certificate; Unavailable storage.io when the disk failed, internal.error when a chore did, and as Database.open.
    """
    stop = stop or asyncio.Event()
    with HomeLock(home / LOCK):
        faults: list[ExchangeError] = []

        def broken(fault: ExchangeError) -> None:
            faults.append(fault)
            stop.set()

        drop_old_copies(home / FILE, now=clock())
        backup_copy.clear(home)
        store = HubStore.open(home, on_broken=broken)
        try:
            begin_in(store, home, now=clock())
            context = await _context(home, settings, keystore, store, clock=clock, random=random)
            _give_back()
            await _until(
                stop, home, context, _tls(home, settings, keystore, clock), ready=ready, broken=broken
            )
        finally:
            with suppress(Unavailable):  # what was acknowledged is safe in the log file
                await store.close()
        if faults:
            raise faults[0]
    _log.info("stopped")


async def _until(
    stop: asyncio.Event,
    home: Path,
    context: Context,
    tls: ServerTls | None,
    *,
    ready: Callable[[Listening], None] | None,
    broken: Callable[[ExchangeError], None],
) -> None:
    """Listen and do the chores until `stop`, then let what runs end. A chore that can't go on is told to `broken`."""
    context.tls = tls
    async with _listening(context, tls) as where, doing(_chores(home, context, tls), on_fault=broken):
        with _signals(stop):
            leaves = context.registrar.directory.size
            _log.info("listening", host=where.host, port=where.port, leaves=leaves)
            if ready is not None:
                ready(where)
            await stop.wait()
        _log.info("stopping")
        context.stopping = True
        context.mailboxes.stop()
        context.blobs.stop()


async def _context(
    home: Path,
    settings: HubSettings,
    keystore: Keystore,
    store: HubStore,
    *,
    clock: Callable[[], int],
    random: Callable[[int], bytes],
) -> Context:
    keys = PrivateKeys(keystore.get(SEED))
    limits = settings.limits
    settle = settle_seconds(home, limits.settle_seconds, now=clock())
    registrar = await Registrar.open(store, keys=keys, clock=clock, settle_seconds=settle)

    def free_bytes() -> int:
        return shutil.disk_usage(home).free

    mailboxes = Mailboxes(
        store,
        registrar,
        keys=keys,
        clock=clock,
        random=random,
        free_bytes=free_bytes,
        limits=limits,
        epoch=b64(random(EPOCH_BYTES)),
    )
    blobs = Blobs(store, registrar, BlobFiles.open(home), clock=clock, free_bytes=free_bytes, limits=limits)
    await blobs.tidy()
    seconds = asyncio.get_running_loop().time
    return Context(
        settings=settings,
        store=store,
        registrar=registrar,
        applications=Applications(store, registrar, clock=clock),
        pending=Pending(store, registrar, clock=clock),
        mailboxes=mailboxes,
        pieces=Pieces(store, mailboxes, clock, free_bytes, limits.free_bytes),
        blobs=blobs,
        metrics=Metrics(),
        clock=clock,
        random=random,
        free_bytes=free_bytes,
        members=Rate(
            per_second=limits.requests_per_second, burst=2 * limits.requests_per_second, seconds=seconds
        ),
        strangers=Rate(
            per_second=limits.strangers_per_second, burst=4 * limits.strangers_per_second, seconds=seconds
        ),
        statements=Rate(
            per_second=limits.statements_per_day / DAY_SECONDS,
            burst=limits.statements_per_day,
            seconds=seconds,
        ),
        bodies=Room(ROOM_BYTES, share=CALLER_BYTES),
        outside=Room(CALLER_BYTES, share=OUTSIDE_BYTES),
        answers=Room(ROOM_BYTES, share=CALLER_BYTES),
        pushes=Room(ROOM_BYTES, share=CALLER_BYTES),
        blob_uploads=Room(ROOM_CALLS, share=BLOB_CALLS),
        blob_downloads=Room(ROOM_CALLS, share=BLOB_CALLS),
    )


def _tls(home: Path, settings: HubSettings, keystore: Keystore, clock: Callable[[], int]) -> ServerTls | None:
    if not settings.tls:
        return None
    given = {"certificate": settings.tls_certificate, "key": settings.tls_key}
    files = {name: str(home / file) if file else "" for name, file in given.items()}
    tls = ServerTls(keystore, settings.origins, **files)
    tls.refresh(now=clock())
    return tls


def _give_back() -> None:
    """Let the system have again what reading the log took; glibc would keep it, 40 MiB for 2,000 leaves."""
    with suppress(AttributeError):  # another libc, which may do so by itself
        ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def _listening(context: Context, tls: ServerTls | None) -> AsyncIterator[Listening]:
    """Accept connections; on leaving, answer what runs for up to `drain_seconds` and close them all."""
    limits = context.settings.limits
    runner = web.AppRunner(http.build(context), shutdown_timeout=limits.drain_seconds)
    await runner.setup()
    server = runner.server
    if server is None:
        raise Unavailable("internal.error")
    protocol = partial(
        Handler,
        server,
        unreadable=unreadable,
        logger=logs.library("hub.http"),
        idle_seconds=limits.idle_seconds,
    )
    context.connections = Connections(limits, protocol)
    try:
        listener = await asyncio.get_running_loop().create_server(
            context.connections,
            context.settings.host,
            context.settings.port,
            ssl=tls.context if tls is not None else None,
            backlog=BACKLOG,
            ssl_handshake_timeout=limits.handshake_seconds if tls is not None else None,
            ssl_shutdown_timeout=LINGER_SECONDS if tls is not None else None,
        )
    except OSError as error:
        await runner.cleanup()
        raise Refused(
            "hub.address", f"{context.settings.host}, port {context.settings.port}: {error.strerror}"
        ) from error
    try:
        host, port, *_ = listener.sockets[0].getsockname()
        yield Listening(host, port)
    finally:
        listener.close()
        await runner.cleanup()


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end the hub in order, where this thread may say so (not in a test's)."""
    loop, taken = asyncio.get_running_loop(), []
    with suppress(RuntimeError, ValueError):  # both mean: not the main thread
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def _chores(home: Path, context: Context, tls: ServerTls | None) -> list[Coroutine[None, None, None]]:
    """What the hub does unasked."""
    limits = context.settings.limits

    async def expire() -> None:
        expired = await context.mailboxes.expire_due()
        context.metrics.expired.inc(expired)
        forgotten = await context.blobs.forget_due()
        if expired or forgotten:
            _log.info("expired", envelopes=expired, attachments=forgotten)

    async def keep_time() -> None:
        await context.registrar.tick()
        await context.pending.look_again()
        if not context.registrar.read_only:
            has_settled(home)

    async def renew_certificate() -> None:
        if tls is not None:
            tls.refresh(now=context.clock())

    return [
        _every(limits.expiry_seconds, expire),
        _every(limits.expiry_seconds, keep_time),
        _every(limits.checkpoint_seconds, context.registrar.renew),
        _every(limits.checkpoint_seconds, context.store.fold),
        _every(DAY_SECONDS, renew_certificate),
        context.lag.watch(),
        alarm_hook.watch(context.store, context.settings.alarm, home, clock=context.clock),
    ]


async def _every(seconds: int, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except (
            Unavailable,
            Refused,
        ) as error:  # a full disk: later; a broken one ends the hub through `on_broken`
            _log.warning("chore put off", code=error.code)
