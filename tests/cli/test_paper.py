"""A message on paper: its label at head and foot of every page, whoever drops one."""

from __future__ import annotations

from exchange.cli.paper import BODY_LINES, WIDTH, pages

LABEL = "TLP:AMBER+STRICT"
ID = "0f0f0f0f-0000-4000-8000-000000000001"


def printed(lines: list[str]) -> list[list[str]]:
    text = pages(lines, label=LABEL, message=ID, by="ana at pe-csirt", now=1_790_000_000_000).decode()
    return [page.strip("\n").split("\n") for page in text.split("\f")]


def test_every_page_says_what_it_is_and_whose() -> None:
    sheets = printed([f"line {n}" for n in range(2 * BODY_LINES + 1)])
    assert len(sheets) == 3
    for number, sheet in enumerate(sheets, 1):
        assert sheet[0] == LABEL
        assert sheet[-2:] == [
            f"{LABEL}  page {number} of 3",
            f"message {ID}, printed 2026-09-21 14:13:20Z by ana at pe-csirt",
        ]
        assert len(sheet) == len(sheets[0])
    assert sheets[1][2] == f"line {BODY_LINES}"


def test_long_lines_are_folded_and_nothing_is_lost() -> None:
    word = "x" * (3 * WIDTH)
    (sheet,) = printed([word, "", "after"])
    body = sheet[2 : 2 + BODY_LINES]
    assert all(len(line) <= WIDTH for line in body)
    assert "".join(line.strip() for line in body) == word + "after"


def test_a_message_without_words_is_one_page() -> None:
    assert len(printed([])) == 1
