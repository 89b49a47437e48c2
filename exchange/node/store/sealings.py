"""Owns the envelopes this node has sealed: their bytes, their links in each recipient's chain, the receipts for them.

Does not decide when one lapses or is sealed again (outbox.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from exchange.canonical import ZERO32, sha256
from exchange.content import Numbered
from exchange.envelope import Sealed
from exchange.header import LANES
from exchange.link import Link
from exchange.node.store.store import looked_up, sql
from exchange.wire import LC_BYTES, Upload

OPEN = "open"
FORGOTTEN = "forgotten"  # its recipient's disk lost what it carried: no receipt for it counts any more


@dataclass(frozen=True)
class SealedLink:
    """One recipient's link of an envelope. `until`: its prekey's, `asked_at`: when it was last asked for, ms.

    `state`: open until a receipt or the end.
    """

    env: bytes
    recipient: str
    lane: str
    link: Link
    kid: bytes
    until: int
    lc: bytes
    state: str
    asked_at: int | None

    @property
    def numbered(self) -> Numbered:
        """As content.py names it."""
        return Numbered(self.env, self.link.chain, self.link.seq)


@dataclass(frozen=True)
class Sealing:
    """An envelope as stored. `size`: bytes of its upload; `iat`, `exp` in ms."""

    n: int
    env: bytes
    message_n: int
    lane: str
    exp: int
    state: str
    attempts: int
    size: int
    header: bytes


def next_link(connection: Connection, lane: str, recipient: str, chain: bytes) -> Link:
    """The link that follows what was last sealed for `recipient` in `lane`."""
    row = sql(
        connection,
        "SELECT seq, prev FROM chains_out WHERE lane = :lane AND recipient = :recipient",
        lane=LANES.index(lane),
        recipient=recipient,
    ).first()
    return Link(chain, 1, ZERO32) if row is None else Link(chain, row.seq + 1, bytes(row.prev))


def add(connection: Connection, sealed: Sealed, message_n: int, links: Sequence[tuple[Link, int]]) -> None:
    """Keep a new sealing and move its chains on; `links` (with the prekey's `until`) in the order of `to`."""
    header, upload = sealed.header, sealed.upload
    lane = LANES.index(header.lane)
    size = len(upload.header) + len(upload.signatures) + sum(map(len, upload.slots)) + len(upload.body)
    sql(
        connection,
        "INSERT INTO sealings (env, message_n, lane, iat, exp, state, size, salt, header, signatures, body)"
        " VALUES (:env, :message_n, :lane, :iat, :exp, 'sealed', :size, :salt, :header, :signatures, :body)",
        env=sealed.env,
        message_n=message_n,
        lane=lane,
        iat=header.iat,
        exp=header.exp,
        size=size,
        salt=sealed.salt,
        header=upload.header,
        signatures=upload.signatures,
        body=upload.body,
    )
    for (recipient, kid), slot, nonce, (link, until) in zip(
        header.to, upload.slots, sealed.nonces, links, strict=True
    ):
        sql(
            connection,
            "INSERT INTO links_out (env, recipient, lane, chain, seq, prev, nonce, kid, until, lc, slot, state)"
            " VALUES (:env, :recipient, :lane, :chain, :seq, :prev, :nonce, :kid, :until, :lc, :slot, 'open')",
            env=sealed.env,
            recipient=recipient,
            lane=lane,
            chain=link.chain,
            seq=link.seq,
            prev=link.prev,
            nonce=nonce,
            kid=kid,
            until=until,
            lc=slot[-LC_BYTES:],
            slot=slot,
        )
        sql(
            connection,
            "INSERT INTO chains_out VALUES (:lane, :recipient, :seq, :env)"
            " ON CONFLICT (lane, recipient) DO UPDATE SET seq = excluded.seq, prev = excluded.prev",
            lane=lane,
            recipient=recipient,
            seq=link.seq,
            env=sealed.env,
        )


# The hub takes no envelope before it has the blobs that it names.
_WAITING: Final = (
    "SELECT n, env, message_n, lane, exp, state, attempts, size, header FROM sealings INDEXED BY sealings_waiting"
    " WHERE state = 'sealed' AND lane BETWEEN :first AND :last AND asked = 0 AND NOT EXISTS (SELECT 1"
    " FROM attachments_out o WHERE o.message_n = sealings.message_n AND o.state = 'waiting')"
    " ORDER BY lane, n LIMIT :limit"
)
_ASKED: Final = (
    "SELECT n, env, message_n, lane, exp, state, attempts, size, header FROM sealings INDEXED BY sealings_asked"
    " WHERE state = 'sealed' AND lane BETWEEN :first AND :last AND asked = 1 AND NOT EXISTS (SELECT 1"
    " FROM attachments_out o WHERE o.message_n = sealings.message_n AND o.state = 'waiting')"
    " ORDER BY lane, n DESC LIMIT :limit"
)


def waiting(connection: Connection, *, lanes: Sequence[str], limit: int) -> list[Sealing]:
    """Envelopes of these lanes, which are neighbours, that the hub has not accepted, urgent lanes first.

    None of which the hub lacks an attachment.

    Within a lane those a recipient misses, from the highest number down (docs/protocol.md §6.3), then the others in
    link order.
    """
    values = {"first": LANES.index(lanes[0]), "last": LANES.index(lanes[-1]), "limit": limit}
    found = [
        _sealing(row) for statement in (_ASKED, _WAITING) for row in sql(connection, statement, **values)
    ]
    found.sort(key=lambda one: LANES.index(one.lane))  # stable: the order within a lane stays
    return found[:limit]


def get(connection: Connection, env: bytes) -> Sealing | None:
    """The sealing with that id, None if it isn't this node's."""
    row = sql(
        connection,
        "SELECT n, env, message_n, lane, exp, state, attempts, size, header FROM sealings WHERE env = :env",
        env=env,
    ).first()
    return None if row is None else _sealing(row)


def still_sealed(connection: Connection, envs: Collection[bytes]) -> set[bytes]:
    """Those of `envs` that wait for the hub's receipt."""
    rows = looked_up(
        connection,
        "SELECT env FROM {keys} JOIN sealings ON env = column1 WHERE state = 'sealed'",
        [(one,) for one in envs],
    )
    return {bytes(env) for (env,) in rows}


def upload_bytes(connection: Connection, env: bytes) -> bytes | None:
    """The upload's bytes as sealed; None when the body is no longer kept."""
    row = sql(connection, "SELECT header, signatures, body FROM sealings WHERE env = :env", env=env).one()
    if row.body is None:
        return None
    slots = sql(connection, "SELECT slot FROM links_out WHERE env = :env ORDER BY recipient", env=env)
    return Upload(
        bytes(row.header), bytes(row.signatures), tuple(bytes(one.slot) for one in slots), bytes(row.body)
    ).to_bytes()


def links(connection: Connection, env: bytes) -> list[SealedLink]:
    """The links of an envelope, in the order of `to`."""
    return [
        link_in(row)
        for row in sql(connection, "SELECT * FROM links_out WHERE env = :env ORDER BY recipient", env=env)
    ]


def link_of(connection: Connection, env: bytes, recipient: str) -> SealedLink | None:
    """One recipient's link of an envelope."""
    row = sql(
        connection,
        "SELECT * FROM links_out WHERE env = :env AND recipient = :recipient",
        env=env,
        recipient=recipient,
    ).first()
    return None if row is None else link_in(row)


def link_at(connection: Connection, recipient: str, lane: str, chain: bytes, seq: int) -> SealedLink | None:
    """The link with that number in that chain, as §6.3 looks it up."""
    row = sql(
        connection,
        "SELECT * FROM links_out WHERE recipient = :recipient AND lane = :lane AND seq = :seq AND chain = :chain",
        recipient=recipient,
        lane=LANES.index(lane),
        seq=seq,
        chain=chain,
    ).first()
    return None if row is None else link_in(row)


def newest_at(connection: Connection, recipient: str, lane: str, seq: int) -> SealedLink | None:
    """The newest link with that number, in whatever chain."""
    row = sql(
        connection,
        "SELECT l.* FROM links_out l JOIN sealings s ON s.env = l.env WHERE l.recipient = :recipient"
        " AND l.lane = :lane AND l.seq = :seq ORDER BY s.n DESC LIMIT 1",
        recipient=recipient,
        lane=LANES.index(lane),
        seq=seq,
    ).first()
    return None if row is None else link_in(row)


def count_open(connection: Connection, recipient: str, *, most: int) -> int:
    """How many envelopes for `recipient` have no receipt, counted up to `most`."""
    statement = (
        "SELECT count(*) AS total FROM (SELECT 1 FROM links_out INDEXED BY links_out_open"
        " WHERE recipient = :recipient AND state = 'open' LIMIT :most)"
    )
    return int(sql(connection, statement, recipient=recipient, most=most).one().total)


def overdue_links(connection: Connection, *, now: int, limit: int) -> list[SealedLink]:
    """Open links of envelopes whose `exp` is over."""
    rows = sql(
        connection,
        "SELECT l.* FROM sealings s INDEXED BY sealings_open JOIN links_out l ON l.env = s.env"
        " WHERE s.state IN ('sealed', 'accepted') AND s.exp <= :now AND l.state = 'open' LIMIT :limit",
        now=now,
        limit=limit,
    )
    return [link_in(row) for row in rows]


def set_accepted(connection: Connection, env: bytes) -> None:
    """The hub has said, signed, that it has the envelope."""
    sql(
        connection,
        "UPDATE sealings SET state = 'accepted', asked = 0 WHERE env = :env AND state = 'sealed'",
        env=env,
    )


def set_attempt(connection: Connection, env: bytes, code: str) -> None:
    """The hub refused the envelope with `code`, for now."""
    sql(
        connection,
        "UPDATE sealings SET attempts = attempts + 1, code = :code WHERE env = :env",
        env=env,
        code=code,
    )


def set_voided(connection: Connection, env: bytes) -> None:
    """The envelope will never be uploaded; its bytes go, its links stay so that `missing` can be answered."""
    sql(connection, "UPDATE sealings SET state = 'voided', body = NULL WHERE env = :env", env=env)
    sql(connection, "UPDATE links_out SET state = 'voided' WHERE env = :env AND state = 'open'", env=env)


def set_link(connection: Connection, env: bytes, recipient: str, state: str) -> None:
    """A recipient's link has come to an end; the bytes go when nobody waits for them any more."""
    sql(
        connection,
        "UPDATE links_out SET state = :state WHERE env = :env AND recipient = :recipient AND state <> 'stored'",
        state=state,
        env=env,
        recipient=recipient,
    )
    sql(
        connection,
        "UPDATE sealings SET state = 'done', body = NULL WHERE env = :env AND state <> 'voided'"
        " AND NOT EXISTS (SELECT 1 FROM links_out WHERE env = :env AND state = 'open')",
        env=env,
    )


def set_asked(connection: Connection, env: bytes, recipient: str, *, now: int) -> None:
    """The recipient has asked for this number."""
    sql(
        connection,
        "UPDATE links_out SET asked_at = :now WHERE env = :env AND recipient = :recipient",
        env=env,
        recipient=recipient,
        now=now,
    )


def offer_again(connection: Connection) -> int:
    """Put every envelope without `stored` back in line: the hub may have forgotten them. How many."""
    return sql(
        connection, "UPDATE sealings SET state = 'sealed' WHERE state = 'accepted' AND body IS NOT NULL"
    ).rowcount


def offer_missed(connection: Connection, env: bytes) -> None:
    """Put an envelope that a recipient misses back in line, before those nobody has asked for."""
    sql(
        connection,
        "UPDATE sealings SET state = 'sealed', asked = 1 WHERE env = :env AND state IN ('sealed', 'accepted')"
        " AND body IS NOT NULL",
        env=env,
    )


def add_proof(
    connection: Connection,
    *,
    env: bytes,
    recipient: str,
    status: str,
    code: str,
    at: int,
    signer: str,
    body: bytes,
    signatures: bytes,
    leaf: bytes,
) -> bool:
    """Keep a verified receipt as evidence; False when there was one of this status. `leaf`: index, leaf, path."""
    batch = sha256(body)
    sql(
        connection,
        "INSERT INTO proof_batches VALUES (:batch, :signer, :at, :body, :signatures) ON CONFLICT (hash) DO NOTHING",
        batch=batch,
        signer=signer,
        at=at,
        body=body,
        signatures=signatures,
    )
    return (
        sql(
            connection,
            "INSERT INTO proofs VALUES (:env, :recipient, :status, :code, :at, :batch, :leaf)"
            " ON CONFLICT (env, recipient, status) DO NOTHING",
            env=env,
            recipient=recipient,
            status=status,
            code=code,
            at=at,
            batch=batch,
            leaf=leaf,
        ).rowcount
        == 1
    )


def _sealing(row: Any) -> Sealing:  # noqa: ANN401 - a row of any columns
    return Sealing(
        row.n,
        bytes(row.env),
        row.message_n,
        LANES[row.lane],
        row.exp,
        row.state,
        row.attempts,
        row.size,
        bytes(row.header),
    )


def link_in(row: Any) -> SealedLink:  # noqa: ANN401 - a row of any columns
    """The link of a row of links_out."""
    link = Link(bytes(row.chain), row.seq, bytes(row.prev))
    return SealedLink(
        bytes(row.env),
        row.recipient,
        LANES[row.lane],
        link,
        bytes(row.kid),
        row.until,
        bytes(row.lc),
        row.state,
        row.asked_at,
    )
