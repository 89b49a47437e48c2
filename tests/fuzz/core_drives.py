"""How the core's parsers are driven: each function hands bytes over, and where they were understood writes them anew.

Only ExchangeError may come out. What signatures keep out is let in here by keys that believe everything, so that what
lies behind the check is fuzzed, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import orjson
from cryptography.cobblestone import Cobblestone256Encryptor

from exchange import attachment, body as bodies, content as contents, envelope, receipt
from exchange.blob import BLOB_KEY_BYTES, BlobOpener
from exchange.canonical import (
    ADDRESS,
    b64,
    b64_text,
    dumps,
    framed,
    h,
    loads,
    sha256,
    text_b64,
    u64,
    unb64,
    unframed,
)
from exchange.directory import assets, record_rules, records, waiting
from exchange.directory.bodies import parse_body
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.contacts import MAX_PART, Part
from exchange.directory.log import Leaf, read_leaf
from exchange.directory.overlay import Lost
from exchange.directory.prekeys import PrekeyRecord, verified_record
from exchange.directory.snapshot import Snapshot
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.submission import SignedSubmission, Submission
from exchange.errors import ExchangeError
from exchange.header import parse_header
from exchange.invitation import Invitation
from exchange.keys import PrekeySecret, PublicKey
from exchange.limits import MAX_ATTACHMENT_NAME, MAX_CONTENT, MAX_LEAF
from exchange.node.uplink.feed import lane_of
from exchange.protocol import Large, items as read_items
from exchange.token import check_token
from exchange.wire import Delivery, header_of
from tests.vector_directory import directory, log, network

Read = Callable[[bytes], object]


class Believed:
    """A key whose every signature holds: what lies behind the check is fuzzed, too."""

    def verify(self, kind: str, body: bytes, signature: bytes, *, code: str) -> None:
        """Nothing is wrong with it."""


def net() -> bytes:
    """The network of the vectors."""
    return directory().net


def same(written: object, read: object) -> None:
    """There is one spelling: what was understood is written as it came."""
    assert written == read, "it is written otherwise than it was read"


def from_value(read: Callable[[Any], object]) -> Read:
    """A parser of what came as part of a JSON document."""

    def parse(data: bytes) -> object:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None  # whoever hands it over has refused that
        return read(value)

    return parse


def from_text(read: Callable[[str], object]) -> Read:
    """A parser of text that was decoded before."""
    return lambda data: read(data.decode("utf-8", errors="replace"))


# -- the core ---------------------------------------------------------------------------------------------------------


def signed_json(data: bytes) -> None:
    same(dumps(loads(data, most=MAX_LEAF)), data)


def base64(data: str) -> None:
    same(b64(unb64(data)), data)


def human(data: str) -> None:
    same(text_b64(b64_text(data, most=4_096, field="text")), data)


def frames(data: bytes) -> None:
    same(framed(list(unframed(data, most_items=64, most_bytes=MAX_LEAF))), data)


def header(data: bytes) -> None:
    header = parse_header(data)
    same(header.raw, data)
    same(len(header.env) + len(header.core_hash) + len(header.commitment(bytes(32), b"")), 96)


def upload(data: bytes) -> None:
    upload, header = envelope.read_upload(data)
    same(upload.to_bytes(), data)
    same(header_of(data), header.raw)


def delivery(data: bytes) -> None:
    same(Delivery.from_bytes(data).to_bytes(), data)


@cache
def _prekeys() -> dict[bytes, envelope.HeldPrekey]:
    rows = network()["prekeys"]
    return {
        unb64(row["kid"]): envelope.HeldPrekey(
            PrekeySecret(unb64(row["secret"])), orjson.loads(unb64(row["record"]))["destroy"]
        )
        for row in rows
    }


def opened(data: bytes) -> None:
    for how in (envelope.open_, envelope.open_expired):
        common: dict[str, Any] = {
            "net": net(),
            "me": "co",
            "directory": directory(),
            "prekeys": _prekeys().get,
        }
        if how is envelope.open_:
            common["now"] = network()["now"]
        try:
            how(data, **common)
        except ExchangeError:
            continue


def body(data: bytes) -> None:
    assert len(bodies.unpack(data)[1]) <= MAX_CONTENT


def content(data: bytes) -> None:
    meta, payload = contents.unpack_content(data)
    same(contents.pack_content(meta, payload), data)
    if meta.type in contents.CONTROL_TYPES:
        same(contents.parse_control(meta.type, payload).to_payload(), payload)


SEALED_TEXT: Final = b"Informe de Lima. "


def blob(data: bytes) -> None:
    """What a member may have sealed in the place of a file and its padding."""
    key, size = bytes(BLOB_KEY_BYTES), len(SEALED_TEXT)
    sealer = Cobblestone256Encryptor(key, h(net(), "blob", u64(size)))
    opener = BlobOpener(key, net(), size, sha256(data[:size]))
    plain = opener.update(sealer.update(data) + sealer.finalize())
    same(plain + opener.finish(), data[:size])


def file_name(data: str) -> None:
    name = attachment.file_name(data)
    assert 0 < len(name.encode()) <= MAX_ATTACHMENT_NAME
    assert not set(name) & set("/\\\0\n")
    assert name not in (".", "..")


def receipt_leaf(data: bytes) -> None:
    same(receipt.Leaf.from_bytes(data).to_bytes(), data)


def receipt_leaves(data: bytes) -> None:
    rows = data.split(b"|")
    leaves = receipt.read_leaves(rows)
    same([leaf.to_bytes() for leaf in leaves], rows)
    same([receipt.Leaf.read(row) for row in rows], list(leaves))


def _believe(_signer: str, _skid: bytes) -> PublicKey:
    return Believed()  # type: ignore[return-value]  # the one thing that is asked of it


def receipts(value: Any) -> None:
    for verify in (receipt.verify_upload, receipt.verify_proof):
        try:
            verified = verify(net(), value, _believe)
        except ExchangeError:
            continue
        if verify is receipt.verify_upload:
            same(verified.batch.upload(), value)


def token(line: str) -> None:
    class Keys:
        def verify_transport(self, message: bytes, signature: bytes, *, code: str) -> None:
            """Nothing is wrong with it."""

    def keys_of(issuer: str) -> Any:
        assert ADDRESS.match(issuer)
        return Keys()

    given = {"net": net(), "origins": [network()["origin"]], "method": "GET", "target": "/v1/state"}
    for keys in (keys_of, directory().identity):
        try:
            check_token(line, now=network()["now"], keys_of=keys, **given)
        except ExchangeError:
            continue


def invitation(line: str) -> None:
    same(Invitation.from_line(line).to_line(), line.strip())


def items(data: bytes) -> None:
    found = list(read_items(data))
    same(b"".join(item.to_bytes() for item in found), data)
    for item in found:
        lane_of(item)


def large(data: bytes) -> None:
    same(Large.from_bytes(data).to_bytes(), data)


# -- the directory ----------------------------------------------------------------------------------------------------


def statement(value: Any) -> None:
    statement = Statement.from_json(value)
    same(statement.to_json(), value)
    parse_body(statement.body, net())


def statement_body(data: bytes) -> None:
    parse_body(data, net())


def leaf(data: bytes) -> None:
    named, leaf = read_leaf(data)
    same(leaf.to_bytes(named), data)
    Leaf.from_bytes(data, net())


def next_leaf(data: bytes) -> None:
    Directory.replay([*log(), data], now=network()["now"])


def checkpoint(value: Any) -> None:
    signed = SignedCheckpoint.from_json(value)
    same(signed.to_json(), value)
    same(Checkpoint.from_bytes(signed.body, net()).to_bytes(), signed.body)
    signed.verify(net(), directory())


def submission(value: Any) -> None:
    signed = SignedSubmission.from_json(value)
    same(signed.to_json(), value)
    same(Submission.from_bytes(signed.body, net()).to_bytes(), signed.body)


def prekey_record(data: bytes) -> None:
    record = PrekeyRecord.from_bytes(data, net())
    same(record.to_bytes(net()), data)
    verified_record(data, net=net(), address=record.address, ref=record.ref(net()))


def snapshot(data: bytes) -> None:
    read = Snapshot.from_bytes(data)
    same(Snapshot.from_bytes(read.to_bytes()), read)


def snapshot_whole(data: bytes) -> None:
    Snapshot.from_bytes(data).verify(None)


def part(value: Any) -> None:
    part = Part.from_json(value)
    same(part.to_json(), value)
    record(part.body)


def lost(value: Any) -> None:
    Lost.from_json(value)


FORMS: Final = (
    records.PublicRecord,
    records.MembersRecord,
    records.Claims,
    records.ContactRecord,
    records.HoldersRecord,
    records.OwnerRecord,
    records.Application,
)


def record(data: bytes) -> None:
    for form in FORMS:
        read = records.read(form, data)
        if read is not None:
            same(records.read(form, records.to_bytes(read)), read)
        try:
            record_rules.write_bytes(form, data)
        except ExchangeError:
            continue
    assert all(len(records.to_bytes(form())) <= MAX_PART for form in FORMS)


def asset(line: str) -> None:
    for read in (
        assets.read_asset,
        assets.read_asn,
        assets.read_prefix,
        assets.read_domain,
        assets.claimed_prefix,
        assets.claimed_domain,
    ):
        try:
            read(line)
        except ValueError:  # as they say
            continue


def rows(value: Any) -> None:
    for read in (waiting.read_application, waiting.read_pending):
        try:
            read(value, net())
        except ExchangeError:
            continue
