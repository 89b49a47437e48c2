"""The hub's own start: plain arguments mean what typer makes of them, and it holds no library that it never uses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from exchange.cli.app import build
from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.hub.server import PATHS, SWITCHES, WORDS, plain_call, run_plain


def by_typer(arguments: list[str]) -> Call:
    """The call that typer makes of a verb like `hub serve`."""
    calls: list[Call] = []

    def serve(call: Call) -> None:
        """Keep the call."""
        calls.append(call)

    app, group = typer.Typer(), typer.Typer()
    command(group, "serve", role="hub", unlocks=True)(serve)
    command(group, "other", role="hub")(serve)
    app.add_typer(group, name="hub")
    typer.main.get_command(app).main(arguments, prog_name="exchange", standalone_mode=False)
    (call,) = calls
    return call


def facts(call: Call) -> dict[str, object]:
    return vars(call) | {"out": (call.out.json, call.out.quiet)}


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("", None),
        ("", "from/variable"),
        ("", ""),
        ("--home a", "from/variable"),
        ("--json --home /a/b --key-file k", None),
        ("--passphrase-file p --quiet --yes --json --json", None),
        ("--home ~/x --key-file k --passphrase-file p", None),
    ],
)
def test_plain_arguments_mean_what_typer_makes_of_them(
    line: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXCHANGE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("EXCHANGE_HOME", variable)
    arguments = [*WORDS, *line.split()]
    plain = plain_call(arguments)
    assert plain is not None
    assert facts(plain) == facts(by_typer(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["hub"],
        ["hub", "health"],
        ["--json", "hub", "serve"],
        ["hub", "serve", "--help"],
        ["hub", "serve", "--home"],
        ["hub", "serve", "--home", ""],
        ["hub", "serve", "--home", "--json"],
        ["hub", "serve", "--home=a"],
        ["hub", "serve", "--home", "a", "--home", "b"],
        ["hub", "serve", "--passphrase", "p"],
        ["hub", "serve", "a"],
        ["node", "serve", "--home", "a"],
    ],
)
def test_whatever_is_not_plain_is_left_to_typer(arguments: list[str]) -> None:
    assert plain_call(arguments) is None
    assert run_plain(arguments) is None


def test_every_option_of_the_verb_can_be_read_plainly() -> None:
    root = typer.main.get_command(build(only="hub"))
    serve = root.commands["hub"].commands["serve"]
    options = {option for each in serve.params for option in (*each.opts, *each.secondary_opts)}
    assert options - {"--help"} == {*SWITCHES, *PATHS}


NEVER = (
    *("typer", "rich", "pydantic", "alembic", "mako", "stix2", "jsonschema", "jsonschema_rs", "apprise"),
    *("exchange.cli.app", "exchange.cli.command", "exchange.formats", "exchange.node", "exchange.demo"),
)


def test_a_serving_hub_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """As far as it comes without a home, which it says."""
    script = (
        "import sys; from exchange import __main__; import exchange.hub.app, exchange.hub.http.server;"
        f"sys.argv[1:] = ['hub', 'serve', '--json', '--home', {str(tmp_path / 'none')!r}];"
        "from contextlib import suppress\n"
        "with suppress(SystemExit): __main__.main()\n"
        f"print([name for name in {NEVER!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    refusal, imported = done.stdout.splitlines()
    assert json.loads(refusal)["ok"] is False
    assert imported == "[]"
