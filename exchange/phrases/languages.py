"""The four languages that people are spoken to in, and how a table of phrases is written down.

Owns which language a preference means. What is said stands in this package's other files; nothing here is ever parsed
by a program: codes stay codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

LANGUAGES: Final = ("en", "es", "pt", "fr")  # in the order of the tables' columns
FALLBACK: Final = "en"

Phrases: TypeAlias = Mapping[str, Mapping[str, str]]  # code -> language -> words


def language_of(*preferences: str) -> str:
    """The first of these that is one of ours: `es`, `es-PE`, `es_PE.UTF-8` all mean `es`. Else English."""
    for preference in preferences:
        base = preference.replace("_", "-").partition(".")[0].partition("-")[0].lower()
        if base in LANGUAGES:
            return base
    return FALLBACK


def table(text: str) -> Phrases:
    """Phrases from lines `code | English | Spanish | Portuguese | French`."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return MappingProxyType({code: dict(zip(LANGUAGES, words, strict=True)) for code, *words in rows})


def say(phrases: Phrases, code: str, language: str, /, **facts: object) -> str:
    """The phrase for `code` with its `{facts}` put in; the code itself where it is a word of a later version."""
    found = phrases.get(code)
    return code if found is None else found[language].format(**facts)
