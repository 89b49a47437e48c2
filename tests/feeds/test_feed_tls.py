"""Over TLS: whom a feed trusts, and that it goes nowhere when it doesn't."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from exchange.feed_settings import FeedKind
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tls import CA_FILE, ServerTls, create_authority
from tests.feeds.misps import Misp
from tests.feeds.places import Home
from tests.feeds.servers import Server, indicator, page, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def secure(folder: Path) -> Iterator[Server]:
    """A server of an authority of its own, which no machine trusts."""
    create_key_file(folder / "key")
    keystore = Keystore.create(folder / "keystore", Unlock.key_file(folder / "key"), {})
    now = time.time_ns() // 1_000_000
    create_authority(keystore, folder, now=now, owner="outside")
    tls = ServerTls(keystore, ["https://127.0.0.1"], owner="outside")
    tls.refresh(now=now)
    with serving(tls=tls.context) as server:
        yield server


@pytest.mark.parametrize("kind", FeedKind)
async def test_an_authority_is_trusted_only_where_it_is_named(
    home: Home, secure: Server, folder: Path, kind: FeedKind
) -> None:
    misp = Misp()

    async def answer(request: web.Request) -> web.Response:
        return page([indicator()]) if kind is FeedKind.TAXII else await misp.answer(request)

    secure.answer = answer
    home.add("stranger", secure.url, kind=kind)
    assert (await home.poll("stranger")).code == "feed.certificate"
    home.add("known", secure.url, kind=kind, ca=(folder / CA_FILE).read_text())
    assert (await home.poll("known")).code == ""
    home.add(
        "other", secure.url.replace("127.0.0.1", "localhost"), kind=kind, ca=(folder / CA_FILE).read_text()
    )
    assert (await home.poll("other")).code == "feed.certificate"
    home.add("broken", secure.url, kind=kind, ca="no certificate")
    assert (await home.poll("broken")).code == "tls.certificate"
