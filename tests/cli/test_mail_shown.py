"""What lists and a message on the screen say of it beside its words: a drill, its replacement, people's answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.app import run
from exchange.cli.message_view import subject_in_list
from exchange.limits import HOUR_MS
from exchange.message import Urgency
from tests.address_book import shelf
from tests.cli.arrivals import Mailbox
from tests.cli.furnished import furnished

PE, UY = "pe-csirt", "uy-csirt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished(tmp_path_factory.mktemp("shown"), shelf((PE, UY, "co-csirt")))


@pytest.fixture
def mailbox(folder: Path) -> Iterator[Mailbox]:
    box = Mailbox(folder)
    yield box
    box.store.db.close_sync()


@pytest.fixture
def node(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs `exchange node ...` on co's home: what it printed, white space made single."""
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))

    def call(*words: str) -> str:
        assert run(["node", *words, "--home", str(folder / "co")]) == 0
        return capsys.readouterr().out

    return call


def listed(node: Callable[..., str], box: str) -> dict[str, dict[str, Any]]:
    """The rows of a list, by id."""
    return {row["id"]: row for row in json.loads(node(box, "--json"))["messages"]}


def line_of(printed: str, id_: str) -> str:
    """The line of a message in a list, white space made single."""
    return next(" ".join(line.split()) for line in printed.splitlines() if line.startswith(id_[:8]))


def shown(node: Callable[..., str], id_: str) -> dict[str, Any]:
    """The message as `show --json` has it."""
    return next(iter(json.loads(node("show", id_, "--json"))["messages"]))


# -- drills -----------------------------------------------------------------------------------------------------------


def test_a_drill_is_one_in_every_list_and_in_json(node: Callable[..., str], mailbox: Mailbox) -> None:
    came = mailbox.came(PE, subject="Drill", exercise_id="EX9", urgency=Urgency.FLASH)
    went = mailbox.went(PE, subject="Drill", exercise_id="EX9")
    for box, id_ in (("inbox", came), ("outbox", went)):
        assert line_of(node(box), id_).endswith(" EXERCISE EX9: Drill")
        assert listed(node, box)[id_]["exercise"] == "EX9"
    assert shown(node, came)["exercise"] == "EX9"


def test_what_is_real_can_not_look_like_a_drill(node: Callable[..., str], mailbox: Mailbox) -> None:
    came = mailbox.came(PE, subject="EXERCISE EX9: Drill")
    assert line_of(node("inbox"), came).endswith(' "EXERCISE EX9: Drill"')
    assert (listed(node, "inbox")[came]["exercise"], shown(node, came)["exercise"]) == (None, None)


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("Ransomware", "Ransomware"),
        ("exercise EX9: x", '"exercise EX9: x"'),
        ("\u0415XERCISE EX9: x", '"\u0415XERCISE EX9: x"'),  # Cyrillic
        ("EXER\u03f9ISE EX9: x", '"EXER\u03f9ISE EX9: x"'),  # Greek
        ("\u00c9XERC|SE EX9: x", '"\u00c9XERC|SE EX9: x"'),
        ("_EXERClSE EX9: x", '"_EXERClSE EX9: x"'),
        ("Exerci\u00e7o an\u00e1lise", "Exerci\u00e7o an\u00e1lise"),
        ("EXERC", "EXERC"),
        ("\u200b [EX\u200bERCISE] x", '"\u200b [EX\u200bERCISE] x"'),
        (
            "\uff25\uff38\uff25\uff32\uff23\uff29\uff33\uff25 EX9",
            '"\uff25\uff38\uff25\uff32\uff23\uff29\uff33\uff25 EX9"',
        ),
    ],
)
def test_a_subject_that_begins_as_a_drills_is_quoted(subject: str, line: str) -> None:
    assert subject_in_list(subject, None) == line


def test_the_name_of_a_drill_leaves_room_for_its_subject() -> None:
    assert subject_in_list("Drill", "E" * 64) == f"EXERCISE {'E' * 23}\u2026: Drill"


def test_json_says_legal_status_and_what_a_message_supersedes(
    node: Callable[..., str], mailbox: Mailbox
) -> None:
    before = mailbox.came(PE)
    after = mailbox.came(PE, legal_status="formal-copy", supersedes=before)
    value = shown(node, after)
    assert (value["legal_status"], value["supersedes"], value["exercise"]) == ("formal-copy", before, None)
    text = node("show", after)
    assert f"supersedes: {before}" in " ".join(text.split())
    assert "legal status: formal-copy" in " ".join(text.split())


# -- what was replaced ------------------------------------------------------------------------------------------------


def test_what_was_replaced_says_by_what_and_by_whom(node: Callable[..., str], mailbox: Mailbox) -> None:
    before = mailbox.came(PE, subject="Wrong list")
    after = mailbox.came(PE, subject="Right list", supersedes=before)
    rows = listed(node, "inbox")
    assert (rows[before]["replaced_by"], rows[before]["supersedes"]) == (after, None)
    assert (rows[after]["replaced_by"], rows[after]["supersedes"]) == (None, before)
    assert "new replaced Wrong list" in line_of(node("inbox"), before)
    assert shown(node, before)["replaced_by"] == after
    text = node("show", before)
    assert text.splitlines()[1].startswith(f"! REPLACED by {after[:8]} of {PE}, 20")
    assert shown(node, after)["replaced_by"] is None
    assert "REPLACED" not in node("show", after)


def test_what_overtook_the_message_that_it_replaces_counts_too(
    node: Callable[..., str], mailbox: Mailbox
) -> None:
    before = mailbox.written(PE)
    after = mailbox.came(PE, supersedes=before.id, created=before.created + HOUR_MS)
    mailbox.came(PE, id=before.id, created=before.created)
    assert listed(node, "inbox")[before.id]["replaced_by"] == after
    assert shown(node, before.id)["replaced_by"] == after


@pytest.mark.parametrize("mark", ["unverified", "voided", "fork"])
def test_what_came_in_doubt_replaces_nothing(node: Callable[..., str], mailbox: Mailbox, mark: str) -> None:
    before = mailbox.came(PE)
    doubted = mailbox.came(PE, supersedes=before, marks=[mark])
    assert listed(node, "inbox")[before]["replaced_by"] is None
    assert shown(node, before)["replaced_by"] is None
    assert shown(node, doubted)["supersedes"] == before


def test_nobody_replaces_what_another_sent(node: Callable[..., str], mailbox: Mailbox) -> None:
    before = mailbox.came(PE)
    mailbox.came(UY)
    mailbox.came(UY, supersedes=before)
    assert listed(node, "inbox")[before]["replaced_by"] is None
    assert shown(node, before)["replaced_by"] is None


def test_however_a_peer_spells_it_a_message_is_replaced(node: Callable[..., str], mailbox: Mailbox) -> None:
    before = mailbox.came(PE)
    written = mailbox.written(PE, supersedes=before)
    spelt = written.bundle.replace(b'"supersedes"', b'"super\\u0073edes"')
    assert b'"supersedes"' not in spelt
    after = mailbox.came(PE, id=written.id, supersedes=before, payload=spelt)
    assert shown(node, before)["replaced_by"] == after


def test_what_can_not_be_read_replaces_nothing_and_hinders_nobody(
    node: Callable[..., str], mailbox: Mailbox
) -> None:
    before = mailbox.came(PE)
    mailbox.came(PE, payload=b'{"supersedes"')
    assert listed(node, "inbox")[before]["replaced_by"] is None


# -- people's answers -------------------------------------------------------------------------------------------------


def test_the_word_of_an_answer_is_shown_under_the_report_and_drives_no_terminal(
    node: Callable[..., str], mailbox: Mailbox
) -> None:
    sent = mailbox.went(PE, UY)
    mailbox.answered(
        sent, PE, "working", person="Andre\x1b[31m", note="Blocked 203.0.113.7\nat\x07 evil.example"
    )
    mailbox.answered(sent, UY, "acknowledged", person="Luz", note="")
    lines = node("report", sent).splitlines()
    assert lines[-1] == f'{PE}, Andre\ufffd[31m: "Blocked 203[.]0[.]113[.]7 at\ufffd evil[.]example"'
    assert sum("Luz" in line for line in lines) == 1


# -- copies of what was replaced --------------------------------------------------------------------------------------


@pytest.fixture
def own_mail(folder: Path) -> Iterator[str]:
    """A mailbox of this member's own people, to which its node may mail."""
    config = folder / "co" / "config.toml"
    before = config.read_text(encoding="utf-8")
    more = 'own_mail = ["@co.example"]\n[alarm]\nmail_from = "exchange@co.example"\n'
    config.write_text(before + more, encoding="utf-8")
    yield "ana@co.example"
    config.write_text(before, encoding="utf-8")


def copied(path: Path) -> str:
    """What was written to that file, or as a mail into that folder; nothing where neither is there."""
    if not path.is_dir():
        return path.read_text(encoding="utf-8") if path.exists() else ""
    [mail] = path.iterdir()
    body = message_from_bytes(mail.read_bytes(), policy=default).get_body()
    assert body is not None
    return str(body.get_content())


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("box", ["came", "went"])
@pytest.mark.parametrize(("verb", "is_on_it"), [("export", 0), ("print", 1), ("forward", 0), ("email", 1)])
def test_no_copy_of_what_was_replaced_is_made_unsaid(
    *,
    capsys: pytest.CaptureFixture[str],
    mailbox: Mailbox,
    folder: Path,
    tmp_path: Path,
    own_mail: str,
    box: str,
    verb: str,
    is_on_it: int,
) -> None:
    """Whoever hands on a list that was retracted is told, and so is the reader of paper or mail."""
    put, whose = (mailbox.came, PE) if box == "came" else (mailbox.went, "co-csirt")
    old = put(PE)
    new = put(PE, supersedes=old)
    to = {"forward": ["--to", UY], "email": ["--to", own_mail]}.get(verb, [])
    for id_ in (old, new):
        output = [] if verb == "forward" else ["--output", str(tmp_path / id_)]
        assert run(["node", verb, id_, *to, *output, "--home", str(folder / "co")]) == 0
        said, times = f"REPLACED by {new[:8]} of {whose}", int(id_ == old)
        assert capsys.readouterr().err.count(said) == times
        assert copied(tmp_path / id_).count(said) == times * is_on_it
