"""The Permissible Actions Protocol: its four labels, their order, their spellings and their STIX marking ids.

TLP says who may have something, PAP what they may do with it. This file owns what a label is and which of two is
stricter. Reading them out of STIX is `formats/stix/permissions`' business; what a label closes is `release`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import total_ordering
from typing import Final

from exchange.tlp import plain, written_out

MARKING_EXTENSION: Final = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b"
_TAG: Final = re.compile(r"\s*+pap\s*+[:\uff1a=](.*)", re.IGNORECASE | re.DOTALL)
_WORDS: Final = "(?:clear|white|green|amber|red)"
_WRITTEN: Final = re.compile(written_out("pap", _WORDS), re.IGNORECASE)


@total_ordering
class Pap(Enum):
    """A PAP label, as MISP's taxonomy has them. `Pap.CLEAR < Pap.RED`: the greater label permits less.

    RED: only what nobody outside can notice (searching one's own logs). AMBER: also asking third parties about it,
    never touching it. GREEN: also active measures, such as blocking. CLEAR: anything.
    """

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    RED = 3

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Pap):
            return NotImplemented
        return self.value < other.value

    @property
    def label(self) -> str:
        """The label as it is written for people, never translated: `PAP:AMBER`."""
        return "PAP:" + self.name


# The draft extension of 28 November 2022, with the word it had before `clear`.
_BY_ID: Final = {
    "marking-definition--a3bea94c-b469-41dc-9cfe-d6e7daba7730": Pap.CLEAR,
    "marking-definition--ad15a0cd-55b6-4588-a14c-a66105329b92": Pap.CLEAR,
    "marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9": Pap.GREEN,
    "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab": Pap.AMBER,
    "marking-definition--740d36e5-7714-4c30-961a-3ae632ceee0e": Pap.RED,
}
_BY_WORD: Final = {pap.name.lower(): pap for pap in Pap} | {"white": Pap.CLEAR}


def pap_of_marking_id(marking_id: str) -> Pap | None:
    """The label a well-known marking-definition id stands for; None for any other id."""
    return _BY_ID.get(marking_id)


def pap_of_word(word: str) -> Pap:
    """The label of a word that stands where PAP has one: `amber`, `white`. An unknown word counts as RED."""
    return _BY_WORD.get(word.strip().strip('"').lower(), Pap.RED)


def pap_of_tag(text: str) -> Pap | None:
    """The label of a tag such as MISP's `PAP:AMBER`, also `pap : amber`; None for a tag of anything else."""
    match = _TAG.match(text)
    return pap_of_word(match[1]) if match else None


def written_in(text: str) -> Iterator[tuple[int, Pap]]:
    """The labels that somebody wrote anywhere into a text, and where each begins.

    A word behind `PAP:` that is none of its words says none: in a text it is more often a protocol of passwords.
    """
    for match in _WRITTEN.finditer(plain(text)):
        said = match["known"] or match["spaced"] or match["joined"] or match["told"]
        if said:
            yield match.start(), max(map(pap_of_word, re.split(r"[/|&-]", said)))


def strictest(labels: Iterable[Pap]) -> Pap | None:
    """The label that permits least; None when there are none: then PAP restricts nothing."""
    return max(labels, default=None)
