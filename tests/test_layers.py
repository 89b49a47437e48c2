"""The house's layers: who may import whom, and which outside libraries are seen where.

The list is house.py's. A file may import earlier layers and what stands above it in its own layer;
modules that share one `*` line may import each other, without a cycle. Imports inside functions and under
`if TYPE_CHECKING` count like any other. What each file's rule is, and where it may stand, is test_rules.py's subject.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.house import IMPURE, LAYERS, LIBRARIES, NETWORK, NO_NETWORK, STDLIB

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """Where a module stands: its layer, and its line in that layer."""

    layer: str
    layer_number: int
    line: int


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its path for messages, its syntax tree and whether it is a package's `__init__`."""

    name: str
    path: str
    tree: ast.Module
    is_package: bool


def place(name: str) -> Place | None:
    """The first line of LAYERS that names the module `name`."""
    for number, (layer, lines) in enumerate(LAYERS.items()):
        for line, pattern in enumerate(lines.split()):
            if fnmatchcase(name, pattern):
                return Place(layer, number, line)
    return None


def read(root: Path) -> dict[str, Module]:
    """Every module under `root`/exchange, by name."""
    modules = {}
    for path in sorted((root / "exchange").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        modules[name] = Module(name, str(path.relative_to(root)), tree, is_package)
    return modules


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".removeprefix(".")
    return node.id if isinstance(node, ast.Name) else ""


def imported(module: Module, known: dict[str, Module]) -> Iterator[tuple[int, str]]:
    """Line and full name of everything `module` imports, however late; `?` for a name made at run time."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in known else base
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in (
            "import_module",
            "__import__",
        ):
            first = node.args[0] if node.args else None
            yield node.lineno, str(first.value) if isinstance(first, ast.Constant) else "?"


def check(root: Path) -> list[str]:
    """Everything under `root`/exchange that breaks the layers, as sentences; empty when the house is in order."""
    modules = read(root)
    found: list[str] = []
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for module in modules.values():
        here = place(module.name)
        if module.is_package:
            found += [f"{module.path}: package files stay empty"] if module.tree.body else []
        elif here is None:
            found.append(f"{module.path}: add it to the layer list in tests/test_layers.py")
        else:
            for line, target in imported(module, modules):
                if target in modules and not modules[target].is_package:
                    graph[module.name].add(target)
                found += (f"{module.path}:{line}: {what}" for what in against(here, module.name, target))
            found += impurities(module) if here.layer in STDLIB else ()
    return [*found, *crossings(graph), *cycles(graph)]


def against(here: Place, name: str, target: str) -> Iterator[str]:
    """What speaks against the module `name`, which stands `here`, importing `target`."""
    top = target.partition(".")[0]
    if target == "?":
        yield "an import whose name is made at run time can't be checked"
    elif top == "exchange":
        yield from against_order(here, name, target)
    elif top in sys.stdlib_module_names:
        if here.layer in STDLIB and target not in STDLIB[here.layer]:
            yield f"{here.layer} is pure and imports {target}"
        elif here.layer in NO_NETWORK and target in NETWORK:
            yield f"{here.layer} doesn't reach the network and imports {target}"
    else:
        owners = LIBRARIES.get(top, ())
        if here.layer not in owners and not any(fnmatchcase(name, pattern) for pattern in owners):
            yield f"{target} belongs to {', '.join(owners) or 'no layer yet'}, not to {here.layer}"


def against_order(here: Place, name: str, target: str) -> Iterator[str]:
    """An import of ours that goes up, or down the list within its layer. An unlisted file is reported at itself."""
    there = place(target)
    if there and there.layer_number > here.layer_number:
        yield f"{here.layer} imports {target} of the later layer {there.layer}"
    elif there and there.layer_number == here.layer_number and there.line > here.line:
        yield f"imports {target}, which stands below {name} in {here.layer}"


def impurities(module: Module) -> Iterator[str]:
    """Clock, chance, files and waiting, where they come by a name that may itself be imported."""
    for node in ast.walk(module.tree):
        names = [""]
        if isinstance(node, ast.Attribute):
            names = [".".join(dotted(node).split(".")[-2:])]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [node.func.id]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.AsyncFunctionDef):
            names = ["async"]
        line = getattr(node, "lineno", 0)
        yield from (f"{module.path}:{line}: a pure layer uses {name}" for name in names if name in IMPURE)


def crossings(graph: dict[str, set[str]]) -> Iterator[str]:
    """Every module of one side from which some path of imports reaches the other side."""
    for side, other in (("exchange.node.", "exchange.hub."), ("exchange.hub.", "exchange.node.")):
        for start in (name for name in graph if name.startswith(side)):
            paths, seen = [[start]], {start}
            for path in paths:  # grows while it is walked: breadth first, so that the shortest path is shown
                if path[-1].startswith(other):
                    yield f"{start}: node and hub meet: {' -> '.join(path)}"
                    break
                fresh = graph[path[-1]] - seen
                seen |= fresh
                paths += [[*path, target] for target in sorted(fresh)]


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """A circle of imports, which the list alone can't forbid among modules that share a `*` line."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield f"a cycle of imports: {' -> '.join(error.args[1])}"


def test_every_import_goes_down() -> None:
    found = check(ROOT)
    assert not found, "\n".join(found)


def test_every_listed_module_exists() -> None:
    names = [name for name, module in read(ROOT).items() if not module.is_package]
    lines = [pattern for lines in LAYERS.values() for pattern in lines.split()]
    absent = [pattern for pattern in lines if not any(fnmatchcase(name, pattern) for name in names)]
    assert not absent, f"in the register, and not in the house: {', '.join(absent)}"


PLANTED = {
    "a cycle within a wildcard": (
        {"exchange/cli/a.py": "import exchange.cli.b", "exchange/cli/b.py": "import exchange.cli.a"},
        "a cycle of imports",
    ),
    "chance by a method in core": (
        {"exchange/keys.py": "import uuid\ndef f():\n    return uuid.uuid4()"},
        "a pure layer uses uuid.uuid4",
    ),
    "chance by a name in core": (
        {"exchange/keys.py": "from uuid import uuid4"},
        "a pure layer uses uuid.uuid4",
    ),
    "clock by a method in core": (
        {"exchange/keys.py": "import datetime\nx = datetime.datetime.now(datetime.UTC)"},
        "a pure layer uses datetime.now",
    ),
    "clock in core": ({"exchange/keys.py": "import time"}, "core is pure and imports time"),
    "core waits": ({"exchange/keys.py": "async def f(): pass"}, "a pure layer uses async"),
    "event loop in core": ({"exchange/keys.py": "import asyncio"}, "core is pure and imports asyncio"),
    "file in core": ({"exchange/keys.py": "x = open('y')"}, "a pure layer uses open"),
    "import made at run time": (
        {"exchange/node/sync.py": "import importlib\nx = importlib.import_module('exchange.' + 'hub')"},
        "exchange/node/sync.py:2: an import whose name is made at run time",
    ),
    "late import by name": (
        {
            "exchange/node/sync.py": "import importlib\nx = importlib.import_module('exchange.cli.a')",
            "exchange/cli/a.py": "",
        },
        "services imports exchange.cli.a of the later layer above",
    ),
    "library in the wrong layer": (
        {"exchange/node/mail/outbox.py": "def f():\n    from sqlalchemy import select"},
        "exchange/node/mail/outbox.py:2: sqlalchemy belongs to storage, not to services",
    ),
    "library nobody has placed": (
        {"exchange/keys.py": "import left_pad"},
        "left_pad belongs to no layer yet",
    ),
    "lower line of the same layer": (
        {"exchange/keys.py": "from exchange import policy", "exchange/policy.py": ""},
        "imports exchange.policy, which stands below exchange.keys in core",
    ),
    "network in a service": (
        {"exchange/node/sync.py": "import urllib.request"},
        "services doesn't reach the network and imports urllib.request",
    ),
    "node meets hub over a third": (
        {
            "exchange/node/app.py": "import exchange.cli.wire",
            "exchange/cli/wire.py": "def f():\n    from exchange.hub import mailboxes",
            "exchange/hub/mailboxes.py": "",
        },
        "node and hub meet: exchange.node.app -> exchange.cli.wire -> exchange.hub.mailboxes",
    ),
    "package file with content": ({"exchange/node/__init__.py": "x = 1"}, "package files stay empty"),
    "types only, and yet upward": (
        {
            "exchange/keys.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .node import sync",
            "exchange/node/sync.py": "",
        },
        "exchange/keys.py:3: core imports exchange.node.sync of the later layer services",
    ),
    "unlisted file": ({"exchange/surprise.py": ""}, "exchange/surprise.py: add it to the layer list"),
    "upward import": (
        {
            "exchange/formats/stix/read.py": "import exchange.storage.database",
            "exchange/storage/database.py": "",
        },
        "formats imports exchange.storage.database of the later layer storage",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_found(name: str, tmp_path: Path) -> None:
    files, expected = PLANTED[name]
    plant(tmp_path, files)
    assert expected in "\n".join(check(tmp_path))


def test_a_house_in_order_raises_no_alarm(tmp_path: Path) -> None:
    files = {
        "exchange/__init__.py": "",
        "exchange/errors.py": "import typing",
        "exchange/keys.py": "from cryptography.hazmat.primitives import hashes\nfrom . import errors",
        "exchange/node/__init__.py": "",
        "exchange/node/sync.py": "import asyncio\nimport exchange.keys",
        "exchange/cli/node/commands.py": "def f():\n    from exchange.node.sync import x",
    }
    plant(tmp_path, files)
    assert check(tmp_path) == []


def plant(root: Path, files: dict[str, str]) -> None:
    """Write a small tree of source files under `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
