"""`exchange node alarm test`, `exchange hub alarm test`, and what `doctor` says of the hook."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.alarm import AlarmSettings
from exchange.cli.app import run
from exchange.cli.doctor.checks import FAIL, OK, WARN, Finding
from exchange.cli.doctor.home import hook
from exchange.storage.calls import OWED, UNSURE, Trouble

HOMES = {"node": 'member = "pe-csirt"\n', "hub": 'origins = ["https://hub.example"]\n'}


@pytest.mark.parametrize("role", HOMES)
def test_each_way_is_tried_and_its_fault_named(
    role: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def alarm_test(table: str) -> tuple[int, dict]:
        (tmp_path / "config.toml").write_text(f"{HOMES[role]}{table}")
        code = run([role, "alarm", "test", "--home", str(tmp_path), "--json"])
        out, err = capfd.readouterr()
        return code, json.loads(out or err)

    script = tmp_path / "page"
    script.write_text(f'#!/bin/sh\necho "$EXCHANGE_NOTICE $EXCHANGE_WHO $EXCHANGE_TEXT" > {tmp_path}/said\n')
    script.chmod(0o700)
    code, value = alarm_test(f'[alarm]\ncommand = ["{script}"]\nlanguage = "fr"\n')
    assert (code, value["ways"]) == (0, [{"way": "command", "ok": True, "code": ""}])
    who = {"node": "pe-csirt", "hub": "hub"}[role]
    assert (tmp_path / "said").read_text().startswith(f"test {who} Ceci est un essai")
    code, value = alarm_test(f'[alarm]\ncommand = ["{script}"]\napprise = "urls"\n')
    assert (code, [one["code"] for one in value["ways"]]) == (1, ["", "alarm.no-apprise"])
    code, value = alarm_test("")
    assert (code, value["error"]["code"]) == (2, "alarm.none")


def test_doctor_tells_what_did_not_go_out(tmp_path: Path) -> None:
    on = AlarmSettings(command=(sys.executable,))
    owed = Trouble("command", "flash", OWED, 2, "alarm.command", 0)
    unsure = Trouble("command", "flash", UNSURE, 0, "", 0)

    def told(settings: AlarmSettings, *troubles: Trouble) -> Finding:
        (one,) = hook(settings, tmp_path, troubles, without=WARN)
        return one

    assert told(AlarmSettings(), owed).state == WARN
    assert (told(on).state, told(on).code) == (OK, "hook.ok")
    found = told(on, owed, unsure)
    assert (found.state, found.code) == (FAIL, "hook.failing")
    assert found.facts["names"] == "command flash [alarm.command]"
    assert told(on, unsure).state == WARN


def broken(settings: AlarmSettings, home: Path) -> dict[str, str]:
    """What keeps each way from going out, as `doctor` says it."""
    findings = hook(settings, home, [], without=OK)
    assert {one.code for one in findings} <= {"hook.broken", "hook.ok"}
    return {one.facts["way"]: one.facts["detail"] for one in findings if one.state == FAIL}


def test_doctor_names_the_hooks_program_that_can_not_be_run(tmp_path: Path) -> None:
    program, ran = tmp_path / "page", tmp_path / "ran"
    settings = AlarmSettings(command=(str(program), "--now"))
    assert broken(settings, tmp_path) == {"command": f"{program} can't be run: No such file or directory"}
    program.mkdir()
    assert broken(settings, tmp_path) == {"command": f"{program} can't be run: it isn't a file"}
    program.rmdir()
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o600)
    why = f"it isn't executable; run: chmod +x {program}"
    assert broken(settings, tmp_path) == {"command": f"{program} can't be run: {why}"}
    program.chmod(0o700)
    assert broken(settings, tmp_path) == {}
    assert not ran.exists()


def test_doctor_names_the_hooks_files_that_can_not_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.machinery.ModuleSpec("apprise", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: there)
    login, ca, urls = (tmp_path / name for name in ("login", "ca.pem", "urls"))
    mail = AlarmSettings(
        mail_to=("duty@example.org",),
        mail_from="exchange@co.example",
        mail_server="smtp.example",
        mail_login=login.name,
    )
    for way, settings, path in (
        ("mail", mail, login),
        ("apprise", AlarmSettings(apprise=urls.name), urls),
    ):
        missing = f"config.toml names {path}, which can't be read: No such file or directory"
        assert broken(settings, tmp_path) == {way: missing}
        path.write_text("duty:secret\n")
        path.chmod(0o640)
        assert broken(settings, tmp_path) == {way: f"others may read {path}; run: chmod 600 {path}"}
        path.chmod(0o600)
        assert broken(settings, tmp_path) == {}
    login.write_text("duty\n")
    assert str(login) in broken(mail, tmp_path)["mail"]
    login.write_text("duty:secret\n")
    named = replace(mail, mail_ca=ca.name)
    assert f"{ca} isn't a PEM certificate" in broken(named, tmp_path)["mail"]
    ca.write_text("no PEM\n")
    assert f"{ca} isn't a PEM certificate" in broken(named, tmp_path)["mail"]
    both = replace(mail, command=("/nope/hook",), mail_login="nowhere")
    assert broken(both, tmp_path).keys() == {"command", "mail"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install" in broken(AlarmSettings(apprise=urls.name), tmp_path)["apprise"]
