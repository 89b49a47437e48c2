"""The guides in docs/ do what they say: every command they print is run, and prints what stands there.

A guide's ```console blocks, in order, are one story (tests/cli/transcript.py). A block of another language that names a
file is that file (```python read.py), or is added to it (```toml pe/config.toml). Ports stand in it as a reader would
type them, 8443 and so on; here they are free ones.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.cli.stage import PORTS, stage

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
# guide -> the stories of tests/cli that are told before it and after it, in the same network
GUIDES = {
    "administrator": ((), ()),
    "contact-point": (("network", "neighbour"), ("lists", "hub_off")),
    "analyst": (("network",), ()),
}
TYPED = ("8443", "9443", "8480")  # the ports, in the order of stage.PORTS
FILE = re.compile(r"```(python|toml) (\S+)\Z")


def story_of(guide: str) -> str:
    """The guide with everything but what is told blank, so that line numbers are the guide's own."""
    lines, inside = [], False
    for line in guide.splitlines():
        fence, file = line.startswith("```"), FILE.match(line)
        if fence:
            inside = line == "```console" or file is not None
        if file is not None:
            lines.append(f"$ {'append' if file[1] == 'toml' else 'write'} {file[2]}")
        else:
            lines.append(line if inside and not fence else "")
    return "\n".join(lines)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_of_the_guide_does_what_it_says(name: str, tmp_path: Path) -> None:
    text = story_of((DOCS / f"{name}.md").read_text(encoding="utf-8"))
    before, after = (
        [(HERE / "cli" / f"{one}.txt").read_text() for one in stories] for stories in GUIDES[name]
    )
    with stage(tmp_path) as told:
        today = datetime.now(ZoneInfo("America/Lima")).date()
        told.names |= {"today": today.isoformat(), "tomorrow": (today + timedelta(days=1)).isoformat()}
        for typed, name_of in zip(TYPED, PORTS, strict=True):
            text = text.replace(typed, told.names[name_of])
        for each in (*before, text, *after):
            told.tell(each)


def verb(command: str) -> str:
    """`exchange node send` of a whole command line; `directory contact` has verbs of its own."""
    words = list(takewhile(lambda word: not word.startswith("-"), command.split()))
    return " ".join(words[: 4 if words[1:3] == ["directory", "contact"] else 3])


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_that_the_text_names_is_told_in_a_block(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    told = {verb(line[2:]) for line in story_of(text).splitlines() if line.startswith("$ exchange ")}
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " ")
    named = {verb(command) for command in re.findall(r"`(exchange [^`]+)`", prose)}
    assert told
    assert named - told == set()


def test_only_console_blocks_and_files_are_told() -> None:
    guide = "# A guide\n```console\n$ exchange hub health\n```\n```\nnot this\n```\nport 8443\n```python a.py\nx\n```\n"
    assert story_of(guide).split("\n") == [
        *("", "", "$ exchange hub health", "", "", "", "", ""),
        *("$ write a.py", "x", ""),
    ]
