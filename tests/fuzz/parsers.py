"""The register of what reads a stranger's bytes: each parser by name, its good examples, what it covers.

Only `ExchangeError` may come out of a parser, and where it understood, it writes what it read and compares: there is
one spelling (core_drives.py, edge_drives.py). Used by test_fuzz_parsers.py in CI and by `./run fuzz` at length.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

from exchange.directory.state import Directory
from exchange.errors import ExchangeError
from exchange.protocol import Large
from exchange.settings import HubSettings, NodeSettings
from exchange.tlp import read_label
from tests.foreign_samples import OPEN_RDP, PASTED, SINKHOLE
from tests.fuzz import (
    core_drives as core,
    door_drives as door,
    edge_drives as edge,
    feed_drives as feed,
    misp_drives as misp,
    seeds,
)
from tests.fuzz.mutation import spoilt


@dataclass(frozen=True)
class Parser:
    """`read` raises nothing but ExchangeError. `seeds` are good examples; `covers`: the functions that it drives."""

    read: core.Read
    seeds: Callable[[], Sequence[bytes]]
    covers: tuple[str, ...] = ()
    heavy: bool = field(
        default=False, kw_only=True
    )  # verifies signatures or opens files: fewer examples in CI

    def understands(self, data: bytes) -> bool:
        """Whether it takes `data` without a refusal. Raises whatever isn't ours: a fault of the parser."""
        try:
            self.read(data)
        except ExchangeError:
            return False
        return True


PARSERS: Final[dict[str, Parser]] = {
    "json": Parser(core.signed_json, lambda: seeds.decoded("json", "bytes"), ("canonical.loads",)),
    "base64": Parser(core.from_text(core.base64), lambda: seeds.text("base64", "text"), ("canonical.unb64",)),
    "human": Parser(core.from_text(core.human), lambda: seeds.words("w6lh", "AAAA"), ("canonical.b64_text",)),
    "frames": Parser(core.frames, lambda: seeds.decoded("frames", "data"), ("canonical.unframed",)),
    "header": Parser(
        core.header, lambda: seeds.decoded("header", "header"), ("header.parse_header", "header.DirRef.read")
    ),
    "upload": Parser(
        core.upload,
        lambda: seeds.decoded("envelope_hub", "upload"),
        ("envelope.read_upload", "wire.Upload.from_bytes"),
    ),
    "delivery": Parser(
        core.delivery, lambda: seeds.decoded("envelope_open", "delivery"), ("wire.Delivery.from_bytes",)
    ),
    "envelope": Parser(
        core.opened,
        lambda: seeds.decoded("envelope_open", "delivery"),
        ("envelope.open_", "envelope.open_expired"),
        heavy=True,
    ),
    "body": Parser(core.body, lambda: seeds.decoded("body", "plain"), ("body.unpack",)),
    "content": Parser(
        core.content,
        lambda: seeds.decoded("content", "content"),
        (
            "content.unpack_content",
            "content.parse_control",
            "content.Meta.from_bytes",
            "attachment.read_attachments",
            "attachment.Attachment.from_json",
            *(f"content.{kind}.read" for kind in ("Status", "Missing", "Void", "Restored")),
            *(f"content.{kind}.read" for kind in ("CheckpointNote", "PartNote", "Notice")),
            *(f"disclosure.{kind}.read" for kind in ("DisclosureInquiry", "DisclosureRecord")),
        ),
    ),
    "blob": Parser(core.blob, lambda: [core.SEALED_TEXT.ljust(1_024, b"\0")]),
    "file-name": Parser(
        core.from_text(core.file_name), lambda: seeds.words("../a.exe", "con.txt", "Ñandú.pdf")
    ),
    "receipt-leaf": Parser(core.receipt_leaf, seeds.receipt_leaves, ("receipt.Leaf.from_bytes",)),
    "receipt-leaves": Parser(
        core.receipt_leaves, seeds.receipt_batches, ("receipt.read_leaves", "receipt.Leaf.read")
    ),
    "receipts": Parser(
        core.from_value(core.receipts),
        lambda: [*seeds.as_json("receipt_upload", "upload"), *seeds.as_json("receipt_proof", "proof")],
        ("receipt.verify_upload", "receipt.verify_proof"),
    ),
    "token": Parser(core.from_text(core.token), lambda: seeds.text("token", "token"), ("token.check_token",)),
    "invitation": Parser(
        core.from_text(core.invitation),
        lambda: seeds.text("invitation", "line"),
        ("invitation.Invitation.from_line",),
    ),
    "items": Parser(core.items, seeds.pages, ("protocol.items",)),
    "large": Parser(
        core.large, lambda: [Large(bytes(32), 70_000, "flash").to_bytes()], ("protocol.Large.from_bytes",)
    ),
    "statement": Parser(
        core.from_value(core.statement),
        lambda: seeds.as_json("statement", "statement"),
        ("directory.statements.Statement.from_json", "directory.statements.read_signatures"),
    ),
    "statement-body": Parser(
        core.statement_body,
        seeds.bodies,
        (
            "directory.bodies.parse_body",
            "directory.bodies.parse_type",
            "directory.statements.parse_head",
            "directory.prekeys.read_refs",
            "directory.members.Member.from_json",
            "directory.members.Officer.from_json",
            "directory.members.HubIdentity.from_json",
            "keys.PublicKey.from_json",
            "keys.PublicKeys.from_json",
            "directory.bodies_base.*",
            "directory.bodies_members.*",
            "directory.bodies_network.*",
            "directory.bodies_contacts.*",
        ),
    ),
    "leaf": Parser(
        core.leaf,
        lambda: seeds.text("leaf", "leaf"),
        ("directory.log.read_leaf", "directory.log.Leaf.from_bytes"),
    ),
    "next-leaf": Parser(
        core.next_leaf,
        lambda: seeds.text("leaf", "leaf"),
        ("directory.state.Directory.read_head", "directory.succession.read_change"),
        heavy=True,
    ),
    "genesis": Parser(
        Directory.from_genesis,
        lambda: seeds.text("genesis", "leaf"),
        ("directory.state.Directory.from_genesis",),
        heavy=True,
    ),
    "checkpoint": Parser(
        core.from_value(core.checkpoint),
        lambda: seeds.as_json("checkpoint"),
        ("directory.checkpoint.SignedCheckpoint.from_json", "directory.checkpoint.Checkpoint.from_bytes"),
    ),
    "submission": Parser(
        core.from_value(core.submission),
        lambda: seeds.as_json("submission", "answer"),
        ("directory.submission.SignedSubmission.from_json", "directory.submission.Submission.from_bytes"),
    ),
    "prekey-record": Parser(
        core.prekey_record,
        lambda: seeds.decoded("prekey_record", "record"),
        ("directory.prekeys.PrekeyRecord.from_bytes", "directory.prekeys.verified_record"),
    ),
    "snapshot": Parser(core.snapshot, seeds.snapshots, ("directory.snapshot.Snapshot.from_bytes",)),
    "snapshot-whole": Parser(core.snapshot_whole, seeds.snapshots, heavy=True),
    "part": Parser(core.from_value(core.part), seeds.parts, ("directory.contacts.Part.from_json",)),
    "record": Parser(core.record, seeds.records, ("directory.records.read", "directory.records.load")),
    "lost": Parser(core.from_value(core.lost), seeds.losses, ("directory.overlay.Lost.from_json",)),
    "asset": Parser(
        core.from_text(core.asset),
        lambda: seeds.words(
            "203.0.113.7", "2001:db8::/32", "AS64500", "https://a.example.org/x", "münchen.de"
        ),
        tuple(
            f"directory.assets.{name}"
            for name in (
                *("read_asset", "read_asn", "read_prefix", "read_domain"),
                *("claimed_prefix", "claimed_domain"),
            )
        ),
    ),
    "lists": Parser(
        core.from_value(core.rows),
        seeds.listed,
        ("directory.waiting.read_application", "directory.waiting.read_pending"),
    ),
    "file": Parser(
        edge.file, seeds.stix, ("formats.registry.load", "formats.stix.spans.scan", "formats.stix.read.read")
    ),
    "csaf": Parser(edge.advisory, seeds.advisories, ("formats.csaf.read.read",)),
    "misp": Parser(misp.events, misp.files, ("formats.misp.read.read",)),
    "misp-written": Parser(misp.carried, misp.messages),
    "indicator-list": Parser(edge.indicator_list, seeds.lists, ("formats.indicators.table.read",)),
    "paste": Parser(
        edge.pasted, lambda: [PASTED.encode(), b"TLP:RED - PAP: amber\n203.0.113.7 TLP v2.0: [GREEN/RED]"]
    ),
    "shadowserver": Parser(
        edge.daily_report,
        lambda: [OPEN_RDP, SINKHOLE],
        ("formats.shadowserver.read_report", "formats.shadowserver.read"),
    ),
    "refang": Parser(
        core.from_text(edge.whole),
        lambda: seeds.words("hxxps[:]//a[.]example (dot) org", "x[at]example[.com"),
    ),
    "object": Parser(edge.stix_object, seeds.stix, ("formats.stix.read.read_object",)),
    "loose-json": Parser(edge.spans, seeds.stix, ("formats.stix.spans.load",)),
    "message": Parser(edge.message, lambda: [seeds.message()], ("formats.stix.cover.read_message",)),
    "extract": Parser(edge.extracted, lambda: [seeds.message()]),
    "mentions": Parser(
        core.from_text(edge.mentioned),
        lambda: seeds.words("203.0.113.7/24, hxxp://a[.]example%2Eorg AS64500", "2001:db8::7", "AS64500"),
        ("formats.mentions.Assets.read",),
    ),
    "table": Parser(edge.table, seeds.table, ("formats.contacts.table.read_table",)),
    "hours": Parser(
        core.from_text(edge.hours),
        lambda: seeds.words("24x7", "mon-fri 08:00-17:00; sat 09:00-12:00"),
        ("formats.contacts.table.read_hours",),
    ),
    "time": Parser(
        core.from_text(edge.moment),
        lambda: seeds.words("2026-11-03T06:40:00.000Z"),
        ("formats.stix.time.from_stix",),
    ),
    "iso-time": Parser(
        core.from_text(edge.iso_moment),
        lambda: seeds.words("2026-11-03T06:40:00-05:00", "2026-11-03"),
        ("formats.stix.time.from_iso",),
    ),
    "tlp": Parser(
        core.from_text(partial(read_label, tlp1=True)),
        lambda: seeds.words("TLP:AMBER", "amber"),
        ("tlp.read_label",),
    ),
    "problem": Parser(edge.problem, seeds.problems),
    "answer": Parser(edge.answer, seeds.problems),
    "cursor": Parser(core.from_text(edge.cursor), lambda: seeds.words("e1.1.2.3.4.5.6", "")),
    "query": Parser(core.from_text(edge.query), lambda: seeds.words("65536", "0")),
    "control": Parser(edge.control, lambda: seeds.words('{"verb":"poke"}', '{"verb":["poke"]}', "[]")),
    "hub-settings": Parser(
        edge.settings(HubSettings),
        lambda: seeds.settings("hub"),
        ("settings.HubSettings.from_mapping", "alarm.AlarmSettings.from_mapping"),
    ),
    "node-settings": Parser(
        edge.settings(NodeSettings),
        lambda: seeds.settings("node"),
        (
            "settings.NodeSettings.from_mapping",
            "retention.RetentionPolicy.from_mapping",
            "door_settings.DoorSettings.from_mapping",
        ),
    ),
    "taxii-envelope": Parser(door.envelope, seeds.stix, ("formats.taxii.read_envelope",)),
    "taxii-time": Parser(
        core.from_text(door.time),
        lambda: seeds.words("2026-01-31T12:00:00.000001Z", "2026-01-31T12:00:00Z"),
        ("formats.taxii.from_timestamp",),
    ),
    "taxii-query": Parser(
        core.from_text(door.query),
        lambda: seeds.words(
            "limit=5&added_after=2026-01-31T12:00:00.000001Z&match[version]=last,2026-01-31T12:00:00Z",
            "match[id]=a--b,c--d&match[type]=indicator&match[spec_version]=2.0,2.1&match[x_tlp]=green&match[x_kind]=alert",
        ),
    ),
    "taxii-negotiation": Parser(
        core.from_text(door.negotiation),
        lambda: seeds.words("application/taxii+json;version=2.1", "application/json;q=0.5, */*;q=0.1"),
    ),
    "scopes": Parser(
        core.from_text(door.scopes), lambda: seeds.words("taxii:read,taxii:write"), ("access.parse_scopes",)
    ),
    "aliases": Parser(
        core.from_text(door.names), lambda: seeds.words("alert,tlp-green"), ("access.parse_collections",)
    ),
    "feed-page": Parser(feed.page, seeds.stix, ("formats.taxii.read_page",)),
    "feed-date": Parser(
        core.from_text(feed.date),
        lambda: seeds.words("2026-10-01T14:00:00.123456789+02:00", "Thu, 01 Oct 2026 12:00:00 GMT"),
    ),
    "feed-wait": Parser(
        core.from_text(feed.wait), lambda: seeds.words("7200", "Thu, 01 Oct 2026 12:00:00 GMT")
    ),
    "feed-index": Parser(
        feed.index,
        lambda: [b'[{"uuid":"10000000-0000-4000-8000-000000000001","timestamp":"1790000000"}]'],
    ),
    "feed-span": Parser(
        core.from_text(feed.span), lambda: seeds.words("15m", "365d"), ("feed_settings.parse_span",)
    ),
    "keystore": Parser(edge.keystore, edge.keystores, heavy=True),
    "backup": Parser(edge.backup, edge.backups, heavy=True),
}

# Names in core and formats that look like parsers of foreign bytes and aren't registered, and why not.
NOT_REGISTERED: Final[dict[str, str]] = {
    "canonical.Fields.items": "hands out a list of what is parsed already",
    "canonical.unb64_checked": "its callers have matched the spelling before",
    "directory.overlay.read_notice": "verifies signatures over what `statement` and `statement-body` parse",
    "feed_settings.FeedSettings.from_mapping": "reads what to_mapping wrote, from under the node's own seal",
    "directory.waiting.check_document": "hashes and compares, parses nothing",
}


def examples(name: str, chance: random.Random) -> bytes:
    """One spoilt example for a parser."""
    return spoilt(sown(name), chance)


@cache
def sown(name: str) -> tuple[bytes, ...]:
    """The seeds of a parser, made once."""
    return tuple(PARSERS[name].seeds())
