"""The secretariat's letters, whole: reminders, tests, questions to a third side, cards, and what goes to a Mission.

Owns how the phrases of `secretariat` are put together. Who is sent which letter, and at which level, is the
secretariat's business (node/directory/secretariat).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exchange.directory.book import ContactEntry, MemberEntry
from exchange.directory.records import Languages
from exchange.directory.reminders import Item
from exchange.limits import SECOND_MS
from exchange.phrases.languages import language_of, say
from exchange.phrases.secretariat import CARD, COUNTERPART, LETTER, PING, REMINDER
from exchange.phrases.words import FUNCTIONS, TOPICS

_WORKS: Final = "works"
_MOST_PERSONS: Final = 8  # of a card, which has to fit a message's text
_MOST_CHARS: Final = 1_000  # of one line of it


@dataclass(frozen=True)
class Letter:
    """What a message says: its language, one line of subject, its text."""

    language: str
    subject: str
    text: str


def spoken(languages: Languages) -> str:
    """The first language that people work in there and that is one of ours; else English."""
    return language_of(*(one.lang for one in languages if one.level == _WORKS))


def day(at: int) -> str:
    """The UTC day of a time in ms."""
    return datetime.fromtimestamp(at / SECOND_MS, UTC).strftime("%Y-%m-%d")


def minute(at: int) -> str:
    """A time in ms, to the minute."""
    return datetime.fromtimestamp(at / SECOND_MS, UTC).strftime("%Y-%m-%d %H:%M UTC")


def reminder(items: Sequence[Item], languages: Mapping[str, str], *, home: str, copied: bool) -> Letter:
    """All that one authority's contacts are reminded of, each in its own language, the authority's (`home`) first.

    `languages`: by address of the contact. `copied`: the authority gets it too.
    """
    order = sorted({languages[item.contact.address] for item in items}, key=lambda lang: (lang != home, lang))
    sections = []
    for language in order:
        lines = [_item(item, language) for item in items if languages[item.contact.address] == language]
        sections.append("\n".join([say(REMINDER, "intro", language), *lines, say(REMINDER, "how", language)]))
    if copied:
        sections.append(say(REMINDER, "copy", home))
    return Letter(order[0], say(REMINDER, "subject", order[0], count=len(items)), "\n\n".join(sections))


def _item(item: Item, language: str) -> str:
    contact = item.contact
    return say(
        REMINDER,
        item.standing,
        language,
        address=contact.address,
        function=say(FUNCTIONS, contact.function, language),
        day=day(contact.validate_by),
    )


def ping(address: str, language: str) -> Letter:
    """A test of the contact point."""
    return Letter(language, say(PING, "subject", language, address=address), say(PING, "text", language))


def question(language: str, *, topic: str, country: str, reply_by: int, message_id: str) -> Letter:
    """What the third side is asked. Nothing of the requester's is an argument, so that nothing of it gets in."""
    words = {"topic": say(TOPICS, topic, language), "country": country}
    lines = (
        say(COUNTERPART, "ask", language, **words),
        say(COUNTERPART, "answer", language, by=minute(reply_by), id=message_id[:8]),
    )
    return Letter(language, say(COUNTERPART, "ask-subject", language, **words), "\n".join(lines))


def answer(language: str, *, accepted: bool) -> str:
    """The subject of the third side's answer."""
    return say(COUNTERPART, "accepted" if accepted else "declined", language)


def introduction(
    language: str, *, topic: str, country: str, address: str, purpose: str, card: Iterable[str]
) -> Letter:
    """What each side is told of the other, at `address`."""
    words = {"topic": say(TOPICS, topic, language), "country": country}
    lines = (
        say(COUNTERPART, "intro", language, address=address),
        *card,
        say(COUNTERPART, "purpose", language, purpose=purpose),
    )
    return Letter(language, say(COUNTERPART, "subject", language, **words), "\n".join(lines))


def contact_card(entry: ContactEntry, language: str, *, members: bool, holders: bool) -> list[str]:
    """A contact point's card in lines; `members`, `holders`: what beyond the public the reader may see."""
    contact, record = entry.contact, entry.record if members else None
    facts: list[tuple[str, str]] = [
        ("name", _in(entry.home.names, language)),
        ("member", f"{contact.address} ({entry.country})" if entry.country else contact.address),
        ("function", say(FUNCTIONS, contact.function, language)),
        ("topics", ", ".join(say(TOPICS, topic, language) for topic in contact.topics)),
    ]
    if record:
        facts += [
            ("role", _in(record.role_name, language)),
            ("email", record.email_role or ""),
            ("phone", record.phone_office or ""),
            ("persons", "; ".join(person.name for person in record.persons[:_MOST_PERSONS])),
            ("languages", ", ".join(one.lang for one in entry.languages)),
        ]
    if holders and entry.holders:
        facts.append(("phone", entry.holders.phone_247 or ""))
    return _lines(facts, language)


def member_card(entry: MemberEntry, language: str) -> list[str]:
    """A member's card in lines, of what is public."""
    languages = entry.public.languages if entry.public else ()
    facts = [
        ("name", _in(entry.names, language)),
        ("member", entry.handle),
        ("country", entry.member.country),
        ("languages", ", ".join(one.lang for one in languages)),
    ]
    return _lines(facts, language)


def mission_letter(country: str, items: Sequence[Item], language: str, *, now: int) -> str:
    """The letter to a Permanent Mission about contact points that have lapsed, for the secretariat to send on paper."""
    lines = [
        day(now),
        say(LETTER, "to", language, country=country),
        "",
        say(LETTER, "subject", language),
        "",
        say(LETTER, "body", language),
        *(
            say(
                LETTER,
                "item",
                language,
                function=say(FUNCTIONS, item.contact.function, language),
                address=item.contact.address,
                day=day(item.contact.validated),
            )
            for item in items
        ),
        "",
        say(LETTER, "wish", language),
    ]
    return "\n".join(lines) + "\n"


def _in(texts: Mapping[str, str], language: str) -> str:
    """The text in that language, else in the first there is."""
    return texts.get(language) or next(iter(texts.values()), "")


def _lines(facts: Iterable[tuple[str, str]], language: str) -> list[str]:
    return [say(CARD, code, language, value=value[:_MOST_CHARS]) for code, value in facts if value]
