"""What `backup` and `restore` refuse before they do anything, and how their secret is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.cli.app import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with secrets, and a node's home that `key` opens."""
    for name in ("key", "backup-key"):
        (tmp_path / name).write_bytes(os.urandom(32))
        (tmp_path / name).chmod(0o600)
    (tmp_path / "phrase").write_text("a horse of another colour\n")
    (tmp_path / "phrase").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(tmp_path / "key"))
    for name in ("EXCHANGE_BACKUP_KEY_FILE", "EXCHANGE_BACKUP_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert run(["node", "init", "--home", "pe", "--member", "pe-csirt", "--quiet"]) == 0
    return tmp_path


def result_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON of a command that went well."""
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    value: dict[str, Any] = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    return value


def code_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The error's code of a command; empty where it went well."""
    capsys.readouterr()
    run([*words, "--json"])
    value = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    return "" if value["ok"] else str(value["error"]["code"])


def test_the_backup_needs_a_secret_that_is_not_lost_with_the_home(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = ("node", "backup", "file", "--home", "pe")
    (folder / "pe" / "inside").write_bytes(os.urandom(32))
    (folder / "pe" / "inside").chmod(0o600)
    (folder / "link").symlink_to("key")
    assert code_of(capsys, *backup) == "backup.no-secret"
    for own in ("key", "link", "pe/inside"):
        assert code_of(capsys, *backup, "--backup-key-file", own) == "backup.own-secret"
    both = ("--backup-key-file", "backup-key", "--backup-passphrase-file", "phrase")
    assert code_of(capsys, *backup, *both) == "cli.usage"
    assert code_of(capsys, *backup, "--backup-key-file", "nowhere") == "keystore.key-file"
    assert code_of(capsys, "node", "backup", "pe/file", *backup[3:], *both[:2]) == "cli.usage"
    assert not (folder / "file").exists()
    monkeypatch.setenv("EXCHANGE_BACKUP_KEY_FILE", "backup-key")
    assert code_of(capsys, *backup) == ""
    assert code_of(capsys, *backup) == "backup.exists"


def test_a_restore_refuses_what_is_there_and_what_is_not_a_backup_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phrase = ("--backup-passphrase-file", "phrase")
    assert code_of(capsys, "node", "backup", "file", "--home", "pe", *phrase) == ""
    again = ("node", "restore", "file", "--home", "again")
    assert code_of(capsys, "node", "restore", "file", "--home", "pe", *phrase) == "backup.home-in-use"
    assert code_of(capsys, *again, "--backup-key-file", "backup-key") == "backup.wrong-key"
    assert code_of(capsys, "node", "restore", "nowhere", *again[3:], *phrase) == "backup.missing"
    assert code_of(capsys, "node", "restore", "phrase", *again[3:], *phrase) == "backup.damaged"
    assert code_of(capsys, "hub", "restore", "file", "--home", "again", *phrase) == "backup.other-kind"
    assert code_of(capsys, *again, *phrase, "--as", "tracing") == "backup.other-kind"
    inside = ("--key-file", "again/key")
    assert code_of(capsys, *again, *phrase, *inside) == "cli.usage"
    (folder / "seed").write_text("ABCD\n")
    assert code_of(capsys, *again, *phrase, "--seed", "seed") == "cli.bad-seed"
    assert not (folder / "again").exists()
    assert code_of(capsys, *again, *phrase, "--key-file", "new-key") == ""
    assert (folder / "again" / "key-file").read_text() == str(folder / "new-key")
    status = ("node", "status", "--home", "again", "--key-file")
    assert code_of(capsys, *status, "key") == "keystore.wrong-key"
    assert code_of(capsys, *status, "new-key") == "node.not-joined"  # as it was


def test_files_that_the_backup_lacks_are_told_when_it_is_made_and_when_it_is_restored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pe" / "login").write_text("duty:letmein")
    (folder / "urls").write_text("json://127.0.0.1")
    with (folder / "pe" / "config.toml").open("a") as config:
        config.write('[alarm]\nmail_login = "login"\nmail_ca = "gone.pem"\napprise = "../urls"\n')
    phrase = ("--backup-passphrase-file", "phrase")
    backup = ("node", "backup", "file", "--home", "pe", *phrase)
    assert result_of(capsys, *backup)["left_out"] == ["pe/gone.pem", "pe/../urls"]
    (folder / "urls").unlink()
    again = ("node", "restore", "file", *phrase)
    missing = result_of(capsys, *again, "--home", "again")["missing"]
    assert missing == ["again/gone.pem", "again/../urls"]
    assert (folder / "again" / "login").read_text() == "duty:letmein"
    assert run([*backup[:2], "other", *backup[3:]]) == 0
    told = capsys.readouterr().out
    assert "not in it: pe/gone.pem: " in told
    assert run([*again, "--home", "third"]) == 0
    assert "not there: third/gone.pem: config.toml names it" in capsys.readouterr().out
