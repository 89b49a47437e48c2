"""How what waits for signatures is shown: ages, what it lacks, what stands in it. For officers, sponsors and members.

Owns the look of applications and pending statements and the question whether digits were compared. What waits is read
in directory/waiting.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from exchange.canonical import ZERO32, Json, b64, loads, unb64
from exchange.cli.call import Call
from exchange.cli.output import one_line, pairs, safe, utc
from exchange.directory.bodies_contacts import ConstituencyClaim
from exchange.directory.contacts import MAX_PART
from exchange.directory.cosigning import claims_of
from exchange.directory.onboarding import is_provisional
from exchange.directory.records import load
from exchange.directory.statements import HEAD
from exchange.directory.waiting import (
    ANSWER_DAYS,
    MAX_DOCUMENT,
    Application,
    Lack,
    Pending,
    is_late,
)
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS, HOUR_MS, MAX_STATEMENT, MINUTE_MS

SHORT = 10  # characters of a statement's hash that commands take for its id
MAX_PAPER = 64 * 1024 * 1024  # bytes of a document that is only hashed
_MOST_LINES = 200
_B64_HASH = 43  # characters of a SHA-256 in the log
_READERS = {"members": "all members", "public": "everybody"}
_IN_WORDS = {"directory.not-nominated": "its nominating authority"}
_WORDS = {"officers": "officer", "sponsors": "sponsor", "members": "member"}
_TIMES = frozenset({"since", "until", "at"})
# hashes of texts that are never published; people compare them with `sha256sum`, so they read hexadecimal
_HASHES = frozenset({"agreement", "application", "document", "names", "nomination"})


def same_digits(heard: str | None, computed: str) -> bool:
    """Whether the digits that a person typed are these; spaces don't matter, and none typed is no."""
    return heard is not None and "".join(heard.split()) == "".join(computed.split())


def check_digits(heard: str | None, computed: str) -> None:
    """Digits that were typed must be these. Raises Refused cli.digits-differ."""
    if heard is not None and not same_digits(heard, computed):
        raise Refused("cli.digits-differ")


def confirm_digits(call: Call, member: str, heard: str | None, computed: str) -> None:
    """The digits typed are these, or a person says that it heard them. As `check_digits`, `Call.confirm`."""
    check_digits(heard, computed)
    if heard is None:
        call.confirm(f"Did {safe(member)} read you these very digits?")


def statement_id(statement: bytes) -> str:
    """What commands call the statement with this hash."""
    return statement.hex()[:SHORT]


def paper_hash(path: Path) -> bytes:
    """SHA-256 of a document that stays where it is. Raises Refused cli.bad-file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PAPER + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read the document {path}") from error
    if not data or len(data) > MAX_PAPER:
        raise Refused("cli.bad-file", f"the document {path} is empty or larger than {MAX_PAPER} bytes")
    return hashlib.sha256(data).digest()


def age(since: int, now: int) -> str:
    """How long something has waited, for people."""
    past = max(0, now - since)
    for unit, size in (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS)):
        if past >= size:
            return f"{past // size} {unit}"
    return "less than a minute"


def reminder(since: int, now: int) -> str:
    """A warning for what has waited too long, else empty."""
    return f"waits for more than {ANSWER_DAYS} working days" if is_late(since, now) else ""


def lacks(lack: Lack) -> str:
    """What is still missing: `1 officer, 2 sponsors`; the rule against it; or `nothing`."""
    missing = [
        f"{needed - signed} {_WORDS[who]}{'s' if needed - signed > 1 else ''}"
        for who, (signed, needed) in lack.counts.items()
        if signed < needed
    ]
    return ", ".join(missing) or _IN_WORDS.get(lack.code, lack.code) or "nothing"


def who_next(lack: Lack, member: str) -> str:
    """Who must act on an application, and how."""
    commands = {
        "sponsors": f"exchange node sponsor {member}",
        "officers": f"exchange officer verify {member}",
    }
    then = [
        f"{who}: {commands[who]}"
        for who, (signed, needed) in lack.counts.items()
        if signed < needed and who in commands
    ]
    return "; ".join([f"still missing: {lacks(lack)}", *then])


def admitted_next(one: Application) -> str:
    """What comes after an application was logged."""
    handle = one.member.handle
    then = f"{handle}: exchange node serve"
    if is_provisional(one.member):
        then += f"; it is provisional until its sponsors have seen its checklist done: exchange node sponsor {handle}"
    return then


def application_value(one: Application, lack: Lack, agreement: bytes) -> dict[str, Any]:
    """An application as JSON (docs/cli.md); `agreement` is what the network's policy names."""
    member = one.member
    same = "" if not agreement else ("the network's" if agreement == member.agreement else "another text")
    return {
        "member": member.handle,
        "country": member.country,
        "class": member.member_class,
        "applies_as": member.status.value,
        "since": one.since,
        "digits": one.digits,
        "signed_by": list(one.statement.signers),
        "officers": list(lack.counts.get("officers", (0, 0))),
        "sponsors": list(lack.counts.get("sponsors", (0, 0))),
        "lacks": lacks(lack),
        "agreement": member.agreement.hex(),
        "agreement_is": same,
        "document": member.application.hex(),
    }


def application_lines(
    one: Application, value: dict[str, Any], now: int, *, document: bool = True
) -> list[str]:
    """The same for people, with what the applicant says of itself."""
    agreement = value["agreement"] and f"SHA-256 {value['agreement']} {value['agreement_is']}".rstrip()
    lines = pairs(
        [
            ("member", value["member"]),
            ("country", value["country"]),
            ("class", value["class"]),
            ("applies as", value["applies_as"]),
            ("applied", f"{utc(one.since)}, {age(one.since, now)} ago"),
            ("reminder", reminder(one.since, now)),
            ("signed by", ", ".join(value["signed_by"])),
            ("lacks", value["lacks"]),
            ("agreement", agreement or "none"),
        ]
    )
    if one.document and document:
        lines += ["what it says of itself (its hash fits):", *document_lines(one.document)]
    return [*lines, f"digits: {value['digits']}"]


def document_lines(document: bytes, *, most: int = MAX_DOCUMENT) -> list[str]:
    """An application's document or a part, whatever is in it, indented and made safe."""
    try:
        value = load(document, most=most)
    except ValueError:
        return ["  (it is no JSON that can be shown)"]
    lines = list(_nested(value, "  "))
    return lines[:_MOST_LINES] + (["  (more is left out)"] if len(lines) > _MOST_LINES else [])


def pending_value(one: Pending, lack: Lack, net: bytes) -> dict[str, Any]:
    """A pending statement as JSON (docs/cli.md)."""
    return {
        "id": statement_id(one.statement.hash(net)),
        "what": what(one),
        "about": one.about,
        "since": one.since,
        "until": one.until,
        "signed_by": list(one.statement.signers),
        "lacks": lacks(lack),
    }


def pending_lines(one: Pending, value: dict[str, Any], now: int) -> list[str]:
    """The same for people, with what the statement says."""
    lines = pairs(
        [
            ("statement", value["id"]),
            ("what", value["what"]),
            ("about", value["about"]),
            ("waits", f"{age(one.since, now)}, until {utc(one.until)}"),
            ("reminder", reminder(one.since, now)),
            ("signed by", ", ".join(value["signed_by"])),
            ("lacks", value["lacks"]),
        ]
    )
    body = loads(one.statement.body, most=MAX_STATEMENT)
    rest = {name: _readable(name, body[name]) for name in body if name not in (*HEAD, "move")}
    return [*lines, "it says:", *_nested(rest, "  "), *_beside_lines(one)]


def _beside_lines(one: Pending) -> Iterator[str]:
    """What lies beside the statement, for whoever is to sign it: persons and telephones, networks and domains."""
    for part in one.parts:
        yield f"it says to {_READERS[part.level]} (its hash fits):"
        yield from document_lines(part.body, most=MAX_PART)
    for level in one.unseen:
        yield f"it says to {_READERS[level]}: (the hub shows nothing that fits)"
    if isinstance(one.body, ConstituencyClaim) and not one.unseen:
        claims = claims_of(one)
        yield (
            f"in all {claims.count}: {len(claims.asn)} AS numbers, {len(claims.prefix)} networks, "
            f"{len(claims.domain)} domains, {len(claims.sector)} sectors, {len(claims.country)} countries"
        )


def what(one: Pending) -> str:
    """The step that a statement takes, in one word: its type, or the move of a status."""
    move = getattr(one.body, "move", None)
    return str(move.value) if move is not None else one.body.head.type


def find(found: list[Pending], typed: str, net: bytes) -> Pending:
    """The pending statement whose id begins as typed. Raises Refused pending.unknown, cli.ambiguous-id."""
    hits = [one for one in found if one.statement.hash(net).hex().startswith(typed.lower())]
    if not hits or not typed:
        raise Refused("pending.unknown")
    if len(hits) > 1:
        raise Refused("cli.ambiguous-id")
    return hits[0]


def _readable(name: str, value: Json) -> Json:
    """Times as people read them, keys as the fingerprint to compare."""
    if name in _TIMES and isinstance(value, int):
        return utc(value) if value else "-"
    if name in _HASHES and isinstance(value, str) and len(value) == _B64_HASH:
        return _hash(value)
    if isinstance(value, dict) and "mldsa65" in value:
        return f"keys, SHA-256 {b64(hashlib.sha256(orjson.dumps(value)).digest())}"
    if isinstance(value, dict):
        return {inner: _readable(inner, one) for inner, one in value.items()}
    if isinstance(value, list):
        return [_readable(name, one) for one in value]
    return value


def _hash(text: str) -> str:
    try:
        digest = unb64(text)
    except Rejected:
        return text  # a type that this version doesn't know may mean something else by the name
    return f"SHA-256 {digest.hex()}" if digest != ZERO32 else "-"


def _scalar(value: Json) -> str:
    words = {True: "yes", False: "no"}
    return words[value] if isinstance(value, bool) else one_line(str(value), 400)


def _nested(value: Json, indent: str) -> Iterator[str]:
    """Names and values, one a line, deeper ones further in."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                yield f"{indent}{one_line(str(name))}:"
                yield from _nested(inner, indent + "  ")
            elif inner not in ("", [], {}):
                yield f"{indent}{one_line(str(name))}: {_scalar(inner)}"
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                shown = list(_nested(inner, indent + "  "))
                yield from [f"{indent}- {shown[0].strip()}", *shown[1:]] if shown else []
            else:
                yield f"{indent}- {_scalar(inner)}"
    else:
        yield f"{indent}{_scalar(value)}"
