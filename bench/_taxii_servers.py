"""The two TAXII servers of `./run bench taxii`: a node with its door open, and OpenTAXII in an environment of its own.

Owns how each is made, started, given an empty writable collection and one right of entry, and ended.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench._child import child
from exchange.access import Scope
from exchange.demo.network import DemoNetwork, DemoNode
from exchange.demo.processes import Servers
from exchange.door_settings import DoorSettings
from exchange.node.app import real_sources
from exchange.node.control import channel as control
from exchange.node.doors.doorkeeper import Grant, give

LOCK: Final = Path(__file__).parent / "opentaxii.lock"
ENVIRONMENT: Final = Path(sys.prefix) / "bench-opentaxii"  # it goes when `.venv` goes
STAMP: Final = ENVIRONMENT / "installed-from"
ROOT_ID: Final = "11111111-1111-4111-8111-111111111111"
NAME: Final = "bench"
READY_SECONDS: Final = 60
_CONFIG: Final = """---
domain: "127.0.0.1"
support_basic_auth: yes
auth_api:
  class: opentaxii.auth.sqldb.SQLDatabaseAPI
  parameters:
    db_connection: "sqlite:///{folder}/auth.db"
    create_tables: yes
    secret: "a secret of a server that lives for minutes, on loopback"
taxii1:
taxii2:
  persistence_api:
    class: opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI
    parameters:
      db_connection: "sqlite:///{folder}/data.db"
      create_tables: yes
  title: bench
  max_content_length: 209715200
logging:
  opentaxii: warning
  root: warning
"""


@dataclass(frozen=True)
class Server:
    """A running server: its API root's path, a collection to read and write, a token, the ids of its processes."""

    port: int
    root: str
    collection: str
    token: str
    processes: tuple[int, ...]

    @property
    def objects(self) -> str:
        """The path of the collection's objects."""
        return f"{self.root}collections/{self.collection}/objects/"


@contextmanager
def networked(folder: Path) -> Iterator[DemoNetwork]:
    """A network whose hub is up and whose nodes are down."""
    with Servers(folder) as servers:
        root = folder / "network"
        root.mkdir()
        network = DemoNetwork(root, servers)
        network.set_up()
        for node in network.nodes.values():
            network.stop(node)
        yield network


@contextmanager
def our_node(node: DemoNode, folder: Path, *, collection: str = "drafts") -> Iterator[Server]:
    """`exchange node serve` of a member of the network, its door plain on loopback; `drafts` is empty.

    The token is for all of TAXII and for reading the REST API.
    """
    with node.opened() as opened:
        opened.home.with_door(DoorSettings(open=True, port=0, requests_per_second=100_000))
        scopes = frozenset({Scope.TAXII_READ, Scope.TAXII_WRITE, Scope.API_READ})
        name = f"{NAME}-{os.urandom(4).hex()}"  # the home may have been served before
        _, token = give(opened.store, real_sources(), Grant(name=name, scopes=scopes), who=NAME)
    command = ["-m", "exchange", "node", "serve", "--home", str(node.path), "--key-file", str(node.key)]
    with child([sys.executable, *command, "--json"], folder / f"{node.member}.log") as running:
        line = running.stdout.readline() if running.stdout is not None else b""  # its ready line, or the end
        assert line, "the node ended; its log is in the folder"
        url = control.ask(node.path / "control.sock", "status")["http"]
        port = int(url.rstrip("/").rpartition(":")[2])
        yield Server(port, "/taxii2/node/", collection, token, (running.pid,))


@contextmanager
def opentaxii(folder: Path) -> Iterator[Server]:
    """OpenTAXII as its documentation starts it, by gunicorn, with its SQLite storage and one collection."""
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder))
    variables = {"OPENTAXII_CONFIG": str(config), "PYTHONWARNINGS": "ignore"}
    said = _told("opentaxii-create-account", "-u", NAME, "-p", NAME, "-a", env=variables)
    token = said.partition("token: ")[2].split()[0]
    _told("opentaxii-add-api-root", "-t", NAME, "--default", "-i", ROOT_ID, env=variables)
    _told("opentaxii-add-collection", "-r", ROOT_ID, "-t", NAME, "-a", NAME, env=variables)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bind, port = f"fd://{listening.fileno()}", listening.getsockname()[1]
        command = [_tool("gunicorn"), "opentaxii.http:app", "--bind", bind, "--no-control-socket"]
        command += ["--config", "python:opentaxii.http", "--timeout", "600"]  # a long post is no dead worker
        with child(command, folder / "log", env=variables, pass_fds=[listening.fileno()]) as running:
            workers = _workers(running, port)
            yield Server(port, f"/taxii2/{ROOT_ID}/", NAME, token, (running.pid, *workers))


def install() -> str:
    """OpenTAXII in its own environment, from the hashed lock, unless it is there; its version."""
    wanted = LOCK.read_text()
    if not STAMP.exists() or STAMP.read_text() != wanted:
        print("installing OpenTAXII, from bench/opentaxii.lock", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)  # noqa: S603 - this very Python
        pip = [_tool("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True)  # noqa: S603 - of our lock, hashed
        STAMP.write_text(wanted)
    return next(line for line in wanted.splitlines() if line.startswith("opentaxii==")).split()[0]


def shared_once_mib(processes: Sequence[int]) -> float:
    """Resident memory of processes together, what they share counted once (proc(5), smaps_rollup Pss)."""
    return sum(_pss_kib(pid) for pid in processes) / 1024


def _pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _workers(master: subprocess.Popen[bytes], port: int) -> tuple[int, ...]:
    """Its children, once one answers: the socket listened before any of them was there, so the request waits."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    asking.request("GET", "/taxii2/")
    asking.getresponse().read()  # it asks for a login: that is an answer
    asking.close()
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    return tuple(int(one) for one in children.read_text().split())


def _tool(name: str) -> str:
    return str(ENVIRONMENT / "bin" / name)


def _told(name: str, *arguments: str, env: Mapping[str, str]) -> str:
    command = [_tool(name), *arguments]
    done = subprocess.run(command, env=os.environ | env, check=True, capture_output=True, text=True)  # noqa: S603 - of our lock
    return done.stdout
