"""`exchange doctor` goes by a home's lock, not by the number in it, and has no innocent process killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchange.cli.doctor.home import server
from exchange.node.home import Paths
from exchange.phrases.doctor import FIXES
from exchange.phrases.languages import LANGUAGES, say
from exchange.storage.files import HomeLock

HOLDER = (
    "import sys; from pathlib import Path; from exchange.storage.files import HomeLock\n"
    "with HomeLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def owner(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the home; killed at the end, if it lives."""
    words = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def locks(home: Path) -> list[tuple[str, Path]]:
    """Of a node, a hub and a unit's home in a node's."""
    unit = Paths(home).unit("tracing")
    unit.root.mkdir(parents=True)
    return [("node", Paths(home).lock), ("hub", home / "hub-lock"), ("node", unit.lock)]


def test_server_that_owns_the_home_and_says_nothing(tmp_path: Path) -> None:
    for role, lock in locks(tmp_path):
        assert server(lock, None, role=role, answers=False).code == "server.off"
        with owner(lock) as process:
            told = server(lock, tmp_path / "control.sock", role=role, answers=False)
            assert (told.code, told.facts["pid"]) == ("server.mute", process.pid)
            assert server(lock, None, role=role, answers=None).code == "server.ok"
        assert lock.read_text() == str(process.pid)
        assert server(lock, None, role=role, answers=False).code == "server.off"


def test_number_in_a_lock_that_nobody_holds_is_not_believed(tmp_path: Path) -> None:
    for role, lock in locks(tmp_path):
        for innocent in (1, os.getpid()):
            lock.write_text(str(innocent))
            for answers in (None, False):
                assert server(lock, None, role=role, answers=answers).code == "server.off"
            with HomeLock(lock):
                assert lock.read_text() == str(os.getpid())


@pytest.mark.parametrize("written", ["1", "{here}", "", "x", "99999999999999999999"])
def test_number_of_another_process_in_a_lock_that_is_held_is_not_told(written: str, tmp_path: Path) -> None:
    """As a container's own count has it, which is another process's here, or before the owner wrote its own."""
    lock = tmp_path / "lock"
    with owner(lock):
        lock.write_text(written.format(here=os.getpid()))
        told = server(lock, None, role="node", answers=False)
        assert (told.code, told.facts) == ("server.owned", {})
        assert server(lock, None, role="hub", answers=None).code == "server.ok"
    for language in LANGUAGES:
        assert "kill" not in say(FIXES, "server.owned", language)
