"""An extract for one constituent: what concerns its assets and what that needs; not a byte of anybody else's."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.extract import Extract, extract
from exchange.formats.mentions import UNREADABLE, Assets, mentions
from exchange.formats.registry import load
from exchange.formats.stix.cover import compose
from exchange.formats.stix.handing_on import objects_of
from exchange.message import Author, Draft, Kind, Message
from exchange.tlp import Tlp
from tests.stix_samples import bundle_of

WATER = Assets.read(["203.0.113.0/24", "2001:db8:7::/48", "AS64500", "water.example"])
ATTACKER = Assets.read(["192.0.2.66", "evil.test"])
TIMES = {"created": "2026-11-03T06:40:00.000Z", "modified": "2026-11-03T06:40:00.000Z"}


def uid(kind: str, number: int) -> str:
    return f"{kind}--{number:08d}-0000-4000-8000-000000000000"


def indicator(number: int, pattern: str, **more: Any) -> dict[str, Any]:
    value = {"type": "indicator", "spec_version": "2.1", "id": uid("indicator", number), "pattern": pattern}
    return value | TIMES | {"pattern_type": "stix", "valid_from": "2026-11-03T00:00:00Z"} | more


def scope(kind: str, number: int, **more: Any) -> dict[str, Any]:
    """An observable."""
    return {"type": kind, "spec_version": "2.1", "id": uid(kind, number)} | more


def domain_object(kind: str, number: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "spec_version": "2.1", "id": uid(kind, number)} | TIMES | more


def related(number: int, source: str, target: str) -> dict[str, Any]:
    ends = {"relationship_type": "indicates", "source_ref": source, "target_ref": target}
    return domain_object("relationship", number, **ends)


@pytest.fixture
def told(draft: Draft, author: Author) -> Any:
    """Makes an alert that carries these objects."""

    def make(*values: dict[str, Any]) -> Message:
        loaded = load("x.json", bundle_of(*values))
        assert loaded.set_aside == ()
        return compose(replace(draft, kind=Kind.ALERT, tlp=Tlp.AMBER), author, loaded.accepted)

    return make


def going(result: Extract) -> list[str]:
    return [each.id for each in result.objects]


def staying(result: Extract) -> dict[str, str]:
    return dict(result.withheld)


OF_WATER = [
    "[ipv4-addr:value = '203.0.113.9']",
    "[ipv4-addr:value ISSUBSET '203.0.113.128/25']",
    "[ipv6-addr:value = '2001:db8:7::1']",
    "[domain-name:value = 'mail.water.example']",
    "[url:value = 'https://portal.water.example/login?x=1']",
    "[email-addr:value = 'duty@water.example']",
    "[email-message:from_ref.value = 'boss@water.example' AND email-message:subject = 'Pay']",
    "[autonomous-system:number = 64500]",
    "[network-traffic:src_ref.value = '203.0.113.9' AND network-traffic:dst_port = 443]",
]
NOT_OF_WATER_ALONE = [
    "[ipv4-addr:value = '203.0.113.9' OR ipv4-addr:value = '198.51.100.4']",
    "[ipv4-addr:value ISSUBSET '203.0.112.0/23']",
    "[domain-name:value = 'water.example.org']",
    "[domain-name:value = 'notwater.example']",
    "[url:value = 'https://evil.test/portal.water.example']",
    "[autonomous-system:number IN (64500, 64501)]",
    "[domain-name:value LIKE '%.water.example']",
    "[ipv4-addr:value MATCHES '^203\\\\.0\\\\.113\\\\.']",
    "[ipv4-addr:value = '203.0.113.9'] /* bank.example */",
    "[ipv4-addr:value = '203.0.113.9' /* ' */ OR domain-name:value = 'bank.example']",
    "[ipv4-addr:value = '203.0.113.9' AND file:x_name = h'62616e6b2e6578616d706c65']",
    "[network-traffic:src_ref.value = '203.0.113.9' AND network-traffic:dst_ref.value = '192.0.2.66']",
]


@pytest.mark.parametrize("pattern", OF_WATER)
def test_patterns_about_its_assets_go(told: Any, pattern: str) -> None:
    assert going(extract(told(indicator(1, pattern)), WATER)) == [uid("indicator", 1)]


@pytest.mark.parametrize("pattern", NOT_OF_WATER_ALONE)
def test_patterns_about_others_too_stay(told: Any, pattern: str) -> None:
    assert going(extract(told(indicator(1, pattern)), WATER)) == []


@pytest.mark.parametrize(
    "words",
    [
        "also seen from 198.51.100.4.",
        "also seen from 198[.]51[.]100[.]4",
        "then hxxps://bank[.]example/login",
        "the mail went to luz@bank.example",
        "reached 2001:db8:9::4 as well",
        "and AS64501 has the same",
        "GET /?next=https%3A%2F%2Fbank%2Eexample%2F",
        "пострадал банк.рф",
        "dc01.bank.local was next",
        "\uff11\uff19\uff18.51.100.4 too",
        "x." * 40 + "bank.example",
        "fetched http://198.51.100.4/99/loader",
        "198.051.100.004",
        "GET [2001:db8:9::4]/200",
        "all of *.bank.example",
        "cookie for .bank.example",
        "ba\u200enk.example",
        "by AS 64501",
        "ASN: 64501",
        "also at bank . example",
        "and 198 . 51 . 100 . 4",
        "http://3325256708/",
    ],
)
def test_a_word_about_others_anywhere_keeps_an_object_here(told: Any, words: str) -> None:
    ours = "[ipv4-addr:value = '203.0.113.9']"
    message = told(indicator(1, ours, description=words), indicator(2, ours, x_seen=[{"by": [words]}]))
    assert going(extract(message, WATER)) == []
    assert staying(extract(message, WATER)) == {
        uid("indicator", 1): "it mentions 1 more beside those assets",
        uid("indicator", 2): "it mentions 1 more beside those assets",
    }


@pytest.mark.parametrize(
    "words", ["198.51.100.*", "198.51.x.x", "203.0.113.4-203.0.113.9", "203.0.113.4 - 70"]
)
def test_ranges_whose_addresses_cant_be_read_one_by_one_keep_an_object_here(told: Any, words: str) -> None:
    ranged = indicator(1, OF_WATER[0], description=f"with {words}")
    assert list(staying(extract(told(ranged), WATER)).values()) == ["it can't be read value by value"]


@pytest.mark.parametrize(
    "where",
    [
        {"x_victim_ref": "bank.example"},
        {"x_victim_refs": [{"name": "bank.example"}]},
        {"x_row": {"id": "bank.example"}},
        {"x_row": {"type": "198.51.100.4", "lang": "es"}},
        {"x_row": {"seen_ref": "198.51.100.4"}},
        {"external_references": [{"source_name": "a", "url": "https://cve.mitre.org/?q=bank.example"}]},
        {"external_references": [{"source_name": "a", "url": "https://bank.example@cve.mitre.org/"}]},
    ],
)
def test_no_member_is_passed_over_for_its_name(told: Any, where: dict[str, Any]) -> None:
    result = extract(told(indicator(1, OF_WATER[0], **where)), WATER)
    assert going(result) == []
    assert "more beside those assets" in staying(result)[uid("indicator", 1)]


def test_a_reference_within_a_member_of_any_name_is_followed(told: Any) -> None:
    tied = indicator(1, OF_WATER[0], x_why_ref={"seen_ref": uid("incident", 9)})
    assert going(extract(told(tied), WATER)) == []


def test_a_name_that_dns_wouldnt_take_is_read_by_people_all_the_same(told: Any) -> None:
    long = indicator(1, OF_WATER[0], description="a" * 64 + ".bank.example")
    result = extract(told(long), WATER)
    assert (going(result), list(staying(result).values())) == ([], ["it can't be read value by value"])


def test_words_that_only_look_like_names_dont(told: Any) -> None:
    plain = "Version 1.2.3 of invoice.pdf.exe by Luz, e.g. T1059.001; 3.5 GB at 12:00:00."
    refs = [{"source_name": "mitre-attack", "url": "https://attack.mitre.org/techniques/T1059/001"}]
    value = indicator(1, OF_WATER[0], description=plain, external_references=refs)
    assert mentions(value) == mentions(indicator(1, OF_WATER[0]))
    assert going(extract(told(value), WATER)) == [uid("indicator", 1)]


def test_addresses_that_a_person_says_are_nobodys_may_be_mentioned(told: Any) -> None:
    message = told(indicator(1, NOT_OF_WATER_ALONE[-1]))
    assert going(extract(message, WATER, besides=ATTACKER)) == [uid("indicator", 1)]
    # which makes nothing theirs that isn't
    assert (
        going(extract(told(indicator(1, "[ipv4-addr:value = '192.0.2.66']")), WATER, besides=ATTACKER)) == []
    )


def test_what_it_needs_goes_along_and_what_others_have_in_it_stays(told: Any) -> None:
    ours, theirs = scope("ipv4-addr", 1, value="203.0.113.9"), scope("ipv4-addr", 2, value="198.51.100.4")
    hashes = {"MD5": "d41d8cd98f00b204e9800998ecf8427e"}
    dropped = scope("file", 3, name="a.exe", hashes=hashes)
    seen = {"first_observed": TIMES["created"], "last_observed": TIMES["created"], "number_observed": 1}
    alone = domain_object("observed-data", 4, object_refs=[ours["id"], dropped["id"]], **seen)
    both = domain_object("observed-data", 5, object_refs=[ours["id"], theirs["id"]], **seen)
    malware = domain_object("malware", 6, name="Loader", is_family=True)
    victim = domain_object("identity", 7, name="Bank", identity_class="organization")
    mine, other = indicator(8, OF_WATER[0]), indicator(9, "[ipv4-addr:value = '198.51.100.4']")
    links = [
        related(10, mine["id"], malware["id"]),
        related(11, mine["id"], victim["id"]),
        related(12, other["id"], malware["id"]),
        related(13, mine["id"], other["id"]),
    ]
    message = told(ours, theirs, dropped, alone, both, malware, victim, mine, other, *links)
    result = extract(message, WATER)
    expected = [ours, dropped, alone, malware, mine, links[0]]
    assert going(result) == [each["id"] for each in expected]
    assert [orjson.loads(each.data) for each in result.objects] == expected
    made = b"".join(each.data for each in result.objects)
    for others in (b"198.51.100.4", b"Bank", theirs["id"].encode(), victim["id"].encode()):
        assert others not in made
    assert staying(result) == {}


def test_what_cant_travel_takes_along_what_needs_it(told: Any) -> None:
    """An observation with a part that nobody can judge, or that isn't there, stays whole."""
    ours = scope("ipv4-addr", 1, value="203.0.113.9")
    account = scope("user-account", 2, account_login="luz")
    seen = {"first_observed": TIMES["created"], "last_observed": TIMES["created"], "number_observed": 1}
    for other in (account["id"], uid("domain-name", 9)):
        observed = domain_object("observed-data", 3, object_refs=[ours["id"], other], **seen)
        assert going(extract(told(ours, account, observed), WATER)) == [ours["id"]]


def test_of_what_stays_for_what_it_refers_to_the_reason_names_that(told: Any) -> None:
    system = scope("autonomous-system", 1) | {"number": 64496}
    ours = scope("ipv4-addr", 2, value="203.0.113.9", belongs_to_refs=[system["id"]])
    traffic = scope("network-traffic", 3, protocols=["tcp"], dst_ref=ours["id"], x_note="at water.example")
    result = extract(told(system, ours, traffic), WATER)
    why = "it refers to AS64496, which isn't among those assets: --also AS64496 lets it go"
    assert (going(result), staying(result)) == ([], {ours["id"]: why, traffic["id"]: why})
    allowed = extract(told(system, ours, traffic), WATER, besides=Assets.read(["AS64496"]))
    assert going(allowed) == [system["id"], ours["id"], traffic["id"]]


def test_the_reason_names_the_object_and_never_what_is_others(told: Any) -> None:
    theirs, account = (
        scope("domain-name", 1, value="bank.example"),
        scope("user-account", 2, account_login="luz"),
    )
    missing = uid("domain-name", 9)
    many = scope("autonomous-system", 4, name="of bank.example") | {"number": 64496}
    for number, (other, why) in enumerate(
        [
            (theirs["id"], "it mentions 1 more beside those assets"),
            (account["id"], "a user-account tells of others too"),
            (many["id"], "it mentions 2 more beside those assets"),
        ],
        start=10,
    ):
        ours = scope("ipv4-addr", number, value="203.0.113.9", x_refs=[other])
        result = extract(told(theirs, account, many, ours), WATER)
        assert staying(result) == {ours["id"]: f"it refers to {other}: {why}"}
    alone = scope("ipv4-addr", 3, value="203.0.113.9", x_refs=[missing])
    assert staying(extract(told(alone), WATER)) == {
        alone["id"]: f"it refers to {missing}, which isn't in the message"
    }
    malware = domain_object("malware", 5, name="for mail.water.example", is_family=True)
    assert staying(extract(told(malware), WATER)) == {malware["id"]: "it explains nothing that goes"}


def test_the_cover_and_its_text_never_go(told: Any, draft: Draft) -> None:
    message = told(indicator(1, OF_WATER[0]))
    assert uid("indicator", 1) in [each.id for each in objects_of(message)]
    assert going(extract(message, WATER)) == [uid("indicator", 1)]


def test_markings_of_what_goes_travel(told: Any) -> None:
    rule = domain_object(
        "marking-definition", 1, definition_type="statement", definition={"statement": "Ask bank.example"}
    )
    del rule["modified"]
    unused = rule | {"id": uid("marking-definition", 2)}
    marked = indicator(3, OF_WATER[0], object_marking_refs=[rule["id"]])
    assert going(extract(told(rule, unused, marked), WATER)) == [rule["id"], marked["id"]]


def test_stix_2_0_observations_are_read_too(told: Any) -> None:
    seen = {"first_observed": TIMES["created"], "last_observed": TIMES["created"], "number_observed": 1}
    base = {"type": "observed-data", **TIMES, **seen}
    ours = base | {
        "id": uid("observed-data", 1),
        "objects": {"0": {"type": "ipv4-addr", "value": "203.0.113.9"}},
    }
    mixed = base | {
        "id": uid("observed-data", 2),
        "objects": {
            "0": {"type": "ipv4-addr", "value": "203.0.113.9"},
            "1": {"type": "domain-name", "value": "intranet-of-a-bank"},
        },
    }
    assert going(extract(told(ours, mixed), WATER)) == [ours["id"]]


def test_patterns_made_to_be_slow_are_read_in_no_time() -> None:
    for pattern in ("[a:b = '" + "\\'" * 32_000, "[autonomous-system:number = " + " " * 60_000, "'" * 65_000):
        assert mentions(indicator(1, pattern)) == mentions(indicator(1, "[a:b = 'x']"))
    assert mentions(indicator(1, "[a:b = '" + "x" * 65_536)) >= {UNREADABLE}


def test_other_pattern_languages_cant_be_read() -> None:
    rule = indicator(1, "alert tcp any any -> 203.0.113.9 80", pattern_type="snort")
    assert UNREADABLE in mentions(rule)


@pytest.mark.parametrize(
    "texts", [[], ["com"], ["co.uk"], ["nonsense"], ["203.0.113.1/24"], ["AS0"], ["0.0.0.0/0"]]
)
def test_assets_that_are_none(texts: list[str]) -> None:
    with pytest.raises(Refused, match=r"release\.no-assets"):
        Assets.read(texts)


def test_a_long_chain_of_objects_takes_no_longer_than_as_many_others(told: Any) -> None:
    """Each link refers to the one before it: none goes, for the very first is somebody else's."""
    links, other = 8_000, scope("ipv4-addr", 2, value="203.0.113.7")
    traffic = [
        scope(
            "network-traffic",
            number,
            protocols=["tcp"],
            **(
                {"src_ref": other["id"], "encapsulated_by_ref": uid("network-traffic", number - 1)}
                if number
                else {"src_ref": uid("ipv4-addr", 1)}
            ),
        )
        for number in range(links)
    ]
    message = told(scope("ipv4-addr", 1, value="198.51.100.9"), other, *traffic)
    start = time.process_time()
    result = extract(message, WATER)
    assert (
        time.process_time() - start < 5
    )  # going through all of them for each takes twice that, and 20,000 a minute
    assert going(result) == [other["id"]]
