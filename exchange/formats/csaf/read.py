"""Reads CSAF 2.0 advisories (OASIS Standard, 18 November 2022) as STIX, and hands one on as it came.

An advisory becomes a report, its publisher, one note for each note, software, vulnerabilities and courses of action,
and an artifact with the file itself: what STIX has no place for is thereby never out of reach, and is named as a loss
all the same. No schema of CSAF is installed; what is read is checked by its type, member by member.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.csaf.made import FORMAT, Advisory, extension, references, stix_time
from exchange.formats.csaf.products import make_products
from exchange.formats.csaf.vulnerabilities import make_vulnerability
from exchange.formats.making import SOURCE, Room, made_id, made_publisher, reference
from exchange.formats.members import Losses, Members
from exchange.formats.objects import Loaded
from exchange.formats.said import Said
from exchange.formats.source import Source, Written
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.permissions import pap_of_message
from exchange.formats.stix.spans import Limits
from exchange.message import Message
from exchange.tlp import DEFAULT, Tlp, read_label

VERSION: Final = "2.0"
MAX_CARRIED: Final = 2_097_152  # bytes of a file that its artifact holds; a longer one is named as a loss
_LANG: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_MIME: Final = "application/json"


def recognise(source: Source) -> bool:
    """Whether it is JSON with the member that every CSAF document begins with."""
    document = source.document
    head = document.members.get("document") if document else None
    return document is not None and head is not None and b'"csaf_version"' in document.bytes_of(head)


def read(source: Source, limits: Limits) -> Loaded:
    """Read an advisory. The same file gives the same objects, its next version newer versions of them.

    Raises: Refused `format.bad-file` where what every advisory must say is missing or can be read in two ways,
    `json.*` over a limit.
    """
    value = source.value(limits)
    losses = Losses()
    whole = Members(value, "", losses)
    head = whole.object("document")
    if head.needed("csaf_version") != VERSION:
        raise Refused("format.bad-file", f"/document/csaf_version: only CSAF {VERSION} is read")
    stated, said = _tlp(head), _said(head)
    advisory, publisher, tracking = _begin(head, losses, limits, _stricter(stated, said))
    products = make_products(advisory, whole.object("product_tree"))
    for vulnerability in whole.objects("vulnerabilities"):
        make_vulnerability(advisory, products, vulnerability)
    _artifact(advisory, source.data)
    _report(advisory, head, publisher, tracking, products.groups, tags=said.tags(over=advisory.tlp))
    head.end()
    whole.end()
    return Loaded(
        source.name,
        FORMAT,
        accepted=tuple(advisory.objects),
        set_aside=tuple(advisory.set_aside),
        losses=losses.all(),
        doubts=said.doubts(over=stated),
        pap=said.pap_or_none,
    )


def write(message: Message) -> Written:
    """The advisory that a message carries, byte for byte as its publisher wrote it; none is made of other objects.

    Raises: Refused `format.no-form` for a message that carries none, or more than one.
    """
    values = [orjson.loads(data) for data in carried_objects(message)]
    found = [data for value in values if (data := _carried(value)) is not None]
    if len(found) != 1:
        raise Refused(
            "format.no-form",
            f"as CSAF only the advisory is written that a message carries, and this one carries {len(found)}",
        )
    its_own = {each.id for each in read(Source("advisory", found[0]), Limits()).accepted}
    others = sum(value["id"] not in its_own for value in values)
    losses, pap = Losses(), pap_of_message(message)
    losses.message(message, ("pap",), "the file is the advisory alone, as its publisher wrote it")
    labels = " and ".join([message.tlp.label, *([pap.label] if pap else [])])
    losses.add("message", f"its label, {labels}", "the file has its publisher's; the message's binds you")
    if others:
        losses.add("objects", f"{others} objects", "not of the advisory")
    return Written(found[0], losses.all())


def _carried(value: dict[str, Any]) -> bytes | None:
    """The file in an artifact of ours, if its hash holds."""
    extensions = value.get("extensions")
    said = extensions.get(SOURCE) if isinstance(extensions, dict) else None
    payload, hashes = value.get("payload_bin"), value.get("hashes")
    if not isinstance(said, dict) or FORMAT not in said or not isinstance(payload, str):
        return None
    try:
        data = base64.b64decode(payload, validate=True)
    except ValueError:
        return None
    held = isinstance(hashes, dict) and hashes.get("SHA-256") == hashlib.sha256(data).hexdigest()
    return data if held else None


def _begin(
    head: Members, losses: Losses, limits: Limits, tlp: Tlp | None
) -> tuple[Advisory, Members, Members]:
    publisher, tracking = head.object("publisher"), head.object("tracking")
    namespace, tracking_id = publisher.needed("namespace"), tracking.needed("id")
    created = stix_time(tracking.needed("initial_release_date"), "/document/tracking/initial_release_date")
    modified = stix_time(tracking.needed("current_release_date"), "/document/tracking/current_release_date")
    name = publisher.needed("name")
    # Its contact details may change from advisory to advisory: those stand on the report, the identity stays.
    publisher_object = made_publisher(
        name,
        FORMAT,
        namespace,
        name,
        external_references=[reference("csaf publisher", description=namespace)],
    )
    advisory = Advisory(
        key=(namespace, tracking_id),
        author=publisher_object.id,
        created=min(created, modified),
        modified=modified,
        tlp=tlp,
        losses=losses,
        most=limits.max_objects,
        room=Room(limits.max_bytes),
    )
    advisory.objects.append(publisher_object)
    return advisory, publisher, tracking


def _tlp(head: Members) -> Tlp | None:
    """The label: CSAF 2.0 has the words of TLP 1, whose AMBER may mean AMBER+STRICT. None where it has none."""
    distribution = head.object("distribution")
    tlp = distribution.object("tlp")
    if not tlp:
        return None
    return read_label(tlp.text("label"), tlp1=True) or DEFAULT


def _said(head: Members) -> Said:
    """The labels in the words of the terms of distribution, which stand beside the label or for it."""
    said = Said()
    text = head.object("distribution").raw("text")
    said.hear(text if isinstance(text, str) else "", "/document/distribution/text")
    return said


def _stricter(stated: Tlp | None, said: Said) -> Tlp | None:
    """What marks the objects: words may make the label stricter. Without one they mark from AMBER+STRICT on only.

    Anything weaker would be weaker than what has no mark at all; it is a tag of the report, which binds as well.
    """
    least = DEFAULT if stated is None else stated
    return stated if least.is_stricter(said.tlp) else said.tlp


def _report(
    advisory: Advisory,
    head: Members,
    publisher: Members,
    tracking: Members,
    product_groups: list[dict[str, Any]],
    *,
    tags: list[str],
) -> None:
    title, lang = head.needed("title"), head.text("lang")
    summary, summaries = _notes(advisory, head)
    distribution = head.object("distribution")
    tlp = distribution.object("tlp")
    aliases = tracking.texts("aliases")
    facts: dict[str, Any] = {
        "category": head.raw("category"),
        "csaf_version": VERSION,
        "publisher": {
            name: publisher.raw(name) for name in ("category", "contact_details", "issuing_authority")
        },
        "tracking": {
            name: tracking.raw(name) for name in ("status", "version", "revision_history", "generator")
        },
        "distribution": {
            "text": distribution.text("text"),
            "tlp_label": tlp.raw("label"),
            "tlp_url": tlp.text("url"),
        },
        "summaries": summaries,
        "product_groups": product_groups,
        "lang": "" if _LANG.fullmatch(lang) else lang,
        "aggregate_severity": head.raw("aggregate_severity"),
        "acknowledgments": head.raw("acknowledgments"),
        "source_lang": head.raw("source_lang"),
    }
    named = [reference(advisory.key[0], external_id=each) for each in (advisory.key[1], *aliases)]
    refs = [each.id for each in advisory.objects]
    advisory.add(
        "/document",
        "report",
        name=title,
        description=summary,
        report_types=["vulnerability"],
        published=advisory.created,
        lang=lang if _LANG.fullmatch(lang) else None,
        labels=tags,
        external_references=[*named, *references(head, "csaf")],
        object_refs=refs,
        extensions=extension(**facts),
    )
    for part in (publisher, tracking, distribution, tlp):
        part.end()


def _notes(advisory: Advisory, head: Members) -> tuple[str, list[dict[str, str]]]:
    """Each note becomes one of STIX; the summaries are the report's description instead, with what else they say."""
    summaries, more = [], []
    for note in head.objects("notes"):
        category, title, text, audience = (
            note.text(name) for name in ("category", "title", "text", "audience")
        )
        note.end()
        if not text:
            advisory.losses.add(note.place, "note", "it has no text")
        elif category == "summary":
            summaries.append(text)
            more += (
                [{"category": category, "title": title, "audience": audience}] if title or audience else []
            )
        else:
            advisory.add(
                note.place,
                "note",
                category,
                title,
                text,
                audience,
                abstract=title or category,
                content=text,
                object_refs=[made_id("report", *advisory.key)],
                extensions=extension(category=category, audience=audience),
            )
    return "\n\n".join(summaries), more


def _artifact(advisory: Advisory, data: bytes) -> None:
    if len(data) > MAX_CARRIED:
        advisory.losses.add("/", "the file itself", f"more than {MAX_CARRIED} bytes")
        return
    digest = hashlib.sha256(data).hexdigest()
    advisory.add(
        "/",
        "artifact",
        digest,
        observable=True,
        mime_type=_MIME,
        payload_bin=base64.b64encode(data).decode("ascii"),
        hashes={"SHA-256": digest},
        extensions=extension(tracking_id=advisory.key[1]),
    )
