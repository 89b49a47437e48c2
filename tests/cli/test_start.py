"""The command starts light, and its list of commands is the one docs/cli.md promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from exchange.cli.app import build
from exchange.demo import command as demo

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
HEAVY = ("stix2", "aiohttp", "sqlalchemy", "alembic", "jsonschema_rs", "cryptography", "rich", "uvloop")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from exchange.demo import command; from exchange.cli.app import run;"
        "code = run(['--help'], [command.register]);"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_hub_imports_no_other_commands() -> None:
    script = (
        "import sys; from exchange.cli.app import run; run(['hub', 'health', '--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('exchange.cli.') and name.split('.')[-1]"
        ".partition('_')[0] in ('node', 'directory', 'officer', 'doctor', 'formats')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "exchange hub health" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_is_documented_with_all_its_options() -> None:
    text = DOCS.read_text()
    missing = []
    root = typer.main.get_command(build([demo.register]))
    for group in root.commands.values():
        for command in getattr(group, "commands", {group.name: group}).values():
            name = command.name if command is group else f"{group.name} {command.name}"
            options = [option for each in command.params for option in each.opts if option.startswith("--")]
            missing += [word for word in (name, *options) if word not in text and word != "--help"]
    assert missing == []


def test_every_command_takes_the_common_options() -> None:
    waiting = list(typer.main.get_command(build()).commands.values())
    while waiting:
        command = waiting.pop()
        if groups := getattr(command, "commands", None):
            waiting += groups.values()
            continue
        options = {option for each in command.params for option in each.opts}
        assert {"--home", "--json", "--quiet", "--yes"} <= options, command.name
