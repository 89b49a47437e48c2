"""The demo keeps its contract (docs/cli.md): run as a user does, judged by its JSON, exit code and what it leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from taxii2client.common import TokenAuth
from taxii2client.v21 import Server

from exchange.formats.registry import load
from tests.stix_samples import SOMEBODY, bundle_of

MEMBERS = ["pe-csirt", "co-csirt", "bb-csirt"]
SECONDS = 120


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """`exchange demo --json ARGUMENTS`: the exit code, the object, and the story on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, orjson.loads(done.stdout.splitlines()[-1]), done.stderr


def statuses(message: dict[str, Any], member: str) -> list[str]:
    """What the sender holds of one recipient, in order of time."""
    return [each["status"] for each in message["receipts"] if each["member"] == member]


def test_an_incident_goes_round_and_every_receipt_returns(tmp_path: Path) -> None:
    code, value, told = run("--homes", str(tmp_path / "homes"))
    assert (code, value["ok"], value["hub_saw_plaintext"]) == (0, True, False), told
    assert [node["member"] for node in value["nodes"]] == MEMBERS
    homes = [value["hub"]["home"], *(node["home"] for node in value["nodes"])]
    assert all(
        Path(home).parent == tmp_path / "homes" and Path(home).stat().st_mode & 0o077 == 0 for home in homes
    )

    incident, answer, alert = value["messages"]
    assert (incident["kind"], incident["tlp"], incident["urgency"]) == (
        "incident-report",
        "TLP:AMBER",
        "flash",
    )
    assert (incident["from"], incident["to"]) == ("pe-csirt", ["co-csirt", "bb-csirt"])
    assert incident["down_at_send"] == ["bb-csirt"]
    assert (answer["from"], answer["to"], answer["kind"]) == ("co-csirt", ["pe-csirt"], "response")
    assert answer["case"] == incident["case"]
    assert (alert["to"], alert["down_at_send"]) == (["bb-csirt"], ["bb-csirt"])
    for message in value["messages"]:
        assert (message["verified"], message["code"]) == (True, None)
        assert message["sealed_bytes"] > 1_000
        assert set(message["latency_ms"]) == set(message["to"])
        assert all({"accepted", "stored"} <= set(statuses(message, member)) for member in message["to"])
    for member in incident["to"]:
        assert {"opened", "acknowledged"} <= set(statuses(incident, member))
    # it was pushed to the one that was up, and waited for the other
    assert incident["latency_ms"]["co-csirt"] < incident["latency_ms"]["bb-csirt"]


@pytest.mark.parametrize(
    ("offset", "part"), [(0, "header"), (600, "signatures"), (4_100, "slot"), (5_400, "body"), (10**9, "")]
)
def test_a_byte_changed_at_the_hub_is_noticed_by_exactly_that_recipient(offset: int, part: str) -> None:
    code, value, told = run("--sabotage", str(offset))
    assert (code, value["ok"]) == (6, False), told
    assert f"of its {part}" in told
    wrong = [message for message in value["messages"] if not message["verified"]]
    assert [message["to"] for message in wrong] == [["bb-csirt"]]
    assert wrong[0]["code"]
    assert wrong[0]["code"].startswith(("envelope.", "json.", "hold."))
    assert statuses(wrong[0], "bb-csirt") == ["accepted"]
    assert not value["hub_saw_plaintext"]


def test_real_files_arrive_byte_for_byte(data_dir: Path) -> None:
    code, value, told = run("--data", str(data_dir))
    assert (code, value["ok"]) == (0, True), told
    data = value["data"]
    assert data["files"] == 310
    assert data["sent"] >= 290
    assert data["objects_verified_byte_identical"] == data["objects_sent"]
    index = orjson.loads((data_dir / "INDEX.json").read_bytes())
    loaded = [load(each["file"], (data_dir / each["file"]).read_bytes()) for each in index]
    held = sum(len(each.accepted) + len(each.set_aside) for each in loaded)
    assert data["objects_sent"] + len(data["set_aside"]) == held
    assert all(set(each) == {"file", "object", "reason"} for each in data["set_aside"])


def test_a_single_file_can_be_sent_and_a_bad_object_does_not_make_the_run_fail(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_bytes(bundle_of(SOMEBODY, {"type": "nothing"}))
    code, value, told = run("--data", str(path))
    assert code == 0, told
    assert (value["data"]["files"], value["data"]["sent"], value["data"]["objects_sent"]) == (1, 1, 1)
    assert [(each["file"], each["object"]) for each in value["data"]["set_aside"]] == [("two.json", "#1")]


def test_kept_up_it_serves_taxii_and_ends_every_child_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # where it is set, requests trusts nothing else
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    demo = subprocess.Popen(
        [sys.executable, "-m", "exchange", "demo", "--json", "--quiet", "--keep", "--homes", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    value = orjson.loads(demo.stdout.readline())
    owners = [int((Path(each["home"]) / "lock").read_text()) for each in (value["hub"], *value["nodes"])]
    assert all(is_running(pid) for pid in owners)
    for node in value["nodes"]:
        server = Server(node["taxii"], auth=TokenAuth(node["token"]), verify=node["ca"])
        found = {one.id: one for one in server.default.collections}
        assert found[node["collections"]["readonly"]].get_objects()["objects"]
        assert found[node["collections"]["writable"]].add_objects({"objects": [SOMEBODY]}).success_count == 1
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(timeout=SECONDS) == 0
    demo.stdout.close()
    assert [pid for pid in owners if is_running(pid)] == []


def is_running(pid: int) -> bool:
    """Whether a process lives; one that has ended and only waits to be collected doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    code, value, _ = run("--homes", str(tmp_path))
    assert (code, value["error"]["code"]) == (2, "cli.usage")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
