"""Objects and drafts that several tests of the formats start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.formats.objects import RawObject
from exchange.formats.registry import load
from exchange.message import Author, Draft, Kind, Urgency
from exchange.tlp import Tlp

NOW = 1_793_000_000_000
DEMO = Path(__file__).resolve().parents[2] / "exchange" / "demo" / "data" / "ransomware.json"


@pytest.fixture
def draft() -> Draft:
    return Draft(
        id="0f0f0f0f-0000-4000-8000-000000000001",
        kind=Kind.INCIDENT_REPORT,
        case_id="PE-pe-2026-0001",
        urgency=Urgency.FLASH,
        tlp=Tlp.AMBER,
        subject="Ransomware at a bank",
        created=NOW,
    )


@pytest.fixture
def author() -> Author:
    return Author(id="identity--9c3ae1a5-66a4-5b11-9f6c-4c4bb4c2d6b1", name="PE-CSIRT", created=NOW - 1_000)


@pytest.fixture
def demo_objects() -> tuple[RawObject, ...]:
    return load("ransomware.json", DEMO.read_bytes()).accepted
