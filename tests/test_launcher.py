"""The launcher `run`, from a small checkout of its own: what it says, when it installs, how it hands over.

The real install from the real lock is what a clone without `.venv` does; nothing here reaches the network.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAMP = "exchange-installed"
WORKERS = max(2, min(6, (os.cpu_count() or 1) * 3 // 2))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that has the launcher and an empty lock, and no `.venv` yet."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "run", root / "run")
    (root / "requirements.lock").write_text("")
    (root / "requirements-bench.lock").write_text("")
    (root / "pyproject.toml").write_text('[project]\nname = "exchange"\nversion = "0"\n')
    return root


def give_venv(checkout: Path, tool: str, stamp: str | None = None) -> None:
    """A `.venv` whose Python is the shell script `tool`, stamped as installed unless told otherwise."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{tool}\n")
    python.chmod(0o755)
    (checkout / ".venv" / STAMP).write_text(right_stamp(checkout) if stamp is None else stamp)


def right_stamp(checkout: Path) -> str:
    """The stamp of a finished install of `checkout`."""
    parts = [(checkout / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
    return hashlib.sha256(b"\0".join([*parts, os.fsencode(checkout)])).hexdigest()


def launch(checkout: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the launcher to its end with this Python."""
    command = [sys.executable, str(checkout / "run"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def launch_changed(
    checkout: Path, change: str, *arguments: str, path: str
) -> subprocess.CompletedProcess[str]:
    """Run the launcher in an interpreter in which `change` was carried out first, with `path` as PATH."""
    call = f"sys.argv = {['run', *arguments]!r}; runpy.run_path('run', run_name='__main__')"
    command = [sys.executable, "-c", f"import runpy, sys; {change}; {call}"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=checkout, env={"PATH": path}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a verb is needed"),
        (["tset"], "unknown verb 'tset'"),
        (["lint", "exchange"], "`lint` takes no arguments"),
    ],
)
def test_wrong_usage_is_named_before_anything_is_installed(
    checkout: Path, arguments: list[str], said: str
) -> None:
    done = launch(checkout, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (checkout / ".venv").exists()


def test_help_needs_no_install(checkout: Path) -> None:
    done = launch(checkout, "--help")
    assert done.returncode == 0
    assert "./run VERB" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "handed"),
    [
        (["demo", "--json"], "-m exchange demo --json"),
        (
            ["test"],
            f"-m pytest -n {WORKERS} --dist loadfile --cov --cov-report=term:skip-covered",
        ),
        (["test", "-k", "seal"], "-m pytest -k seal"),
        (["bench"], "-m bench"),
    ],
)
def test_tool_gets_the_arguments_and_its_exit_code_returns(
    checkout: Path, arguments: list[str], handed: str
) -> None:
    give_venv(checkout, 'echo "$@"; exit 7')
    done = launch(checkout, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{handed}\n", "")


def test_what_only_benchmarks_want_is_installed_by_the_first_of_them(checkout: Path) -> None:
    give_venv(checkout, 'echo "$@"')
    assert launch(checkout, "soak", "--hours", "1").stdout == "-m bench.soak --hours 1\n"
    assert launch(checkout, "bench").stderr == ""
    assert "what benchmarks want besides" in launch(checkout, "bench", "publish").stderr
    assert launch(checkout, "fuzz").stderr == "", "it is there now"


def test_demo_keeps_the_callers_folder_and_tests_run_in_the_checkout(checkout: Path, tmp_path: Path) -> None:
    give_venv(checkout, "pwd")
    assert launch(checkout, "demo", cwd=tmp_path).stdout.strip() == str(tmp_path)
    assert launch(checkout, "test", cwd=tmp_path).stdout.strip() == str(checkout)


def test_a_signal_reaches_the_tool(checkout: Path) -> None:
    give_venv(checkout, "echo up; exec sleep 60")
    with subprocess.Popen([sys.executable, checkout / "run", "demo"], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == -signal.SIGTERM


def test_a_warm_start_costs_little(checkout: Path) -> None:
    give_venv(checkout, "exit 0")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert launch(checkout, "demo").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, so that a busy machine doesn't fail it
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_failing_lint_shows_every_check_and_fails(checkout: Path) -> None:
    give_venv(checkout, "echo tests must not run")
    for name, status in (("ruff", 1), ("mypy", 0)):
        script = checkout / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\necho {name} "$@"\nexit {status}\n')
        script.chmod(0o755)
    done = launch(checkout, "check")
    assert done.returncode == 1
    assert done.stdout == "ruff check\nruff format --check\nmypy\n"
    assert "lint failed: check, format --check" in done.stderr


def test_old_python_is_told_what_to_install(checkout: Path) -> None:
    done = launch_changed(checkout, "sys.version_info = (3, 9, 2, 'final', 0)", "demo", path="/nowhere")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; this is 3.9.2" in done.stderr
    assert "sudo apt-get install" in done.stderr


def test_old_python_hands_over_to_a_newer_one(checkout: Path, tmp_path: Path) -> None:
    newer = tmp_path / "python3.12"
    newer.write_text('#!/bin/sh\necho "newer $@"\n')
    newer.chmod(0o755)
    done = launch_changed(
        checkout, "sys.version_info = (3, 9, 2, 'final', 0)", "demo", "--json", path=str(tmp_path)
    )
    assert done.stdout == f"newer {checkout / 'run'} demo --json\n"


def test_missing_venv_names_the_package(checkout: Path) -> None:
    done = launch_changed(checkout, "sys.modules['ensurepip'] = None", "demo", path="/nowhere")
    assert done.returncode == 1
    assert "sudo apt-get install -y python3-venv" in done.stderr


def test_syntax_parses_on_the_oldest_python_that_is_met() -> None:
    ast.parse((ROOT / "run").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_interrupted_install_starts_afresh_and_a_failed_one_is_not_taken_for_done(checkout: Path) -> None:
    give_venv(checkout, "exit 0", stamp="begun\n")
    (checkout / ".venv" / "half-written").write_text("")
    done = launch(checkout, "demo")
    # with this empty lock there is nothing to build the checkout with
    assert done.returncode == 1
    assert "the `exchange` command did not install" in done.stderr
    assert not (checkout / ".venv" / "half-written").exists()
    assert (checkout / ".venv" / STAMP).read_text() == "begun\n"


def test_a_second_launcher_waits_for_the_first_and_uses_its_install(checkout: Path) -> None:
    give_venv(checkout, "echo handed over", stamp="another lock's")
    folder = os.open(checkout, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    command = [sys.executable, str(checkout / "run"), "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr is not None
        assert "waiting for another ./run" in second.stderr.readline()
        (checkout / ".venv" / STAMP).write_text(right_stamp(checkout))
        os.close(folder)
        said, complained = second.communicate(timeout=30)
    assert (second.returncode, said, complained) == (0, "handed over\n", "")


@pytest.mark.parametrize(
    ("lock", "groups"), [("requirements.lock", ("dev", "build")), ("requirements-bench.lock", ("bench",))]
)
def test_the_lock_pins_and_hashes_everything_and_names_no_place(lock: str, groups: tuple[str, ...]) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"(?m)^\s*-(?!-hash=sha256:[0-9a-f]{64}( \\)?$)", text)
    blocks = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    unhashed = [block for block in blocks if not re.match(r"[a-z0-9.-]+==\S+( ; .+)? \\\n    --hash=", block)]
    assert unhashed == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [one for group in groups for one in project["dependency-groups"][group]]
    wanted += project["project"]["dependencies"] if "dev" in groups else []
    pinned = {block.split("==")[0] for block in blocks}
    assert {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in wanted} <= pinned
