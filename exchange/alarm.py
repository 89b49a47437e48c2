"""What the alarm hook may be told to do (table `[alarm]` of config.toml), and what a notice of it says.

A notice goes out over lines that others read (SMS, mail): it has a kind, a count, an age and handles that the reader's
own place answers for. No id, no subject, no sender (docs/decisions/0047). Pure: no clock, no file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from exchange.errors import Refused
from exchange.limits import MINUTE_MS, SECOND_MS
from exchange.phrases.alarm import TEXTS, TITLES
from exchange.phrases.languages import FALLBACK, LANGUAGES, say
from exchange.setting_files import NO_COMMAND, NO_FILE, Command, FileName, check_file_names

FLASH: Final = "flash"  # a node: flash messages that nobody has acknowledged
ALARM: Final = "alarm"  # a node: alarms nobody was told of
NOT_STORED: Final = "not-stored"  # a hub: flash that its recipients' nodes have not stored
NOT_STORED_OVER: Final = "not-stored-over"  # none waits for them any more
TEST: Final = "test"

COMMAND: Final = "command"
MAIL: Final = "mail"
APPRISE: Final = "apprise"

MEMBERS_NAMED: Final = 10  # in one notice; the rest is a count
NODE_SECONDS: Final = 300
HUB_SECONDS: Final = 60
_NONE, _SERIOUS, _ALL = "none", "serious", "all"
# What needs no haste, or is told elsewhere; everything else may mean that somebody has a key, or shows two logs.
_MILD: Final = frozenset(
    {
        "outbox.lost",
        "inbox.lost",
        "retention.unacknowledged",
        "node.member-suspended",
        "node.restored-here",
    }
)
_SECURITY: Final = ("starttls", "tls", "none")
_HERE: Final = ("127.0.0.1", "::1", "localhost")
MAILBOX: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}\Z")
_MOST_WORDS: Final = 32
_MOST_MAILBOXES: Final = 16


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """Table `[alarm]`: over which ways notices go (none by default), when, and in which language.

    Files are named relative to the home, and only their owner may read those with secrets (0600): `mail_login` has
    user:password in its one line, `apprise` a URL a line.
    """

    command: Command = NO_COMMAND  # a program by its whole path, and its arguments
    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    mail_server: str = ""
    mail_port: int = 587
    mail_security: str = "starttls"  # tls: from the first byte; none: only to this machine
    mail_login: FileName = NO_FILE
    mail_ca: FileName = NO_FILE  # PEM file; empty: the machine's public authorities
    apprise: FileName = NO_FILE
    language: str = FALLBACK
    flash_seconds: int = NODE_SECONDS  # how long flash may wait: here for a person, at a hub for its node
    repeat_minutes: int = (
        15  # until somebody acknowledges; at a hub, the least time between two notices on a member
    )
    alarms: str = _NONE  # which other alarms are told: none, serious, all

    @classmethod
    def from_mapping(cls, values: object, *, flash_seconds: int = NODE_SECONDS) -> Self:
        """Settings of a parsed table. Raises Refused settings.invalid, naming the setting."""
        if not isinstance(values, Mapping):
            raise _wrong("", "must be a table")
        known = {one.name: one.default for one in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise _wrong(name, "no such setting")
            if not _is_like(value, known[name]):
                raise _wrong(name, f"must be {_KINDS[type(known[name])]}")
        check_file_names(values, cls, table="alarm.")
        checked: dict[str, Any] = {"flash_seconds": flash_seconds, **values}
        for name in ("command", "mail_to"):
            checked[name] = tuple(checked.get(name, ()))
        settings = cls(**checked)
        for name, holds, why in settings._rules():
            if not holds:
                raise _wrong(name, why)
        return settings

    def to_mapping(self) -> dict[str, Any]:
        """What differs from a node's defaults, as it stands in the file."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        return {one.name: plain[one.name] for one in fields(self) if given[one.name] != one.default}

    @property
    def ways(self) -> tuple[str, ...]:
        """Over which ways notices go; none: the hook is off."""
        given = ((COMMAND, self.command), (MAIL, self.mail_to), (APPRISE, self.apprise))
        return tuple(way for way, set_to in given if set_to)

    def is_told(self, code: str) -> bool:
        """Whether an alarm of this code goes out."""
        return self.alarms == _ALL or (self.alarms == _SERIOUS and code not in _MILD)

    def _rules(self) -> Collection[tuple[str, bool, str]]:
        line = re.compile(r"[^\x00\r\n]{1,1024}\Z")
        mail = bool(self.mail_to)
        sent_from, server = self.mail_from, self.mail_server
        return (
            ("command", not self.command or self.command[0].startswith("/"), "begins with a whole path, /..."),
            ("command", len(self.command) <= _MOST_WORDS, f"at most {_MOST_WORDS} words"),
            ("command", all(line.match(one) for one in self.command), "words of 1 to 1,024 characters"),
            ("mail_to", len(self.mail_to) <= _MOST_MAILBOXES, f"at most {_MOST_MAILBOXES} addresses"),
            ("mail_to", all(MAILBOX.match(one) for one in self.mail_to), "name@host"),
            ("mail_from", bool(MAILBOX.match(sent_from)) or not (mail or sent_from), "name@host, for mail_to"),
            ("mail_server", bool(_HOST.match(server)) or not (mail or server), "a host, for mail_to"),
            ("mail_port", 0 < self.mail_port < 65_536, "1 to 65535"),
            ("mail_security", self.mail_security in _SECURITY, ", ".join(_SECURITY)),
            ("mail_security", self.mail_security != "none" or self.mail_server in _HERE, "none: only to 127.0.0.1"),
            ("language", self.language in LANGUAGES, ", ".join(LANGUAGES)),
            ("flash_seconds", 10 <= self.flash_seconds <= 86_400, "10 to 86400"),
            ("repeat_minutes", 1 <= self.repeat_minutes <= 1_440, "1 to 1440"),
            ("alarms", self.alarms in (_NONE, _SERIOUS, _ALL), f"{_NONE}, {_SERIOUS}, {_ALL}"),
        )  # fmt: skip


@dataclass(frozen=True)
class Notice:
    """What a person is told. `who`: whose home tells; `age`: of the oldest, ms; `members`: handles, a hub's only."""

    kind: str
    who: str
    count: int = 1
    age: int = 0
    members: tuple[str, ...] = ()

    def title(self, language: str) -> str:
        """A few words."""
        return say(TITLES, self.kind, language, **self._facts())

    def text(self, language: str) -> str:
        """A sentence or two."""
        return say(TEXTS, self.kind, language, **self._facts())

    def environment(self, language: str) -> dict[str, str]:
        """The same for a program."""
        return {
            "EXCHANGE_NOTICE": self.kind,
            "EXCHANGE_WHO": self.who,
            "EXCHANGE_COUNT": str(self.count),
            "EXCHANGE_SECONDS": str(max(self.age, 0) // SECOND_MS),
            "EXCHANGE_MEMBERS": " ".join(self.members),
            "EXCHANGE_TITLE": self.title(language),
            "EXCHANGE_TEXT": self.text(language),
        }

    def _facts(self) -> dict[str, object]:
        more = len(self.members) - MEMBERS_NAMED
        named = ", ".join(self.members[:MEMBERS_NAMED]) + (f" (+{more})" if more > 0 else "")
        return {
            "who": self.who,
            "count": self.count,
            "minutes": max(self.age, 0) // MINUTE_MS,
            "members": named,
        }


_KINDS: Final = {str: "a text", int: "a number", tuple: "a list of texts"}


def _is_like(value: object, default: object) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(type(one) is str for one in value)
    return type(value) is type(default)


def _wrong(name: str, why: str) -> Refused:
    return Refused("settings.invalid", f"alarm{'.' if name else ''}{name}: {why}")
