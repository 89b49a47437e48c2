"""Opens the server of a feed by its kind, and is handed how this node gets there. Wires, and owns nothing else.

The edge of a kind is loaded when the first feed of it is asked: its library takes memory that most nodes can save.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from exchange.errors import Refused
from exchange.feed_settings import FeedKind
from exchange.node.feeds.answers import Way
from exchange.node.feeds.api import FeedSource
from exchange.node.feeds.threads import FeedThreads
from exchange.node.store.feeds import Feed
from exchange.node.uplink.client import tls_context


class FeedServers:
    """As feeds.Servers. `way()`: a fresh context of TLS, and the proxy. `clock`: UTC ms."""

    def __init__(self, way: Callable[[], Way], *, clock: Callable[[], int]) -> None:
        self._way = way
        self._clock = clock
        self._threads = FeedThreads()

    @property
    def stuck(self) -> int:
        return self._threads.stuck

    def open(self, feed: Feed, credential: str) -> FeedSource:
        """Raises Refused tls.certificate, settings.invalid for files that can't be used."""
        way = self._way()
        if feed.settings.ca:
            trust(way.tls, feed.settings.ca)
        if feed.settings.kind is FeedKind.MISP:
            from exchange.node.feeds.misp import MispFeed  # noqa: PLC0415 - see above

            return MispFeed(feed.settings, credential, way, clock=self._clock)
        from exchange.node.feeds.taxii import TaxiiFeed  # noqa: PLC0415 - see above

        return TaxiiFeed(feed.name, feed.settings, credential, way, self._threads, clock=self._clock)


def trust(tls: ssl.SSLContext, ca: str) -> None:
    """Trust the authority of that PEM text too. Raises Refused tls.certificate."""
    try:
        tls.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise Refused("tls.certificate", "the feed's ca isn't a certificate in PEM") from error


def straight() -> Way:
    """To anywhere, trusting whom this machine trusts, without a proxy."""
    return Way(tls_context(ca=None, extra_ca=None))
