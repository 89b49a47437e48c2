"""The Traffic Light Protocol: its five labels, their order, their spellings and their STIX marking ids.

This file owns what a label is and which of two is stricter. Reading markings out of STIX objects is
`formats/stix/markings`' business; what a label permits is `policy`'s. Nowhere else are labels compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import total_ordering

from exchange.errors import Refused


@total_ordering
class Tlp(Enum):
    """A TLP 2.0 label (FIRST, August 2022). `Tlp.CLEAR < Tlp.RED`: the greater label is the stricter one."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Tlp):
            return NotImplemented
        return self.value < other.value

    @property
    def label(self) -> str:
        """The label as it is written for people, never translated: `TLP:AMBER+STRICT`."""
        return "TLP:" + self.name.replace("_", "+")

    @property
    def word(self) -> str:
        """The word of the STIX marking's `tlp_2_0` property: `amber+strict`."""
        return self.name.replace("_", "+").lower()

    @property
    def names_persons(self) -> bool:
        """Whether it is for the individuals it is addressed to, and nobody beside them."""
        return self is Tlp.RED

    def is_stricter(self, than: Tlp | None) -> bool:
        """Whether it is stricter than that label; than none, if it asks anything."""
        return self > (than or Tlp.CLEAR)

    @property
    def marking_id(self) -> str:
        """The id of the OASIS marking-definition for this TLP 2.0 label."""
        return _MARKING_IDS[self]


# What unmarked data counts as: two thirds of published files carry no marking at all.
DEFAULT = Tlp.AMBER_STRICT

_MARKING_IDS = {
    Tlp.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}

# TLP 1 (STIX 2.1 §7.2.1.4). Its amber could mean what is AMBER+STRICT today, so it reads as the stricter.
_TLP1_IDS = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER_STRICT,
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
}

_BY_ID = _TLP1_IDS | {marking_id: tlp for tlp, marking_id in _MARKING_IDS.items()}
_BY_WORD = {tlp.word: tlp for tlp in Tlp}

# How a label is spelt: with its prefix or without, amber and strict with anything between them.
_WORDS = r"(?:clear|white|green|amber(?:[\s_+-]{0,3}strict)?|red)"
_WORD = rf"({_WORDS})"
_BETWEEN = re.compile(r"(?<=amber)[\s_+-]*(?=strict)")
_WHOLE = re.compile(rf"\s*+(?:tlp[\s:=_-]++)?+{_WORD}\s*+", re.IGNORECASE)
_NAMED = re.compile(rf"(?<![^\W_]){_WORD}(?![^\W_])", re.IGNORECASE)
_TAG = re.compile(rf"\s*+tlp(?:\s*+[:=]|[\s_-]++{_WORD}(?![^\W_]))", re.IGNORECASE)
_IN_WORDS = re.compile(rf"\btlp ?: ?{_WORD}\b", re.IGNORECASE)
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def written_out(name: str, words: str) -> str:
    """The expression for a label that somebody wrote into a text: its name, then one of its words as `known`.

    `TLP:RED`, `TLP RED`, `**TLP**: **RED**`, `"tlp": "red"`, `TLP[:]RED`, `TLP v2.0: RED`, `TLP level = RED`,
    `TLP:AMBER/RED`, `TLP-RED` where it is no part of an address; a word that is none of `words`, behind a sign, as
    `other`. What each step may take is bounded, so it takes time linear in the text.
    """
    whole = rf"{words}(?![^\W_])"
    sign = r"[\s\"'*_`)\]]{0,4}[\[({]?[:=]{1,2}[\])}]?(?:[\s\"'*_`(\[{<>|]|&[a-z]{1,6};){0,6}"
    which = r"(?:[\s_-]{1,2}[\w.]{1,16}|v?[0-9][.0-9]{0,3})"
    of_address = r"[\w./@%?&=#~:-]"
    ways = (
        rf"{sign}(?P<known>{whole}(?:[/|&-]{words}(?![^\W_]|[.-]\w))*)",
        rf"(?:\s?v?[0-9][.0-9]{{0,3}})?\s[\s\u2010-\u2015(\[-]{{0,2}}(?P<spaced>{whole})",
        rf"(?<!{of_address}{name})[_\u2010-\u2015-](?P<joined>{words})(?![\w/@%&=~-]|[.:]\w)",
        rf"{which}{sign}(?P<told>{whole})",
        rf"{sign}(?P<other>(?!h[tx]{{2}}p|www\.)[^\W\d_][^\s\x00]{{0,40}})",
    )
    return rf"(?<![^\W_]){name}(?:{'|'.join(ways)})"


_WRITTEN = re.compile(written_out("tlp", _WORDS), re.IGNORECASE)


def tlp_of_marking_id(marking_id: str) -> Tlp | None:
    """The label a well-known marking-definition id stands for, TLP 2.0 or TLP 1; None for any other id."""
    return _BY_ID.get(marking_id)


def parse(text: str) -> Tlp:
    """Read a label as people type it: `amber`, `TLP: AMBER`, `amber+strict`, `AMBER_STRICT`; `white` is CLEAR.

    Raises: Refused `tlp.unknown` for anything else.
    """
    match = _WHOLE.fullmatch(plain(text))
    if match is None:
        raise Refused("tlp.unknown")
    return _of_word(match[1])


def read_label(text: str, *, tlp1: bool) -> Tlp | None:
    """The label of a text that stands where one is expected: a tag, a cell, a word of a marking.

    A text that is more than a label is read as the strictest one it names, and as AMBER+STRICT at least, for nobody
    knows what the rest was to say; None where it names none. `tlp1`: amber reads as AMBER+STRICT, because before
    TLP 2.0 it could mean that.
    """
    try:
        tlp = parse(text)
    except Refused:
        named = [_of_word(word) for word in _NAMED.findall(plain(text))]
        return strictest([*named, DEFAULT]) if named else None
    return Tlp.AMBER_STRICT if tlp1 and tlp is Tlp.AMBER else tlp


def is_tag(text: str) -> bool:
    """Whether a tag says a label of TLP, known or not: `tlp:red`, `TLP : RED`, `TLP RED`, `tlp:ex:chr`."""
    return _TAG.match(plain(text)) is not None


def labels_in(sentence: str) -> list[Tlp]:
    """The labels that people wrote into a sentence: `TLP:RED, for the steering group`; amber as AMBER+STRICT."""
    found = map(_of_word, _IN_WORDS.findall(plain(sentence)))
    return [Tlp.AMBER_STRICT if each is Tlp.AMBER else each for each in found]


def written_in(text: str) -> Iterator[tuple[int, Tlp]]:
    """The labels that somebody wrote anywhere into a text, and where each begins; amber as AMBER+STRICT.

    A word behind `TLP:` that is none of its words is AMBER+STRICT, or the strictest label that it names.
    """
    for match in _WRITTEN.finditer(plain(text)):
        said = match["known"] or match["spaced"] or match["joined"] or match["told"]
        found = _NAMED.findall(said) if said else [match["other"]]
        yield match.start(), strictest(read_label(word, tlp1=True) or DEFAULT for word in found)


def plain(text: str) -> str:
    """`text` with the wide letters and colons of East Asian keyboards as everybody else's."""
    return text if text.isascii() else text.translate(_WIDE)


def _of_word(word: str) -> Tlp:
    letters = _BETWEEN.sub("+", word.lower())
    # Where case doesn't count, \u017f matches s, and \u0131 i: what is no word of ours then is a label nobody can read.
    return Tlp.CLEAR if letters == "white" else _BY_WORD.get(letters, DEFAULT)


def strictest(labels: Iterable[Tlp], default: Tlp = DEFAULT) -> Tlp:
    """The strictest of `labels`; `default` when there are none."""
    return max(labels, default=default)
