"""A MISP event with one of each thing that is read; every address and name in it is reserved for documentation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from exchange.formats.objects import Loaded, RawObject
from exchange.formats.registry import dump, load
from exchange.formats.source import Written
from exchange.formats.stix.cover import compose
from exchange.formats.stix.markings import effective_tlp
from exchange.message import Author, Draft, Kind
from exchange.tlp import Tlp

EVENT = "10000000-0000-4000-8000-000000000001"
ORG = "10000000-0000-4000-8000-000000000002"
DOMAIN = "10000000-0000-4000-8000-000000000003"
TEXT = "10000000-0000-4000-8000-000000000004"
SAMPLE = "10000000-0000-4000-8000-000000000005"
FILE = "10000000-0000-4000-8000-000000000006"
FILE_HASH = "10000000-0000-4000-8000-000000000007"
FILE_NAME = "10000000-0000-4000-8000-000000000008"
ACTOR = "10000000-0000-4000-8000-000000000009"
TECHNIQUE = "10000000-0000-4000-8000-00000000000a"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SECONDS = "1790000000"
STIX_TIME = "2026-09-21T14:13:20.000Z"  # the same
_TECHNIQUE_TAG = 'misp-galaxy:mitre-attack-pattern="Phishing - T1566"'


def attribute(type_: str, value: Any, uuid: str = "", **members: Any) -> dict[str, Any]:
    """One attribute; without a uuid it has none."""
    stated = {"uuid": uuid} if uuid else {}
    return {
        "type": type_,
        "category": "Network activity",
        "value": value,
        "timestamp": SECONDS,
        **stated,
        **members,
    }


def event(*attributes: dict[str, Any], **members: Any) -> dict[str, Any]:
    """An event of these attributes and members."""
    value = {
        "uuid": EVENT,
        "info": "Phishing against a bank",
        "date": "2026-09-21",
        "timestamp": SECONDS,
        "distribution": "1",
        "Orgc": {"id": "7", "name": "Example CSIRT", "uuid": ORG},
        "Attribute": list(attributes),
    }
    return {"Event": value | members}


def galaxy(kind: str, name: str, uuid: str, tag: str, **meta: Any) -> dict[str, Any]:
    """A galaxy with one cluster."""
    cluster = {"uuid": uuid, "value": name, "tag_name": tag, "description": "What it is.", "meta": meta}
    return {"type": kind, "name": kind, "GalaxyCluster": [cluster]}


def sighting(kind: str, number: int) -> dict[str, Any]:
    """A sighting by somebody: 0 seen, 1 a false positive, 2 expired."""
    return {
        "uuid": f"20000000-0000-4000-8000-00000000000{number}",
        "type": kind,
        "date_sighting": SECONDS,
        "source": "proxy",
        "Organisation": {"name": "Another CSIRT"},
    }


def full_event() -> dict[str, Any]:
    """One of each."""
    technique = galaxy(
        "mitre-attack-pattern", "Phishing - T1566", TECHNIQUE, _TECHNIQUE_TAG, external_id=["T1566"]
    )
    actor = galaxy("threat-actor", "Example Bear", ACTOR, 'misp-galaxy:threat-actor="Example Bear"')
    file = {
        "uuid": FILE,
        "name": "file",
        "meta-category": "file",
        "timestamp": SECONDS,
        "comment": "the attachment",
        "Attribute": [
            attribute("md5", MD5, FILE_HASH, to_ids=True, object_relation="md5", Sighting=[sighting("0", 4)]),
            attribute(
                "filename", "invoice.exe", FILE_NAME, object_relation="filename", Sighting=[sighting("0", 5)]
            ),
            attribute("size-in-bytes", "12", object_relation="size-in-bytes"),
        ],
        "ObjectReference": [
            {
                "uuid": "20000000-0000-4000-8000-00000000000a",
                "referenced_uuid": DOMAIN,
                "relationship_type": "connects_to",
                "comment": "seen",
            }
        ],
    }
    return event(
        attribute(
            "domain",
            "phish.example.com",
            DOMAIN,
            to_ids=True,
            comment="landing page",
            first_seen="2026-09-20T00:00:00.000000+00:00",
            Tag=[{"name": "tlp:amber"}, {"name": _TECHNIQUE_TAG, "colour": "#ff0000"}],
            Galaxy=[technique],
            Sighting=[sighting("0", 1), sighting("1", 2), sighting("2", 3)],
        ),
        attribute("text", "They write in Portuguese.", TEXT, category="Other"),
        attribute(
            "malware-sample",
            f"invoice.exe|{MD5}",
            SAMPLE,
            category="Payload delivery",
            to_ids=True,
            data="UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==",
        ),
        Tag=[{"name": "tlp:green"}, {"name": "PAP:AMBER"}, {"name": "osint", "colour": "#00ff00"}],
        Galaxy=[actor],
        Object=[file],
        EventReport=[
            {"uuid": "20000000-0000-4000-8000-00000000000b", "name": "Summary", "content": "# All of it"}
        ],
    )


def read(value: object) -> Loaded:
    """What reading a file with that value gives."""
    return load("event.json", orjson.dumps(value))


def made(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """The objects of a file of which nothing was set aside, by id."""
    assert loaded.set_aside == ()
    return {raw.id: orjson.loads(raw.data) for raw in loaded.accepted}


def written(
    draft: Draft, author: Author, objects: tuple[RawObject, ...], tlp: Tlp | None = None, **more: Any
) -> Written:
    """What writing an alert of these objects gives."""
    alert = replace(draft, kind=Kind.ALERT, tlp=tlp or effective_tlp(objects, None), **more)
    return dump(compose(alert, author, objects), "misp")


def back(
    draft: Draft, author: Author, objects: tuple[RawObject, ...], tlp: Tlp | None = None, **more: Any
) -> dict[str, Any]:
    """The event that an alert of these objects is written as."""
    return orjson.loads(written(draft, author, objects, tlp, **more).data)["Event"]
