"""What opens a home when nobody says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.cli.app import run
from exchange.cli.call import KEY_FILE_NOTE


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("EXCHANGE_KEY_FILE", "EXCHANGE_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("bare")
def test_home_made_with_a_key_file_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, key = tmp_path / "home", tmp_path / "key"
    monkeypatch.chdir(tmp_path)
    assert run(["officer", "init", "--home", str(home), "--name", "ana", "--key-file", "key"]) == 0
    note = home / KEY_FILE_NOTE
    assert note.read_text() == str(key)
    assert note.stat().st_mode & 0o777 == 0o600
    monkeypatch.chdir(home)
    assert run(["officer", "init", "--home", str(home)]) == 0  # opens the home, and changes nothing
    assert "nothing was changed" in capsys.readouterr().out


@pytest.mark.usefixtures("bare")
def test_noted_key_file_that_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, key = tmp_path / "home", tmp_path / "key"
    assert run(["officer", "init", "--home", str(home), "--name", "ana", "--key-file", str(key)]) == 0
    key.rename(tmp_path / "elsewhere")
    assert run(["officer", "init", "--home", str(home)]) != 0
    assert "key" in capsys.readouterr().err
    assert run(["officer", "init", "--home", str(home), "--key-file", str(tmp_path / "elsewhere")]) == 0
