"""Every error of the network, sorted by who must act; their codes are listed in codes_network.py and codes_node.py.

    ExchangeError
     +- Refused        we, or our user, must change something; nothing was done
     +- Rejected       the peer's data is bad: quarantine it, never retry the same bytes
     +- Unavailable    nobody is at fault: try again later
         +- Damaged    the bytes may have been hurt on the way: fetch them again, then alarm (docs/protocol.md §6)
         +- Hold       a key or a directory size is not known here yet: fetch the directory, then try again

The code is the same word in vectors, HTTP problem bodies, command output, receipts' details and the access log.
Which HTTP status a code becomes is `hub/http`'s business, which exit code `cli/`'s.
"""

from __future__ import annotations

from typing import Any

from exchange import codes_network, codes_node


class ExchangeError(Exception):
    """Base of all our errors: a registered `code`, a sentence for people, and named facts (never content)."""

    def __init__(self, code: str, detail: str = "", **facts: Any) -> None:
        if code not in CODES:
            detail, code = f"unregistered code {code}: {detail}", "internal.unregistered-code"
        self.code = code
        self.detail = detail or CODES[code]
        self.facts = facts
        super().__init__(f"{code}: {self.detail}")


class Refused(ExchangeError):
    """We must change something: wrong input, no right, over a limit."""


class Rejected(ExchangeError):
    """The peer's data is bad. Whoever catches it sets the bytes aside and answers with the code."""


class Unavailable(ExchangeError):
    """Nobody is at fault; `facts["retry_after"]`, where present, is in seconds."""


class Damaged(Unavailable):
    """Outcome *transport*: the wire or the hub may have hurt the bytes. No receipt is owed."""


class Hold(Unavailable):
    """Outcome *hold*: keep the bytes, refresh the directory, try again."""


CODES: dict[str, str] = {**codes_network.CODES, **codes_node.CODES}
