"""Pasted text and Shadowserver's reports as commands: what is shown, what is asked, what is written and sent."""

from __future__ import annotations

import io
import json
import stat
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.cli.app import run
from exchange.cli.node import shadowserver
from exchange.directory.owners import Owners
from exchange.formats.registry import load
from exchange.formats.shadowserver import grouped
from exchange.formats.stix.permissions import pap_of_all
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.address_book import shelf
from tests.cli.furnished import furnished
from tests.foreign_samples import OPEN_RDP, PASTED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = shelf(("pe-csirt", "uy-csirt", "co-csirt", "mx-csirt"))
    made.claim("pe-csirt", prefix=["203.0.113.0/24"])
    made.claim("uy-csirt", prefix=["198.51.100.0/24"])
    made.claim("co-csirt", prefix=["192.0.2.0/24"])
    made.claim("mx-csirt", prefix=["203.0.114.0/24"])
    return furnished(tmp_path_factory.mktemp("foreign"), made, suspended=["mx-csirt"])


@pytest.fixture
def co(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        assert run([*words, "--home", str(folder / "co")]) == code
        shown = capsys.readouterr()
        return shown.out, shown.err

    return call


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "mail.txt"
    path.write_text(PASTED, encoding="utf-8")
    return path


@pytest.fixture
def rdp(tmp_path: Path) -> Path:
    path = tmp_path / "2026-11-20-scan_rdp-peru-geo.csv"
    path.write_bytes(OPEN_RDP)
    return path


# -- paste ------------------------------------------------------------------------------------------------------------


def test_a_paste_is_shown_harmless_with_its_doubts_and_nothing_is_done(co: Any, mail: Path) -> None:
    out, err = co("node", "paste", str(mail))
    assert "hxxp://evil[.]example[.]com/a/b[.]php?x=1" in out
    assert "http://evil" not in out
    (row,) = [line for line in out.splitlines() if "readme[.]md" in line]
    assert row.split()[:3] == ["5", "no", "domain"]
    assert "may be the name of a file" in row
    assert "--draft FILE" in err
    assert [path.name for path in mail.parent.iterdir()] == ["mail.txt"]


def test_rows_are_excluded_and_included_and_the_draft_is_what_send_reads(co: Any, mail: Path) -> None:
    draft = mail.with_name("draft.json")
    rows = ("--exclude", "2-4", "--include", "13", "--tlp", "green")
    value = json.loads(co("node", "paste", str(mail), "--draft", str(draft), "--yes", *rows, "--json")[0])
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert (value["taken"], value["draft"]) == (8, str(draft))
    loaded = load(draft.name, draft.read_bytes())
    assert (len(loaded.accepted), loaded.set_aside) == (8, ())
    assert {each.tlp for each in loaded.accepted} == {Tlp.GREEN}
    patterns = [orjson.loads(each.data).get("pattern", "") for each in loaded.accepted]
    assert "[autonomous-system:number = 64496]" in patterns
    assert not any("203.0.113.7" in pattern for pattern in patterns)


def test_without_a_yes_nothing_is_written(co: Any, mail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PASTED.encode())))
    draft = mail.with_name("draft.json")
    _, err = co("node", "paste", "-", "--draft", str(draft), code=3)
    assert "cli.unconfirmed" in err
    assert not draft.exists()


def test_a_paste_from_standard_input(co: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"see evil[.]example[.]com")))
    value = json.loads(co("node", "paste", "--json")[0])
    assert [row["value"] for row in value["found"]] == ["evil.example.com"]


@pytest.mark.parametrize(
    "words",
    [
        ("--exclude", "0"),
        ("--exclude", "99"),
        ("--include", "x"),
        ("--exclude", "3-1"),
        ("--exclude", "9" * 5000),
    ],
)
def test_rows_that_are_not_there_are_a_mistake(co: Any, mail: Path, words: tuple[str, str]) -> None:
    assert "cli.usage" in co("node", "paste", str(mail), *words, code=2)[1]


def test_a_paste_is_sent_at_once(co: Any, mail: Path) -> None:
    words = ("--to", "pe-csirt", "--tlp", "green", "--subject", "Campaign", "--yes", "--quiet", "--json")
    value = json.loads(co("node", "paste", str(mail), *words)[0])
    report = json.loads(co("node", "report", value["sent"], "--json")[0])
    assert report["addressees"][0]["member"] == "pe-csirt"


def test_a_text_without_indicators_has_nothing_to_send(co: Any, tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("Nothing to see here.", encoding="utf-8")
    assert "no indicators found" in co("node", "paste", str(path))[0]
    assert "cli.nothing-to-send" in co("node", "paste", str(path), "--to", "pe-csirt", "--yes", code=3)[1]


def labelled(mail: Path, words: str) -> Path:
    mail.write_text(f"Dear all,\n{words}\n{PASTED}", encoding="utf-8")
    return mail


def test_label_in_a_pasted_text_is_held_to_and_told_before_anything_is_asked(co: Any, mail: Path) -> None:
    labelled(mail, "TLP:RED - do not share; PAP: amber")
    out, err = co("node", "paste", str(mail), "--tlp", "green", "--quiet", "--json")
    value = json.loads(out)
    assert (value["tlp"], value["pap"]) == ("TLP:RED", "PAP:AMBER")
    assert [(each["place"], each["what"]) for each in value["doubts"]] == [
        ("line 2", "TLP:RED"),
        ("line 2", "PAP:AMBER"),
    ]
    assert "doubtful: mail.txt line 2: TLP:RED: it is said there" in err
    draft = mail.with_name("draft.json")
    _, err = co("node", "paste", str(mail), "--draft", str(draft), "--tlp", "green", code=3)
    assert err.index("line 2: TLP:RED") < err.index("cli.unconfirmed")
    assert "TLP:RED?" in err
    co("node", "paste", str(mail), "--draft", str(draft), "--yes")
    loaded = load(draft.name, draft.read_bytes())
    assert {each.tlp for each in loaded.accepted} == {Tlp.RED}
    assert {pap_of_all([orjson.loads(each.data)]) for each in loaded.accepted} == {Pap.AMBER}


def test_pasted_text_for_named_persons_goes_to_nobody_else(co: Any, mail: Path) -> None:
    labelled(mail, "TLP:RED - do not share")
    _, err = co("node", "paste", str(mail), "--to", "pe-csirt", "--tlp", "green", code=3)
    assert "error: tlp.red-needs-persons" in err  # before the question, which nobody is there to answer
    assert err.index("line 2: TLP:RED") < err.index("error:")
    co("node", "paste", str(mail), "--to", "pe-csirt", "--yes", code=3)


def test_pasted_text_that_names_a_weaker_label_changes_nothing(
    co: Any, mail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled(mail, 'They said "TLP:CLEAR", and on Monday TLP:GREEN.')
    value = json.loads(co("node", "paste", str(mail), "--tlp", "green", "--json")[0])
    assert (value["tlp"], value["pap"], value["doubts"]) == ("TLP:GREEN", None, [])
    assert json.loads(co("node", "paste", str(mail), "--json")[0])["tlp"] == "TLP:AMBER+STRICT"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mail.read_bytes())))
    out, err = co("node", "paste", "-", "--tlp", "clear", "--to", "pe-csirt", "--yes", "--json")
    assert json.loads(out)["tlp"] == "TLP:GREEN"
    assert "doubtful: line 2: TLP:GREEN" in err
    outbox = json.loads(co("node", "outbox", "--json")[0])
    assert "TLP:GREEN" in str(outbox)


def test_list_with_a_label_above_it_is_sent_as_strictly_or_not_at_all(co: Any, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    words = ("node", "send", str(path), "--to", "pe-csirt", "--kind", "alert", "--tlp", "clear", "--json")
    path.write_text("# TLP:RED internal only\n203.0.113.7\n", encoding="utf-8")
    _, err = co(*words, "--columns", "value=1", code=3)
    assert "error: tlp.red-needs-persons" in err
    assert "doubtful: list.csv line 1: TLP:RED: it is said there" in err
    path.write_text("# TLP:GREEN\nip,tlp\n203.0.113.7,clear\n", encoding="utf-8")
    out, err = co(*words)
    value = json.loads(out)
    assert value["tlp"] == "TLP:GREEN"
    assert [(each["file"], each["place"], each["what"]) for each in value["doubts"]] == [
        ("list.csv", "line 1", "TLP:GREEN")
    ]
    assert [each["place"] for each in value["losses"]] == ["line 1"]
    assert "doubtful: list.csv line 1" in err


# -- Shadowserver -----------------------------------------------------------------------------------------------------


def test_a_report_is_sorted_by_owner_and_what_goes_nowhere_is_listed(co: Any, rdp: Path) -> None:
    out, err = co("node", "shadowserver", str(rdp))
    lines = out.splitlines()
    assert lines[1].split() == ["pe-csirt", "2", "2", "2", "high"]
    assert lines[2].split() == ["uy-csirt", "1", "1", "1", "medium"]
    assert "not sent, nobody in the directory claims the address: 1 rows" in out
    assert "  2001:db8::9  AS64511  BR" in out
    assert "not sent, this member's own: 1 rows" in out
    assert "line 7: the timestamp is no date and time" in out
    assert "--drafts FOLDER" in err


def test_each_owner_gets_a_draft_of_its_own_rows(co: Any, rdp: Path) -> None:
    folder = rdp.parent / "drafts"
    value = json.loads(co("node", "shadowserver", str(rdp), "--drafts", str(folder), "--json", "--quiet")[0])
    assert {path.name for path in folder.iterdir()} == {
        "pe-csirt-2026-11-20-scan_rdp-peru-geo.json",
        "uy-csirt-2026-11-20-scan_rdp-peru-geo.json",
    }
    for one in value["drafts"]:
        data = Path(one["file"]).read_bytes()
        assert (b"203.0.113." in data) == (one["to"] == "pe-csirt")
        assert (b"198.51.100." in data) == (one["to"] == "uy-csirt")
        assert b"192.0.2." not in data
        assert b"2001:db8::9" not in data
        loaded = load(one["file"], data)
        assert loaded.set_aside == ()
        assert {each.tlp for each in loaded.accepted} == {Tlp.AMBER, Tlp.CLEAR}
    assert [one["address"] for one in value["not_sent"]] == ["2001:db8::9", "192.0.2.77"]
    assert "cli.bad-file" in co("node", "shadowserver", str(rdp), "--drafts", str(folder), code=3)[1]


def test_each_owner_is_sent_its_rows(co: Any, rdp: Path) -> None:
    words = ("--send", "--tlp", "green", "--yes", "--json", "--quiet")
    value = json.loads(co("node", "shadowserver", str(rdp), *words)[0])
    assert [(one["to"], one["subject"]) for one in value["sent"]] == [
        ("pe-csirt", "Shadowserver scan_rdp 2026-11-20"),
        ("uy-csirt", "Shadowserver scan_rdp 2026-11-20"),
    ]
    for one in value["sent"]:
        report = json.loads(co("node", "report", one["id"], "--json")[0])
        assert [each["member"] for each in report["addressees"]] == [one["to"]]
    out, err = co("node", "shadowserver", str(rdp), *words)
    again = json.loads(out)
    assert (again["sent"], again["sent_before"]) == ([], value["sent"])
    assert err.count("sent before, as ") == 2


def test_a_label_in_the_comments_of_a_report_binds_its_rows(co: Any, rdp: Path) -> None:
    """Somebody wrote it above the header: the report is one all the same, and nothing of it goes out weaker."""
    rdp.write_bytes(b"# TLP:RED PAP:AMBER, for the steering group\n" + OPEN_RDP)
    folder = rdp.parent / "bound"
    out, err = co("node", "shadowserver", str(rdp), "--drafts", str(folder), "--json", "--quiet")
    value = json.loads(out)
    said = [(one["file"], one["place"], one["what"]) for one in value["doubts"]]
    assert said == [(str(rdp), "line 1", "TLP:RED"), (str(rdp), "line 1", "PAP:AMBER")]
    assert f"{rdp.name} line 1: TLP:RED" in err
    assert [one["to"] for one in value["drafts"]] == ["pe-csirt", "uy-csirt"]
    for one in value["drafts"]:
        loaded = load(one["file"], Path(one["file"]).read_bytes())
        assert {each.tlp for each in loaded.accepted} == {Tlp.RED, Tlp.CLEAR}
        assert pap_of_all(orjson.loads(each.data) for each in loaded.accepted) is Pap.AMBER
    words = ("--send", "--tlp", "green", "--yes", "--json", "--quiet")
    assert "tlp.red-needs-persons" in co("node", "shadowserver", str(rdp), *words, code=3)[1]


def test_owner_that_may_not_be_sent_it_keeps_nobody_else_from_it(co: Any, rdp: Path) -> None:
    lines = OPEN_RDP.splitlines(keepends=True)
    rdp.write_bytes(b"".join([*lines[:2], lines[2].replace(b"203.0.113.8", b"203.0.114.8")]))
    words = ("--send", "--tlp", "green", "--yes", "--json", "--quiet")
    out, err = co("node", "shadowserver", str(rdp), *words, code=3)
    value = json.loads(out)
    assert [one["to"] for one in value["sent"]] == ["pe-csirt"]
    assert [(one["to"], one["code"]) for one in value["refused"]] == [
        ("mx-csirt", "policy.suspended-clear-only")
    ]
    assert "not sent to mx-csirt: policy.suspended-clear-only" in err


def test_rows_that_an_owner_comes_to_have_are_sent_though_others_of_the_report_were(rdp: Path) -> None:
    [one] = [one for one in sorted_out(rdp, "203.0.113.7/32") if one.member == "pe-csirt"]
    [more] = [one for one in sorted_out(rdp, "203.0.113.0/24") if one.member == "pe-csirt"]
    assert one.key != more.key
    assert more.key == sorted_out(rdp, "203.0.113.0/24")[0].key


def sorted_out(path: Path, prefix: str) -> list[shadowserver.Ready]:
    """What goes to whom where Peru claims that prefix."""
    made = shelf(("pe-csirt", "co-csirt"))
    made.claim("pe-csirt", prefix=[prefix])
    [(_, digest, report)] = shadowserver._read([path])
    groups = grouped(report.rows, Owners.build(made.book()))
    return list(shadowserver._ready(shadowserver.Sorted(path, digest, report, groups), "co-csirt", Tlp.GREEN))


def test_a_report_given_to_send_is_refused_with_the_way(co: Any, rdp: Path) -> None:
    _, err = co("node", "send", str(rdp), "--to", "pe-csirt", "--kind", "alert", code=3)
    assert "format.by-owner: use `exchange node shadowserver FILE`" in err


# -- lists ------------------------------------------------------------------------------------------------------------


def test_what_a_list_looks_for_and_may_be_harmless_is_said_when_it_is_sent(co: Any, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("ip\n203.0.113.7\n10.0.0.1\n10.0.0.2\n")
    words = ("node", "send", str(path), "--to", "pe-csirt", "--kind", "alert", "--tlp", "green", "--json")
    out, err = co(*words, "--quiet")
    assert "doubtful: list.csv line 3 and 1 more: ip: a private address" in err.splitlines()
    value = json.loads(out)
    assert (value["objects"], value["losses"]) == (3, [])
    assert value["doubts"] == [
        {"file": "list.csv", "place": f"line {line}", "what": "ip", "why": "a private address"}
        for line in (3, 4)
    ]
