"""The address book as a command looks it up: from this node's own copy, with its age, in the reader's language.

Owns how the book is opened and how its words are put for people. Nothing here asks the hub: a look-up works offline,
and tells nobody who is looked for.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.canonical import Json
from exchange.cli.call import Call, now_ms
from exchange.cli.node.home import Opened, opened
from exchange.cli.output import one_line, safe, utc
from exchange.directory.book import Book, ContactEntry
from exchange.directory.find import Reason
from exchange.directory.records import Hours
from exchange.directory.state import Directory
from exchange.keys import digits
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS, STALE_CHECKPOINT_MS
from exchange.node.app import real_sources
from exchange.node.home import Home
from exchange.node.mail.desk import Desk
from exchange.node.store.parts import all_parts
from exchange.phrases import words
from exchange.phrases.find import LABELS, REASONS, RESULTS
from exchange.phrases.languages import language_of, say

_TIMES: Final = ("at", "until", "validated")


@dataclass(frozen=True)
class View:
    """What a look-up sees: the log as stored, the book made of it, and how fresh that is (UTC ms)."""

    home: Home
    directory: Directory
    book: Book
    known: int  # when the newest checkpoint was signed
    digits: str  # of that checkpoint

    def replica(self) -> dict[str, Json]:
        """How old the copy is, and what of it can't be read; a member of every look-up's JSON."""
        return {
            "age_ms": max(0, self.book.now - self.known),
            "checkpoint_at": self.known,
            "set_aside": len(self.book.set_aside),
            "size": self.directory.size,
        }


def look(call: Call) -> View:
    """The view of the call's home. Raises Refused home.missing, keystore.*, node.not-joined."""
    with opened(call) as home:
        return view_of(home)


def view_of(home: Opened) -> View:
    """The view of a home that is open. Raises Refused node.not-joined."""
    replica = asyncio.run(home.replica())
    directory = replica.directory
    parts = home.store.db.read_sync(lambda c: all_parts(c, home.store.cipher))
    return View(
        home.home,
        directory,
        Book.build(directory, parts, now_ms()),
        replica.checkpoint.at,
        digits(replica.newest.hash(directory.net)),
    )


class Speaker:
    """Puts codes and facts into words of one language. What others wrote is made safe for a terminal."""

    def __init__(self, lang: str | None) -> None:
        environment = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
        self.language = language_of(lang or "", *environment)

    def label(self, code: str, **facts: object) -> str:
        """A label of ours."""
        return say(LABELS, code, self.language, **facts)

    def head(self, *codes: str) -> list[str]:
        """The heads of a table's columns."""
        return [self.label(code) for code in codes]

    def function(self, word: str) -> str:
        return say(words.FUNCTIONS, word, self.language)

    def topics(self, topics: Iterable[str]) -> str:
        return ", ".join(say(words.TOPICS, topic, self.language) for topic in topics)

    def community(self, word: str) -> str:
        return say(words.COMMUNITIES, word, self.language)

    def standing(self, word: str) -> str:
        return say(words.STANDINGS, word, self.language)

    def text(self, texts: Mapping[str, str]) -> str:
        """Of a text in several languages the reader's, else English, else any."""
        by_base = {lang.partition("-")[0].lower(): text for lang, text in reversed(list(texts.items()))}
        found = by_base.get(self.language) or by_base.get("en") or next(iter(texts.values()), "")
        return one_line(found, 160)

    def languages(self, entry: ContactEntry) -> str:
        """`es, en (reads)`."""
        return ", ".join(
            each.lang
            if each.level == "works"
            else f"{each.lang} ({say(words.LEVELS, each.level, self.language)})"
            for each in entry.languages
        )

    def phones(self, entry: ContactEntry) -> str:
        """`+5115550199 (24x7), +5115550100 (office)`."""
        return ", ".join(f"{one_line(number)} ({self.label(kind)})" for kind, number in entry.phones)

    def hours(self, hours: Hours | None) -> str:
        """`Mon-Fri 08:00-17:00 America/Lima`."""
        if hours is None:
            return ""
        if hours.always:
            return f"{self.label('always')} {hours.zone}"
        shifts = [f"{self._days(shift.days)} {shift.start}-{shift.end}" for shift in hours.weekly]
        return f"{', '.join(shifts)} {hours.zone}"

    def _days(self, days: tuple[str, ...]) -> str:
        order = [each for each in words.DAYS if each in days]
        names = [say(words.DAYS, each, self.language) for each in order]
        place = [list(words.DAYS).index(each) for each in order]
        in_a_row = len(place) > 2 and place == list(range(place[0], place[0] + len(place)))
        return f"{names[0]}-{names[-1]}" if in_a_row else " ".join(names)

    def test(self, entry: ContactEntry) -> str:
        """When it was tested last, and how that went."""
        if not entry.contact.tests:
            return self.reason_word("untested")
        last = entry.contact.tests[-1]
        return f"{utc(last.at)}: {say(RESULTS, last.result, self.language, minutes=last.minutes)}"

    def reason_word(self, code: str) -> str:
        """A reason that needs no facts."""
        return say(REASONS, code, self.language)

    def reason(self, reason: Reason) -> str:
        """A hit's reason as a sentence."""
        given = reason.facts
        worded: dict[str, Callable[[], str]] = {
            "community": lambda: self.community(given["community"]),
            "wanted": lambda: self.community(given["wanted"]),
            "function": lambda: self.function(given["function"]),
            "level": lambda: say(words.LEVELS, given["level"], self.language),
            "has": lambda: one_line(", ".join(given["has"])) or self.label("none"),
            "result": lambda: say(RESULTS, given["result"], self.language, minutes=given["minutes"]),
            **{name: partial(utc, given.get(name)) for name in _TIMES},
        }
        facts = {name: worded[name]() if name in worded else safe(str(fact)) for name, fact in given.items()}
        facts = {"until": "?", "local": "?", "holiday": "-", **facts}
        return say(REASONS, reason.code, self.language, **facts)


def log_reads(
    view: View,
    entries: Iterable[ContactEntry],
    levels: Sequence[str] = ("holders",),
    *,
    action: str = "read",
    besides: str = "",
) -> None:
    """Note in the access log which restricted parts of contact points a person is about to see; before it does.

    `levels`: those that are shown; `besides`: one more thing that was done. Raises Unavailable storage.*
    """
    seen = [
        f"{entry.address} {level}"
        for entry in entries
        for level in levels
        if getattr(entry, level) is not None
    ]
    if not seen and not besides:
        return
    store = view.home.open_store(owner=False)
    try:
        desk = Desk(store, real_sources(), who=getpass.getuser())
        desk.note_access(action, [*filter(None, [besides]), *seen])
    finally:
        store.db.close_sync()


def tell(call: Call, view: View, speaker: Speaker, value: Mapping[str, Json], lines: Sequence[str]) -> None:
    """A look-up's result; for people also how old the copy is that says so, and what of it can't be read."""
    state = view.replica()
    call.out.result({**value, "replica": state}, lines)
    if not call.out.json:
        checked, behind = utc(state["checkpoint_at"]), age(state["age_ms"])
        call.out.note(speaker.label("replica", size=state["size"], at=checked, age=behind))
    if state["age_ms"] > STALE_CHECKPOINT_MS:
        call.out.warn(speaker.label("stale"))
    if state["set_aside"]:
        call.out.note(speaker.label("set-aside", count=state["set_aside"]))


def age(milliseconds: int) -> str:
    """`5 min`, `3 h`, `12 d`: two of a unit or more."""
    for unit, size in (("d", DAY_MS), ("h", HOUR_MS)):
        if milliseconds >= 2 * size:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds // MINUTE_MS} min"
