"""Every example of docs/api.md runs as it stands there, in its order, and does what the text says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.formats.stix.cover import read_message
from exchange.node.http import api_events as http_api_events
from exchange.node.http.api import ROUTES
from exchange.node.mail import search as mail_search
from tests.api.conftest import api
from tests.doors import CO, PE, Place
from tests.taxii.conftest import indicator

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the examples use curl and jq")
def test_every_example_runs(door: Place, tmp_path: Path) -> None:
    id_ = door.mail(indicator(), subject="Seen here")
    token = api(door).session.headers["Authorization"].split()[1]
    environment = {**os.environ, "NODE": door.url.rstrip("/"), "TOKEN": str(token)}
    said = []
    for language, text in BLOCK.findall(GUIDE):
        done = subprocess.run(
            [*RUN[language], text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert said[0] == f"{id_} TLP:AMBER Seen here\n"
    assert read_message((tmp_path / "message.json").read_bytes()).id == id_
    assert said[2] == f"{CO} queued accepted\n"
    assert said[3] == "1\n"
    door.run(door.sim.rounds(4))
    copy = door.sim.sites[CO].copy(id_, PE)
    assert (copy.person, copy.note) == ("Ana Quispe", "We block it at the border")
    assert len(door.sim.sites[CO].inbox()) == 1


def test_the_table_has_each_endpoint_with_its_scope() -> None:
    rows = re.findall(r"^\| `(GET|POST) (/\S+)` \| `([a-z:]+)` \|", GUIDE, re.MULTILINE)
    assert set(rows) == served()


def served() -> set[tuple[str, str, str]]:
    return {(route.method, route.path, route.scope.value) for route in ROUTES}


def test_the_limits_are_what_it_says() -> None:
    said = " ".join(GUIDE.split())
    assert f"{http_api_events.STREAMS}; {http_api_events.STREAMS_OF_ALL} |" in said
    assert f"{mail_search.MOST_MESSAGES} messages, {mail_search.MOST_READ >> 20} MiB" in said
    assert f"half a second, {mail_search.MOST_HITS} hits" in said
    assert mail_search.MOST_MS == 500
