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

import pytest

from exchange.cli.application_form import TEMPLATE
from exchange.tlp import Tlp
from tests.cli.transcript import Story, story
from tests.stix_samples import SOMEBODY, bundle_of

PORTS = ("PORT", "SECOND")  # of the hub, and of the one that takes its place

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
    (folder / "mixed.json").write_bytes(bundle_of(SOMEBODY, {"type": "nothing"}))
    (folder / "bad.json").write_bytes(b"{")
