"""A member that signs and seals by hand: good envelopes, and ones with a fault under a valid signature.

Owns how such an envelope is made. It asks the real hub for the log and the prekeys, as any node does.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from cryptography.cobblestone import Cobblestone256Encryptor

from exchange import body as body_codec
from exchange.canonical import b64, h, sha256, unframed
from exchange.content import Meta, pack_content
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.prekeys import PrekeyRef, verified_record
from exchange.directory.state import Directory
from exchange.header import Header, Pre, commitment, core_hash
from exchange.keys import ENVELOPE, PrekeyPublic
from exchange.limits import DAY_MS
from exchange.link import Link, commitment as link_commitment
from exchange.protocol import CHECKPOINT, ENVELOPES, LEAVES, PREKEYS
from exchange.wire import Upload
from tests.trip.caller import Answer, Caller, now

PlainOf = Callable[[bytes, bytes], bytes]  # of salt and content, the padded plaintext


@dataclass(frozen=True)
class Known:
    """What the insider has learnt of the network."""

    directory: Directory
    checkpoint: SignedCheckpoint


@dataclass(frozen=True)
class Forged:
    """A sealing by hand; `env` as the URL has it."""

    upload: bytes
    env: bytes

    @property
    def target(self) -> str:
        return f"{ENVELOPES}/{b64(self.env)}"


class Insider:
    """A member with its keys in the hand of a test."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def learn(self) -> Known:
        """The whole log and the newest checkpoint, from the hub."""
        directory: Directory | None = None
        while True:
            start = directory.size if directory else 0
            page = (await self.caller.call("GET", f"{LEAVES}?from={start}")).body
            for leaf in unframed(page, most_items=100_000, most_bytes=2**24):
                if directory is None:
                    directory = Directory.from_genesis(leaf)
                else:
                    directory.apply(leaf, now=None)
            if not page and directory:
                break
        answer = await self.caller.call("GET", CHECKPOINT)
        return Known(directory, SignedCheckpoint.from_json(answer.json))

    async def prekey(self, known: Known, address: str) -> tuple[PrekeyRef, PrekeyPublic]:
        """The prekey to seal to `address` with now."""
        ref = known.directory.prekey_for(address, now())
        body = orjson.dumps({"kids": [b64(ref.kid)]})
        (record,) = unframed(
            (await self.caller.call("POST", PREKEYS, body)).body, most_items=1, most_bytes=2**16
        )
        return ref, verified_record(record, net=self.caller.net, address=address, ref=ref).public

    async def forge(
        self,
        to: str,
        payload: bytes,
        *,
        type_: str = "stix",
        seq: int = 1,
        content: bytes | None = None,
        plain: PlainOf | None = None,
        lane: str = "routine",
    ) -> Forged:
        """An envelope to one member in a chain of its own, validly signed; an argument puts a fault into it."""
        known = await self.learn()
        ref, prekey = await self.prekey(known, to)
        at, net, caller = now(), self.caller.net, self.caller
        if content is None:
            content = pack_content(Meta(type_, str(uuid.uuid4()), lane, at, at + DAY_MS), payload)
        pre = Pre(
            net=net,
            sender=caller.issuer,
            skid=caller.keys.public.signing.skid(net),
            iat=at,
            exp=at + DAY_MS,
            lane=lane,
            to=((to, ref.kid),),
            dir=known.checkpoint.ref(net),
        )
        salt, key, nonce = os.urandom(32), os.urandom(32), os.urandom(16)
        pc = commitment(pre, salt, content)
        core = core_hash(pre, pc)
        inner = plain(salt, content) if plain else body_codec.pack(content, salt, compress=False)
        encryptor = Cobblestone256Encryptor(key, h(net, "body", core))
        body = encryptor.update(inner) + encryptor.finalize()
        link = Link(os.urandom(16), seq)
        wrapped = struct.pack(">32s16s16sQ32s", key, nonce, link.chain, link.seq, link.prev)
        info = h(net, "wrap", core, to.encode("ascii"), ref.kid)
        wrap, lc = prekey.wrap(wrapped, info), link_commitment(net, nonce, link)
        header = Header.build(pre, pc=pc, wh=[h(net, "wh", sha256(wrap), lc)], bh=sha256(body), bl=len(body))
        upload = Upload(header.raw, caller.keys.sign(ENVELOPE, header.raw), (wrap + lc,), body)
        return Forged(upload.to_bytes(), header.env)

    async def put(self, forged: Forged) -> Answer:
        """Upload it."""
        return await self.caller.call("PUT", forged.target, forged.upload)
