"""Where stories are told: a folder with the files they name, a key file that opens every home, free ports.

Owns these props. The language of stories is `transcript`'s.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.application_form import TEMPLATE
from exchange.tlp import Tlp
from tests.cli.transcript import Story, story
from tests.foreign_samples import LIST, OPEN_RDP, PASTED, advisory_file
from tests.misp_samples import full_event
from tests.stix_samples import SOMEBODY, bundle_of

PORTS = ("PORT", "SECOND", "DOOR")  # of the hub, of the one that takes its place, of a node's HTTP door

# contact points as spreadsheets have them
LISTS = {
    "contacts.csv": (
        "Organización;Contacto;Función;Tema;Cargo;Correo;Zona horaria;Horario;Idiomas;Nombre;Fax",
        "co-csirt;press;press;phishing;Prensa;prensa@co.example;America/Bogota;mon-fri 08:00-17:00;es;Luz Rojas;1",
        "co-csirt;night;technical_24x7;ddos;Noche;n@co.example;America/Bogota;mon-fri 08:00-17:00;es;Luz Rojas;2",
        "co-csirt;chief;chief;ddos;Jefe;;;;;;3",
        "pe-csirt;spoc;spoc;ddos;Enlace;enlace@pe.example;;;;;4",
    ),
    "press.csv": ("member,handle,function", "co-csirt,duty,technical_24x7"),
    "bad.csv": ("name,surname", "Luz,Rojas"),
}

_SEEN = {"created": "2026-11-03T06:40:00.000Z", "modified": "2026-11-03T06:40:00.000Z", "spec_version": "2.1"}


def _indicator(number: int, pattern: str) -> dict[str, Any]:
    value = {"type": "indicator", "id": f"indicator--0000000{number}-0000-4000-8000-000000000000", **_SEEN}
    return value | {"pattern": pattern, "pattern_type": "stix", "valid_from": "2026-11-03T00:00:00Z"}


# of two utilities: what was seen at each, and at one of them also the attacker
ASSETS = (
    _indicator(1, "[ipv4-addr:value = '203.0.113.9']"),
    _indicator(2, "[ipv4-addr:value = '198.51.100.4']"),
    _indicator(3, "[ipv4-addr:value = '203.0.113.9' AND ipv4-addr:value = '192.0.2.66']"),
    {
        "type": "malware",
        "id": "malware--00000004-0000-4000-8000-000000000000",
        **_SEEN,
        "name": "Loader",
        "is_family": True,
    },
    {
        "type": "relationship",
        "id": "relationship--00000005-0000-4000-8000-000000000000",
        **_SEEN,
        "relationship_type": "indicates",
        "source_ref": "indicator--00000001-0000-4000-8000-000000000000",
        "target_ref": "malware--00000004-0000-4000-8000-000000000000",
    },
)


@contextmanager
def stage(folder: Path) -> Iterator[Story]:
    """A story in `folder`, which it may fill; its servers are stopped at the end."""
    _write_files(folder)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    with pytest.MonkeyPatch.context() as environment, story(folder, **ports) as told:
        environment.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))
        environment.setenv("NO_COLOR", "1")
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):  # stories are told in English
            environment.delenv(name, raising=False)
        yield told


def free_ports(count: int) -> list[str]:
    """So many TCP ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _write_files(folder: Path) -> None:
    """The key, the passphrases, the papers and the STIX files that the stories name."""
    secret = {
        "key": secrets.token_bytes(32),
        "passphrase": b"correct horse battery\n",
        "backup-passphrase": b"a horse of another colour\n",
        "other-passphrase": b"another horse entirely\n",
    }
    for name, data in secret.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    for name in ("agreement.pdf", "decree.pdf", "note.pdf", "report.pdf"):
        (folder / name).write_bytes(f"the text of {name}\n".encode("ascii"))
    for name, rows in LISTS.items():
        (folder / name).write_text("\n".join(rows), encoding="utf-8")
    (folder / "application.json").write_text(json.dumps(TEMPLATE))
    red = SOMEBODY | {"object_marking_refs": [Tlp.RED.marking_id]}
    (folder / "red.json").write_bytes(bundle_of(red))
    (folder / "assets.json").write_bytes(bundle_of(*ASSETS))
    (folder / "mixed.json").write_bytes(bundle_of(SOMEBODY, {"type": "nothing"}))
    (folder / "bad.json").write_bytes(b"{")
    foreign = {
        "advisory.json": advisory_file(),
        "event.json": json.dumps(full_event()).encode("ascii"),
        "indicators.csv": LIST.replace(";red;", ";green;").encode("cp1252"),
        "who.csv": b"who,what\nip,203.0.113.7\n",
        "mail.txt": PASTED.encode(),
        "2026-11-20-scan_rdp.csv": OPEN_RDP,
    }
    for name, data in foreign.items():
        (folder / name).write_bytes(data)
