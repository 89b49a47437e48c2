"""What docs/protocol.md prints is what the program does: its example, its codes, its limits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exchange import limits
from exchange.canonical import b64, h, unb64
from exchange.directory.bodies_base import MAX_NAME, MAX_OFFICERS, MAX_SPONSORS
from exchange.directory.rules_contacts import MAX_CONTACTS, MAX_UNITS
from exchange.errors import CODES
from exchange.formats.stix import spans as json_spans
from exchange.header import LANES, parse_header
from exchange.wire import Delivery

ROOT = Path(__file__).resolve().parent.parent
SPEC = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
VECTORS = ROOT / "tests" / "vectors"

# families of codes that the protocol owns wholly, and what of them never leaves the side that raises it
PROTOCOL = (
    "envelope.",
    "hold.",
    "content.",
    "blob.",
    "receipt.",
    "directory.",
    "checkpoint.",
    "submission.",
    "auth.",
)
PROTOCOL += ("invitation.", "application.", "request.", "rate.", "quota.")
LOCAL = {
    "blob.too-large": "a sender's refusal of its own user's file",
    "blob.wrong-size": "a sender's refusal of its own user's file",
    "content.too-large": "a sender's refusal of its own user's content",
    "directory.stale-checkpoint": "why a node takes no new keys",
    "directory.own-name": "a node's alarm to its own people",
    "invitation.bad-request": "the hub's refusal of its own administrator's command",
}
# named in the document as a member, a status or a file, in the form of a code
NO_CODES = {"protocol.md", "messages.md", "head.seq", "head.env", "network.json"}


def block(name: str) -> str:
    found = re.findall(rf"^```{name}\n(.*?)\n```$", SPEC, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, name
    return found[0]


def test_the_example_is_the_vector_it_names() -> None:
    name = re.search(r"`tests/vectors/(envelope_open/\w+\.json)`", SPEC)
    assert name
    vector = json.loads((VECTORS / name[1]).read_text(encoding="ascii"))
    data = unb64(vector["input"]["delivery"])
    header = block("header").encode("ascii")
    assert data[:8] == bytes.fromhex(block("delivery")) == b"EXD1" + len(header).to_bytes(4, "big")
    delivery = Delivery.from_bytes(data)
    assert delivery.header == header
    parsed = parse_header(header)
    assert block("env") == vector["output"]["env"] == b64(h(parsed.net, "env", header)) == b64(parsed.env)
    assert f"{len(header):,} bytes)" in SPEC
    assert f"{len(delivery.body):,} bytes of body" in SPEC


def codes_in(text: str) -> set[str]:
    """Whatever stands in backticks and has a code's form; `json.*` and the like name families."""
    return set(re.findall(r"`([a-z]+\.[a-z][a-z0-9-]*)`", text)) - NO_CODES


def test_every_code_of_the_document_is_registered() -> None:
    assert codes_in(SPEC) - CODES.keys() == set()
    families = set(re.findall(r"`([a-z]+\.)\*`", SPEC))
    assert {family for family in families if not any(code.startswith(family) for code in CODES)} == set()


def test_every_code_of_the_protocol_is_in_the_document() -> None:
    registered = {code for code in CODES if code.startswith(PROTOCOL)}
    assert registered - codes_in(SPEC) - LOCAL.keys() == set()
    assert LOCAL.keys() & codes_in(SPEC) == set()
    assert LOCAL.keys() - registered == set()


# a row of §12, word for word, and the numbers it must hold in their order
LIMITS = {
    "header": [limits.MAX_HEADER],
    "header and receipts at a hub: after the last receipt; after `exp`": [limits.RETENTION_DAYS],
    "recipients of an envelope": [limits.MAX_RECIPIENTS],
    "content (frame + payload)": [limits.MAX_CONTENT],
    "STIX payload": [
        limits.MAX_STIX,
        limits.MAX_OBJECTS,
        limits.MAX_STIX_DEPTH,
        json_spans.Limits().max_values,
    ],
    "body": [limits.MAX_BODY],
    "upload, one envelope": [limits.MAX_UPLOAD],
    "batch of envelopes": [limits.MAX_BATCH_ITEMS, limits.MAX_BATCH_BYTES],
    "meta": [limits.MAX_META],
    "attachments of a message; one; sealed; its name": [
        limits.MAX_ATTACHMENTS,
        limits.MAX_ATTACHMENT,
        limits.MAX_BLOB,
        limits.MAX_ATTACHMENT_NAME,
    ],
    "control payload": [limits.MAX_CONTROL],
    "receipts in a batch": [limits.MAX_RECEIPT_LEAVES],
    "statement body; signatures on it": [limits.MAX_STATEMENT, limits.MAX_STATEMENT_SIGNATURES],
    "JSON request of any other kind": [limits.MAX_JSON_REQUEST],
    "token": [limits.MAX_TOKEN],
    "request line and headers": [limits.MAX_HEAD, limits.HEAD_SECONDS],
    "request body": [limits.BODY_SECONDS, 1, limits.BODY_RATE],
    "un-receipted per sender at the hub (quota)": [limits.QUOTA_ENVELOPES, limits.QUOTA_BYTES // 2**30],
    "clock: token": [limits.TOKEN_AHEAD_SECONDS, limits.TOKEN_LIFE_SECONDS],
    "clock: iat at the hub; leaf at a node": [
        limits.IAT_AHEAD_MS // limits.HOUR_MS,
        limits.LEAF_AHEAD_MS // limits.MINUTE_MS,
    ],
    "read-only after a hub was restored from a backup": [limits.RESTORED_SETTLE_MS // limits.HOUR_MS],
    "a delivery or upload that goes in pieces; a piece": [limits.LARGE_BYTES, limits.PIECE_BYTES],
    "in flight on a socket; at least; flash beyond": [
        limits.SOCKET_BYTES,
        limits.SOCKET_ITEMS,
        limits.WINDOW_BYTES,
        limits.URGENT_BYTES,
        limits.URGENT_ITEMS,
    ],
    "uploads in pieces of one sender; kept after the last piece": [
        limits.PARTIAL_UPLOADS,
        limits.PARTIAL_MS // limits.HOUR_MS,
    ],
    "blobs of one member: unfinished and whole; calls in each direction": [
        limits.QUOTA_BLOBS,
        limits.QUOTA_BLOB_BYTES,
        limits.BLOB_CALLS,
    ],
    "a blob after its last byte, or the last `exp` of envelopes that name it": [
        limits.BLOB_KEPT_MS // limits.HOUR_MS
    ],
    "mailbox long poll": [limits.POLL_SECONDS, limits.POLLS, 204],
    "bodies in work of one caller, with its units; pages it has not read yet; items on its sockets that it has not": [
        limits.CALLER_BYTES
    ],
    "reading an answer": [limits.BODY_SECONDS, 1, limits.BODY_RATE],
}


def rows_of_limits() -> dict[str, str]:
    section = SPEC.partition("## 12. Limits")[2]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", section, re.MULTILINE)
    return {name: text for name, text in rows if name not in ("what", "---")}


def test_no_limit_stands_only_in_the_document_or_only_here() -> None:
    assert rows_of_limits().keys() == LIMITS.keys()


@pytest.mark.parametrize("name", LIMITS)
def test_limit(name: str) -> None:
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", rows_of_limits()[name])]
    assert numbers == LIMITS[name]


def test_limits_told_in_the_text() -> None:
    assert f"1 to {limits.MAX_RECIPIENTS:,}, sorted by address" in SPEC
    assert f"At most {limits.MAX_BODY:,} bytes." in SPEC
    assert f"raw length = len(content) <= {limits.MAX_CONTENT:,}." in SPEC
    assert f"Officers sorted by name, 1..{MAX_OFFICERS};" in SPEC
    assert f"sponsors_threshold 1..{MAX_SPONSORS}; name at most {MAX_NAME} bytes" in SPEC
    assert (
        f"at most {MAX_UNITS} units whose keys aren't revoked, and at most {MAX_CONTACTS:,} contact" in SPEC
    )
    assert f"at most {limits.MAX_LEAF:,} bytes and {limits.MAX_STATEMENT_SIGNATURES} signatures" in SPEC
    assert "`" + "`, `".join(LANES[:-1]) + f"` or `{LANES[-1]}`" in SPEC


def test_sections_the_code_cites_are_there() -> None:
    """A comment that points into the document must find its section."""
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)?)[. ]", SPEC, re.MULTILINE))
    headings |= set(re.findall(r"^\| (11\.\d+) \|", SPEC, re.MULTILINE))
    cited: dict[str, set[str]] = {}
    for path in (ROOT / "exchange").rglob("*.py"):
        for number in re.findall(r"docs/protocol\.md §(\d+(?:\.\d+)?)", path.read_text(encoding="utf-8")):
            cited.setdefault(number, set()).add(path.name)
    assert cited
    assert {number: names for number, names in cited.items() if number not in headings} == {}
