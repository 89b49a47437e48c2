"""Which domain names can exist: the Public Suffix List, as the installed package carries it; nobody is asked."""

from __future__ import annotations

from functools import cache
from typing import Final

from publicsuffixlist import PublicSuffixList

# Names that resolve in no public DNS and stand in reports all the same (RFC 7686).
_SPECIAL: Final = frozenset({"onion"})


def public_suffix(name: str) -> str | None:
    """What of a domain name in lower case ASCII anybody may register below: `co.uk`; None for no known ending."""
    if name.rpartition(".")[2] in _SPECIAL:
        return name.rpartition(".")[2]
    found = _known().publicsuffix(name)
    return str(found) if found else None


@cache
def _known() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)
