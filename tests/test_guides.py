"""The guides in docs/ do what they say: every command they print is run, and prints what stands there.

A guide's ```console blocks, in order, are one story (tests/cli/transcript.py). Ports stand in it as a reader would type
them, 8443 and 9443; here they are free ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.stage import PORTS, stage

DOCS = Path(__file__).resolve().parent.parent / "docs"
GUIDES = ("administrator",)
TYPED = ("8443", "9443")  # the ports, in the order of stage.PORTS


def story_of(guide: str) -> str:
    """The guide with everything but its console blocks blank, so that line numbers are the guide's own."""
    lines, inside = [], False
    for line in guide.splitlines():
        fence = line.startswith("```")
        inside = line == "```console" if fence else inside
        lines.append(line if inside and not fence else "")
    return "\n".join(lines)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_of_the_guide_does_what_it_says(name: str, tmp_path: Path) -> None:
    text = story_of((DOCS / f"{name}.md").read_text(encoding="utf-8"))
    with stage(tmp_path) as told:
        for typed, name_of in zip(TYPED, PORTS, strict=True):
            text = text.replace(typed, told.names[name_of])
        told.tell(text)


def test_only_console_blocks_are_told() -> None:
    guide = "# A guide\n```console\n$ exchange hub health\n```\n```\nnot this\n```\nport 8443\n"
    assert story_of(guide).split("\n") == ["", "", "$ exchange hub health", "", "", "", "", ""]
