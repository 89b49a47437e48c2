"""A message that was sent is replaced or retracted: what the new one says, to whom it goes, who is warned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.app import run
from exchange.formats.stix.cover import read_message
from exchange.message import MAX_SUBJECT_CHARS, Message, Urgency
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.address_book import shelf
from tests.cli.arrivals import Mailbox
from tests.cli.furnished import furnished

PE, UY, MX = "pe-csirt", "uy-csirt", "mx-csirt"
Co = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = shelf((PE, UY, "co-csirt", MX))
    return furnished(tmp_path_factory.mktemp("retract"), made, suspended=[MX])


@pytest.fixture
def mailbox(folder: Path) -> Iterator[Mailbox]:
    box = Mailbox(folder)
    yield box
    box.store.db.close_sync()


@pytest.fixture
def co(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Co:
    """Runs a command on co's home: its JSON, and what was said on stderr."""
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))

    def call(*words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        got = run([*words, "--home", str(folder / "co"), "--json"])
        out, err = capsys.readouterr()
        assert got == code, err
        return json.loads(out.splitlines()[-1]), err

    return call


def read(mailbox: Mailbox, id_: str) -> Message:
    return read_message(mailbox.outgoing(id_).payload)


def sends(co: Co, *words: str, to: str = PE, code: int = 0) -> tuple[dict[str, Any], str]:
    new = ("--to", to, "--kind", "alert", "--tlp", "green", "--subject", "The right list")
    return co("node", "send", *new, *words, code=code)


# -- node send --supersedes -------------------------------------------------------------------------------------------


def test_what_supersedes_has_case_urgency_and_exercise_of_the_old_and_names_who_keeps_that(
    co: Co, mailbox: Mailbox
) -> None:
    old = mailbox.went(PE, UY, case_id="case-7", urgency=Urgency.FLASH, exercise_id="EX9", separate=True)
    value, said = sends(co, "--supersedes", old[:8])
    new = read(mailbox, value["id"])
    assert (new.supersedes, new.case_id, new.urgency, new.exercise_id) == (old, "case-7", "flash", "EX9")
    assert (value["supersedes"], value["keeping"]) == (old, [UY])
    assert f"not sent to {UY}: {old[:8]} stays there as it is" in said
    assert mailbox.outgoing(value["id"]).separate


def test_whoever_had_not_the_old_one_gets_the_new_without_a_word(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE)
    value, said = sends(co, "--supersedes", old, to=f"{PE},{UY}")
    assert (value["to"], value["keeping"]) == ([PE, UY], [])
    assert "stays there" not in said
    assert not mailbox.outgoing(value["id"]).separate


def test_what_was_said_counts_more_than_what_the_old_one_has(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE, case_id="case-7", urgency=Urgency.FLASH)
    value, _ = sends(co, "--supersedes", old, "--case", "case-8", "--urgency", "priority")
    assert (value["case"], value["urgency"]) == ("case-8", "priority")


def test_only_what_was_sent_here_can_be_replaced_or_retracted(co: Co, mailbox: Mailbox) -> None:
    came = mailbox.came(PE)
    assert sends(co, "--supersedes", came, code=3)[0]["error"]["code"] == "message.not-sent"
    assert co("node", "retract", came, "--yes", code=3)[0]["error"]["code"] == "message.not-sent"
    assert co("node", "report", came, code=3)[0]["error"]["code"] == "message.not-sent"
    assert sends(co, "--supersedes", "ffffffff", code=3)[0]["error"]["code"] == "cli.unknown-id"


@pytest.mark.parametrize(("old", "new"), [(None, "EX9"), ("EX9", "EX8")])
def test_a_drill_replaces_nothing_real_and_no_other_drill(
    co: Co, mailbox: Mailbox, old: str | None, new: str
) -> None:
    before = mailbox.went(PE, exercise_id=old)
    refused, _ = sends(co, "--supersedes", before, "--exercise", new, code=3)
    assert refused["error"]["code"] == "message.other-exercise"


def test_what_had_been_replaced_before_is_told(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE)
    first, _ = sends(co, "--supersedes", old)
    _, said = sends(co, "--supersedes", old)
    assert f"{old[:8]} was replaced by {first['id'][:8]} before" in said


# -- node retract -----------------------------------------------------------------------------------------------------


def test_a_retraction_is_of_the_same_label_case_drill_and_addressees_and_says_so_in_its_language(
    co: Co, mailbox: Mailbox
) -> None:
    facts = {"tlp": Tlp.CLEAR, "pap": Pap.AMBER, "case_id": "case-7", "exercise_id": "EX9", "lang": "es-PE"}
    old = mailbox.went(PE, UY, urgency=Urgency.PRIORITY, separate=True, subject="Lista", **facts)
    value, said = co("node", "retract", old[:8], "--reason", "Era una prueba", "--yes")
    new = read(mailbox, value["id"])
    assert (new.kind, new.supersedes, new.subject) == ("incident-update", old, "Retirado: Lista")
    assert {name: getattr(new, name) for name in facts} == facts
    assert (new.urgency, new.reason) == ("priority", "Era una prueba")
    assert f"Este mensaje retira el mensaje {old}" in new.text
    assert mailbox.outgoing(new.id).separate
    report, _ = co("node", "report", new.id)
    assert [one["member"] for one in report["addressees"]] == [PE, UY]
    assert (value["to"], value["left_out"], value["supersedes"]) == ([PE, UY], [], old)
    assert "Retirado: Lista (TLP:CLEAR, priority, EXERCISE EX9)" in said


def test_a_long_subject_is_cut_and_an_unknown_language_is_told_in_english(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE, subject="x" * MAX_SUBJECT_CHARS, lang="de")
    new = read(mailbox, co("node", "retract", old, "--yes")[0]["id"])
    assert (new.lang, len(new.subject)) == ("de", MAX_SUBJECT_CHARS)
    assert new.subject.startswith("Retracted: x")


def test_nothing_is_retracted_without_a_yes(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE)
    refused, said = co("node", "retract", old, code=3)
    assert refused["error"]["code"] == "cli.unconfirmed"
    assert f"Retract {old[:8]} at {PE}?" in refused["error"]["detail"]
    assert "Retracted: Scanners (TLP:GREEN, routine)" in said
    assert co("node", "report", old)[0]["replaced_by"] is None


def test_whoever_may_be_sent_nothing_keeps_nobody_else_from_the_retraction(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE, MX)
    value, said = co("node", "retract", old, "--yes")
    assert value["to"] == [PE]
    assert [(one["to"], one["code"]) for one in value["left_out"]] == [(MX, "policy.suspended-clear-only")]
    assert f"not to {MX}, who keeps it: policy.suspended-clear-only" in said
    alone = mailbox.went(MX)
    refused, _ = co("node", "retract", alone, "--yes", code=3)
    assert refused["error"]["code"] == "policy.suspended-clear-only"


def test_a_retraction_goes_where_nothing_has_replaced_it_and_then_no_more(co: Co, mailbox: Mailbox) -> None:
    old = mailbox.went(PE, UY)
    corrected, _ = sends(co, "--supersedes", old, to=PE)
    first, said = co("node", "retract", old, "--yes")
    assert first["to"] == [UY]
    assert f"already replaced by {corrected['id'][:8]} at {PE}" in said
    refused, _ = co("node", "retract", old, "--yes", code=3)
    assert refused["error"]["code"] == "message.replaced"
    mailbox.ended(first["id"], UY, "lost")
    assert co("node", "retract", old, "--yes")[0]["to"] == [UY]


def test_of_a_retraction_that_is_retracted_it_is_told_that_nothing_comes_back(
    co: Co, mailbox: Mailbox
) -> None:
    first = co("node", "retract", mailbox.went(PE), "--yes")[0]["id"]
    _, said = co("node", "retract", first, "--yes")
    assert f"what {first[:8]} had replaced stays replaced" in said


def test_an_urgency_that_is_none_is_told_before_anybody_is_asked(co: Co, mailbox: Mailbox) -> None:
    refused, _ = co("node", "retract", mailbox.went(PE), "--urgency", "now", code=2)
    assert "--urgency is one of" in refused["error"]["detail"]


def test_the_outbox_and_the_report_say_what_was_replaced_by_what_and_where(
    co: Co, mailbox: Mailbox, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = mailbox.went(PE, UY, subject="Wrong list")
    new = sends(co, "--supersedes", old, to=PE)[0]["id"]
    rows = {row["id"]: row for row in co("node", "outbox")[0]["messages"]}
    assert (rows[old]["replaced_by"], rows[old]["supersedes"]) == (new, None)
    assert (rows[new]["replaced_by"], rows[new]["supersedes"]) == (None, old)
    assert [one["replaced_by"] for one in rows[old]["to"]] == [new, None]
    assert co("node", "report", new)[0]["supersedes"] == old
    for verb in (("outbox",), ("report", old), ("report", new)):
        assert run(["node", *verb, "--home", str(folder / "co")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{PE} queued replaced, {UY} queued Wrong list" in shown
    assert f"replaced by {new} at {PE}" in shown
    assert f"supersedes {old}" in shown
