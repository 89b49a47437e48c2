"""How the parsers of formats, hub, node and files are driven; as core_drives.py."""

from __future__ import annotations

import asyncio
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.errors import ExchangeError
from exchange.formats import contact_table, registry, stix, stix_time, text
from exchange.formats.cover import read_message
from exchange.formats.json_spans import Limits, load, scan, scan_thoroughly
from exchange.hub.http_mail import large_of
from exchange.hub.store_cursor import Cursor
from exchange.node import control as home_control
from exchange.node import hub_answers
from exchange.settings import HubSettings, NodeSettings
from exchange.storage import backup as backups_
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
from tests.fuzz.core_drives import Read, net, same
from tests.vector_directory import network

_MAX_CONFIG: Final = 4_096  # bytes; the administrator's own file, and tomllib takes its time over a long name

# -- formats ----------------------------------------------------------------------------------------------------------


def file(data: bytes) -> None:
    same(scan(data, Limits()), scan_thoroughly(data, Limits()))
    loaded = registry.load("file", data)
    for one in loaded.accepted:
        assert one.data in data


def stix_object(data: bytes) -> None:
    same(stix.read_object(data).data, data.strip())


def spans(data: bytes) -> None:
    load(data, Limits())


def message(data: bytes) -> None:
    text.write(read_message(data))


def table(data: bytes) -> None:
    contact_table.read_table(data, member="pe", language="pt")


def hours(line: str) -> None:
    contact_table.read_hours(line, "America/Lima")


def moment(line: str) -> None:
    same(stix_time.to_stix(stix_time.from_stix(line)), line)


# -- hub, node, files -------------------------------------------------------------------------------------------------


def problem(data: bytes) -> None:
    for status in (400, 403, 429, 503):
        error = hub_answers.problem(status, data)
        assert isinstance(error, ExchangeError)
        assert len(error.detail) <= hub_answers.MAX_DETAIL


def answer(data: bytes) -> None:
    hub_answers.receipts_of(hub_answers.json_of(hub_answers.Answer(data, 200, more=False)))


def cursor(line: str) -> None:
    cursor = Cursor.read(line, "e1")
    same(Cursor.read(str(cursor), "e1"), cursor)


def query(line: str) -> None:
    large_of({"large": line})


def control(data: bytes) -> None:
    async def poke(_value: dict[str, Any]) -> str:
        return "poked"

    async def ask() -> bytes:
        path = Path(_scratch().name) / "control"
        async with home_control.serving(path, {"poke": poke}):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(data.replace(b"\n", b" ") + b"\n")
            heard = await reader.readline()
            writer.close()
            return heard

    if len(data) < home_control.MAX_LINE:  # a longer one is cut off, and its answer with it
        assert "code" in orjson.loads(asyncio.run(ask()))


def settings(kind: type[HubSettings | NodeSettings]) -> Read:
    def parse(data: bytes) -> None:
        if len(data) > _MAX_CONFIG:
            return
        try:
            values = tomllib.loads(data.decode("utf-8", errors="replace"))
        except tomllib.TOMLDecodeError:
            return  # whoever reads the file has refused that
        kind.from_mapping(values)

    return parse


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="exchange-fuzz-")


def _path(name: str, data: bytes) -> Path:
    path = Path(_scratch().name) / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@cache
def _secret() -> Unlock:
    return Unlock.key_file(_path("key", bytes(range(32))))


def keystore(data: bytes) -> None:
    Keystore.open(_path("keystore", data), _secret())


def keystores() -> list[bytes]:
    path = Path(_scratch().name) / "seed"
    path.unlink(missing_ok=True)
    Keystore.create(path, _secret(), {"one": b"first", "two": b"second"})
    return [path.read_bytes()]


def backup(data: bytes) -> None:
    path = _path("backup", data)
    backups_.read_head(path)
    backups_.read_erasures(path, _secret())


def backups() -> list[bytes]:
    path = Path(_scratch().name) / "seed.backup"
    path.unlink(missing_ok=True)
    head = backups_.Head("node", backups_.HOME, "pe", net(), int(network()["now"]), "0003")
    with backups_.writing(path, head, _secret()) as writer:
        writer.add(backups_.ERASURES, b"[]")
    return [path.read_bytes()]
