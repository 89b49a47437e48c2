"""The secretariat's commands, and asking it, on homes whose hub nobody can reach: what is printed and what queued."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.canonical import b64
from exchange.cli.app import run
from exchange.directory.bodies_network import build_policy
from exchange.formats.stix.cover import read_message
from exchange.limits import DAY_MS
from exchange.message import Kind, Message, Urgency
from exchange.node.app import real_sources
from exchange.node.directory.membership import CONFIRMED
from exchange.node.home import create, open_home
from exchange.node.identity import Identity
from exchange.node.mail.desk import Desk
from exchange.node.mail.writing import Writer
from exchange.node.store import directory as store_directory, inbox as store_inbox
from exchange.node.store.inbox import Received
from exchange.node.store.store import Store, set_fact
from exchange.phrases.letters import Letter
from exchange.storage.unlock import Unlock, create_key_file
from tests.contact_points import BOTH, NPC, TRACING, Country
from tests.worlds import MEMBERS, keys, make_world

CLOSED = "https://127.0.0.1:9"  # nobody listens there
SECRETARIAT = "co-csirt"
PURPOSE = "Whose is the pistol"
Exchange = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def country() -> Country:
    """Peru's contacts are 400 days old; Colombia's CSIRT is the secretariat."""
    now = time.time_ns() // 1_000_000
    country = Country(make_world(now=now - 400 * DAY_MS))
    country.npc()
    country.log(country.contact_body(TRACING), NPC, "pe-csirt")
    country.log(
        build_policy(
            net=country.world.net,
            officers=2,
            sponsors=2,
            secretariat=SECRETARIAT,
            agreement=b"",
            after=country.after("network", "policy"),
            not_after=now,
        ),
        *BOTH,
        *MEMBERS,
    )
    return country


class Home:
    """A member's home that holds the log, and the command `exchange` on it."""

    def __init__(self, folder: Path, country: Country, member: str, call: Exchange) -> None:
        self.member, self.country, self.call = member, country, call
        self.path = folder / member
        self.unlock = Unlock.key_file(folder / "key")
        create(self.path, member, self.unlock, real_sources())
        net = country.world.net
        lines = {"member": member, "hub": CLOSED, "net": b64(net)}
        config = "".join(f'{name} = "{text}"\n' for name, text in lines.items())
        (self.path / "config.toml").write_text(config)
        self.write(self._furnish)

    def _furnish(self, connection: Any, _store: Store) -> None:
        world = self.country.world
        checkpoint = world.checkpoint
        for index, leaf in enumerate(world.leaves):
            store_directory.add_leaf(connection, index, leaf, "")
        digest = checkpoint.hash(world.net)
        store_directory.add_checkpoint(connection, digest, checkpoint, checkpoint.claim(world.net))
        set_fact(connection, CONFIRMED, 1)

    def write(self, change: Callable[[Any, Store], None]) -> None:
        store = open_home(self.path, self.unlock).open_store(owner=True)
        asyncio.run(store.db.write(lambda c: change(c, store)))
        store.db.close_sync()

    def receive(self, sender: str, kind: Kind, **fields: Any) -> str:
        """As if `sender` had written; the message's id."""
        identity = Identity(self.country.world.net, sender, keys(sender))
        writer = Writer(self.country.directory, identity, real_sources())
        letter = Letter("en", "A subject", "")
        message = writer.message(kind, letter, urgency=Urgency.PRIORITY, **fields)
        received = Received(
            n=0,
            sender=sender,
            message_id=message.id,
            type="stix",
            lane=message.lane,
            created=message.created,
            expires=message.expires,
            received_at=message.created,
            marks=frozenset(),
            conflict=False,
            env=f"{sender} {message.id}".encode()[:32],
            payload=message.payload,
            summary={"kind": kind.value, "case": read_message(message.payload).case_id},
        )
        self.write(lambda c, store: store_inbox.add(c, store.cipher, [(received, bytes(32))]))
        return message.id

    def outbox(self) -> list[Message]:
        """What is queued, newest first."""
        store = open_home(self.path, self.unlock).open_store(owner=True)
        try:
            desk = Desk(store, real_sources(), who="a test")
            return [read_message(desk.sent(one.message.id).message.payload) for one in desk.outbox()]
        finally:
            store.db.close_sync()

    def __call__(self, *words: str, code: int = 0) -> Any:
        return self.call("directory", *words, "--home", str(self.path), code=code)


@pytest.fixture
def home(
    tmp_path: Path, country: Country, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Home]:
    create_key_file(tmp_path / "key")
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(tmp_path / "key"))
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, code: int) -> Any:
        assert run([*words, "--json"]) == code
        value = json.loads(capsys.readouterr().out)
        return value if value["ok"] else value["error"]["code"]

    return lambda member: Home(tmp_path, country, member, call)


def test_standing_shows_every_member_and_what_is_due_here(home: Callable[[str], Home]) -> None:
    shown = home("pe-csirt")("standing")
    assert [(one["member"], one["percent"], one["lapsed"]) for one in shown["members"]] == [
        ("bb-csirt", 100, 0),
        ("co-csirt", 100, 0),
        ("pe-csirt", 0, 2),
    ]
    assert [one["contact"] for one in shown["due"]] == [NPC, TRACING]
    assert shown["next"] == "exchange directory contact confirm --all"
    assert home("bb-csirt")("standing")["due"] == []


def test_letter_is_written_for_countries_whose_contacts_lapsed(home: Callable[[str], Home]) -> None:
    secretariat = home(SECRETARIAT)
    shown = secretariat("letter", "pe", "--lang", "es")
    assert shown["letter"].splitlines()[1] == "A la Misión Permanente de PE"
    assert f"- contacto operativo de rastreo ({TRACING}), última confirmación" in shown["letter"]
    assert secretariat("letter", "BB")["letter"] == ""


def test_asking_queues_a_request_to_the_secretariat(home: Callable[[str], Home]) -> None:
    bb = home("bb-csirt")
    words = ("--country", "pe", "--topic", "firearms", "--purpose", PURPOSE, "--reply-by", "2d")
    shown = bb("ask", *words)
    assert shown["to"] == SECRETARIAT
    (request,) = bb.outbox()
    assert (request.id, request.country, request.topic, request.question) == (
        shown["id"],
        "PE",
        "firearms",
        PURPOSE,
    )
    assert home(SECRETARIAT)("ask", *words, code=3) == "policy.self-only"


def test_third_side_is_asked_without_a_word_of_the_requesters(home: Callable[[str], Home]) -> None:
    secretariat = home(SECRETARIAT)
    reply_by = real_sources().clock() + DAY_MS
    fields = {"country": "PE", "topic": "firearms", "question": PURPOSE, "reply_by": reply_by}
    request = secretariat.receive("bb-csirt", Kind.COUNTERPART_REQUEST, case="BB-0077", **fields)
    (listed,) = secretariat("requests")["requests"]
    assert (listed["id"], listed["from"], listed["state"], listed["overdue"]) == (
        request,
        "bb-csirt",
        "open",
        False,
    )
    shown = secretariat("introduce", request[:8], "--ask", TRACING, "--ask", "pe-csirt")
    assert [one["contact"] for one in shown["asked"]] == [TRACING, "pe-csirt"]
    for question in secretariat.outbox():
        assert question.kind == Kind.COUNTERPART_REQUEST
        for secret in (b"bb-csirt", b"BB-0077", PURPOSE.encode(), request.encode()):
            assert secret not in question.bundle
    again = secretariat("requests")
    assert [ask["contact"] for ask in again["requests"][0]["asked"]] == [TRACING, "pe-csirt"]
    assert sum(again["years"].values()) == 1
    assert secretariat("introduce", request[:8], "--ask", "pe-csirt/nobody", code=3) == "contact.unknown"
    assert secretariat("introduce", request[:8], "--ask", "bb-csirt", code=3) == "counterpart.same-side"


def test_third_side_accepts_or_declines_with_one_command(home: Callable[[str], Home]) -> None:
    pe = home("pe-csirt")
    reply_by = real_sources().clock() + DAY_MS
    fields = {"country": "PE", "topic": "firearms", "question": "May we?", "reply_by": reply_by}
    asked = pe.receive(SECRETARIAT, Kind.COUNTERPART_REQUEST, **fields)
    pe.receive("bb-csirt", Kind.COUNTERPART_REQUEST, message_id=asked, **fields)  # another under the same id
    pe("accept", asked[:8])
    pe("decline", asked[:8], "--reason", "a court must ask")
    declined, accepted = pe.outbox()
    assert (accepted.in_reply_to, accepted.outcome) == (asked, "full")
    assert (declined.in_reply_to, declined.outcome, declined.reason) == (
        asked,
        "declined",
        "a court must ask",
    )
    other = pe.receive("bb-csirt", Kind.COUNTERPART_REQUEST, **fields)
    assert pe("accept", other[:8], code=3) == "counterpart.no-question"


def test_ping_is_queued_to_where_the_contact_reads(home: Callable[[str], Home]) -> None:
    secretariat = home(SECRETARIAT)
    shown = secretariat("ping", TRACING, "--urgency", "flash")
    assert (shown["to"], shown["urgency"]) == ("pe-csirt", "flash")
    (message,) = secretariat.outbox()
    assert (message.contacts, message.urgency) == ((TRACING,), Urgency.FLASH)
    assert secretariat("test", TRACING, code=3) == "secretariat.ping-open"
    assert secretariat("test", NPC, code=3) == "secretariat.no-ping"
    assert secretariat("test", TRACING, "--result", "ok", "--minutes", "7", code=5) == "hub.unreachable"


@pytest.mark.parametrize(
    "words", [("ping", TRACING), ("test", TRACING), ("requests",), ("introduce", "0f0f0f0f", "--ask", NPC)]
)
def test_others_are_told_that_this_is_the_secretariats(
    home: Callable[[str], Home], words: tuple[str, ...]
) -> None:
    assert home("pe-csirt")(*words, code=4) == "secretariat.other"
