"""How a vector about the directory is handed to the code: the log, its leaves, checkpoints, snapshots, submissions.

Owns the vectors' folder and log/good, which most others stand on. The other areas' readers are test_vectors.py's.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from exchange.canonical import b64, unb64
from exchange.directory.checkpoint import SignedCheckpoint, compare
from exchange.directory.log import Tree
from exchange.directory.prekeys import PrekeyRef, verified_record
from exchange.directory.snapshot import Snapshot
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.submission import SignedSubmission
from exchange.errors import ExchangeError

FOLDER = Path(__file__).resolve().parent / "vectors"
Given = dict[str, Any]


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="ascii"))


@cache
def network() -> Given:
    return read("network.json")


def log() -> list[bytes]:
    return [leaf.encode("ascii") for leaf in read("log/good.json")["input"]["leaves"]]


@cache
def directory() -> Directory:
    return Directory.replay(log(), now=None)


def whole_log(given: Given) -> Given:
    leaves = [leaf.encode("ascii") for leaf in given["leaves"]]
    state = Directory.replay(leaves, now=network()["now"])
    return {
        "net": b64(state.net),
        "roots": [b64(state.root(size)) for size in range(1, state.size + 1)],
        "members": sorted(state.members),
        "prekeys": {name: [b64(ref.kid) for ref in state.prekeys(name)] for name in state.members},
    }


def leaves(given: Given) -> Given:
    state = Directory.replay(log(), now=None)
    for more in given["more"]:
        assert state.apply(more.encode("ascii"), now=given["now"]).effective
    size, root = state.size, state.root()
    try:
        outcome = state.apply(given["leaf"].encode("ascii"), now=given["now"])
    except ExchangeError:
        assert (state.size, state.root()) == (size, root)
        raise
    assert state.size == size + 1
    if outcome.code:
        raise NoEffect(outcome.code, alarm=outcome.alarm)
    return {"effective": outcome.effective, "alarm": outcome.alarm}


class NoEffect(ExchangeError):
    """How a leaf's outcome is told apart here; in the product it is a value."""


def genesis(given: Given) -> Given:
    return {"net": b64(Directory.from_genesis(given["leaf"].encode("ascii")).net)}


def statements(given: Given) -> Given:
    statement = Statement.from_json(given["statement"])
    assert statement.to_json() == given["statement"]
    return {"hash": b64(statement.hash(directory().net))}


def checkpoints(given: Given) -> Given:
    signed = SignedCheckpoint.from_json(given)
    checkpoint = signed.verify(directory().net, directory())
    assert signed.to_json() == given
    ref = signed.ref(directory().net)
    return {"size": ref.size, "root": b64(ref.root), "at": checkpoint.at, "hash": b64(ref.checkpoint)}


def terms(given: Given) -> Given:
    more = (leaf.encode("ascii") for leaf in given["more"])
    state = Directory.replay([*log(), *more], now=None)
    said = SignedCheckpoint.from_json(given["checkpoint"]).verify(state.net, state)
    return {"size": said.size, "term": said.term}


def snapshots(given: Given) -> Given:
    value = {**given["snapshot"]}
    value["leaves"] = [b64(leaf) for leaf in (*log(), *(one.encode("ascii") for one in value["leaves"]))]
    read = Snapshot.from_bytes(json.dumps(value).encode("ascii"))
    state, _ = read.verify(directory().net)
    return {"size": state.size, "parts": len(read.parts)}


def comparisons(given: Given) -> None:
    held, offered = (SignedCheckpoint.from_json(given[name]) for name in ("held", "offered"))
    for signed in (held, offered):
        signed.verify(directory().net, directory())
    tree = Tree()
    for leaf in log():
        tree.append(leaf)
    compare(held, offered, tree, directory().net)


def submissions(given: Given) -> Given:
    signed = SignedSubmission.from_json(given["answer"])
    hub = directory().hub.keys.signing
    answer = signed.verify(directory().net, hub, statement=unb64(given["statement"]))
    assert signed.to_json() == given["answer"]
    by = b64(answer.by)
    return {
        "outcome": answer.outcome,
        "index": answer.index,
        "until": answer.until,
        "by": by,
        "at": answer.at,
    }


def prekey_records(given: Given) -> None:
    kid, *times = given["row"]
    ref = PrekeyRef(unb64(kid), *times)
    verified_record(unb64(given["record"]), net=directory().net, address=given["address"], ref=ref)
