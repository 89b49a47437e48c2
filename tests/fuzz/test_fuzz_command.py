"""`./run fuzz`: what it says of targets, and how an input is handed over again. The fuzzing itself needs atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fuzz import main


def test_an_input_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "input"
    path.write_bytes(b'{"a":1}')
    assert main(["json", "--replay", str(path)]) == 0
    path.write_bytes(b'{"a": 1}')
    assert main(["json", "--replay", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["json: understood", "json: refused, by a code of ours"]


def test_targets_there_are_not_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jason"]) == 2
    assert main(["--replay", "input"]) == 2
    assert "snapshot" in capsys.readouterr().err
