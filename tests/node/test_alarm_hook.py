"""A node's alarm hook: whom it calls, when, how often, and that nothing of a message leaves with it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
import time
from contextlib import suppress
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from exchange import notify
from exchange.alarm import AlarmSettings, Notice
from exchange.alarm_hook import Caller, try_ways
from exchange.errors import Refused, Unavailable
from exchange.limits import HOUR_MS, MINUTE_MS, SECOND_MS
from exchange.message import Urgency
from exchange.node.alarm_hook import AlarmHook
from exchange.node.store.store import raise_alarm
from exchange.storage import calls
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tls import CA_FILE, ServerTls, create_authority
from tests.mail_server import MailServer, mail_server
from tests.simulator import Simulation, Site

CANARY = "canary-of-the-subject"
WHO = "co-csirt"
AFTER = 300 * SECOND_MS
REPEAT = 15 * MINUTE_MS
# a hook that writes what it was given: its words, its environment, and what it can read
SCRIPT = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
n = len(list(folder.glob("*.json")))
(folder / f"{n}.json").write_text(json.dumps([sys.argv[2:], dict(os.environ), sys.stdin.read()]))
sys.exit(int((folder / "code").read_text()) if (folder / "code").exists() else 0)
"""


class Duty:
    """The hook of a site, with a command that keeps what it was called with."""

    def __init__(self, site: Site, folder: Path, **settings: Any) -> None:
        self.site = site
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "hook.py").write_text(SCRIPT)
        command = (sys.executable, str(folder / "hook.py"), str(folder), "word")
        self.settings = AlarmSettings(command=command, **settings)

    async def start(self) -> None:
        """As a serving process does."""
        store, clock = self.site.up.store, self.site.up.sources.clock
        self.caller = Caller(
            store.db, notify.ways(self.settings, self.folder), who=self.site.member, clock=clock
        )
        self.hook = AlarmHook(store, self.settings, self.caller, clock=clock)
        await self.caller.load()

    async def turn(self) -> None:
        """One look and what it finds."""
        await self.hook.look()
        await self.caller.deliver()

    def fail(self, code: int) -> None:
        """From now on the command ends with this code."""
        (self.folder / "code").write_text(str(code))

    def called(self) -> list[dict[str, str]]:
        """The environments of all calls, the oldest first."""
        found = sorted(self.folder.glob("*.json"), key=lambda one: int(one.stem))
        return [json.loads(one.read_text())[1] for one in found]

    def kinds(self) -> list[str]:
        """Kind and count of all calls."""
        return [f"{one['EXCHANGE_NOTICE']} {one['EXCHANGE_COUNT']}" for one in self.called()]

    def trouble(self) -> list[calls.Trouble]:
        return self.site.up.store.db.read_sync(calls.trouble)


@pytest.fixture
async def duty(co: Site, tmp_path: Path) -> Duty:
    one = Duty(co, tmp_path / "duty")
    await one.start()
    return one


async def flash(sim: Simulation, pe: Site) -> str:
    """A flash message to co, which has come."""
    sent = pe.send(WHO, subject=CANARY, urgency=Urgency.FLASH)
    await sim.rounds()
    return sent


async def test_flash_calls_once_a_step_until_it_is_acknowledged(
    sim: Simulation, pe: Site, co: Site, duty: Duty
) -> None:
    sent = await flash(sim, pe)
    pe.send(WHO, urgency=Urgency.IMMEDIATE)
    await sim.rounds()
    await sim.wait(AFTER - 1)
    await duty.turn()
    assert duty.kinds() == []
    await sim.wait(1)
    for _ in range(3):
        await duty.turn()
    assert duty.kinds() == ["flash 1"]
    co.desk.open(sent)  # somebody has looked at it; nobody has said that they act
    await sim.wait(REPEAT - 1)
    await duty.turn()
    assert duty.kinds() == ["flash 1"]
    await sim.wait(1)
    await duty.turn()
    assert duty.kinds() == ["flash 1", "flash 1"]
    assert int(duty.called()[1]["EXCHANGE_SECONDS"]) == (AFTER + REPEAT) // SECOND_MS
    co.desk.answer(sent, "acknowledged", person="Ana")
    await sim.wait(10 * REPEAT)
    await duty.turn()
    assert len(duty.called()) == 2
    assert duty.trouble() == []


async def test_burst_is_one_call(sim: Simulation, pe: Site, duty: Duty) -> None:
    for _ in range(5):
        await flash(sim, pe)
        await sim.wait(SECOND_MS)
    await sim.wait(AFTER)
    await duty.turn()
    assert duty.kinds() == ["flash 5"]
    await flash(sim, pe)
    await sim.wait(AFTER)
    await duty.turn()
    assert duty.kinds() == ["flash 5", "flash 6"]  # a new one calls, and says how many wait


async def test_restart_does_not_call_again(sim: Simulation, pe: Site, co: Site, duty: Duty) -> None:
    await flash(sim, pe)
    await sim.wait(AFTER)
    await duty.turn()
    await co.restart()
    await duty.start()
    await duty.turn()
    assert duty.kinds() == ["flash 1"]
    await sim.wait(REPEAT)
    await duty.turn()
    assert duty.kinds() == ["flash 1", "flash 1"]


async def test_what_ran_when_the_node_was_killed_is_not_run_again(
    sim: Simulation, pe: Site, co: Site, duty: Duty
) -> None:
    await flash(sim, pe)
    await sim.wait(AFTER)
    await duty.hook.look()
    now = sim.world.now
    due = await co.up.store.db.write(lambda c: calls.begin(c, "command", now=now))
    assert due is not None
    await co.restart()
    await duty.start()
    await duty.turn()
    assert duty.kinds() == []
    assert [(one.way, one.state) for one in duty.trouble()] == [("command", "unsure")]
    await sim.wait(REPEAT)
    await duty.turn()
    assert duty.kinds() == ["flash 1"]
    assert duty.trouble() == []


async def test_failure_is_tried_again_later_and_later(
    sim: Simulation, pe: Site, co: Site, duty: Duty
) -> None:
    sent = await flash(sim, pe)
    await sim.wait(AFTER)
    duty.fail(3)
    await duty.turn()
    await duty.turn()
    assert len(duty.called()) == 1
    (trouble,) = duty.trouble()
    assert (trouble.kind, trouble.tries, trouble.code) == ("flash", 1, "alarm.command")
    await sim.wait(MINUTE_MS)
    await duty.turn()
    await sim.wait(MINUTE_MS)
    await duty.turn()
    assert len(duty.called()) == 2
    await sim.wait(MINUTE_MS)
    await duty.turn()
    assert len(duty.called()) == 3
    co.desk.answer(sent, "working", person="Ana")
    await sim.wait(HOUR_MS)
    await duty.turn()
    assert len(duty.called()) == 3  # owed no more
    assert duty.trouble() == []


async def test_clock_that_was_ahead_silences_nothing(sim: Simulation, pe: Site, co: Site, duty: Duty) -> None:
    co.offset = 5 * HOUR_MS
    await flash(sim, pe)
    await sim.wait(AFTER)
    await duty.turn()
    assert duty.kinds() == ["flash 1"]
    co.offset = 0
    await duty.turn()
    await duty.turn()
    assert duty.kinds() == ["flash 1", "flash 1"]


async def test_other_alarms_call_where_they_are_wanted(sim: Simulation, co: Site, tmp_path: Path) -> None:
    async def alarm(code: str) -> None:
        await co.up.store.db.write(
            lambda c: raise_alarm(
                c, key=f"{code}/{sim.world.now}", at=sim.world.now, code=code, subject=CANARY
            )
        )
        await sim.wait(1)

    told: dict[str, list[str]] = {}
    hooks = {level: Duty(co, tmp_path / level, alarms=level) for level in ("none", "serious")}
    for level, duty in hooks.items():
        await duty.start()
        await alarm("outbox.lost")
        await alarm("directory.split")
        await alarm("chain.fork")
        await duty.turn()
        await duty.turn()
        told[level] = duty.kinds()
    assert told == {"none": [], "serious": ["alarm 2"]}
    everything = Duty(co, tmp_path / "all", alarms="all")
    await everything.start()
    await alarm("outbox.lost")
    await everything.turn()
    assert everything.kinds() == ["alarm 1"]
    assert CANARY not in str(everything.called())


async def test_command_gets_fixed_words_and_nothing_of_this_process(
    sim: Simulation, pe: Site, duty: Duty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_PASSPHRASE_FILE", "/secret")
    duty.settings = replace(duty.settings, language="es")
    await duty.start()
    sent = await flash(sim, pe)
    await sim.wait(AFTER)
    await duty.turn()
    (raw,) = [one.read_text() for one in duty.folder.glob("*.json")]
    for word in (CANARY, sent, "pe-csirt", "case-1", "/secret"):
        assert word not in raw
    (given,) = duty.called()
    words = {name: text for name, text in given.items() if name.startswith("EXCHANGE_")}
    assert words == Notice("flash", WHO, 1, AFTER).environment("es")
    assert words["EXCHANGE_TEXT"].startswith("Mensajes flash que nadie en co-csirt ha confirmado: 1.")
    assert given.keys() - words.keys() <= {"PATH", "LC_ALL", "LC_CTYPE"}


async def test_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = f"sleep 600 & echo $! > {note}; wait"
    (way,) = notify.ways(AlarmSettings(command=("/bin/sh", "-c", script)), tmp_path, seconds=0.5).values()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=r"0\.5 s"):
        await way(Notice("test", WHO))
    assert time.monotonic() - begun < 20
    with suppress(ProcessLookupError):  # over already
        assert select.select([os.pidfd_open(int(note.read_text()))], [], [], 20)[0]


async def test_what_is_not_there_or_wrong_is_named(tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    urls.write_text("json://127.0.0.1:9")
    urls.chmod(0o600)
    settings = AlarmSettings(command=("/no/such/program",), apprise="urls")
    results = await try_ways(notify.ways(settings, tmp_path), who=WHO)
    assert {way: error.code for way, error in results.items() if error} == {
        "command": "alarm.command",
        "apprise": "alarm.no-apprise",
    }
    assert "pip install" in str(results["apprise"])


# -- mail ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def letters(tmp_path: Path) -> tuple[AlarmSettings, ServerTls]:
    """Settings of a hook that mails, and the server's certificate by a CA of the test's own."""
    create_key_file(tmp_path / "key")
    keystore = Keystore.create(tmp_path / "keystore", Unlock.key_file(tmp_path / "key"), {})
    now = time.time_ns() // 1_000_000
    create_authority(keystore, tmp_path, now=now)
    tls = ServerTls(keystore, ("https://127.0.0.1",))
    tls.refresh(now=now)
    (tmp_path / "login").write_text("duty:letmein\n")
    (tmp_path / "login").chmod(0o600)
    settings = AlarmSettings(
        mail_to=("duty@example.org", "chief@example.org"),
        mail_from="exchange@co.example",
        mail_server="127.0.0.1",
        mail_login="login",
        mail_ca=CA_FILE,
        language="pt",
    )
    return settings, tls


async def mailed(server: MailServer, settings: AlarmSettings, home: Path) -> str:
    """Try it; the code of what went wrong."""
    made = notify.ways(replace(settings, mail_port=server.port), home, seconds=5)
    results = await try_ways(made, who=WHO)
    return "" if results["mail"] is None else results["mail"].code


async def test_mail_goes_encrypted_with_a_login(
    sim: Simulation, pe: Site, co: Site, letters: tuple[AlarmSettings, ServerTls], tmp_path: Path
) -> None:
    settings, tls = letters
    async with mail_server(tls.context) as server:
        duty = Duty(co, tmp_path / "duty")
        duty.settings, duty.folder = replace(settings, mail_port=server.port), tmp_path
        await duty.start()
        sent = await flash(sim, pe)
        await sim.wait(AFTER)
        await duty.turn()
        assert duty.trouble() == []
        ((encrypted, to, letter),) = server.taken
        assert encrypted
        assert to == ["<duty@example.org>", "<chief@example.org>"]
        assert "Subject: co-csirt: flash sem" in letter
        for word in (CANARY, sent, "pe-csirt", "case-1"):
            assert word not in letter
        other = EmailMessage()
        other["To"], other["From"] = "luz@co.example", settings.mail_from
        await notify.deliver(duty.settings, tmp_path, other)
        assert server.taken[1][:2] == (True, ["<luz@co.example>"])


async def test_mail_that_does_not_go_says_why(
    letters: tuple[AlarmSettings, ServerTls], tmp_path: Path
) -> None:
    settings, tls = letters
    async with mail_server(tls.context) as server:
        assert await mailed(server, settings, tmp_path) == ""
        assert await mailed(server, replace(settings, mail_ca=""), tmp_path) == "alarm.mail"  # not our CA
        server.refuse = "451 later"
        assert await mailed(server, settings, tmp_path) == "alarm.mail"
        (tmp_path / "login").write_text("duty:contraseña\n")
        assert await mailed(server, settings, tmp_path) == "settings.invalid"
        (tmp_path / "login").write_text("duty:wrong\n")
        assert await mailed(server, settings, tmp_path) == "alarm.mail"
        assert await mailed(server, replace(settings, mail_server="x" * 64), tmp_path) == "alarm.mail"
        (tmp_path / "login").chmod(0o640)
        assert await mailed(server, settings, tmp_path) == "keystore.mode"
        assert len(server.taken) == 1
    closed = MailServer(port=server.port)
    (tmp_path / "login").chmod(0o600)
    assert await mailed(closed, settings, tmp_path) == "alarm.mail"


async def test_server_that_says_nothing_is_left(
    letters: tuple[AlarmSettings, ServerTls], tmp_path: Path
) -> None:
    settings, tls = letters
    async with mail_server(tls.context) as server:
        server.mute = True
        made = notify.ways(replace(settings, mail_port=server.port), tmp_path, seconds=0.5)
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable):
                await made["mail"](Notice("test", WHO))


def test_settings_are_checked() -> None:
    good = {"command": ["/bin/true"], "flash_seconds": 60, "language": "fr", "alarms": "serious"}
    settings = AlarmSettings.from_mapping(good)
    assert settings.ways == ("command",)
    assert AlarmSettings.from_mapping(settings.to_mapping()) == settings
    assert AlarmSettings.from_mapping({}, flash_seconds=60) == AlarmSettings(flash_seconds=60)
    for wrong in (
        {"command": "/bin/true"},
        {"command": ["true"]},
        {"command": ["/bin/true", "a\nb"]},
        {"mail_to": ["duty@example.org"]},
        {"mail_to": ["a@b, c@d"], "mail_from": "a@b.c", "mail_server": "x"},
        {"mail_security": "none", "mail_server": "mail.example.org"},
        {"language": "de"},
        {"flash_seconds": 9},
        {"flash_seconds": True},
        {"alarms": "some"},
        {"sms": "+51"},
    ):
        with pytest.raises(Refused, match="alarm"):
            AlarmSettings.from_mapping(wrong)
