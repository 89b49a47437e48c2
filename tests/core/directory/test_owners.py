"""Whose network it is: longest prefix, exact AS, longest name, country of last resort; overlaps shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from exchange.directory.onboarding import removed
from exchange.directory.owners import Match, Owners
from tests.address_book import Shelf, shelf


def claimed() -> Shelf:
    made = shelf(("pe-csirt", "co-csirt"))
    made.member("pe-bank", country="PE", member_class="sectoral_csirt")
    made.claim(
        "pe-csirt",
        asn=[27843, 64496],
        prefix=["190.12.0.0/16", "2001:db8::/32"],
        domain=["gob.pe", "xn--and-6ma2c.pe"],
    )
    made.claim("pe-bank", asn=[64496], prefix=["190.12.64.0/20"], domain=["banco.gob.pe"])
    made.claim("co-csirt", prefix=["190.12.64.0/20"], domain=["gov.co"], country=["AW"])
    return made


@pytest.fixture(scope="module")
def owners() -> Owners:
    return Owners.build(claimed().book())


@pytest.mark.parametrize(
    ("asked", "kind", "matches"),
    [
        ("190.12.1.2", "ip", [("pe-csirt", "190.12.0.0/16")]),
        ("hxxp://190[.]12[.]1[.]2:8080/x", "ip", [("pe-csirt", "190.12.0.0/16")]),
        ("::ffff:190.12.1.2", "ip", [("pe-csirt", "190.12.0.0/16")]),
        ("190.12.0.0/17", "prefix", [("pe-csirt", "190.12.0.0/16")]),
        ("190.0.0.0/8", "prefix", []),
        ("2001:db8::1", "ip", [("pe-csirt", "2001:db8::/32")]),
        ("[2001:db8::1]", "ip", [("pe-csirt", "2001:db8::/32")]),
        ("8.8.8.8", "ip", []),
        ("AS27843", "asn", [("pe-csirt", "AS27843")]),
        ("asn 27843", "asn", [("pe-csirt", "AS27843")]),
        ("AS1", "asn", []),
        ("www.Mininter.GOB.pe.", "domain", [("pe-csirt", "gob.pe")]),
        ("a@mininter.gob.pe", "domain", [("pe-csirt", "gob.pe")]),
        ("www.ñandú.pe", "domain", [("pe-csirt", "xn--and-6ma2c.pe")]),
        ("notgob.pe", "domain", [("pe-csirt", "PE")]),
        ("example.aw", "domain", [("co-csirt", "AW")]),
        ("example.org", "domain", []),
    ],
)
def test_one_owner_or_none(owners: Owners, asked: str, kind: str, matches: list[tuple[str, str]]) -> None:
    found = owners.owner(asked)
    assert (found.kind, [(each.member, each.claim) for each in found.matches]) == (kind, matches)
    assert not found.overlap
    assert not found.fault


def test_the_most_specific_comes_first_and_a_conflict_is_flagged(owners: Owners) -> None:
    found = owners.owner("190.12.64.9")
    assert found.matches == (
        Match("co-csirt", "prefix", "190.12.64.0/20"),
        Match("pe-bank", "prefix", "190.12.64.0/20"),
        Match("pe-csirt", "prefix", "190.12.0.0/16"),
    )
    assert (found.overlap, found.conflict, found.nearest) == (True, True, ("co-csirt", "pe-bank"))


def test_overlap_without_conflict(owners: Owners) -> None:
    found = owners.owner("www.banco.gob.pe")
    assert [each.claim for each in found.matches] == ["banco.gob.pe", "gob.pe"]
    assert (found.overlap, found.conflict, found.nearest) == (True, False, ("pe-bank",))


@pytest.mark.parametrize(
    ("asked", "claims"),
    [
        ("190.0.0.0/8", ["190.12.64.0/20", "190.12.64.0/20", "190.12.0.0/16"]),
        ("190.12.0.0/16", ["190.12.64.0/20", "190.12.64.0/20"]),
        ("190.12.64.0/20", []),
        ("190.12.0.0/18", []),
        ("190.12.64.0/18", ["190.12.64.0/20", "190.12.64.0/20"]),
        ("191.0.0.0/8", []),
        ("2001::/16", ["2001:db8::/32"]),
        ("::/0", ["2001:db8::/32"]),
        ("gob.pe", ["banco.gob.pe"]),
        ("pe", ["gob.pe", "banco.gob.pe", "xn--and-6ma2c.pe"]),
        ("ob.pe", []),
        ("banco.gob.pe", []),
        ("AS64496", []),
        ("190.12.64.9", []),
        ("no asset", []),
    ],
)
def test_claims_to_parts(owners: Owners, asked: str, claims: list[str]) -> None:
    assert [each.claim for each in owners.within(asked)] == claims


def test_only_the_national_csirt_stands_in_for_its_country(owners: Owners) -> None:
    assert [each.member for each in owners.owner("x.pe").matches] == ["pe-csirt"]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "AS0",
        "AS9999999999",
        "10.0.0.1/8",
        "fe80::1%eth0",
        "a b",
        "\u0130" * 70,
        "x" * 3000,
        "." * 300,
        "-x.pe",
    ],
)
def test_what_is_none_of_them_says_so(owners: Owners, asked: str) -> None:
    found = owners.owner(asked)
    assert found.fault
    assert not found.matches


def test_claims_in_any_spelling_and_broken_ones_skipped() -> None:
    made = shelf()
    made.claim("pe-csirt", domain=["Ñandú.PE.", "..", "x" * 300], prefix=["1.2.3.4/8", "10.0.0.0/8"], asn=[0])
    owners = Owners.build(made.book())
    assert owners.skipped == 4
    assert owners.owner("www.xn--and-6ma2c.pe").matches[0].by == "domain"
    assert owners.owner("10.1.2.3").matches


def test_nobody_owns_half_the_internet_whatever_the_part_says() -> None:
    made = shelf()
    made.claim("pe-csirt", prefix=["0.0.0.0/0", "::/0", "64.0.0.0/7"], domain=["com", "pe"])
    owners = Owners.build(made.book())
    assert owners.skipped == 5
    assert [owners.owner(asked).matches for asked in ("65.1.1.1", "2001:db8::1", "x.com")] == [(), (), ()]


def test_a_removed_member_owns_nothing() -> None:
    made = claimed()
    made.network.members["pe-csirt"] = removed(made.network.members["pe-csirt"], at=made.world.now)
    assert Owners.build(made.book()).owner("190.12.1.2").matches == ()


def test_a_claim_that_the_log_does_not_name_counts_for_nothing() -> None:
    made = shelf()
    made.put("pe-csirt", "members", b'{"asn": [64500]}')
    assert Owners.build(made.book()).owner("AS64500").matches == ()


def test_grouped_by_owner(owners: Owners) -> None:
    asked = ["190.12.1.2", "8.8.8.8", "190.12.64.9", "190.12.1.3", "nonsense!"]
    assert owners.group(asked) == {
        "": ["8.8.8.8", "nonsense!"],
        "co-csirt": ["190.12.64.9"],
        "pe-bank": ["190.12.64.9"],
        "pe-csirt": ["190.12.1.2", "190.12.1.3"],
    }


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(
    lambda pair: (pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(networks, max_size=30), st.integers(0, 2**32 - 1))
def test_as_a_plain_search_through_all_prefixes_would_say(
    prefixes: list[tuple[int, int]], address: int
) -> None:
    import ipaddress

    texts = sorted({str(ipaddress.IPv4Network(each)) for each in prefixes})
    made = BASE
    made.parts.clear()
    made.claim("pe-csirt", prefix=texts)
    asked = ipaddress.IPv4Address(address)
    wanted = [text for text in texts if asked in ipaddress.IPv4Network(text)]
    wanted.sort(key=lambda text: -ipaddress.IPv4Network(text).prefixlen)
    found = Owners.build(made.book()).owner(str(asked))
    assert [each.claim for each in found.matches] == wanted


BASE = shelf()
