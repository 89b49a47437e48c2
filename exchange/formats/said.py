"""The labels that people write into a text beside its indicators: above a list, into a mail, into a line of terms.

Whoever sends what was read there is held to them: they make what goes stricter, never weaker, and it is said where they
stand. How a label is spelt is `exchange.tlp`'s and `exchange.pap`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from exchange import pap as paps, tlp as labels
from exchange.formats.indicators.refang import seen
from exchange.formats.objects import Loss
from exchange.pap import Pap
from exchange.tlp import Tlp

WHY: Final = (
    "it is said there, so nothing goes with a weaker one; if it isn't meant for this, take it out there"
)
APART: Final = "\x00"  # between texts that are heard as one: no label reaches across it


class Said:
    """The strictest labels that were said so far, and where each was said first. CLEAR, which asks nothing, is none."""

    def __init__(self) -> None:
        """Nothing said yet."""
        self.tlp = Tlp.CLEAR
        self.pap = Pap.CLEAR
        self._tlp_at = self._pap_at = ""

    @property
    def pap_or_none(self) -> Pap | None:
        """The label of PAP, None where none was said."""
        return self.pap if self.pap > Pap.CLEAR else None

    def note(self, tlp: Tlp | None, pap: Pap | None, place: str) -> None:
        """Note labels that stand at one place."""
        if tlp is not None and tlp.is_stricter(self.tlp):
            self.tlp, self._tlp_at = tlp, place
        if pap is not None and pap > self.pap:
            self.pap, self._pap_at = pap, place

    def hear(self, text: str, place: str) -> None:
        """Note what a text says that stands at one place."""
        text = seen(text)
        for _, tlp in labels.written_in(text):
            self.note(tlp, None, place)
        for _, pap in paps.written_in(text):
            self.note(None, pap, place)

    def hear_lines(self, text: str) -> None:
        """Note what a text of many lines says, each label with the number of its line. Takes time linear in it."""
        text = seen(text)
        ends = list(accumulate(map(len, text.splitlines(keepends=True))))
        for at, tlp in labels.written_in(text):
            self.note(tlp, None, f"line {bisect_right(ends, at) + 1}")
        for at, pap in paps.written_in(text):
            self.note(None, pap, f"line {bisect_right(ends, at) + 1}")

    def doubts(self, *, over: Tlp | None = None, over_pap: Pap | None = None) -> tuple[Loss, ...]:
        """What a person must know before it goes: the labels that are stricter than what it has."""
        tlp = [Loss(self._tlp_at, self.tlp.label, WHY)] if self.tlp.is_stricter(over) else []
        pap = [Loss(self._pap_at, self.pap.label, WHY)] if self.pap > (over_pap or Pap.CLEAR) else []
        return (*tlp, *pap)

    def tags(self, *, over: Tlp | None = None, over_pap: Pap | None = None) -> list[str]:
        """The same labels as tags of an object: a tag makes it stricter, and doesn't make it marked."""
        tlp = [self.tlp.label.lower()] if self.tlp.is_stricter(over) else []
        return [*tlp, *([self.pap.label] if self.pap > (over_pap or Pap.CLEAR) else [])]
