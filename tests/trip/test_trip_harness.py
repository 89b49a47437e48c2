"""The harness itself: the proxies do what they say, and the finder finds a planted word in every disguise it claims."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import sqlite3
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.trip.connect_proxy import ConnectProxy
from tests.trip.faulty_proxy import FaultyProxy
from tests.trip.finder import find, find_in_database, find_in_folder
from tests.trip.processes import until

WORD = "Zanahoria7Kx2"


def packed(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("note.txt", data * 20)
    return file.getvalue()


DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "upper": lambda data: data.upper(),
    "utf-16": lambda data: data.decode().encode("utf-16-le"),
    "hex": lambda data: data.hex().encode(),
    "base64": base64.b64encode,
    "base64, one off": lambda data: base64.b64encode(b"x" + data),
    "base64, two off": lambda data: base64.b64encode(b"xy" + data),
    "base64url": lambda data: base64.urlsafe_b64encode(b"\xff\xfe\xfd" + data).rstrip(b"="),
    "zlib": zlib.compress,
    "zlib, cut off": lambda data: zlib.compress(data + bytes(range(256)) * 20)[:-40],
    "gzip": gzip.compress,
    "zip": packed,
    "base64 of zlib": lambda data: base64.b64encode(zlib.compress(data)),
    "zlib of base64": lambda data: zlib.compress(base64.b64encode(data)),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_word_is_found_in_disguise(disguise: str) -> None:
    noise = bytes(range(256)) * 8
    assert find(WORD, noise + DISGUISES[disguise](f"the word {WORD} is here".encode()) + noise)
    assert not find(WORD, noise + DISGUISES[disguise](b"the word zanahoria7K is here") + noise)


def test_word_is_found_in_file_names_files_and_columns(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / f"{WORD}.json").write_bytes(b"")
    (tmp_path / "log").write_bytes(zlib.compress(WORD.encode()))
    db = sqlite3.connect(tmp_path / "a.db")
    with db:
        db.execute("CREATE TABLE mail (subject TEXT, body BLOB, size INTEGER)")
        db.execute("INSERT INTO mail VALUES ('nothing', ?, 3)", (base64.b64encode(WORD.encode()),))
    db.close()
    assert find_in_database(WORD, tmp_path / "a.db") == [
        "mail.body: base64",
        "mail.body: base64 > plain",
    ]
    assert {where.split(":")[0] for where in find_in_folder(WORD, tmp_path)} == {
        "a.db",
        "log",
        f"inner/{WORD}.json",
    }
    assert find_in_folder("Calabaza3Qp", tmp_path) == []


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that says back what it hears."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4_096):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_faulty_proxy_turns_over_one_bit_and_counts(echo: int) -> None:
    async with FaultyProxy(echo) as proxy:
        proxy.up.flip_at = 2
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"abcdef")
        assert await reader.readexactly(6) == b"abbdef"
        assert (proxy.up.flipped, proxy.up.passed, proxy.down.passed) == (1, 6, 6)
        writer.close()
        await writer.wait_closed()


async def test_faulty_proxy_cuts_after_so_many_bytes(echo: int) -> None:
    async with FaultyProxy(echo) as proxy:
        proxy.down.cut_after = 3
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"abcdef")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(4)
        await until(lambda: proxy.live == 0, "the connection is gone")
        writer.close()


async def test_faulty_proxy_holds_back_and_lets_go(echo: int) -> None:
    async with FaultyProxy(echo) as proxy:
        proxy.up.flowing.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"abc")
        await until(lambda: proxy.live == 1, "the connection is there")
        assert proxy.up.passed == 0
        proxy.up.flowing.set()
        assert await reader.readexactly(3) == b"abc"
        writer.close()
        await writer.wait_closed()


async def test_faulty_proxy_shares_a_slow_link_among_connections(echo: int) -> None:
    async with FaultyProxy(echo) as proxy:
        proxy.up.rate = 100_000
        big_reader, big_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        big_writer.write(bytes(100_000))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: proxy.up.passed > 0, "the big one is on its way")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"small")
        assert await reader.readexactly(5) == b"small"
        small = loop.time() - began
        await big_reader.readexactly(100_000)
        big = loop.time() - began
        assert small < 0.5
        assert big > 0.9
        for each in (writer, big_writer):
            each.close()


async def test_connect_proxy_asks_for_the_password_and_cuts_when_told(echo: int) -> None:
    async with ConnectProxy("node", "secret") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 407")
        writer.close()
        basic = base64.b64encode(b"node:secret").decode()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(
            f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"abc"
        assert (proxy.refused, proxy.asked) == (1, [f"127.0.0.1:{echo}"])
        proxy.cut()
        await until(lambda: proxy.live == 0, "the tunnel is gone")
        writer.close()
