"""The vulnerabilities of a CSAF advisory (CSAF 2.0 §3.2.3): `vulnerability`, what it is in, and what helps.

Scores, status by product, threats, flags and dates have no property in STIX 2.1: they are kept in our extension as
the advisory has them, by the product ids that the software objects carry there too.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from exchange.formats.csaf.made import Advisory, extension, references, url_reference
from exchange.formats.csaf.products import Products
from exchange.formats.making import reference
from exchange.formats.members import Members

_CVE: Final = re.compile(r"CVE-[0-9]{4}-(?:0[0-9]{3}|[1-9][0-9]{3,18})")
# Product states that say that the vulnerability is there (CSAF 2.0 §3.2.3.9).
_AFFECTED: Final = ("first_affected", "known_affected", "last_affected")
# Notes that say what the vulnerability is.
_DESCRIBING: Final = ("description", "details", "summary", "general")
# Remediations that are something to do; the others say that there is nothing, and stay in the extension.
_ACTIONS: Final = {"mitigation": "mitigates", "vendor_fix": "remediates", "workaround": "mitigates"}
_KEPT: Final = ("scores", "threats", "flags", "involvements", "acknowledgments", "discovery_date")
MAX_NAME: Final = 120


def make_vulnerability(advisory: Advisory, products: Products, said: Members) -> None:
    """Make one vulnerability with its relationships to software and courses of action."""
    cve, title = said.text("cve"), said.text("title")
    ids = _ids(said)
    known_as = cve or next((text for _, text in ids), "") or title
    named = [reference("cve", external_id=cve)] if _CVE.fullmatch(cve) else []
    named += [
        reference(system, external_id=text) for system, text in ids if system not in ("", "cve", "capec")
    ]
    cwe = said.object("cwe")
    weakness, weakness_name = cwe.text("id"), cwe.text("name")
    cwe.end()
    if weakness or weakness_name:
        named.append(reference("cwe", external_id=weakness, description=weakness_name))
    description, notes = _notes(said)
    status = said.object("product_status")
    states = {name: status.texts(name) for name in list(status.names())}
    actions = [_action(advisory, each) for each in said.objects("remediations")]
    facts = {name: said.raw(name) for name in _KEPT}
    place = said.place
    # A second one of the same name is another one all the same.
    named_once = known_as and not advisory.has("vulnerability", known_as)
    vulnerability = advisory.add(
        place,
        "vulnerability",
        *([known_as] if named_once else [known_as, place]),
        name=known_as or "unnamed",
        description="\n\n".join(filter(None, (title if title != known_as else "", description))),
        external_references=[*named, *references(said, "csaf")],
        extensions=extension(
            **facts,
            ids=[{"system_name": system, "text": text} for system, text in ids],
            notes=notes,
            product_status={name: each for name, each in states.items() if each},
            release_date=said.raw("release_date"),
            remediations=[each for _, _, each in actions if each],
        ),
    )
    said.end()
    affected = [each for state in _AFFECTED for each in states.get(state, ())]
    for software in products.of(affected):
        advisory.relate(f"{place}/product_status", software, "has", vulnerability)
    for action, kind, _ in actions:
        advisory.relate(f"{place}/remediations", action, kind, vulnerability)


def _ids(said: Members) -> list[tuple[str, str]]:
    """What other systems call it: the system and its id there."""
    found = []
    for each in said.objects("ids"):
        found.append((each.text("system_name"), each.text("text")))
        each.end()
    return found


def _notes(said: Members) -> tuple[str, list[dict[str, str]]]:
    """What the notes describe; the other notes as they are, and of those that describe what else they say."""
    texts, others = [], []
    for note in said.objects("notes"):
        value = {name: note.text(name) for name in ("category", "title", "text", "audience")}
        note.end()
        if value["category"] in _DESCRIBING:
            texts.append(value.pop("text"))
        more = {name: text for name, text in value.items() if text}
        others += [more] if more != {"category": _DESCRIBING[0]} else []
    return "\n\n".join(filter(None, texts)), others


def _action(advisory: Advisory, said: Members) -> tuple[str, str, dict[str, Any]]:
    """A remediation: its course of action and how that helps, or, where there is nothing to do, its facts."""
    category, details, url = said.text("category"), said.text("details"), said.text("url")
    product_ids, group_ids = said.texts("product_ids"), said.texts("group_ids")
    facts = {
        "category": category,
        "product_ids": product_ids,
        "group_ids": group_ids,
        **{name: said.raw(name) for name in ("date", "entitlements", "restart_required")},
    }
    said.end()
    kind = _ACTIONS.get(category)
    if kind is None:
        return "", "", {**facts, "details": details, "url": url}
    first = details.strip().partition("\n")[0] or category
    action = advisory.add(
        said.place,
        "course-of-action",
        orjson.dumps([facts, details, url]).decode(),
        name=first if len(first) <= MAX_NAME else first[: MAX_NAME - 1] + "…",
        description=details,
        external_references=url_reference(url, "csaf"),
        extensions=extension(**facts),
    )
    return action, kind, {}
