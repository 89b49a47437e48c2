"""What a door can't carry is said: files beside a message, the exercise of an advisory, the AS of what was observed."""

from __future__ import annotations

import json
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from exchange.cli.app import run
from exchange.cli.left_behind import lines_of_copy, losses_of, text_handing_on
from exchange.formats.stix.cover import compose
from exchange.formats.stix.read import read_object
from exchange.message import MAX_TEXT_CHARS, Author, Draft, Message, Urgency
from exchange.node.doors.doors import Passed
from exchange.tlp import Tlp
from tests.address_book import shelf
from tests.cli.furnished import furnished
from tests.foreign_samples import OPEN_RDP, advisory_file
from tests.stix_samples import SOMEBODY, bundle_of

NOW: Final = 1_793_000_000_000
COPIED: Final = "Attachments that are not in this copy: 2. Ask co-csirt for them."
HANDED_ON: Final = "Attachments of the message handed on that did not come along: 2. Ask co-csirt for them."


OF_WATER: Final = {
    "type": "ipv4-addr",
    "spec_version": "2.1",
    "id": "ipv4-addr--00000001-0000-4000-8000-000000000000",
    "value": "198.51.100.9",
}


def passed(attachments: int, **more: Any) -> Passed:
    draft = Draft(
        id="0f0f0f0f-0000-4000-8000-000000000001",
        kind="alert",
        case_id="pe-1",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.GREEN,
        subject="Seen",
        created=NOW,
    )
    author = Author(id=SOMEBODY["id"], name="pe-csirt", created=NOW)
    message: Message = compose(replace(draft, **more), author, [read_object(orjson.dumps(SOMEBODY))])
    return Passed(message, "pe-csirt", NOW, None, attachments=attachments)


def test_a_loss_counts_the_attachments_and_says_how_to_get_them() -> None:
    assert losses_of(passed(0)) == ()
    (one,) = losses_of(passed(1))
    assert (one.place, one.what) == ("message", "1 attachment")
    (two,) = losses_of(passed(2))
    assert two.what == "2 attachments"
    assert "exchange node attachment list 0f0f0f0f" in two.why


@pytest.mark.parametrize(
    ("lang", "copied", "handed_on"),
    [
        ("en", "Attachments that are not", "Attachments of the message"),
        ("es-PE", "Adjuntos que no están en esta copia", "Adjuntos del mensaje reenviado"),
        ("pt", "Anexos que não estão nesta cópia", "Anexos da mensagem reencaminhada"),
        ("fr", "Pièces jointes absentes de cette copie", "Pièces jointes du message transmis"),
        ("qu", "Attachments that are not", "Attachments of the message"),
    ],
)
def test_what_stays_behind_is_said_in_the_language_of_the_message(
    lang: str, copied: str, handed_on: str
) -> None:
    one = passed(3, lang=lang)
    lines = lines_of_copy(["TLP:GREEN", "text", "TLP:GREEN"], one, "co-csirt")
    assert lines[:2] == ["TLP:GREEN", "text"]
    assert lines[-1] == "TLP:GREEN"  # the label stays last
    assert lines[-2].startswith(copied)
    onward = text_handing_on("Look", one, "co-csirt")
    assert onward.startswith(f"Look\n\n{handed_on}")
    for said in (lines[-2], onward):
        assert "3" in said
        assert "co-csirt" in said


def test_without_attachments_and_without_room_nothing_is_added() -> None:
    lines, full = ["TLP:GREEN", "TLP:GREEN"], "x" * (MAX_TEXT_CHARS - 10)
    assert lines_of_copy(lines, passed(0), "co-csirt") == lines
    assert text_handing_on("Look", passed(0), "co-csirt") == "Look"
    assert text_handing_on("", passed(2), "co-csirt") == HANDED_ON
    assert text_handing_on(full, passed(2), "co-csirt") == full


# -- as commands ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = shelf(("pe-csirt", "uy-csirt", "co-csirt"))
    made.claim("pe-csirt", prefix=["203.0.113.0/24"])
    return furnished(tmp_path_factory.mktemp("left"), made)


@pytest.fixture
def co(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command on co's home: its JSON, and what was said on stderr."""
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))

    def call(*words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        assert run([*words, "--home", str(folder / "co"), "--json"]) == code, capsys.readouterr().err
        shown = capsys.readouterr()
        return json.loads(shown.out.splitlines()[-1]), shown.err

    return call


def sent(co: Any, *words: str) -> str:
    """The id of a message of co's to pe."""
    facts = ("--to", "pe-csirt", "--kind", "alert", "--subject", "Seen", "--yes", "--quiet")
    return str(co("node", "send", *words, *facts)[0]["id"])


def with_two(co: Any, tmp_path: Path, *words: str) -> str:
    """The id of such a message with two files beside it."""
    for name in ("one.bin", "two.bin"):
        (tmp_path / name).write_bytes(name.encode())
    attached = [word for name in ("one.bin", "two.bin") for word in ("--attach", str(tmp_path / name))]
    return sent(co, *words, *attached)


def lost(value: dict[str, Any]) -> list[str]:
    return [each["what"] for each in value["losses"]]


def as_text(co: Any, tmp_path: Path, id_: str) -> str:
    co("node", "export", id_, "--format", "text", "--output", str(tmp_path / "told.txt"))
    return (tmp_path / "told.txt").read_text()


@pytest.mark.parametrize("name", ["stix", "text", "misp", "csv"])
def test_an_export_in_any_format_names_the_attachments(co: Any, tmp_path: Path, name: str) -> None:
    id_ = with_two(co, tmp_path, "--tlp", "green")
    value, said = co("node", "export", id_, "--format", name, "--output", str(tmp_path / "out"))
    assert "2 attachments" in lost(value)
    assert "not carried: message: 2 attachments: " in said
    assert f"exchange node attachment list {id_[:8]}" in said
    plain = sent(co, "--tlp", "green", "--text", "Nothing beside it")
    value, said = co("node", "export", plain, "--format", name, "--output", str(tmp_path / "plain"))
    assert "attachment" not in said
    assert not [each for each in lost(value) if "attachment" in each]


def test_paper_says_what_is_not_on_it(co: Any, tmp_path: Path) -> None:
    id_ = with_two(co, tmp_path, "--tlp", "green")
    value, said = co("node", "print", id_, "--output", str(tmp_path / "page.txt"))
    assert lost(value) == ["2 attachments"]
    assert "not carried: message: 2 attachments: " in said
    assert COPIED in (tmp_path / "page.txt").read_text().splitlines()
    plain = sent(co, "--tlp", "green")
    assert co("node", "print", plain, "--output", str(tmp_path / "plain.txt"))[0]["losses"] == []
    assert "Attachments" not in (tmp_path / "plain.txt").read_text()


def test_a_mail_says_what_is_not_in_it(co: Any, folder: Path, tmp_path: Path) -> None:
    config = folder / "co" / "config.toml"
    before = config.read_text()
    config.write_text(f'{before}own_mail = ["@co.example"]\n[alarm]\nmail_from = "exchange@co.example"\n')
    try:
        id_ = with_two(co, tmp_path, "--tlp", "green", "--lang", "pt")
        words = ("--to", "ana@co.example", "--output", str(tmp_path / "mails"))
        value, said = co("node", "email", id_, *words)
    finally:
        config.write_text(before)
    mail = message_from_bytes(Path(value["files"][0]).read_bytes(), policy=default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body()
    assert body is not None
    assert "Anexos que não estão nesta cópia: 2. Peça-os a co-csirt." in body.get_content().splitlines()
    assert lost(value) == ["2 attachments"]
    assert "not carried: message: 2 attachments: " in said


def test_who_hands_on_is_warned_and_who_gets_it_is_told(co: Any, tmp_path: Path) -> None:
    id_ = with_two(co, tmp_path, "--tlp", "green")
    value, said = co("node", "forward", id_, "--to", "uy-csirt", "--text", "For you", "--quiet")
    assert "not handed on: 2 attachments; save what is to go, and send it with --attach" in said
    assert lost(value) == ["2 attachments"]
    assert f"For you\n\n{HANDED_ON}\n" in as_text(co, tmp_path, value["id"])
    plain = sent(co, "--tlp", "green")
    value, said = co("node", "forward", plain, "--to", "uy-csirt", "--text", "For you", "--quiet")
    assert "attachment" not in said
    assert value["losses"] == []
    assert "Attachments" not in as_text(co, tmp_path, value["id"])


def test_an_extract_names_the_attachments_to_whoever_makes_it(co: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    seen.write_bytes(bundle_of(OF_WATER))
    id_ = with_two(co, tmp_path, str(seen), "--tlp", "green")
    words = ("--for", "Water works", "--assets", "198.51.100.0/24", "--output", str(tmp_path / "out.json"))
    value, said = co("node", "extract", id_, *words)
    assert lost(value) == ["2 attachments"]
    assert "not carried: message: 2 attachments: " in said
    assert "attachment" not in (tmp_path / "out.json").read_text()


def test_an_advisory_in_an_exercise_is_said_to_be_one(co: Any, tmp_path: Path) -> None:
    path = tmp_path / "advisory.json"
    path.write_bytes(advisory_file())
    words = ("--format", "csaf", "--output", str(tmp_path / "again.json"), "--quiet")
    drill = sent(co, str(path), "--tlp", "green", "--exercise", "EX9")
    value, said = co("node", "export", drill, *words, "--exercise")
    assert "of exercise EX9, which the file doesn't say" in said
    assert "exercise_id" in lost(value)[0].split(", ")
    real = sent(co, str(path), "--tlp", "green")
    value, said = co("node", "export", real, *words)
    assert "exercise" not in said
    assert "exercise_id" not in lost(value)[0]


def test_an_extract_of_observations_names_the_as_they_refer_to_and_lets_it_go(
    co: Any, tmp_path: Path
) -> None:
    report = tmp_path / "2026-11-20-scan_rdp-peru-geo.csv"
    report.write_bytes(OPEN_RDP)
    value, _ = co("node", "shadowserver", str(report), "--send", "--tlp", "green", "--yes", "--quiet")
    (id_,) = [each["id"] for each in value["sent"]]
    words = ("--for", "pe-csirt", "--output", str(tmp_path / "out.json"))
    value, said = co("node", "extract", id_, *words, code=3)
    assert value["error"]["code"] == "release.nothing-theirs"
    assert "--also" in value["error"]["hint"]
    assert "the AS of a prefix" in value["error"]["hint"]
    assert "it refers to AS64496, which isn't among those assets: --also AS64496 lets it go" in said
    value, said = co("node", "extract", id_, *words, "--also", "AS64496")
    assert value["objects"] > 2
    assert "AS64496" not in said
