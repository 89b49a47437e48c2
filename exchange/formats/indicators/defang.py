"""Makes addresses in text dead: a reader must not be one click away from the attacker's server.

Owns the spelling for people (`hxxps://example[.]org`). The bytes of a message are never changed: `node export` gives
them as they were signed. Each expression here takes time linear in the text, for strangers wrote it.
"""

from __future__ import annotations

import re

# What programs take for a dot of a name (RFC 3490 §3.1). The one that ends sentences in Chinese counts within ASCII.
_DOT = "(?:[.\uff0e\uff61]|(?<=[a-z0-9])\u3002(?=[a-z0-9]))"
# Letters and digits of any script, with the marks and joiners that some scripts have between them.
_SIGN = r"[\w\u0300-\u036f\u0590-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff\ufe20-\ufe2f-]"

_SCHEME = re.compile(r"(?<![a-z0-9])(?:(h)tt(ps?)|(f)t(ps?))(?=://)", re.IGNORECASE)
_MAIL = re.compile(r"(?<=[\w.+\"-])@(?=[\w\[-])")
_DOTTED = re.compile(rf"(?<!{_SIGN}){_SIGN}++(?:{_DOT}{_SIGN}++)++", re.IGNORECASE)
# Two letters behind a dot: `e.g.`, `3.5` and `v1.2` stay as they are. A mark may stand between them, or be a letter.
_NAME = re.compile(rf"{_DOT}[^\W\d_](?:[^\W\d_]|[^\x00-\x7f])", re.IGNORECASE)
_DOTS = re.compile(_DOT, re.IGNORECASE)
_IPV4 = re.compile(r"(?<!\d)(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])",
    re.IGNORECASE,
)


def defang(text: str) -> str:
    """`text` with every URL, host name, mail and IP address made impossible to follow; the rest is untouched."""
    text = _SCHEME.sub(lambda m: f"{m[1]}xx{m[2]}" if m[1] else f"{m[3]}x{m[4]}", text)
    text = _MAIL.sub("[@]", text)
    text = _DOTTED.sub(lambda m: _dead(m[0]) if _NAME.search(m[0]) else m[0], text)
    text = _IPV4.sub(lambda m: _dead(m[0]), text)
    return _IPV6.sub(lambda m: m[0].replace(":", "[:]"), text)


def _dead(name: str) -> str:
    return _DOTS.sub(lambda dot: f"[{dot[0]}]", name)
