"""CSAF advisories as STIX: what becomes what, what is kept beside, what is refused, and the file as it came."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.making import SOURCE
from exchange.formats.objects import Loaded
from exchange.formats.registry import dump, load
from exchange.formats.stix.cover import compose
from exchange.formats.stix.markings import effective_tlp
from exchange.formats.stix.spans import Limits
from exchange.message import Kind
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.foreign_samples import advisory, advisory_file


def objects(loaded: Loaded, kind: str) -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for each in loaded.accepted if each.type == kind]


def said(value: dict[str, Any]) -> dict[str, Any]:
    return value["extensions"][SOURCE]["csaf"]


def changed(path: str, value: Any) -> bytes:
    """The sample with one member replaced, `a/b/0`; removed where the value is None."""
    whole = advisory()
    *steps, last = path.split("/")
    at: Any = whole
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return orjson.dumps(whole)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load("advisory.json", advisory_file())


def test_nothing_of_the_sample_is_lost_or_set_aside(loaded):
    assert (loaded.format, loaded.set_aside) == ("csaf", ())
    assert [(loss.place, loss.what) for loss in loaded.losses] == []


def test_the_report_says_who_what_and_when(loaded):
    (report,) = objects(loaded, "report")
    (publisher,) = objects(loaded, "identity")
    assert report["name"] == "Flaw in Widget"
    assert report["description"] == "Widget can be read by anybody."
    assert (report["created"], report["modified"]) == ("2026-01-02T10:00:00.000Z", "2026-01-05T15:00:00.250Z")
    assert report["created_by_ref"] == publisher["id"]
    assert publisher["name"] == "Example PSIRT"
    assert [each.get("external_id") for each in report["external_references"]][:2] == ["EX-2026-1", "OTHER-7"]
    assert {"source_name": "csaf", "description": "No link not a url"} in report["external_references"]
    assert said(report)["tracking"]["revision_history"][1]["summary"] == "a fix"
    assert said(report)["publisher"]["contact_details"] == "psirt@example.com"
    made = {each.id for each in loaded.accepted} - {report["id"]}
    assert set(report["object_refs"]) >= made - {each["id"] for each in objects(loaded, "artifact")}


def test_each_product_is_software_with_its_vendor_and_version(loaded):
    software = {said(each)["product_id"]: each for each in objects(loaded, "software")}
    assert software.keys() == {"P1", "P2", "P3", "P4"}
    assert (software["P1"]["vendor"], software["P1"]["version"]) == ("Example", "1.0")
    assert software["P1"]["cpe"] == "cpe:2.3:a:example:widget:1.0:*:*:*:*:*:*:*"
    assert said(software["P1"])["product_identification_helper"]["model_numbers"] == ["W-1"]
    assert said(software["P4"])["relationship"]["category"] == "installed_on"


def test_the_vulnerability_keeps_scores_states_and_what_helps(loaded):
    (flaw,) = objects(loaded, "vulnerability")
    assert flaw["name"] == "CVE-2026-12345"
    assert flaw["description"] == "Open door\n\nThe door stands open."
    named = {each["source_name"]: each.get("external_id") for each in flaw["external_references"]}
    assert named == {"cve": "CVE-2026-12345", "Example bugs": "BUG-1", "cwe": "CWE-306", "csaf": None}
    assert said(flaw)["scores"][0]["cvss_v3"]["baseScore"] == 7.5
    assert said(flaw)["product_status"] == {"known_affected": ["P1", "P4"], "fixed": ["P2"]}
    assert said(flaw)["remediations"][0]["category"] == "none_available"
    assert said(flaw)["notes"] == [{"category": "other", "title": "SSVC", "text": "SSVCv2/E:N"}]


def test_relations_tell_what_is_affected_and_what_remediates(loaded):
    names = {orjson.loads(each.data)["id"]: orjson.loads(each.data).get("name") for each in loaded.accepted}
    found = {
        (names[each["source_ref"]], each["relationship_type"], names[each["target_ref"]])
        for each in objects(loaded, "relationship")
    }
    assert found == {
        ("Example Widget 1.0", "installed-on", "Case"),
        ("Example Widget 1.0", "has", "CVE-2026-12345"),
        ("Widget 1.0 in a Case", "has", "CVE-2026-12345"),
        ("Update to 2.0.", "remediates", "CVE-2026-12345"),
    }


@pytest.mark.parametrize(
    ("word", "tlp"),
    [
        ("WHITE", Tlp.CLEAR),
        ("GREEN", Tlp.GREEN),
        ("AMBER", Tlp.AMBER_STRICT),
        ("RED", Tlp.RED),
        ("PURPLE", Tlp.AMBER_STRICT),
    ],
)
def test_the_label_is_read_as_tlp_1_has_it(word, tlp):
    found = load("a.json", changed("document/distribution/tlp/label", word))
    assert effective_tlp(found.accepted, None) is tlp


def test_without_a_label_the_message_is_amber_strict():
    assert (
        effective_tlp(load("a.json", changed("document/distribution", None)).accepted, None)
        is Tlp.AMBER_STRICT
    )


def test_the_same_file_gives_the_same_objects_and_the_next_version_newer_ones(loaded):
    again = load("other-name.json", advisory_file())
    assert again.accepted == loaded.accepted
    later = load("b.json", changed("document/tracking/current_release_date", "2026-02-01T00:00:00Z"))
    (before,), (after,) = objects(loaded, "report"), objects(later, "report")
    assert before["id"] == after["id"]
    assert before["created"] == after["created"]
    assert before["modified"] < after["modified"]


def test_what_has_no_place_is_a_loss_by_its_place():
    found = load("a.json", changed("vulnerabilities/0/metrics", [{"content": {}}]))
    assert [(loss.place, loss.what) for loss in found.losses] == [("/vulnerabilities/0/metrics", "metrics")]
    found = load("a.json", changed("vulnerabilities/0/title", 7))
    assert [(loss.place, loss.why) for loss in found.losses] == [
        ("/vulnerabilities/0/title", "it should be a text")
    ]


def strings(value: Any, place: str = "") -> list[tuple[str, str]]:
    """Every text in a value with its place."""
    if isinstance(value, dict):
        return [one for name, each in value.items() for one in strings(each, f"{place}/{name}")]
    if isinstance(value, list):
        return [one for number, each in enumerate(value) for one in strings(each, f"{place}/{number}")]
    return [(place, value)] if isinstance(value, str) else []


def rich() -> dict[str, Any]:
    """The sample with what is easily forgotten."""
    whole = advisory()
    head, tree, (flaw,) = whole["document"], whole["product_tree"], whole["vulnerabilities"]
    head["lang"] = "no language"
    head["distribution"]["tlp"]["label"] = "PURPLE"
    head["notes"][0] |= {"title": "In short", "audience": "executives"}
    head["notes"].append({"category": "details", "title": "Without words", "audience": "nobody"})
    head["references"].append({"category": "external"})
    tree["branches"][0]["branches"].append({"category": "product_family", "name": "Gadgets"})
    tree["product_groups"][0]["summary"] = "What stands in the case"
    flaw["cwe"] = {"name": "A weakness without number"}
    flaw["ids"].append({"system_name": "", "text": "of no system"})
    flaw["notes"] = [
        {"category": "details", "title": "More of it", "audience": "experts", "text": "Long."},
        {"category": "description", "title": "Never told"},
        {"category": "other", "title": "Empty"},
    ]
    flaw["remediations"].append({"category": "workaround", "details": "Close it.", "group_ids": ["G1"]})
    return whole


def test_every_text_of_an_advisory_is_in_its_objects_or_in_a_loss():
    loaded = load("a.json", orjson.dumps(rich()))
    assert loaded.set_aside == ()
    values = [orjson.loads(each.data) for each in loaded.accepted if each.type != "artifact"]
    texts = [text for _, text in strings(values)]
    dates = ("/document/tracking/initial_release_date", "/document/tracking/current_release_date")
    left = {
        place
        for place, text in strings(rich())
        if place not in dates and not any(text in each for each in texts)
    }
    lost = [each.place for each in loaded.losses]
    assert lost == [
        "/product_tree/branches/0/branches/1",
        "/document/notes/2",
        "/document/references/2/category",
    ]
    assert {place for place in left if not place.startswith(tuple(lost))} == set()


def test_what_is_for_a_group_of_products_can_be_found_by_it():
    loaded = load("a.json", orjson.dumps(rich()))
    (report,) = objects(loaded, "report")
    assert said(report)["product_groups"] == [
        {"group_id": "G1", "summary": "What stands in the case", "product_ids": ["P1", "P3"]}
    ]
    assert [said(each).get("group_ids") for each in objects(loaded, "course-of-action")] == [None, ["G1"]]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("document/title", None, "format.bad-file"),
        ("document/csaf_version", "3.0", "format.bad-file"),
        ("document/tracking/id", "", "format.bad-file"),
        ("document/publisher/namespace", None, "format.bad-file"),
        ("document/tracking/initial_release_date", "yesterday", "format.bad-file"),
        ("document/tracking/current_release_date", "0001-01-01T00:00:00Z", "format.bad-file"),
    ],
)
def test_an_advisory_without_what_all_have_is_refused(path, value, code):
    with pytest.raises(Refused) as refused:
        load("a.json", changed(path, value))
    assert refused.value.code == code


def test_an_advisory_that_can_be_read_in_two_ways_is_refused():
    with pytest.raises(Refused) as refused:
        load("a.json", advisory_file().replace(b'"title": "Flaw', b'"title": "Other", "title": "Flaw', 1))
    assert refused.value.code == "format.bad-file"


def test_two_vulnerabilities_of_one_name_are_two():
    found = load(
        "a.json", changed("vulnerabilities", [{"title": "T", "cwe": {"id": "CWE-1"}}, {"title": "T"}])
    )
    assert [each["name"] for each in objects(found, "vulnerability")] == ["T", "T"]


def test_relations_beyond_what_a_message_holds_are_losses_not_a_refusal():
    flaws = [
        {"cve": f"CVE-2026-{n}", "product_status": {"known_affected": ["P1"]}} for n in range(1000, 6002)
    ]
    products = {"full_product_names": [{"product_id": f"P{n}", "name": f"W{n}"} for n in range(3)]}
    for flaw in flaws:
        flaw["product_status"] = {"known_affected": ["P0", "P1", "P2"]}
    found = load("a.json", advisory_file(vulnerabilities=flaws, product_tree=products))
    assert sum(each.type == "relationship" for each in found.accepted) == 10_000
    assert found.losses[0].what == "relationship"
    assert found.losses[-1].what == f"{3 * 5002 - 10_000 - 1_000} more losses"


def test_the_advisory_is_written_again_byte_for_byte(loaded, draft, author):
    alert = {name: getattr(draft, name) for name in type(draft).__slots__} | {"kind": Kind.ALERT}
    message = compose(type(draft)(**alert), author, loaded.accepted)
    written = dump(message, "csaf")
    assert written.data == advisory_file()
    told, label = written.losses
    assert {"subject", "kind", "urgency", "case_id"} <= {*told.what.split(", ")}
    assert label.what == f"its label, {message.tlp.label}"
    with pytest.raises(Refused) as refused:
        dump(compose(type(draft)(**alert), author, ()), "csaf")
    assert refused.value.code == "format.no-form"


def test_every_fact_of_its_message_that_an_advisory_doesnt_tell_is_named(loaded, draft, author):
    at = draft.created
    facts = {"question": "Have you seen it?", "reply_by": at + 1, "reason": "R", "exercise_id": "EX9"}
    asked = replace(
        draft, kind=Kind.REQUEST_INFORMATION, pap=Pap.AMBER, ack_by=at + 2, expires=at + 3, **facts
    )
    told, label = dump(compose(asked, author, loaded.accepted), "csaf").losses
    named = {*told.what.split(", ")}
    assert {"exercise_id", "kind", "case_id", "urgency", "question", "reply_by", "reason"} <= named
    assert {"ack_by", "expires"} <= named
    assert label.what == f"its label, {draft.tlp.label} and PAP:AMBER"
    assert "EX9" not in f"{told}"  # people forward these: names of fields, no values
    plain, _ = dump(compose(replace(draft, kind=Kind.ALERT), author, loaded.accepted), "csaf").losses
    assert not {"exercise_id", "question", "pap"} & {*plain.what.split(", ")}


def test_all_60_published_advisories_are_read_with_nothing_lost(data_dir):
    files = [e["file"] for e in json.loads((data_dir / "INDEX.json").read_bytes()) if "csaf" in e["file"]]
    read = [load(name, (data_dir / name).read_bytes()) for name in files]
    assert len(read) == 60
    for name, each in zip(files, read, strict=True):
        original = orjson.loads((data_dir / name).read_bytes())
        assert (each.set_aside, each.losses) == ((), ())
        assert effective_tlp(each.accepted, None) is Tlp.CLEAR
        flaws = {value["name"]: value for value in objects(each, "vulnerability")}
        assert flaws.keys() == {flaw["cve"] for flaw in original["vulnerabilities"]}
        for flaw in original["vulnerabilities"]:
            kept = said(flaws[flaw["cve"]])
            assert kept.get("scores") == flaw.get("scores")
            assert kept["product_status"] == flaw["product_status"]
        notes = [note for note in original["document"]["notes"] if note["category"] != "summary"]
        made = {(note["abstract"], note["content"]) for note in objects(each, "note")}
        assert made == {(note.get("title", note["category"]), note["text"]) for note in notes}


@pytest.mark.parametrize("part", ["notes", "vulnerabilities", "products"])
def test_a_file_stops_costing_where_its_objects_are_too_many(part):
    many = {
        "notes": changed("document/notes", [{"text": str(n)} for n in range(200)]),
        "vulnerabilities": changed("vulnerabilities", [{"cve": "not a cve"} for _ in range(200)]),
        "products": changed("product_tree/full_product_names", [{"product_id": str(n)} for n in range(200)]),
    }
    with pytest.raises(Refused) as refused:
        load("a.json", many[part], Limits(max_objects=100))
    assert refused.value.code == "json.too-many-objects"
