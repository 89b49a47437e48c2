"""Look-ups as commands, on a home whose hub nobody can reach: what people read, what programs get, four languages."""

from __future__ import annotations

import json
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.app import run
from exchange.directory.find import LADDER
from exchange.limits import DAY_MS
from exchange.phrases import find as said, words
from exchange.phrases.languages import LANGUAGES, language_of, say
from tests.address_book import peru
from tests.cli.furnished import furnished

HOLIDAY = ("--at", "2026-07-28T15:00Z")
TRACING = ("directory", "find", "--country", "pe", "--topic", "firearms", "--function", "operational_tracing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = peru()
    made.claim("pe-csirt", prefix=["190.12.0.0/16"], domain=["gob.pe"], asn=[64496])
    made.contact("pe-csirt/press", "press", role_name={"es": "Prensa \u202e oficial"})
    return furnished(tmp_path_factory.mktemp("lookups"), made)


@pytest.fixture
def co(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, code: int = 0, home: Path = folder / "co") -> tuple[str, str]:
        assert run([*words, "--home", str(home)]) == code
        shown = capsys.readouterr()
        return shown.out, shown.err

    return call


def as_json(co: Any, *words: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(co(*words, "--json")[0])
    return value


def test_tracing_in_peru_on_a_holiday_answers_with_a_phone_the_reason_and_the_last_test(co: Any) -> None:
    out, err = co(*TRACING, "--language", "es", *HOLIDAY)
    first, lab = out.split("\n2. ")[0], out[out.index("pe-csirt/tracing") :]
    assert first.startswith("1. pe-csirt/duty  technical desk, 24x7 (PE, CSIRT)")
    assert "+5115550199 (24x7)" in first
    assert "ANOTHER COMMUNITY: CSIRT, not police" in first
    assert "+5115550100 (office)" in lab
    assert "HOLIDAY there (Fiestas Patrias), opens 2026-07-29 13:00:00Z" in lab
    assert "answered in 4 min" in lab
    assert "this node's copy of the directory" in err


def test_a_find_for_programs(co: Any) -> None:
    value = as_json(co, *TRACING)
    best = value["hits"][0]
    assert (best["address"], best["rung"], best["community"]) == ("pe-csirt/tracing", "exact", "police")
    assert best["phones"] == [{"kind": "phone_office", "number": "+5115550100"}]
    assert [each["code"] for each in best["reasons"]] == ["exact", "validated", "tested"]
    assert value["replica"]["set_aside"] == 0
    assert value["replica"]["age_ms"] >= 0


@pytest.mark.parametrize(
    ("language", "phrase"),
    [
        ("es", "FERIADO allí (Fiestas Patrias)"),
        ("pt", "FERIADO lá (Fiestas Patrias)"),
        ("fr", "JOUR FÉRIÉ là-bas (Fiestas Patrias)"),
        ("en", "HOLIDAY there (Fiestas Patrias)"),
    ],
)
def test_reasons_in_the_readers_language(
    co: Any, monkeypatch: pytest.MonkeyPatch, language: str, phrase: str
) -> None:
    assert phrase in co(*TRACING, *HOLIDAY, "--lang", language)[0]
    monkeypatch.setenv("LANG", f"{language}_XX.UTF-8")
    assert phrase in co(*TRACING, *HOLIDAY)[0]


def test_an_old_copy_still_answers_and_says_that_it_is_old(
    co: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "older than 24 h" not in co(*TRACING)[1]
    home = furnished(tmp_path, peru(), age=3 * DAY_MS)
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(home / "key"))
    out, err = co(*TRACING, "--quiet", home=home / "co")
    assert "pe-csirt/tracing" in out
    assert "older than 24 h" in err
    assert "3 d ago" in co(*TRACING, home=home / "co")[1]


def test_nobody_fits(co: Any) -> None:
    assert "nobody fits" in co("directory", "find", "--country", "SR")[0]
    assert "--country" in co("directory", "find", "--country", "Peru", code=2)[1]


def test_owner_of_one_and_of_none(co: Any) -> None:
    out, _ = co("directory", "owner", "190[.]12[.]3[.]4", "AS64496", "www.gob.pe", "8.8.8.8", "!!")
    assert out.splitlines() == [
        "190[.]12[.]3[.]4: pe-csirt  prefix 190.12.0.0/16",
        "AS64496: pe-csirt  asn AS64496",
        "www.gob.pe: pe-csirt  domain gob.pe",
        "8.8.8.8: no member claims it",
        "!!: can't be read: not a domain name",
    ]


def test_a_list_is_grouped_by_owner(co: Any, tmp_path: Path) -> None:
    listed = tmp_path / "addresses.txt"
    listed.write_text("# seen today\n190.12.3.4\n8.8.8.8\n\n190.12.3.5\n")
    assert as_json(co, "directory", "owner", str(listed))["groups"] == [
        {"addresses": ["8.8.8.8"], "member": None},
        {"addresses": ["190.12.3.4", "190.12.3.5"], "member": "pe-csirt"},
    ]
    assert "pe-csirt (PE): 2" in co("directory", "owner", str(listed))[0]
    listed.write_bytes(b"\xff\xfe")
    assert "cli.bad-file" in co("directory", "owner", str(listed), code=3)[1]


def test_search_and_who(co: Any, folder: Path) -> None:
    found = as_json(co, "directory", "search", "tracage", "armes")["found"]
    assert [(each["address"], each["field"]) for each in found] == [("pe-csirt/tracing", "role_name")]
    assert "pe-csirt/tracing" in co("directory", "who", "someone@policia.example")[0]
    assert "pe-csirt/duty" in co("directory", "search", "nusta")[0]
    digits = as_json(co, "directory", "show", "pe-csirt")["digits"]
    assert "pe-csirt" in co("directory", "who", *digits.split()[:2])[0]


def test_show_a_member_and_a_contact(co: Any) -> None:
    out, _ = co("directory", "show", "pe-csirt", "--lang", "es")
    assert "Centro Nacional de Seguridad Digital" in out
    assert "lun-vie 08:00-17:00 America/Lima" in out
    assert "+5115550199 (24x7)" in out
    assert "1 AS, 1 prefixes, 1 domains" in out
    contact, _ = co("directory", "show", "pe-csirt/duty")
    assert "Ñusta Quispe (Jefa de guardia, primary)" in contact
    assert as_json(co, "directory", "show", "pe-csirt/duty")["contact"]["holders"] == {
        "phone_247": "+5115550199"
    }


def test_what_others_wrote_cannot_drive_the_terminal(co: Any) -> None:
    out, _ = co("directory", "show", "pe-csirt/press", "--lang", "es")
    assert "Prensa \ufffd oficial" in out


# -- the duty sheet -----------------------------------------------------------------------------------------------


class Outside(HTMLParser):
    """Notes whatever a page would ask a network for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.asked += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "action", "style")]


def test_duty_sheet_as_text(co: Any) -> None:
    out, _ = co("directory", "duty-sheet", "--country", "PE", "--lang", "es")
    assert out.startswith("Hoja de guardia: Test network")
    assert "dígitos del punto de control: " in out
    duty = out[out.index("pe-csirt/duty") : out.index("pe-csirt/press")]
    assert "+5115550199 (24x7)" in duty
    assert "24x7 America/Lima" in duty
    assert "Ñusta Quispe (Jefa de guardia)" in duty
    assert "última prueba: nunca probado" in duty


def test_duty_sheet_by_topic_as_a_page(co: Any, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    value = as_json(
        co, "directory", "duty-sheet", "--topic", "firearms", "--format", "html", "--output", str(file)
    )
    assert value["contacts"] == ["pe-csirt/spoc", "pe-csirt/tracing"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text(encoding="utf-8")
    reader = Outside()
    reader.feed(text)
    assert reader.asked == []
    assert not {"script", "link", "img", "iframe"} & reader.tags
    assert "@page" in text
    assert "default-src 'none'" in text
    assert value["digits"] in text


def test_a_record_is_never_markup(co: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = peru()
    made.contact(
        "pe-csirt/press", "press", email_role="a&b@csirt.example", org_unit={"es": "<script>x</script>"}
    )
    made.contact(
        "pe-csirt/desk",
        "technical_office",
        persons=[{"handle": "p-aaaaaaaaaa", "name": "<img src=x>"}],
    )
    home = furnished(tmp_path, made)
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(home / "key"))
    file = tmp_path / "sheet.html"
    words = ["directory", "duty-sheet", "--format", "html", "--output", str(file), "--quiet"]
    assert run([*words, "--home", str(home / "co")]) == 0
    reader = Outside()
    reader.feed(file.read_text(encoding="utf-8"))
    assert not {"script", "img"} & reader.tags


# -- the phrases --------------------------------------------------------------------------------------------------


def test_every_word_of_the_directory_is_said_in_every_language() -> None:
    from exchange.directory import vocabulary

    assert set(words.FUNCTIONS) == set(vocabulary.FUNCTIONS)
    assert set(words.TOPICS) == set(vocabulary.TOPICS)
    assert set(words.COMMUNITIES) == set(vocabulary.COMMUNITIES)
    assert set(words.DAYS) == set(vocabulary.WEEKDAYS)
    assert set(LADDER) <= set(said.REASONS)
    for phrases in (
        words.FUNCTIONS,
        words.TOPICS,
        words.COMMUNITIES,
        words.STANDINGS,
        said.REASONS,
        said.LABELS,
    ):
        for code, by_language in phrases.items():
            assert tuple(by_language) == LANGUAGES
            assert all(by_language.values()), code


def test_a_reasons_facts_stand_in_every_language() -> None:
    import string

    for phrases in (said.REASONS, said.LABELS, said.RESULTS):
        for code, by_language in phrases.items():
            fields = [
                {name for _, name, _, _ in string.Formatter().parse(text) if name}
                for text in by_language.values()
            ]
            assert all(each == fields[0] for each in fields), code


def test_which_language_a_preference_means() -> None:
    assert [language_of(each) for each in ("es", "pt_BR.UTF-8", "fr-CA", "C", "", "de")] == [
        "es",
        "pt",
        "fr",
        "en",
        "en",
        "en",
    ]
    assert language_of("", "es_PE") == "es"
    assert say(words.TOPICS, "topic_of_tomorrow", "es") == "topic_of_tomorrow"
