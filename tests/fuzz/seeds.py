"""Good examples (and some that were refused) to begin fuzzing from: the vectors' own, and a few that no vector has."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import orjson

from exchange.canonical import b64, dumps, unb64
from exchange.directory.records import ContactRecord, HoldersRecord, MembersRecord, PublicRecord, to_bytes
from exchange.errors import Rejected
from exchange.formats import registry
from exchange.formats.contacts.table import COLUMNS
from exchange.formats.stix.cover import compose
from exchange.message import Author, Draft, Kind, Urgency, member_identity_id
from exchange.protocol import ITEM_LARGE, Item, Large
from exchange.tlp import Tlp
from tests.foreign_samples import LIST, advisory_file
from tests.stix_samples import SOMEBODY, bundle_of
from tests.vector_directory import FOLDER, log, network

HUB_SETTINGS = b"""origins = ["https://hub.example:8443"]
port = 8443
tls = true
metrics_from = ["10.0.0.1"]
[limits]
head_seconds = 3
"""
NODE_SETTINGS = b"""member = "pe"
hub = "https://hub.example"
net = "AAAA"
proxy = "http://p:3128"
websocket = false
[retention]
alarms = 5
[retention.kinds]
alert = 9
[http]
open = true
host = "::1"
names = ["a.example"]
posts_to = ["co"]
posts_tlp = "green"
connections = 7
"""
MOST_BYTES = 60_000  # of a seed: larger ones are slow to spoil, and say no more


def of(area: str, pick: Callable[[dict[str, Any]], bytes]) -> list[bytes]:
    """What `pick` takes of the inputs of an area's vectors: the good ones first, then those that were refused."""
    found: dict[bytes, None] = {}
    paths = sorted((FOLDER / area).glob("*.json"))
    for wanted in (True, False):
        for path in paths:
            vector = json.loads(path.read_text(encoding="ascii"))
            if (vector["expect"] == "ok") == wanted:
                try:
                    data = pick(vector["input"])
                except (
                    Rejected,
                    KeyError,
                    TypeError,
                    IndexError,
                ):  # bad on purpose in what holds it: no seed
                    continue
                found |= {data: None} if len(data) <= MOST_BYTES else {}
    assert found, area
    return list(found)


def decoded(area: str, name: str) -> list[bytes]:
    """The member `name` of the inputs, which is base64."""
    return of(area, lambda given: unb64(given[name]))


def as_json(area: str, name: str = "") -> list[bytes]:
    """The member `name` of the inputs, or the inputs whole, as JSON."""
    return of(area, lambda given: orjson.dumps(given[name] if name else given))


def text(area: str, name: str) -> list[bytes]:
    """The member `name` of the inputs, which is text."""
    return of(area, lambda given: str(given[name]).encode("utf-8"))


def bodies() -> list[bytes]:
    """Bodies of statements of every type that the vectors' leaves have."""
    leaves = [json.loads(leaf) for leaf in log()]
    found = {unb64(leaf["body"]) for leaf in leaves}
    for path in sorted((FOLDER / "leaf").glob("*.json")):
        vector = json.loads(path.read_text(encoding="ascii"))
        if vector["expect"] == "ok":
            found.add(unb64(json.loads(vector["input"]["leaf"])["body"]))
    return sorted(found)


def snapshots() -> list[bytes]:
    """A snapshot as JSON, and gzipped."""
    value = {**json.loads((FOLDER / "snapshot" / "public.json").read_text("ascii"))["input"]["snapshot"]}
    value["leaves"] = [b64(leaf) for leaf in (*log(), *(one.encode("ascii") for one in value["leaves"]))]
    plain = orjson.dumps(value)
    packer = zlib.compressobj(wbits=31)
    return [plain, packer.compress(plain) + packer.flush()]


def message() -> bytes:
    """A message as it travels: cover, identity, one object."""
    at = int(network()["now"])
    draft = Draft(
        id="0d6fb5a5-5f1d-4c4e-9c5b-5e2a3e0f4f11",
        kind=Kind.ALERT,
        case_id="pe-1",
        urgency=Urgency.FLASH,
        tlp=Tlp.AMBER,
        subject="A subject",
        created=at,
        text="A text.",
    )
    author = Author(id=member_identity_id(uuid.UUID(bytes=bytes(range(16))), "pe"), name="pe", created=at)
    (carried,) = registry.load("seed.json", bundle_of(SOMEBODY)).accepted
    return compose(draft, author, [carried]).bundle


def stix() -> list[bytes]:
    """STIX files, and other JSON that a person may give."""
    indicator = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--24f585ab-fdde-4ee9-871b-15fca2063a19",
        "created": "2026-11-03T06:40:00.000Z",
        "modified": "2026-11-03T06:40:00.000Z",
        "pattern": "[ipv4-addr:value = '203.0.113.7']",
        "pattern_type": "stix",
        "valid_from": "2026-11-03T06:40:00.000Z",
        "object_marking_refs": ["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"],
        "granular_markings": [{"lang": "en", "selectors": ["name"]}],
    }
    marking = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "definition": {"tlp": "amber"},
    }
    return [
        bundle_of(SOMEBODY, indicator, marking),
        orjson.dumps([SOMEBODY, indicator]),
        orjson.dumps(SOMEBODY),
        b'{"document":{"csaf_version":"2.0"}}',
        message(),
    ]


def records() -> list[bytes]:
    """Parts of the directory, one a form."""
    public = {"name_official": {"es": "CSIRT de Prueba"}, "name_short": "PE", "timezone": "America/Lima"}
    contact = {
        "role_name": {"es": "Guardia", "en": "Duty desk"},
        "email": "guardia@example.org",
        "phones": [{"number": "+5112345678"}],
        "languages": [{"lang": "es", "level": "works"}],
        "hours": {"zone": "America/Lima", "weekly": [{"days": ["mon"], "from": "08:00", "to": "17:00"}]},
        "holidays": {"days": []},
    }
    found = [orjson.dumps(public), orjson.dumps(contact), b"{}"]
    return [
        *found,
        *(to_bytes(form()) for form in (PublicRecord, MembersRecord, ContactRecord, HoldersRecord)),
    ]


def advisories() -> list[bytes]:
    """CSAF advisories."""
    return [advisory_file(), advisory_file(product_tree={}, vulnerabilities=[])]


def lists() -> list[bytes]:
    """Lists of indicators."""
    return [
        LIST.encode("utf-8"),
        LIST.encode("utf-16"),
        b"203.0.113.7\nevil.example.com\n",
        b"ip\tmd5\n1.1.1.1\t\n",
        b'# TLP:GREEN; "a","b\n# "first_seen_utc","dst_ip"\n"2026-11-20","1.1.1.1"\n# x\nTLP:RED\n',
    ]


def table() -> list[bytes]:
    """Lists of contacts, as they are saved by spreadsheets."""
    names = list(COLUMNS)
    cells = {"function": "technical_24x7", "community": "csirt", "email": "a@example.org", "hours": "24x7"}
    row = ",".join(cells.get(name, "") for name in names)
    return [
        (",".join(names) + "\r\n" + row + "\r\n").encode(),
        "función;correo;teléfono\n24x7;a@example.org;+51 1 234\n".encode("cp1252"),
        b'"function","email"\n"a\nb","c""d"\n',
    ]


def pages() -> list[bytes]:
    """Pages of the feed."""
    large = Item(ITEM_LARGE, "e1.7", Large(bytes(32), 70_000, "flash").to_bytes()).to_bytes()
    return [*decoded("items", "page"), large]


def problems() -> list[bytes]:
    """Refusals of a hub."""
    return [
        dumps({"code": "quota.exceeded", "detail": "full", "retry_after": 5, "status": 429}),
        orjson.dumps({"code": "auth.clock-skew", "now": 1, "type": "urn:exchange:auth.clock-skew"}),
        b"<html>502 Bad Gateway</html>",
    ]


def settings(kind: str) -> list[bytes]:
    """config.toml of a hub or node."""
    if kind == "hub":
        return [HUB_SETTINGS]
    return [NODE_SETTINGS]


def words(*texts: str) -> list[bytes]:
    """Short texts."""
    return [text.encode("utf-8") for text in texts]


def receipt_leaves() -> list[bytes]:
    return of("receipt_upload", lambda given: unb64(given["upload"]["leaves"][0]))


def receipt_batches() -> list[bytes]:
    return of("receipt_upload", lambda given: b"|".join(map(unb64, given["upload"]["leaves"])))


def parts() -> list[bytes]:
    rows = [["pe", "public", b64(bytes(16)), b64(data)] for data in records()]
    return [orjson.dumps(row) for row in rows]


def losses() -> list[bytes]:
    lost = {
        "address": "pe",
        "named": b64(bytes(32)),
        "officers": ["alba"],
        "since": 1,
        "skid": "",
        "until": 2,
    }
    return [orjson.dumps(lost)]


def listed() -> list[bytes]:
    common = {"signatures": [["pe", b64(bytes(64))]], "since": 1, "until": 2}
    found = []
    for raw in bodies():
        pending = {**common, "body": b64(raw), "parts": [["pe", "public", b64(bytes(16)), b64(b"{}")]]}
        application = {
            **common,
            "body": b64(raw),
            "document": "",
            "ended": "",
            "member": "uy",
            "reason": "",
            "salt": b64(bytes(16)),
        }
        del application["until"]
        found += [orjson.dumps(pending), orjson.dumps(application)]
    return found
