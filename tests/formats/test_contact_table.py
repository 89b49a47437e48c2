"""Lists of contacts as CSV: read whatever they call their columns, import twice for nothing, run no formula."""

from __future__ import annotations

import csv
import io

import pytest

from exchange.directory.book import READERS, Book
from exchange.errors import Refused
from exchange.formats.contacts.preview import Preview, preview
from exchange.formats.contacts.table import MAX_BYTES, read_table, write_table
from tests.address_book import Shelf, peru, shelf

LEGACY = """\
Organización;Función;Tema;Cargo;Correo;Teléfono;Zona horaria;Horario;Idiomas;Nombre;Fax
pe-csirt;operational tracing;firearms;Rastreo;rastreo@policia.example;+51 1 555 0100;America/Lima;mon-fri 08:00-17:00;es;Ñusta Quispe;1
pe-csirt;technical_24x7;ransomware, ddos;Guardia;guardia@csirt.example;+51 1 555 0199;America/Lima;24x7;es; Ana | Bo;2
pe-csirt;chief;x;x;x;x;x;x;x;x;3

pe-csirt;technical_24x7;ransomware;Otra;x@y.example;;;;es;;4
"""  # noqa: E501 - a line of a file is one line


def handles(start: int = 0) -> object:
    made = iter(range(start, start + 1_000))
    return lambda: f"p-{'a' * 9}{chr(97 + next(made) % 26)}"


def imported(made: Shelf, seen: Preview) -> Book:
    """The book after an import has been signed and logged."""
    for change in (*seen.added, *seen.changed):
        made.contact(
            change.address,
            change.function,
            change.topics,
            community=change.community,
            holders=change.holders.model_dump(exclude_defaults=True, by_alias=True),
            **change.record.model_dump(exclude_defaults=True, by_alias=True),
        )
    return made.book()


def test_a_legacy_list_is_understood_and_what_is_not_is_named() -> None:
    table = read_table(LEGACY.encode())
    first, second = table.rows
    assert (first.address, first.community, first.topics) == (
        "pe-csirt/operational-tracing",
        "",
        ("firearms",),
    )
    assert first.record["phone_office"] == "+5115550100"
    assert first.record["hours"]["weekly"][0]["days"] == ["mon", "tue", "wed", "thu", "fri"]
    assert second.topics == ("ddos", "ransomware")
    assert second.record["hours"]["always"]
    assert second.persons == ("Ana", "Bo")
    assert [fault.line for fault in table.faults] == [4, 6]
    assert "stands in the file before" in table.faults[1].why
    assert table.ignored == ("Fax",)


def test_the_second_import_of_a_file_changes_nothing() -> None:
    made, rows = shelf(), read_table(LEGACY.encode()).rows
    first = preview(made.book(), rows, handles())
    assert [change.address for change in first.added] == [row.address for row in rows]
    assert (first.changed, first.unchanged, first.dropped) == ((), (), ())
    again = preview(imported(made, first), rows, handles(500))
    assert (again.added, again.changed, again.dropped) == ((), (), ())
    assert again.unchanged == tuple(row.address for row in rows)


def test_a_row_is_laid_over_what_is_there() -> None:
    made = peru()
    text = "member,handle,function,phone_office,email_role\npe-csirt,tracing,operational_tracing,+51 1 555 0777,\n"
    seen = preview(made.book(), read_table(text.encode()).rows, handles())
    (change,) = seen.changed
    assert change.fields == ("phone_office",)
    assert change.record.phone_office == "+5115550777"
    assert change.record.email_role == "rastreo@policia.example"
    assert seen.dropped == ("pe-csirt/duty", "pe-csirt/npc", "pe-csirt/spoc")


def test_a_list_without_communities_changes_none_and_gives_new_contacts_their_functions_own() -> None:
    made = peru()
    made.contact("pe-csirt/spoc", "spoc", ["firearms"], community="police")
    text = "member,handle,function,topics\npe-csirt,spoc,spoc,firearms\npe-csirt,mla,central_authority_mla,corruption\n"
    seen = preview(made.book(), read_table(text.encode()).rows, handles())
    assert seen.unchanged == ("pe-csirt/spoc",)
    assert seen.added[0].community == "judiciary"


def test_persons_are_known_by_name_and_new_ones_get_a_handle() -> None:
    made = peru()
    text = "member,handle,function,persons\npe-csirt,duty,technical_24x7,nusta quispe; Bo\n"
    (change,) = preview(made.book(), read_table(text.encode()).rows, handles(1)).changed
    assert [(each.handle, each.name, each.role) for each in change.record.persons] == [
        ("p-aaaaaaaaaa", "Ñusta Quispe", "primary"),
        ("p-aaaaaaaaab", "Bo", "deputy"),
    ]
    assert change.holders.phone_247 == "+5115550199"


def test_an_ended_contact_would_be_added_anew() -> None:
    made = peru()
    made.contact("pe-csirt/old", "press", ended=made.world.now)
    text = "member,handle,function,topics\npe-csirt,old,press,ransomware\n"
    assert len(preview(made.book(), read_table(text.encode()).rows, handles()).added) == 1


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("pe-csirt,spoc,nowhere,,", "community"),
        ("PE CSIRT,spoc,,,", "member"),
        ("pe-csirt,spoc,,555 0100,", "phone_office"),
        ("pe-csirt,spoc,,,whenever", "hours"),
        ("pe-csirt,spoc,,,mon-xyz 08:00-17:00", "hours"),
        ("pe-csirt,spoc,," + "x" * 4_097 + ",", "phone_office"),
    ],
)
def test_a_bad_line_is_set_aside_with_the_column_named(cells: str, why: str) -> None:
    table = read_table(f"member,function,community,phone_office,hours\n{cells}\n".encode())
    assert table.rows == ()
    assert table.faults[0].why.startswith(why)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\n1,2\n",
        b"x" * (MAX_BYTES + 1),
        b'function,"x\n1,"2"3',
        b"function" + b"," * 70,
        b"function\n" * 10_003,
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_table(data)
    assert refused.value.code == "cli.bad-file"


def test_a_list_in_windows_letters_and_with_own_headers() -> None:
    text = "wer;was;wort\npe-csirt;spoc;Señal\n"
    table = read_table(
        text.encode("cp1252"), columns={"Wer": "member", "was": "function", "wort": "role_name"}
    )
    assert table.rows[0].record["role_name"] == {"es": "Señal"}


# -- export -------------------------------------------------------------------------------------------------------


def exported(made: Shelf, level: str) -> list[dict[str, str]]:
    book = made.book()
    text = write_table(book.living(), level).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_export_honours_the_readers_level() -> None:
    made = peru()
    shown = {level: str(exported(made, level)) for level in READERS}
    assert "ransomware" in shown["public"]
    for canary, least in {"Quispe": "members", "5550100": "members", "5550199": "holders"}.items():
        assert [canary in shown[level] for level in READERS] == [
            READERS.index(level) >= READERS.index(least) for level in READERS
        ]


def test_an_export_read_back_changes_nothing() -> None:
    made = peru()
    book = made.book()
    rows = read_table(write_table(book.living(), "holders")).rows
    seen = preview(book, rows, handles())
    assert (seen.added, seen.changed, seen.dropped) == ((), (), ())
    assert len(seen.unchanged) == 4


def test_no_cell_is_a_formula() -> None:
    made = peru()
    evil = '=HYPERLINK("http://x")'
    made.contact(
        "pe-csirt/press",
        "press",
        role_name={"es": evil},
        org_unit={"en": "@SUM(1)"},
        phone_office="+5112345678",
    )
    for line in exported(made, "owner"):
        assert not [cell for cell in line.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    rows = {row.address: row for row in read_table(write_table(made.book().living(), "owner")).rows}
    assert rows["pe-csirt/press"].record["role_name"] == {"es": evil}
    assert rows["pe-csirt/press"].record["phone_office"] == "+5112345678"


def test_nobody_to_export() -> None:
    assert exported(shelf(), "members") == []
