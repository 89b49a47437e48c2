"""No setting that names a file can be forgotten: each one's type says so, or it stands here as one that names none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import pytest

from exchange.errors import Refused
from exchange.setting_files import Command, FileName, NamedFile, named_files
from exchange.settings import HubSettings, NodeSettings

HOMES = {"node": NodeSettings, "hub": HubSettings}
NUMBERS = (int, bool)
# Every other setting. One that names a file doesn't belong here: its type is FileName or Command, and it is backed up.
NAME_NO_FILE = {
    "node.member",
    "node.hub",
    "node.net",
    "node.proxy",
    "node.own_mail",
    "node.retention.kinds",
    "node.alarm.mail_to",
    "node.alarm.mail_from",
    "node.alarm.mail_server",
    "node.alarm.mail_security",
    "node.alarm.language",
    "node.alarm.alarms",
    "node.http.host",
    "node.http.names",
    "node.http.posts_to",
    "node.http.posts_tlp",
    "hub.origins",
    "hub.host",
    "hub.metrics_from",
    "hub.alarm.mail_to",
    "hub.alarm.mail_from",
    "hub.alarm.mail_server",
    "hub.alarm.mail_security",
    "hub.alarm.language",
    "hub.alarm.alarms",
}


def settings_of(table: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every setting of a table and of those in it, by its dotted name, with its type."""
    kinds = get_type_hints(table)
    for one in fields(table):
        kind, dotted = kinds[one.name], f"{prefix}.{one.name}"
        if is_dataclass(kind):
            yield from settings_of(kind, dotted)
        else:
            yield dotted, kind


ALL = {name: kind for home, table in HOMES.items() for name, kind in settings_of(table, home)}


FILES = [name for name, kind in ALL.items() if kind is FileName]


def given(home: str, kind: object, value: Any) -> dict[str, Any]:
    """A config.toml, parsed, in which each setting of that type has a value."""
    values: dict[str, Any] = (
        {"member": "pe-csirt"} if home == "node" else {"origins": ["https://hub.example"]}
    )
    if home == "node":
        values["http"] = {"tls": True}
    for name, its_kind in ALL.items():
        at, *tables, last = name.split(".")
        if at == home and its_kind is kind:
            table = values
            for one in tables:
                table = table.setdefault(one, {})
            table[last] = value(name) if callable(value) else value
    return values


def test_every_setting_names_a_file_by_its_type_or_is_known_to_name_none() -> None:
    others = {name for name, kind in ALL.items() if kind not in (*NUMBERS, FileName, Command)}
    assert others == NAME_NO_FILE
    assert {
        "node.http.tls_key",
        "node.alarm.mail_login",
        "hub.tls_key",
        "hub.alarm.apprise",
    } <= ALL.keys() - others


@pytest.mark.parametrize("home", HOMES)
def test_what_config_toml_names_is_found_under_its_settings_name(home: str) -> None:
    settings = HOMES[home].from_mapping(given(home, FileName, lambda name: f"{name}.pem"))
    found = {one.setting: one.name for one in named_files(settings)}
    assert found == {name.removeprefix(f"{home}."): f"{name}.pem" for name in FILES if name.startswith(home)}
    programs = HOMES[home].from_mapping(given(home, Command, ["/bin/call", "--now"]))
    assert named_files(programs) == (NamedFile("alarm.command", "/bin/call", is_program=True),)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("value", [7, "a\0b", "a\nb"])
def test_what_is_no_files_name_is_refused(name: str, value: object) -> None:
    home, _, setting = name.partition(".")
    with pytest.raises(Refused) as refused:
        HOMES[home].from_mapping(given(home, FileName, lambda one: value if one == name else "a.pem"))
    assert refused.value.code == "settings.invalid"
    assert setting in refused.value.detail.replace(": ", ".")
