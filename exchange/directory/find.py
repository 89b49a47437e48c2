"""Whom to turn to: contact points by country, topic, function and language, ranked, each with its reasons.

Owns the ladder of fall-backs and the order of hits. Everything is worked out from the book in hand: nobody is told who
looks for whom. Reasons are codes with facts; what they read like in a language is the command's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.canonical import Json
from exchange.directory.book import Book, ContactEntry
from exchange.directory.contacts import NPC, ROUND_THE_CLOCK
from exchange.directory.hours import UNKNOWN, Answering, Zones, answering
from exchange.directory.vocabulary import CSIRT, FUNCTIONS, INWARD, LANGUAGE_LEVELS, NEIGHBOURS, SPOC
from exchange.errors import Refused

# from the best fit to the last resort; a hit's first reason is one of these
LADDER: Final = ("exact", "function", "topic", "round-the-clock", "spoc", "npc", "secretariat", "neighbour")
_AWAY: Final = LADDER.index("secretariat")  # from here on it is somebody else's contact
_NO_LONGER: Final = "archived"
_STANDINGS: Final = ("validated", "due", "overdue", "lapsed")


@dataclass(frozen=True)
class Need:
    """What is looked for; empty: anything. `at` (UTC ms) asks who answers then, 0 asks nothing of hours.

    `urgent` asks who answers at the book's own time, and prefers contacts whose night phone is known here.
    """

    country: str = ""
    topic: str = ""
    function: str = ""
    language: str = ""
    community: str = ""
    at: int = 0
    urgent: bool = False


@dataclass(frozen=True)
class Reason:
    """Why a hit stands where it stands (docs/directory.md lists the codes); `facts` are words, numbers and times."""

    code: str
    facts: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Hit:
    """A contact point that may help. `rung` is its place on the ladder; `answering` None when nobody asked."""

    entry: ContactEntry
    rung: str
    answering: Answering | None
    reasons: tuple[Reason, ...]

    @property
    def address(self) -> str:
        return self.entry.address

    def has(self, code: str) -> bool:
        """Is that one of its reasons?"""
        return any(reason.code == code for reason in self.reasons)


@dataclass(frozen=True)
class Resolution:
    """The contact point that `CC:function` stands for. `crossing` names the other community it is in, else empty."""

    address: str
    reasons: tuple[Reason, ...]
    crossing: str


def find(book: Book, need: Need, zones: Zones) -> list[Hit]:
    """Everybody who may help with `need`, the best first.

    Where nobody in the country answers at the wanted time, or none is left but lapsed ones, the secretariat's and the
    neighbours' contacts follow. Lapsed ones come last of all, archived ones never.
    """
    wanted = _community(book, need)
    at = need.at or (book.now if need.urgent else 0)
    near = [entry for entry in book.living() if not need.country or entry.country == need.country]
    hits = [hit for entry in near if (hit := _hit(entry, need, wanted, at, zones))]
    if need.country and not any(_helps(hit) for hit in hits):
        hits += [
            hit
            for rung, entry in _elsewhere(book, need.country)
            if (hit := _hit(entry, need, wanted, at, zones, rung=rung))
        ]
    return sorted(hits, key=lambda hit: _place(hit, need, book))


def resolve(book: Book, typed: str, zones: Zones) -> Resolution:
    """The contact for `CC:function` (`pe:operational_tracing`) in that country, or what it falls back to there.

    Raises Refused contact.unknown, contact.ambiguous (two exact ones: the address must be given).
    """
    country, _, function = typed.partition(":")
    need = Need(country=country.upper(), function=function)
    if function not in FUNCTIONS and all(one.contact.function != function for one in book.contacts.values()):
        # a slip of the pen must not send to another community what was meant for one
        raise Refused("contact.unknown", f"{function[:32]} is no function; those are {', '.join(FUNCTIONS)}")
    hits = [hit for hit in find(book, need, zones) if LADDER.index(hit.rung) < _AWAY]
    if not hits:
        raise Refused(
            "contact.unknown", f"{need.country} has no contact point that answers for {function[:32]}"
        )
    best = hits[0]
    equal = [hit.address for hit in hits if _firmness(hit) == _firmness(best)]
    if len(equal) > 1:
        raise Refused("contact.ambiguous", f"{typed} could be {', '.join(equal)}; name one")
    crossing = best.entry.contact.community if best.has("other-community") else ""
    return Resolution(best.address, best.reasons, crossing)


def _community(book: Book, need: Need) -> str:
    """Whose contact is meant: as asked for, as the function stands there, or stood, else where it is at home.

    Empty, and then nothing is a crossing, when neither a community nor a function is asked for.
    """
    if need.community or not need.function:
        return need.community
    same = [
        entry.contact
        for entry in book.contacts.values()
        if entry.contact.function == need.function and entry.country == need.country
    ]
    standing = [contact for contact in same if not contact.ended] or same
    communities = {contact.community for contact in standing}
    return communities.pop() if len(communities) == 1 else FUNCTIONS.get(need.function, CSIRT)


def _elsewhere(book: Book, country: str) -> Iterable[tuple[str, ContactEntry]]:
    """Who helps when a country's own don't answer: the secretariat, and the countries next to it."""
    near = NEIGHBOURS.get(country, ())
    for entry in book.living():
        if entry.country == country or entry.contact.function not in (*ROUND_THE_CLOCK, SPOC):
            continue
        if entry.home.handle == book.secretariat:
            yield "secretariat", entry
        elif entry.country in near:
            yield "neighbour", entry


def _hit(
    entry: ContactEntry, need: Need, wanted: str, at: int, zones: Zones, *, rung: str = ""
) -> Hit | None:
    rung = rung or _rung(entry, need)
    if not rung or entry.standing == _NO_LONGER:
        return None
    answers = answering(entry.hours, entry.holidays, at, zones) if at else None
    reasons = [Reason(rung, _fallback_facts(entry, rung))]
    if wanted and entry.contact.community != wanted:
        reasons.append(Reason("other-community", {"community": entry.contact.community, "wanted": wanted}))
    if answers:
        facts = {"until": answers.until, "local": answers.local, "holiday": answers.holiday}
        reasons.append(Reason(answers.why, {name: fact for name, fact in facts.items() if fact}))
    if need.language:
        level = _level(entry, need.language)
        spoken = [each.lang for each in entry.languages]
        reasons.append(
            Reason("language", {"language": need.language, "level": level})
            if level
            else Reason("no-language", {"language": need.language, "has": spoken})
        )
    reasons.append(Reason(entry.standing, {"validated": entry.contact.validated}))
    if entry.contact.suspect:
        reasons.append(Reason("suspect"))
    reasons.append(_tested(entry))
    return Hit(entry, rung, answers, tuple(reasons))


def _rung(entry: ContactEntry, need: Need) -> str:
    """Its place on the ladder, empty when it is none of them."""
    contact = entry.contact
    function, topic = contact.function == need.function, need.topic in contact.topics
    if (function or not need.function) and (topic or not need.topic):
        return "exact"
    if function:
        return "function"
    if topic:
        return "topic"
    if not need.country:
        return ""  # of the whole world's 24x7 desks none is nearer than another
    if contact.function in ROUND_THE_CLOCK:
        return "round-the-clock"
    return {SPOC: "spoc", NPC: "npc"}.get(contact.function, "")


def _fallback_facts(entry: ContactEntry, rung: str) -> dict[str, Json]:
    if rung == "exact":
        return {}
    facts: dict[str, Json] = {"function": entry.contact.function}
    return {**facts, "country": entry.country} if LADDER.index(rung) >= _AWAY else facts


def _level(entry: ContactEntry, language: str) -> str:
    """`works` or `reads`, empty for neither; `es` is met by `es-PE` and the other way round."""
    base = language.lower().partition("-")[0]
    levels = {each.level for each in entry.languages if each.lang.lower().partition("-")[0] == base}
    return next((level for level in LANGUAGE_LEVELS if level in levels), "")


def _tested(entry: ContactEntry) -> Reason:
    if not entry.contact.tests:
        return Reason("untested")
    last = entry.contact.tests[-1]
    return Reason(
        "tested", {"at": last.at, "kind": last.kind, "minutes": last.minutes, "result": last.result}
    )


def _helps(hit: Hit) -> bool:
    """Somebody of the country to turn to now: not lapsed, and answering if that was asked."""
    answers = hit.answering is None or hit.answering.now or hit.answering == UNKNOWN
    return answers and not hit.has("lapsed")


def _firmness(hit: Hit) -> tuple[bool, int, bool]:
    """Of two hits alike in this, neither may be chosen silently."""
    return hit.has("lapsed"), LADDER.index(hit.rung), hit.has("other-community")


def _place(hit: Hit, need: Need, book: Book) -> tuple[Any, ...]:
    """The smaller, the nearer to the top."""
    entry, rung = hit.entry, LADDER.index(hit.rung)
    answers = hit.answering
    level = _level(entry, need.language) if need.language else ""
    last = entry.contact.tests[-1] if entry.contact.tests else None
    near = NEIGHBOURS.get(need.country, ())
    return (
        hit.has("lapsed"),
        rung >= _AWAY,
        answers is not None and not answers.now and answers != UNKNOWN,
        hit.has("other-community"),
        rung,
        not need.function and entry.contact.function in INWARD,
        near.index(entry.country) if hit.rung == "neighbour" else 0,
        answers == UNKNOWN,
        need.urgent and not (entry.holders and entry.holders.phone_247),
        LANGUAGE_LEVELS.index(level) if level else len(LANGUAGE_LEVELS),
        entry.contact.suspect,
        _STANDINGS.index(entry.standing),
        book.now - last.at if last and last.result == "ok" else book.now,
        entry.address,
    )
