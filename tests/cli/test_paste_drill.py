"""A pasted text in a drill, and one that is given to `send`: what is sent is marked, what can't be is told the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchange.cli.app import run
from exchange.formats.stix.cover import read_message
from tests.address_book import shelf
from tests.cli.arrivals import Mailbox
from tests.cli.furnished import furnished
from tests.foreign_samples import PASTED

SEND = ("--to", "pe-csirt", "--kind", "alert", "--tlp", "green")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished(tmp_path_factory.mktemp("paste"), shelf(("pe-csirt", "co-csirt")))


@pytest.fixture
def mailbox(folder: Path) -> Iterator[Mailbox]:
    box = Mailbox(folder)
    yield box
    box.store.db.close_sync()


@pytest.fixture
def node(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        assert run(["node", *words, "--home", str(folder / "co")]) == code
        shown = capsys.readouterr()
        return shown.out, shown.err

    return call


def test_what_is_pasted_in_a_drill_goes_out_as_one(
    node: Callable[..., tuple[str, str]], mailbox: Mailbox, tmp_path: Path
) -> None:
    (tmp_path / "mail.txt").write_text(PASTED, encoding="utf-8")
    given = ("paste", str(tmp_path / "mail.txt"), "--exercise", "EX9", "--tlp", "green", "--yes")
    sent = json.loads(node(*given, "--to", "pe-csirt", "--json")[0])["sent"]
    assert read_message(mailbox.outgoing(sent).payload).exercise_id == "EX9"
    _, said = node(*given, "--draft", str(tmp_path / "draft.json"))
    assert "--kind alert --exercise EX9" in said


def test_a_plain_text_given_to_send_is_told_of_paste(
    node: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "plain.txt").write_text("see evil[.]example[.]com", encoding="utf-8")
    _, said = node("send", str(tmp_path / "plain.txt"), *SEND, code=3)
    assert "json.bad-syntax: not JSON at byte 0; indicators in a text: exchange node paste plain.txt" in said
    assert "of a plain text: exchange node paste FILE" in said


def test_what_was_to_be_json_is_not_told_of_paste(
    node: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.JSON").write_text("{", encoding="utf-8")
    _, said = node("send", str(tmp_path / "broken.JSON"), *SEND, code=3)
    assert "set aside: broken.JSON *: json.bad-syntax: not JSON at byte 1\n" in said
