"""Files that go with letters: attached, asked for, and what must hold of them: whole and as they were, or said why not.

Owns the invariants of files, read from the disks: nothing half or hurt lies where a whole one does, at a node or at the
hub, at any time; after the peace a reader has each, or its node says why it can't.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from exchange.attachment import Attachment
from exchange.errors import Unavailable
from exchange.hub.store.blob_files import FOLDER
from exchange.node.attachments.attaching import attach, opened
from exchange.node.attachments.desk import HERE, AttachmentDesk
from exchange.node.attachments.traffic import MAX_TRIES, WRONG
from exchange.node.mail.uploads import GONE
from exchange.node.store.attachment_files import AttachmentFiles, files_of
from tests.simulation.network import FaultySimulation, FaultySite

SIZES: Final = (3_000, 12_000, 18_000)  # bytes: one to five pieces


def attached(site: FaultySite, data: bytes) -> Attachment:
    """A file with these bytes, sealed into the home. Raises as attaching.attach."""
    source = site.home.with_suffix(".file")
    source.write_bytes(data)
    node = site.up
    return attach(
        files_of(node.store), source, net=site.net.world.net, malware=False, random=node.sources.random
    )


def desk_of(site: FaultySite) -> AttachmentDesk:
    """What the people of this node do with files."""
    node = site.up
    return AttachmentDesk(
        node.store, node.identity, node.sources, desk=site.desk, doors=node.doors("analyst")
    )


def fill(files: AttachmentFiles, full: bool) -> None:
    """The disk takes half of what is written and no more, or all again."""

    def append(blob: bytes, at: int, data: bytes) -> int:
        AttachmentFiles.append(files, blob, at, data[: len(data) // 2])
        raise Unavailable("storage.full")

    if full:
        vars(files)["append"] = append
    else:
        vars(files).pop("append", None)


def check_node(site: FaultySite) -> None:
    """What lies in its home as whole is, byte for byte."""
    for path in (site.home / "attachments").glob("*.sealed"):
        if sha256(path.read_bytes()).hexdigest() != path.stem:
            site.net.fault("half shown", f"{site.member} holds {path.name}, which is another file")


def check_hub(sim: FaultySimulation) -> None:
    """What the hub hands out is what it is named for."""
    for n, digest in sim.hub_rows("SELECT n, hash FROM blobs WHERE whole = 1"):
        path = sim.folder / "hub" / FOLDER / str(n)
        if not path.exists() or sha256(path.read_bytes()).digest() != digest:
            sim.fault("half shown", f"the hub holds blob {n} as whole, and it isn't")


def check_fetched(
    site: FaultySite, name: str, sender: str, message_id: str, digest: bytes, *, may_be_gone: bool
) -> None:
    """The file that came with that message: here, with the bytes of that SHA-256, or its node says why not."""
    found = desk_of(site).come(message_id, sender)
    if len(found) != 1:
        site.net.fault("changed", f"{name} has {len(found)} files")
        return
    (one,) = found
    if one.state != HERE:
        if not (may_be_gone and one.code == GONE):
            site.net.fault(
                "not fetched", f"the file of {name} is {one.state}: {one.code or 'nobody says why'}"
            )
        return
    files = files_of(site.up.store)
    plain = opened(files, files.sealed(one.attachment.blob), one.attachment, site.net.world.net)
    if sha256(b"".join(plain)).digest() != digest:
        site.net.fault("changed", f"the file of {name} is another")


def may_be_given_up(site: FaultySite, code: str, *, restored: bool) -> bool:
    """Whether a letter is rightly lost for its file's sake: on a disk that is gone, or spoilt each time it went up."""
    return (code == GONE and restored) or (code == WRONG and site.damage >= MAX_TRIES)
