"""Makes addresses in text dead: a reader must not be one click away from the attacker's server.

Owns the spelling for people (`hxxps://example[.]org`). The bytes of a message are never changed: `node export` gives
them as they were signed.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"\b(h)tt(ps?)://|\b(f)t(ps?)://", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
# a last label of two letters or more: `e.g.` and `3.5` stay as they are
_NAME = re.compile(
    r"(?<![\w.])(?:[a-z0-9_-]{1,63}\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})(?![\w-])", re.IGNORECASE
)
_MAIL = re.compile(r"(?<=[\w.+-])@(?=[\w-])")
_IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])",
    re.IGNORECASE,
)


def defang(text: str) -> str:
    """`text` with every URL, host name, mail and IP address made impossible to follow; the rest is untouched."""
    text = _SCHEME.sub(lambda m: f"{m[1]}xx{m[2]}://" if m[1] else f"{m[3]}x{m[4]}://", text)
    text = _MAIL.sub("[@]", text)
    text = _NAME.sub(lambda m: m[0].replace(".", "[.]"), text.replace("[@]", "\0")).replace("\0", "[@]")
    text = _IPV4.sub(lambda m: m[0].replace(".", "[.]"), text)
    return _IPV6.sub(lambda m: m[0].replace(":", "[:]"), text)
