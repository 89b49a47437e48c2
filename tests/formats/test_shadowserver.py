"""Shadowserver's reports: rows by the owner of their address, nothing of one owner with another, and their objects."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.directory.owners import Owners
from exchange.errors import Refused
from exchange.formats import shadowserver
from exchange.formats.making import SOURCE
from exchange.formats.registry import load
from exchange.formats.shadowserver import Groups, Report, grouped, parts, read_report
from exchange.tlp import Tlp
from tests.address_book import shelf
from tests.foreign_samples import OPEN_RDP, SINKHOLE, report

NAME = "2026-11-20-scan_rdp-peru-geo.csv"


@pytest.fixture(scope="module")
def owners() -> Owners:
    made = shelf(("pe-csirt", "uy-csirt", "br-csirt"))
    made.claim("pe-csirt", prefix=["203.0.113.0/24"])
    made.claim("uy-csirt", asn=[64497, 64500], prefix=["198.51.100.0/25"])
    made.claim("br-csirt", prefix=["2001:db8::/32", "198.51.100.0/25"])
    return Owners.build(made.book())


@pytest.fixture
def rdp() -> Report:
    return read_report(NAME, OPEN_RDP)


def values(rows: Any, kind: str = "scan_rdp") -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for part in parts(kind, rows, Tlp.AMBER) for each in part]


def test_a_report_is_read_by_its_header_and_named_by_its_file(rdp):
    assert rdp.kind == "scan_rdp"
    assert [(row.line, row.address, row.asn, row.country) for row in rdp.rows][:2] == [
        (2, "203.0.113.7", 64496, "PE"),
        (3, "203.0.113.8", 64496, "PE"),
    ]
    assert rdp.rows[0].cells["banner"] == "=x"
    assert [(each.object, each.reason) for each in rdp.set_aside] == [
        ("line 7", "the timestamp is no date and time"),
        ("line 8", "the address is no IP address"),
    ]


def test_rows_go_to_the_nearest_owner_of_the_address_else_of_the_system(rdp, owners):
    groups: Groups = grouped(rdp.rows, owners)
    assert {member: [row.address for row in rows] for member, rows in groups.owned.items()} == {
        "pe-csirt": ["203.0.113.7", "203.0.113.8"],
        "br-csirt": ["2001:db8::9"],
        "uy-csirt": ["192.0.2.77"],
    }
    assert {names: [row.address for row in rows] for names, rows in groups.disputed.items()} == {
        ("br-csirt", "uy-csirt"): ["198.51.100.9"]
    }
    assert groups.unowned == []


def test_nothing_of_another_owner_is_among_an_owners_objects(rdp, owners):
    groups = grouped(rdp.rows, owners)
    for member, rows in groups.owned.items():
        told = orjson.dumps(values(rows)).decode()
        others = {row.address for row in rdp.rows} - {row.address for row in groups.owned[member]}
        assert not any(f'"{address}"' in told for address in others)


def test_each_row_becomes_an_observation_that_keeps_every_cell(rdp):
    made = values(rdp.rows[:1])
    by_type = {each["type"]: each for each in made}
    assert by_type.keys() == {
        "identity",
        "autonomous-system",
        "ipv4-addr",
        "domain-name",
        "network-traffic",
        "observed-data",
    }
    observed = by_type["observed-data"]
    assert observed["first_observed"] == "2026-11-20T04:12:33.000Z"
    assert observed["labels"] == ["scan_rdp", "rdp", "severity:high"]
    assert set(observed["object_refs"]) == {each["id"] for each in made} - {
        observed["id"],
        by_type["identity"]["id"],
    }
    kept = observed["extensions"][SOURCE]["shadowserver"]
    assert kept["report"] == "scan_rdp"
    assert kept["row"] == rdp.rows[0].cells
    assert (by_type["network-traffic"]["dst_port"], by_type["network-traffic"]["protocols"]) == (
        3389,
        ["tcp"],
    )
    # the id that every tool gives this address (STIX 2.1 §2.9)
    assert values(rdp.rows[3:4])[2]["id"] == shadowserver.observable_id("ipv6-addr", value="2001:db8::9")


def test_the_same_report_gives_the_same_objects(rdp):
    again = read_report("other.csv", OPEN_RDP)
    assert list(parts("scan_rdp", again.rows, Tlp.AMBER)) == list(parts("scan_rdp", rdp.rows, Tlp.AMBER))


def test_a_report_of_sources_is_of_their_owners(owners):
    found = read_report("2026-11-20-event4_sinkhole-peru.csv", SINKHOLE)
    assert list(grouped(found.rows, owners).owned) == ["pe-csirt"]
    (traffic,) = [each for each in values(found.rows, found.kind) if each["type"] == "network-traffic"]
    assert traffic["src_port"] == 50123


def test_many_rows_are_cut_into_messages_that_hold_them():
    lines = [f"2026-11-20 04:00:00,high,10.{n >> 8}.{n & 255}.1,tcp,22,ssh,64496" for n in range(8_000)]
    found = read_report("scan_ssh.csv", report("timestamp,severity,ip,protocol,port,tag,asn", *lines))
    made = list(parts(found.kind, found.rows, Tlp.GREEN))
    assert len(made) > 1
    for part in made:
        assert len(part) <= shadowserver.PART_OBJECTS
        assert sum(len(each.data) for each in part) <= shadowserver.PART_BYTES + 4_096
        ids = {each.id for each in part}
        for each in part:
            assert set(orjson.loads(each.data).get("object_refs", ())) <= ids  # each message stands by itself
    observed = [each for part in made for each in part if each.type == "observed-data"]
    assert len(observed) == 8_000


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", b'"timestamp","ip"\n"2026-11-20","203.0.113.7"\n', b"\xff\xfe\x00", b"{}"]
)
def test_what_is_no_report_is_refused(data):
    with pytest.raises(Refused) as refused:
        read_report("x.csv", data)
    assert refused.value.code == "format.bad-file"


def test_a_report_is_never_sent_as_it_came():
    with pytest.raises(Refused) as refused:
        load(NAME, OPEN_RDP, at=1)
    assert refused.value.code == "format.by-owner"
    assert "exchange node shadowserver" in refused.value.detail
