"""`exchange node alarm test`, `exchange hub alarm test`, and what `doctor` says of the hook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exchange.alarm import AlarmSettings
from exchange.cli.app import run
from exchange.cli.doctor.checks import FAIL, OK, WARN
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


def test_doctor_tells_what_did_not_go_out() -> None:
    on = AlarmSettings(command=("/bin/true",))
    owed = Trouble("command", "flash", OWED, 2, "alarm.command", 0)
    unsure = Trouble("command", "flash", UNSURE, 0, "", 0)
    assert hook(AlarmSettings(), [owed], without=WARN).state == WARN
    assert (hook(on, [], without=WARN).state, hook(on, [], without=WARN).code) == (OK, "hook.ok")
    found = hook(on, [owed, unsure], without=WARN)
    assert (found.state, found.code) == (FAIL, "hook.failing")
    assert found.facts["names"] == "command flash [alarm.command]"
    assert hook(on, [unsure], without=WARN).state == WARN
