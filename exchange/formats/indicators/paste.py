"""Finds the indicators in a text that somebody pasted: a mail, a report, a chat, with addresses made harmless or not.

It finds, a person confirms: what may be something else carries a doubt and isn't taken without being asked for. Each
step takes time linear in the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from exchange.errors import Refused
from exchange.formats.indicators.indicator import MAX_VALUE, Indicator, Kind, recognised, stix_object
from exchange.formats.indicators.refang import COLON, DOT, MARKS, SCHEME, marked, unmarked
from exchange.formats.objects import RawObject
from exchange.formats.said import Said
from exchange.pap import Pap
from exchange.tlp import Tlp

MAX_TEXT: Final = 1_048_576  # characters
MAX_FOUND: Final = 5_000  # different indicators
_SHORTEST: Final = 3  # characters that can be an indicator
_LONGEST: Final = MAX_VALUE + 256  # with what stands around it
_URL: Final = re.compile(rf"[a-z][a-z0-9+.-]{{1,15}}{SCHEME}?[:{COLON}]//[^\s<>\"`|\\^{{}}]+", re.IGNORECASE)
_TOKEN: Final = re.compile(
    r"[^\s<>\"`|,;\u2013-\u2015\u2026\u2192\u201c\u201d\u2018\u2019\u00ab\u00bb\u2022]+"
)
_BEFORE: Final = "([{'*~#-=:>/\\"
_AFTER: Final = ")]}'*_~.:!?-=/\\"
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
_PORT: Final = re.compile(r"(.+):[0-9]{1,5}\Z")
_V6_AND_PORT: Final = re.compile(
    rf"\[([0-9a-f:.{COLON}{DOT}]{{2,80}})\]:[0-9]{{1,5}}(?![0-9])", re.IGNORECASE
)
_LENGTH: Final = re.compile(r"[0-9]{1,3}\Z")
# Doubts that go away when somebody made the address harmless: nobody does that to the name of a file.
_OF_SPELLING: Final = ("may be the name of a file", "may be a word of a program", "no known top-level domain")


@dataclass(frozen=True, slots=True)
class Found:
    """An indicator, on which line it stood first (from 1), and how often it stands in the text."""

    indicator: Indicator
    line: int
    times: int = 1

    @property
    def taken(self) -> bool:
        """Whether it is taken unless a person says otherwise."""
        return not self.indicator.doubt


def extract(text: str) -> tuple[Found, ...]:
    """Every indicator of the text once, in the order in which they first stand there.

    Raises: Refused `format.bad-file` for a text that is too long or has too many of them.
    """
    if len(text) > MAX_TEXT:
        raise Refused("format.bad-file", f"a pasted text of more than {MAX_TEXT} characters")
    found: dict[tuple[Kind, str], Found] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for indicator in _in_line(marked(line)):
            key = (indicator.kind, indicator.value)
            before = found.get(key)
            if before is None:
                found[key] = Found(indicator, number)
            else:
                surer = before.indicator if not before.indicator.doubt else indicator
                found[key] = replace(before, indicator=surer, times=before.times + 1)
        if len(found) > MAX_FOUND:
            raise Refused("format.bad-file", f"more than {MAX_FOUND} indicators in one text")
    return tuple(found.values())


def objects(
    found: Collection[Found], text: str, *, at: str, tlp: Tlp | None, pap: Pap | None = None
) -> tuple[RawObject, ...]:
    """The STIX objects of what was confirmed; `at` is the STIX time of now, and goes into their ids.

    Raises: Refused `stix.*`.
    """
    digest = hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()
    labels = [pap.label] if pap else []
    return tuple(stix_object(each.indicator, source=digest, at=at, tlp=tlp, labels=labels) for each in found)


def said_in(text: str) -> Said:
    """The labels that stand anywhere in the text: they bind what is taken out of it."""
    said = Said()
    said.hear_lines(text)
    return said


def _in_line(line: str) -> Iterator[Indicator]:
    """The indicators of one line whose harmless signs are marked."""
    rest, at = [], 0
    for match in _URL.finditer(line):
        url = _trimmed(match[0])
        indicator = _one(url) if url else None
        if indicator is not None and indicator.kind is Kind.URL:
            rest.append(line[at : match.start()])
            at = match.start() + len(url)
            yield indicator
    rest.append(line[at:])
    for part in rest:
        for match in _TOKEN.finditer(part):
            yield from _of_token(match[0])


def _of_token(token: str) -> Iterator[Indicator]:
    """What a word of the text is: as it stands, behind `name=` or `name:`, with a login, port or path, or a range."""
    bracketed = _V6_AND_PORT.search(token)
    whole = bracketed[1] if bracketed else _whole(token)
    if len(whole) < _SHORTEST:
        return
    candidates = [whole, whole.rpartition("=")[2]]
    if not whole.count(":") > 1:
        candidates.append(whole.rpartition(":")[2])
    port = _PORT.match(whole)
    candidates += [port[1]] if port else []
    candidates += [whole.partition("%")[0], whole.lstrip("_" + _BEFORE)]
    found = next((one for one in map(_one, dict.fromkeys(candidates)) if one is not None), None)
    if found is not None:
        yield found
    elif whole.startswith("."):
        yield from _below(whole.lstrip("."))
    else:
        yield from _host_of(whole) or _ends_of(whole)


def _whole(token: str) -> str:
    """A word without the marks of a sentence around it. A name may begin with `_`, unless the word ends so as well."""
    bare = token.lstrip(_BEFORE)
    whole = _trimmed(bare)
    return whole.lstrip("_" + _BEFORE) if "_" in bare[len(whole) :] else whole


def _below(name: str) -> Iterator[Indicator]:
    """The name in `*.example.org`."""
    found = _one(name)
    if found is not None and found.kind is Kind.DOMAIN:
        yield replace(found, doubt=found.doubt or "it stood for every name below it")


def _host_of(whole: str) -> list[Indicator]:
    """The host of an address without a scheme: `root@203.0.113.7:22`, `example.org:8080/path`."""
    before, slash, after = whole.partition("/")
    host = before.rpartition("@")[2]
    port = _PORT.match(host)
    found = _one(host) or (_one(port[1]) if port else None)  # as it stands first: IPv6 has colons of its own
    if found is not None and found.kind is Kind.IP:
        cut = "it stood with the length of a network" if slash and _LENGTH.match(after) else ""
        return [replace(found, doubt=found.doubt or cut)]
    if found is not None and found.kind is Kind.DOMAIN and slash and host == before:
        path = "it stood with a path: the rest of the site may be harmless"
        return [replace(found, doubt=found.doubt or path)]
    return []


def _ends_of(whole: str) -> list[Indicator]:
    """The ends of a range of addresses: `203.0.113.7-203.0.113.9`, `203.0.113.7-9`."""
    first, _, last = whole.partition("-")
    ends = [one for one in map(_one, (first, last)) if one is not None and one.kind is Kind.IP]
    if len(ends) + bool(_LENGTH.match(last)) < len((first, last)):
        return []
    return [replace(one, doubt=one.doubt or "one end of a range") for one in ends]


def _one(text: str) -> Indicator | None:
    """The indicator that a marked text is."""
    harmless = not MARKS.isdisjoint(text)
    plain = unmarked(text)
    try:
        indicator = recognised(plain)
    except ValueError:
        if not harmless:
            return None
        try:
            indicator = recognised(plain, Kind.DOMAIN)  # somebody meant a name, whatever its ending
        except ValueError:
            return None
    if harmless and indicator.doubt in _OF_SPELLING:
        return replace(indicator, doubt="")
    spelt_as_word = plain not in (plain.lower(), plain.upper())
    if indicator.kind is Kind.DOMAIN and not harmless and spelt_as_word and not indicator.doubt:
        return replace(indicator, doubt="may be a word of a program")
    return indicator


def _trimmed(text: str) -> str:
    """`text` without the marks of a sentence after it; a bracket stays that was opened within. None of a long one."""
    end = len(text) if len(text) <= _LONGEST else 0
    while end and text[end - 1] in _AFTER + ",;":
        opening = _CLOSING.get(text[end - 1])
        if opening and text.count(opening, 0, end) >= text.count(text[end - 1], 0, end):
            break
        if text[end - 1] in "/-_=~*" and "//" in text[:end]:
            break  # the end of a URL may be one of these
        end -= 1
    return text[:end]
