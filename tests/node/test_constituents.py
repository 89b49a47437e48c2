"""Whom a member serves: kept sealed, changed with a row in the access log; whose a mailbox is."""

from __future__ import annotations

import pytest

from exchange.errors import Refused
from exchange.node.doors.constituents import Constituents, Served, assets_of, reader_of_mail
from exchange.node.store.constituents import Constituent
from exchange.release import Who
from tests.simulator import Site

WATER = Constituent("Water works", ("203.0.113.0/24", "water.example"), ("duty@water.example",))


@pytest.fixture
def kept(pe: Site) -> Constituents:
    return Constituents(pe.up.store, pe.up.sources, who="ana")


def put(kept: Constituents, one: Constituent) -> Constituent:
    return kept.put(one.name, one.assets, one.mail)


def test_what_is_kept_is_sealed_and_logged(pe: Site, kept: Constituents) -> None:
    assert put(kept, WATER) == WATER
    assert kept.put("  Power\tgrid ", ["AS64500"], []).name == "Power grid"
    assert [one.name for one in kept.listed()] == ["Power grid", "Water works"]
    assert kept.put("Water works", ["198.51.100.0/24"], ["SOC@water.example"]).mail == ("soc@water.example",)
    assert kept.find("Water works") == Constituent(
        "Water works", ("198.51.100.0/24",), ("soc@water.example",)
    )
    rows = pe.up.store.db.read_sync(lambda c: c.exec_driver_sql("SELECT facts FROM constituents").fetchall())
    assert not any(b"ater" in bytes(row[0]) for row in rows)
    kept.remove("Power grid")
    assert [one.name for one in kept.listed()] == ["Water works"]
    logged = [(row.action, row.what) for row in reversed(pe.desk.access_log())]
    assert logged == [
        ("constituent put", "Water works"),
        ("constituent put", "Power grid"),
        ("constituent put", "Water works"),
        ("constituent remove", "Power grid"),
    ]


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (Constituent("", ("AS1",)), "constituent.bad"),
        (Constituent("x" * 65, ("AS1",)), "constituent.bad"),
        (Constituent("a\x1b[2J", ("AS1",)), "constituent.bad"),
        (Constituent("Gas", ()), "release.no-assets"),
        (Constituent("Gas", ("0.0.0.0/0",)), "release.no-assets"),
        (Constituent("Gas", ("com",)), "release.no-assets"),
        (Constituent("Gas", ("AS1",), ("gas@x.example\nBcc: a@b.example",)), "constituent.bad"),
        (Constituent("Gas", ("AS1",), ("a@b.example, c@d.example",)), "constituent.bad"),
        (Constituent("Gas", ("AS1",), ("DUTY@water.example",)), "constituent.bad"),
        (Constituent("Gas", ("AS1",) * 2_001), "constituent.bad"),
    ],
)
def test_what_is_no_constituent_is_refused(kept: Constituents, one: Constituent, code: str) -> None:
    put(kept, WATER)
    with pytest.raises(Refused, match=code.replace(".", r"\.")):
        put(kept, one)
    assert kept.listed() == [WATER]


def test_nobody_is_forgotten_who_isnt_there(kept: Constituents) -> None:
    with pytest.raises(Refused, match=r"constituent\.unknown"):
        kept.remove("Water works")


def test_an_extract_is_of_what_is_kept_as_its_own() -> None:
    assert assets_of(WATER, []) == list(WATER.assets)
    assert assets_of(WATER, ["203.0.113.9", "mail.water.example"]) == ["203.0.113.9", "mail.water.example"]
    for other in ("203.0.112.0/23", "example", "AS64500", "power.example"):
        with pytest.raises(Refused, match=r"release\.no-assets"):
            assets_of(WATER, [other])


@pytest.mark.parametrize(
    ("address", "asn", "names"),
    [
        ("203.0.113.9", 64_500, ["Water works"]),  # its prefix says more than whose system it is in
        ("198.51.100.4", 64_500, ["Power grid"]),
        ("198.51.100.4", 0, []),
        ("2001:db8::1", 64_501, []),
    ],
)
def test_whose_an_address_is(address: str, asn: int, names: list[str]) -> None:
    assert Served([WATER, Constituent("Power grid", ("AS64500",))]).names(address, asn) == names


@pytest.mark.parametrize(
    ("address", "who", "name"),
    [
        ("duty@water.example", Who.CONSTITUENT, "Water works"),
        ("DUTY@Water.example", Who.CONSTITUENT, "Water works"),
        ("ana@pe.example", Who.OWN, "ana@pe.example"),
        ("luz@home.example", Who.OWN, "luz@home.example"),
    ],
)
def test_whose_a_mailbox_is(address: str, who: Who, name: str) -> None:
    own = ["@pe.example", "luz@home.example", "@water.example"]
    reader = reader_of_mail(address, own, [WATER], exercise=False)
    assert (reader.who, reader.name) == (who, name)
    assert reader.inside == (who is Who.OWN)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("boss@water.example", "release.unknown-mailbox"),
        ("ana@sub.pe.example", "release.unknown-mailbox"),
        ("ana@notpe.example", "release.unknown-mailbox"),
        ("ana@pe.example\r\nBcc: x@y.example", "release.bad-mailbox"),
        ('"a b"@pe.example', "release.bad-mailbox"),
        ("ana", "release.bad-mailbox"),
    ],
)
def test_mail_to_anybody_else_is_refused(address: str, code: str) -> None:
    with pytest.raises(Refused, match=code.replace(".", r"\.")):
        reader_of_mail(address, ["@pe.example"], [WATER], exercise=False)
