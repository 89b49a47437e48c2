"""How the parsers of formats, hub, node and files are driven; as core_drives.py."""

from __future__ import annotations

import asyncio
import tempfile
import tomllib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.errors import ExchangeError
from exchange.formats import registry, shadowserver, text
from exchange.formats.contacts import table as contact_table
from exchange.formats.csaf import read as csaf
from exchange.formats.extract import extract
from exchange.formats.indicators import paste, refang, table as indicator_table
from exchange.formats.mentions import Assets, in_text
from exchange.formats.source import Source
from exchange.formats.stix import patterns, read as stix, time as stix_time
from exchange.formats.stix.cover import read_message
from exchange.formats.stix.handing_on import original_of
from exchange.formats.stix.permissions import pap_of_message
from exchange.formats.stix.spans import Limits, load, scan, scan_thoroughly
from exchange.hub.http.mail import large_of
from exchange.hub.store.cursor import Cursor
from exchange.node.control import channel as home_control
from exchange.node.uplink import answers as hub_answers
from exchange.settings import HubSettings, NodeSettings
from exchange.storage import backup as backups_
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
from exchange.tlp import Tlp
from tests.fuzz.core_drives import Read, net, same
from tests.vector_directory import network

_MAX_CONFIG: Final = 4_096  # bytes; the administrator's own file, and tomllib takes its time over a long name

# -- formats ----------------------------------------------------------------------------------------------------------


def file(data: bytes) -> None:
    same(scan(data, Limits()), scan_thoroughly(data, Limits()))
    loaded = registry.load("file", data)
    if loaded.format == stix.FORMAT:
        assert all(one.data in data for one in loaded.accepted)


def advisory(data: bytes) -> None:
    source = Source("advisory.json", data)
    if csaf.recognise(source):
        csaf.read(source, Limits())
    else:
        source.scanned()


def indicator_list(data: bytes) -> None:
    source = Source("list.csv", data, at=1)
    if indicator_table.recognise(source):
        for one in indicator_table.read(source, Limits()).accepted:
            pattern = orjson.loads(one.data).get("pattern")
            assert pattern is None or patterns.alternatives(pattern)
    else:
        source.scanned()


def pasted(data: bytes) -> None:
    text = data.decode("utf-8", errors="replace")
    found = paste.extract(text)
    said = paste.said_in(text)
    made = paste.objects(found[:10], text, at="2026-11-22T08:00:00.000Z", tlp=said.tlp, pap=said.pap)
    assert all(each.tlp is said.tlp for each in made)


def daily_report(data: bytes) -> None:
    shadowserver.recognise(Source("report.csv", data))
    found = shadowserver.read_report("report.csv", data)
    for part in shadowserver.parts(found.kind, found.rows[:10], Tlp.GREEN):
        assert part


def whole(line: str) -> None:
    assert not refang.MARKS & set(refang.refang(line))


def stix_object(data: bytes) -> None:
    same(stix.read_object(data).data, data.strip())


def spans(data: bytes) -> None:
    load(data, Limits())


def message(data: bytes) -> None:
    text.write(read_message(data))


def extracted(data: bytes) -> None:
    received = read_message(data)
    pap_of_message(received)
    original_of(received)
    extract(received, Assets.read(["203.0.113.0/24", "example.org"]))


def mentioned(line: str) -> None:
    for asset in in_text(line):
        assert asset.text or asset.kind == "unreadable"
    Assets.read(line.split(","))


def table(data: bytes) -> None:
    contact_table.read_table(data, member="pe", language="pt")


def hours(line: str) -> None:
    contact_table.read_hours(line, "America/Lima")


def moment(line: str) -> None:
    same(stix_time.to_stix(stix_time.from_stix(line)), line)


def iso_moment(line: str) -> None:
    with suppress(ValueError):
        stix_time.to_stix(stix_time.from_iso(line))


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
