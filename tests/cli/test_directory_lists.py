"""Lists out and in, and the access log: what each level's export holds, and that no restricted field is read unseen."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.app import run
from exchange.node.home import open_home
from exchange.node.store import access as store_access
from exchange.node.store.access import Access
from exchange.storage.unlock import Unlock
from tests.address_book import peru
from tests.cli.test_directory_lookups import furnished

NIGHT = "+5115550199"
LONG = "Centro de respuesta, guardia; de día y de noche, para quien llama desde el extranjero: señal"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = peru()
    made.world.join("co-csirt")
    made.contact("pe-csirt/press", "press", role_name={"es": "=HYPERLINK(1)"}, org_unit={"es": LONG})
    made.contact("co-csirt/desk", "technical_office", ["phishing"], role_name={"es": LONG})
    return furnished(tmp_path_factory.mktemp("lists"), made)


class Co:
    """co's node, whose hub nobody can reach."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        assert run(["directory", *words, "--home", str(self.folder / "co")]) == code
        shown = self._capsys.readouterr()
        return shown.out, shown.err

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.run(*words, "--json", code=code)[0])
        return value

    def accesses(self) -> list[Access]:
        """The access log, oldest first, its chain verified."""
        store = open_home(self.folder / "co", Unlock.key_file(self.folder / "key")).open_store(owner=False)
        try:
            count = store.db.read_sync(store_access.verify)
            rows = store.db.read_sync(lambda c: store_access.listed(c, limit=1_000))
        finally:
            store.db.close_sync()
        assert len(rows) == count
        return rows[::-1]


@pytest.fixture
def co(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Co:
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return Co(folder, capsys)


# -- the access log -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "noted"),
    [
        (("find", "--country", "PE", "--topic", "ransomware"), [("read", "pe-csirt/duty holders")]),
        (("find", "--country", "CO"), []),
        (("show", "pe-csirt/duty"), [("read", "pe-csirt/duty holders")]),
        (("show", "pe-csirt"), [("read", "pe-csirt/duty holders")]),
        (("show", "pe-csirt/press"), []),
        (("duty-sheet",), [("read", "pe-csirt/duty holders")]),
        (("search", "guardia"), []),
        (("export", "--level", "public"), [("export", "contacts public 5")]),
        (
            ("export", "--level", "holders"),
            [("export", "contacts holders 5"), ("export", "pe-csirt/duty holders")],
        ),
    ],
)
def test_reading_a_restricted_part_leaves_a_line(
    co: Co, words: tuple[str, ...], noted: list[tuple[str, str]]
) -> None:
    before = len(co.accesses())
    co.run(*words)
    assert [(row.action, row.what) for row in co.accesses()[before:]] == noted


def test_who_read_it_is_the_user_of_this_machine(co: Co, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ines")
    co.run("show", "pe-csirt/duty", "--json")
    assert co.accesses()[-1].who == "ines"


# -- export -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "json", "vcard"])
@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [
        ("public", ["operational_tracing"], ["+5115550100", "rastreo@policia.example", "Quispe", NIGHT]),
        ("members", ["+5115550100", "rastreo@policia.example", "Quispe"], [NIGHT]),
        ("holders", ["+5115550100", "rastreo@policia.example", "Quispe", NIGHT], []),
    ],
)
def test_an_export_holds_what_its_readers_may_have(
    co: Co, form: str, level: str, shown: list[str], hidden: list[str]
) -> None:
    text = co.json("export", "--level", level, "--format", form)["text"]
    text = text.replace("operational tracing", "operational_tracing").replace("\r\n ", "")
    assert [word for word in shown if word not in text] == []
    assert [word for word in hidden if word in text] == []


def test_an_export_to_a_file_is_for_its_owner_and_says_how_old_it_is(co: Co, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    value = co.json("export", str(file), "--topic", "firearms")
    assert (value["contacts"], value["level"], value["replica"]["set_aside"]) == (2, "members", 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert [row["handle"] for row in rows] == ["spoc", "tracing"]


def test_an_export_runs_no_formula(co: Co) -> None:
    text = co.json("export")["text"]
    assert "'=HYPERLINK(1)" in text
    assert not re.search(r"(^|,)=", text, re.MULTILINE)


def test_cards_have_short_lines_and_nothing_in_a_text_ends_one(co: Co) -> None:
    text = co.json("export", "--format", "vcard")["text"]
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    whole = text.replace("\r\n ", "").split("\r\n")
    assert whole.count("BEGIN:VCARD") == whole.count("END:VCARD") == 5
    assert "NOTE:" + LONG.replace(",", "\\,").replace(";", "\\;") in whole
    assert 'TEL;VALUE=uri;TYPE="work,voice":tel:+5115550100' in whole


# -- import, without a hub ------------------------------------------------------------------------------------------


def test_a_preview_works_offline_and_states_nothing(co: Co, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(
        "member,handle,function,topics,role_name,email_role,zone,hours,languages,persons\n"
        "co-csirt,desk,technical_office,phishing; ddos,,,,,,\n"
        "co-csirt,new,press,phishing,Prensa,p@co.example,America/Bogota,mon-fri 08:00-17:00,es,Luz Rojas\n"
        "pe-csirt,press,press,,Otra,,,,,\n"
    )
    value = co.json("import", str(listed))
    assert value["not_ours"] == ["pe-csirt/press"]
    assert [row["contact"] for row in value["added"]] == ["co-csirt/new"]
    assert (value["changed"], value["submitted"]) == ([], [])
    # what stands is checked as a whole: the desk of this book has no hours, persons or e-mail
    assert [(one["line"], one["why"].split(":")[1].strip()) for one in value["faults"]] == [(2, "email_role")]
    assert co.json("import", str(listed), "--apply", "--yes", code=5)["error"]["code"] == "hub.unreachable"


def test_an_export_comes_back_unchanged(co: Co, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    co.run("export", str(file))
    value = co.json("import", str(file))
    assert (value["added"], value["changed"], value["dropped"], value["ignored_columns"]) == ([], [], [], [])
    assert value["unchanged"] == ["co-csirt/desk"]
    assert "nothing to change" in co.run("import", str(file))[0]


@pytest.mark.parametrize("data", [b"", b"{}", b"a,b\n1,2"])
def test_what_is_no_list_is_refused(co: Co, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "list"
    file.write_bytes(data)
    assert co.json("import", str(file), code=3)["error"]["code"] == "cli.bad-file"
    assert co.json("import", str(tmp_path / "nothing"), code=3)["error"]["code"] == "cli.bad-file"
