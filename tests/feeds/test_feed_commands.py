"""`exchange node feed`: what a person types and sees, with a server outside and no server of the node running."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.cli.app import run
from exchange.cli.call import Call
from exchange.cli.doctor.node import _feeds as look_at_feeds
from exchange.cli.node.home import opened
from exchange.cli.output import Output
from tests.address_book import shelf
from tests.cli.furnished import furnished
from tests.feeds.servers import COLLECTION, TLP_GREEN, Server, indicator, page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished(tmp_path_factory.mktemp("feeds"), shelf(("pe-csirt", "co-csirt")))


class Typing:
    """Types commands at co's home."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capfd = capfd

    def __call__(self, *words: str) -> dict[str, Any]:
        """What a `feed` command answers as JSON, with its exit code."""
        return self.verb("feed", *words)

    def verb(self, *words: str) -> dict[str, Any]:
        common = [
            "--home",
            str(self.folder / "co"),
            "--key-file",
            str(self.folder / "key"),
            "--json",
            "--yes",
        ]
        code = run(["node", *words, *common])
        out, _ = self.capfd.readouterr()
        return {"exit": code, **json.loads(out)}

    def said(self, *words: str) -> str:
        common = ["--home", str(self.folder / "co"), "--key-file", str(self.folder / "key")]
        run(["node", "feed", *words, *common])
        return self.capfd.readouterr().out


@pytest.fixture
def typed(folder: Path, capfd: pytest.CaptureFixture[str]) -> Typing:
    return Typing(folder, capfd)


def test_a_feed_from_its_beginning_to_its_end(typed: Typing, server: Server, tmp_path: Path) -> None:
    one, bad = indicator("Bank of Nowhere", TLP_GREEN), indicator(pattern_type=7)
    server.answer = lambda _: page([one, bad], last="2026-10-01T00:00:00.000001Z")
    secret = tmp_path / "token"
    secret.write_text("s3cret-t0ken\n")
    secret.chmod(0o600)
    where = ["--taxii", server.url, "--collection", COLLECTION]
    added = typed(
        "add", "cert", *where, "--credential-file", str(secret), "--every", "4h", "--reader", "their-siem"
    )
    assert (added["exit"], added["name"], added["next"]) == (0, "cert", "exchange node feed poll cert")
    assert typed("add", "cert", *where)["error"]["code"] == "feed.taken"

    polled = typed("poll", "cert")
    assert (polled["exit"], polled["objects"], polled["new"], polled["refused"]) == (0, 1, 1, 1)
    assert {each.headers["Authorization"] for each in server.requests} == {"Bearer s3cret-t0ken"}

    [listed] = typed("list")["feeds"]
    assert (listed["state"], listed["objects"], listed["error"]) == ("well", 1, None)
    assert listed["position"]["after"] == "2026-10-01T00:00:00.000001Z"
    shown = typed("show", "cert", "--objects", "--text", "nowhere", "--refused")
    [found] = shown["objects"]
    assert (found["id"], found["tlp"], found["decided"]) == (one["id"], "TLP:GREEN", False)
    assert [row["object"] for row in shown["refused"]] == [bad["id"]]
    assert "s3cret" not in json.dumps(shown)
    assert one["id"] in typed.said("show", "cert", "--objects")
    assert "cert  taxii  well" in typed.said("list")

    assert typed("decide", one["id"])["error"]["code"] == "feed.no-reason"
    assert typed("decide", one["id"], "--reason", "checked")["things"] == "1"
    assert typed("show", "cert", "--objects")["objects"][0]["decided"]
    assert typed("decide", one["id"], "--take-back")["ended"] == 1
    typed("decide", "--rule", "cert", "--upto", "green", "--reason", "agreed")
    assert typed("show", "cert")["rules"][0]["upto"] == "TLP:GREEN"
    assert typed("show", "cert", "--objects")["objects"][0]["decided"]

    file = tmp_path / "out.json"
    assert typed("export", one["id"], "--output", str(file))["tlp"] == "TLP:GREEN"
    assert json.loads(file.read_bytes())["objects"] == [one]
    assert typed("export", one["id"], "--output", str(file))["error"]["code"] == "cli.bad-file"

    typed("pause", "cert")
    assert typed("list")["feeds"][0]["state"] == "paused"
    typed("resume", "cert")
    assert typed("list")["feeds"][0]["due_at"] is not None
    assert typed("remove", "cert", "--forget")["removed"]
    assert typed("list")["feeds"] == []
    assert typed("export", one["id"], "--output", str(tmp_path / "gone"))["error"]["code"] == "feed.no-object"
    assert typed("poll", "cert")["error"]["code"] == "feed.unknown"


def test_what_stands_in_a_message_from_outside_is_asked_for(
    typed: Typing, server: Server, tmp_path: Path
) -> None:
    one = indicator("from outside", TLP_GREEN)
    server.answer = lambda _: page([one])
    typed("add", "cert", "--taxii", server.url, "--collection", COLLECTION)
    typed("poll", "cert")
    file = tmp_path / "draft.json"
    typed("export", one["id"], "--output", str(file))
    to = ["send", str(file), "--to", "pe-csirt", "--kind", "alert", "--subject", "An address"]
    refused = typed.verb(*to)
    assert (refused["exit"], refused["error"]["code"]) == (3, "release.outside")
    assert one["id"] in refused["error"]["detail"]
    typed("remove", "cert")


def test_failures_have_a_code_and_an_exit(typed: Typing, server: Server) -> None:
    server.answer = lambda _: page(status=401)
    typed("add", "shut", "--taxii", server.url, "--collection", COLLECTION)
    polled = typed("poll", "shut")
    assert (polled["exit"], polled["error"]["code"]) == (4, "feed.denied")
    [listed] = typed("list")["feeds"]
    assert (listed["state"], listed["failures"], listed["error"]["code"]) == ("failing", 1, "feed.denied")
    with opened(Call(typed.folder / "co", Output(), yes=True, key_file=typed.folder / "key")) as home:
        [finding] = look_at_feeds(home)
    assert (finding.code, finding.facts) == ("feeds.failing", {"names": "1 feed.denied"})
    typed("remove", "shut")


def test_a_feed_that_is_added_again_goes_on_where_it_was(typed: Typing, server: Server) -> None:
    where = ["--taxii", server.url, "--collection", COLLECTION]
    server.answer = lambda _: page([indicator()], last="2026-10-01T00:00:00.000001Z")
    typed("add", "again", *where)
    typed("poll", "again")
    typed("decide", "--rule", "again", "--reason", "agreed")
    typed("remove", "again")
    assert typed("list")["feeds"] == []
    typed("add", "again", *where, "--every", "1d")
    shown = typed("show", "again")
    assert (shown["objects"], shown["every"], shown["rules"]) == (1, 86_400_000, [])
    assert shown["position"]["after"] == "2026-10-01T00:00:00.000001Z"
    typed("remove", "again")
    typed("add", "again", *where, "--reader", "their-siem")
    assert typed("show", "again")["objects"] == 0
    typed("remove", "again", "--forget")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["cert"], "cli.usage"),
        (["cert", "--taxii", "https://a.example/", "--misp", "https://a.example/"], "cli.usage"),
        (["cert", "--taxii", "http://feed.example/", "--collection", "c"], "feed.bad-setting"),
        (["Cert", "--misp", "https://misp.example/"], "access.bad-name"),
        (["co-csirt", "--misp", "https://misp.example/"], "feed.bad-setting"),
        (["cert", "--misp", "https://misp.example/", "--tlp-floor", "blue"], "tlp.unknown"),
        (["cert", "--misp", "https://misp.example/", "--every", "soon"], "feed.bad-setting"),
        (["cert", "--misp", "https://misp.example/", "--ca", "/nowhere.pem"], "cli.bad-file"),
    ],
)
def test_what_add_does_not_take(typed: Typing, words: list[str], code: str) -> None:
    assert typed("add", *words)["error"]["code"] == code


@pytest.fixture
def serving_node(folder: Path) -> Iterator[None]:
    """co's node as a process of its own; nobody answers where its hub should be."""
    command = [sys.executable, "-m", "exchange", "node", "serve", "--home", str(folder / "co")]
    command += ["--key-file", str(folder / "key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield
        process.terminate()
        assert process.wait(30) == 0


def test_a_serving_node_asks_what_was_added_and_what_a_command_wants(
    typed: Typing, server: Server, serving_node: None
) -> None:
    asked, one, two = threading.Event(), indicator("one"), indicator("two")

    def answer(_: web.Request) -> web.Response:
        asked.set()
        return page([one])

    server.answer = answer
    typed("add", "served", "--taxii", server.url, "--collection", COLLECTION)
    assert asked.wait(20), "the server wasn't told"
    server.answer = lambda _: page([one, two])
    polled = typed("poll", "served")
    if not polled["new"]:  # it joined the run that the addition had begun
        polled = typed("poll", "served")
    assert (polled["exit"], polled["ended"]) == (0, True)
    assert typed("list")["feeds"][0]["objects"] == 2
    server.answer = lambda _: page(status=503)
    assert typed("poll", "served")["error"]["code"] == "feed.busy"
    typed("remove", "served")
