"""How long a node keeps what, in days: the defaults, what config.toml may say, and which rule counts for a message.

The strictest rule that applies wins, which is the shortest. A content's own `expires` isn't one: it says until when a
message is worth delivering. What is erased, and what a legal hold stops, is node/retention.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.tlp import DEFAULT, Tlp, parse

MAX_DAYS: Final = 36_500
MAX_KINDS: Final = 64
ASKED: Final = "asked"  # the rule of what a person erased
CONTROL: Final = "control"  # ... of what nodes tell each other
_KINDS: Final = {"contact-verification": 180, "counterpart-request": 365, "introduction": 365}


@dataclass(frozen=True)
class Label:
    """What the rules look at in a message: its kind, its label, its case, whether it belongs to an exercise."""

    kind: str = ""
    tlp: Tlp = DEFAULT
    case: str = ""
    exercise: bool = False

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        """From what lists show of a message (node/mail/inbox.py); a newer version's may lack everything."""
        return cls(
            kind=summary.get("kind") or "",
            tlp=parse(summary["tlp"]) if summary.get("tlp") else DEFAULT,
            case=summary.get("case") or "",
            exercise=bool(summary.get("exercise")),
        )

    def summary(self) -> dict[str, Any]:
        """The same words, for `of`."""
        return {"kind": self.kind, "tlp": self.tlp.label, "case": self.case, "exercise": self.exercise}


@dataclass(frozen=True)
class Rule:
    """A rule that counts for something: its name, and how many days it gives."""

    name: str
    days: int

    @property
    def ms(self) -> int:
        """The days in ms."""
        return self.days * DAY_MS


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """Table `[retention]` of a node's config.toml: days since a message came, or was sent. `kinds`: of single kinds.

    `sent_at_least` is a floor for what this node sent, counted from the last receipt: a peer that was restored from an
    old copy can ask for it again so long (docs/protocol.md §6.4). `control`: what nodes tell each other, and evidence
    that belongs to no message.
    """

    clear: int = 1_825
    green: int = 1_825
    amber: int = 1_095
    amber_strict: int = 730
    red: int = 90
    exercise: int = 90
    control: int = 90
    quarantine: int = 180
    alarms: int = 365
    access_log: int = 1_825
    sent_at_least: int = 90
    kinds: Mapping[str, int] = field(default_factory=lambda: dict(_KINDS))

    @classmethod
    def from_mapping(cls, values: object) -> Self:
        """The table as parsed; what it leaves out has its default. Raises Refused settings.invalid."""
        if not isinstance(values, Mapping):
            raise Refused("settings.invalid", "retention: must be a table")
        known = {one.name for one in fields(cls)}
        for name in values:
            if name not in known:
                raise Refused("settings.invalid", f"retention.{name}: no such setting")
        kinds = values.get("kinds", {})
        if not isinstance(kinds, Mapping) or len(kinds) > MAX_KINDS:
            raise Refused("settings.invalid", f"retention.kinds: a table of at most {MAX_KINDS} kinds")
        days = {name: _days(name, value) for name, value in values.items() if name != "kinds"}
        return cls(
            **days, kinds=_KINDS | {kind: _days(f"kinds.{kind}", value) for kind, value in kinds.items()}
        )

    def to_mapping(self) -> dict[str, int | dict[str, int]]:
        """What differs from the defaults, for config.toml; tables last."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "kinds"}
        told: dict[str, int | dict[str, int]] = {
            name: value for name, value in plain.items() if value != getattr(DEFAULTS, name)
        }
        kinds = {kind: days for kind, days in self.kinds.items() if _KINDS.get(kind) != days}
        return told | ({"kinds": kinds} if kinds else {})

    def rules(self) -> list[Rule]:
        """All of them, in the order of the table, as people read them."""
        plain = [Rule(one.name, getattr(self, one.name)) for one in fields(self) if one.name != "kinds"]
        return [*plain, *(Rule(f"kinds.{kind}", days) for kind, days in sorted(self.kinds.items()))]

    def rule_for(self, label: Label) -> Rule:
        """The strictest rule for a message with that label."""
        name = label.tlp.name.lower()
        found = [Rule(name, getattr(self, name))]
        if label.kind in self.kinds:
            found.append(Rule(f"kinds.{label.kind}", self.kinds[label.kind]))
        if label.exercise:
            found.append(Rule("exercise", self.exercise))
        return min(found, key=lambda one: one.days)


DEFAULTS: Final = RetentionPolicy()


def _days(name: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_DAYS:
        raise Refused("settings.invalid", f"retention.{name}: days, an integer 1..{MAX_DAYS}")
    return value
