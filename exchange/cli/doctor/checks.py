"""What a check of `exchange doctor` is, and how many are run at once without one holding up the others.

Owns findings and the time limit. What is looked at stands in the other doctor_ files, the words in phrases/doctor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.errors import ExchangeError, Unavailable

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
SECONDS: Final = 20.0  # for all checks together: they run beside each other


@dataclass(frozen=True)
class Finding:
    """What was found: `code` names the phrase, `facts` what is put into it. `error` stands where a check failed."""

    name: str
    state: str
    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: ExchangeError | None = None


@dataclass(frozen=True)
class Check:
    """Something to look at: its name, for when it doesn't come back, and how; it may raise ExchangeError."""

    name: str
    look: Callable[[], Sequence[Finding]]


def found(name: str, state: str, word: str, /, **facts: Any) -> Finding:
    """A finding whose phrase is `name.word`."""
    return Finding(name, state, f"{name}.{word}", facts)


def failed(name: str, error: ExchangeError) -> Finding:
    """What a check that raised found: the error itself."""
    return Finding(name, FAIL, "error", {"code": error.code, "detail": error.detail}, error)


def run(checks: Sequence[Check], *, seconds: float = SECONDS) -> list[Finding]:
    """Every finding, in the order of the checks; of one that isn't back in `seconds`, that it isn't."""
    results: list[Sequence[Finding] | None] = [None] * len(checks)

    def look(place: int, check: Check) -> None:
        try:
            results[place] = check.look()
        except ExchangeError as error:
            results[place] = [failed(check.name, error)]

    # Daemons: one that hangs in the kernel (a dead network disk) must not keep the command from ending.
    threads = [
        threading.Thread(target=look, args=one, name=one[1].name, daemon=True) for one in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    findings: list[Finding] = []
    for thread, check, result in zip(threads, checks, results, strict=True):
        if thread.is_alive():
            findings.append(Finding(check.name, FAIL, "late", {"seconds": int(seconds)}))
        elif result is None:  # it broke off, which is no sign that all is well; stderr has the traceback
            findings.append(failed(check.name, Unavailable("internal.error")))
        else:
            findings += result
    return findings
