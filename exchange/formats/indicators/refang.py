"""Makes addresses whole again that somebody made harmless: `hxxps://evil[.]example(dot)org` and its many kin.

The counterpart of `defang`. Every expression here takes time linear in the text, however it is meant: what is read was
pasted from anywhere.
"""

from __future__ import annotations

import re
from typing import Final

# Each stands for a sign that was taken out of harm's way, so that what is found can tell that somebody had done that.
DOT, AT, COLON, SCHEME = "\ue000", "\ue001", "\ue002", "\ue003"
MARKS: Final = frozenset((DOT, AT, COLON, SCHEME))
_MARKED: Final = str.maketrans({DOT: ".", AT: "@", COLON: ":", SCHEME: ""})
# What is never seen (Unicode: Default_Ignorable_Code_Point) breaks up addresses; nobody may bring our marks along.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    f"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff{''.join(sorted(MARKS))}]"
)
_DOTS: Final = str.maketrans("\uff0e\u3002\uff61", "...")  # IDNA takes these for full stops (RFC 3490 §3.1)
_DOT_SIGN: Final = re.compile(r"[ \t]{0,2}(?:\[\.\]|\(\.\)|\{\.\})[ \t]{0,2}|\[\.|\.\]|\\\.")
_BRACKETS: Final = ((r"\[", r"\]"), (r"\(", r"\)"), (r"\{", r"\}"))


def _bracketed(inner: str) -> re.Pattern[str]:
    """`inner` in brackets of any kind, with a little white space within and around."""
    each = "|".join(rf"{left}[ ]?(?:{inner})[ ]?{right}" for left, right in _BRACKETS)
    return re.compile(rf"[ \t]{{0,2}}(?:{each})[ \t]{{0,2}}", re.IGNORECASE)


_DOT_WORD: Final = _bracketed("dot|punto|ponto|point")
_AT_SIGN: Final = _bracketed("@|at|arroba")
_COLON_SIGN: Final = re.compile(r"\[:\]|\(:\)|\{:\}")
_SLASHES: Final = re.compile(r"\[://\]|:\[//\]|\(://\)|:\[/\]\[/\]|:\[/\]/")
_SLASH: Final = re.compile(r"\[/\]")
_SCHEME: Final = re.compile(rf"(?<![a-z0-9])(?:(h)[tx*z]{{2}}p|(f)[x*]p)(s?)(?=[:{COLON}]//)", re.IGNORECASE)


def seen(text: str) -> str:
    """`text` without the characters that nobody sees, which break up words. Its lines stay."""
    return _UNSEEN.sub("", text)


def marked(text: str) -> str:
    """`text` with its addresses whole, but for a mark in place of each sign that had been made harmless."""
    text = seen(text).translate(_DOTS)
    text = _SLASH.sub("/", _SLASHES.sub(f"{COLON}//", text))
    text = _COLON_SIGN.sub(COLON, text)
    text = _AT_SIGN.sub(AT, text)
    text = _DOT_SIGN.sub(DOT, _DOT_WORD.sub(DOT, text))
    return _SCHEME.sub(_whole_scheme, text)


def unmarked(text: str) -> str:
    """Marked text with the signs that its marks stand for."""
    return text.translate(_MARKED)


def refang(text: str) -> str:
    """`text` with its addresses whole."""
    return unmarked(marked(text))


def _whole_scheme(match: re.Match[str]) -> str:
    plain = f"{'http' if match[1] else 'ftp'}{match[3].lower()}"
    return plain if match[0].lower() == plain else plain + SCHEME
