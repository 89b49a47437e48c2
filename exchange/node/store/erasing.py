"""Owns how a message is erased and what is left of it: its hash, and its place in the chain.

Erased values are overwritten (secure_delete); what they leave in the database's log goes when it is folded. Of a chain
only the content's evidence goes: its numbers stay, so that nothing is missed or taken for a fork that was erased.
When a message goes is store/retention.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.canonical import sha256
from exchange.limits import DAY_MS
from exchange.node.store.holds import is_held, standing
from exchange.node.store.store import looked_up, set_fact, sql
from exchange.retention import ASKED, Label
from exchange.storage.local_cipher import LocalCipher

REMEMBER_MS: Final = 400 * DAY_MS  # after its `expires`: how long a message that was erased is known again
UNFOLDED: Final = "retention.unfolded"  # the database's log may still hold what was erased


def erase(connection: Connection, cipher: LocalCipher, message_id: str, *, now: int) -> int:
    """Erase what came and what was sent under an id, at once; how many messages.

    The caller has asked `stopped` before.
    """
    received = sql(connection, "SELECT * FROM inbox WHERE message_id = :id", id=message_id).all()
    for row in received:
        erase_received(connection, row, rule=ASKED, now=now)
    sent = sql(
        connection,
        "SELECT n, id, expires FROM messages WHERE id = :id AND type = 'stix' AND erased_at IS NULL",
        id=message_id,
    ).all()
    for row in sent:
        _erase_asked(connection, cipher, row, now=now)
    if received or sent:
        set_fact(connection, UNFOLDED, 1)
    return len(received) + len(sent)


def stopped(connection: Connection, cipher: LocalCipher, message_id: str) -> str:
    """The code of what stops a message from being erased now, "" where nothing does."""
    held = standing(connection)
    cases = [
        label_received(cipher, row).case
        for row in sql(connection, "SELECT env, summary FROM inbox WHERE message_id = :id", id=message_id)
    ]
    sent = sql(connection, "SELECT n, id, label FROM messages WHERE id = :id", id=message_id).first()
    if sent is not None and sent.label:
        cases.append(label_sent(cipher, sent).case)
    if any(is_held(held, message_id, case) for case in (*cases, "")):
        return "retention.held"
    under_way = (
        sent is not None
        and sql(
            connection,
            "SELECT 1 FROM addressees WHERE message_n = :n AND state NOT IN ('stored', 'rejected', 'lost') LIMIT 1",
            n=sent.n,
        ).first()
    )
    return "retention.under-way" if under_way else ""


def _erase_asked(connection: Connection, cipher: LocalCipher, row: Any, *, now: int) -> None:  # noqa: ANN401 - a row of any columns
    """A message sent: erased as people asked, and so remembered, for older backups."""
    erase_sent(connection, cipher, row.n, row.id, rule=ASKED, now=now)
    forget_at = max(now, row.expires) + REMEMBER_MS
    _remember(connection, id_hash("", row.id), b"", rule=ASKED, now=now, forget_at=forget_at)


def replay(
    connection: Connection, cipher: LocalCipher, erased: Iterable[tuple[bytes, bytes]], *, now: int
) -> int:
    """Erase again what a restored copy has brought back, by the hashes of ids and payloads; how many messages.

    What came under the same id from somebody else, or said something else, was not erased and stays.
    """
    wanted = frozenset(erased)
    received = [
        row.n
        for row in sql(connection, "SELECT n, sender, message_id, payload_hash FROM inbox").all()
        if (id_hash(row.sender, row.message_id), bytes(row.payload_hash)) in wanted
    ]
    for n in received:
        row = sql(connection, "SELECT * FROM inbox WHERE n = :n", n=n).one()
        erase_received(connection, row, rule=ASKED, now=now)
    sent = [
        row
        for row in sql(
            connection, "SELECT n, id, expires FROM messages WHERE type = 'stix' AND erased_at IS NULL"
        )
        if (id_hash("", row.id), b"") in wanted
    ]
    for row in sent:
        _erase_asked(connection, cipher, row, now=now)
    if received or sent:
        set_fact(connection, UNFOLDED, 1)
    return len(received) + len(sent)


def id_hash(sender: str, message_id: str) -> bytes:
    """What is remembered of an erased message's id; `sender` is empty for this node's own."""
    return sha256(f"{sender}\0{message_id}".encode())


def known_payloads(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> list[tuple[tuple[str, str], bytes]]:
    """(sender, message id) and payload hash of what came under these and was erased."""
    by_hash = {id_hash(*name): name for name in names}
    rows = looked_up(
        connection,
        "SELECT id_hash, payload_hash FROM {keys} JOIN erased ON id_hash = column1",
        [(one,) for one in by_hash],
    )
    return [(by_hash[hashed], payload_hash) for hashed, payload_hash in rows]


def erase_received(connection: Connection, row: Any, *, rule: str, now: int) -> None:  # noqa: ANN401 - a row of any columns
    """Erase a whole row of inbox; what comes under its id later is known."""
    _remember(
        connection,
        id_hash(row.sender, row.message_id),
        bytes(row.payload_hash),
        rule=rule,
        now=now,
        forget_at=max(now, row.expires) + REMEMBER_MS,
    )
    sql(connection, "DELETE FROM inbox WHERE n = :n", n=row.n)
    blank_link(connection, bytes(row.env))


def erase_sent(
    connection: Connection, cipher: LocalCipher, n: int, message_id: str, *, rule: str, now: int
) -> None:
    """Erase a message that this node sent: what it said and what proves it. How far its copies came stays.

    A sealing may still be under way whose copy came by another one: it can't be uploaded any more.
    """
    nothing = cipher.seal("messages.payload", message_id, b"")
    sql(
        connection,
        "UPDATE messages SET payload = :nothing, label = NULL, supersedes = '', erase_at = NULL, erase_rule = :rule,"
        " erased_at = :now WHERE n = :n",
        nothing=nothing,
        rule=rule,
        now=now,
        n=n,
    )
    sql(connection, "UPDATE addressees SET person = NULL, note = NULL WHERE message_n = :n", n=n)
    envs = [bytes(one.env) for one in sql(connection, "SELECT env FROM sealings WHERE message_n = :n", n=n)]
    sql(
        connection,
        "UPDATE sealings SET body = NULL, header = x'', signatures = x'', salt = x'',"
        " state = CASE WHEN state IN ('sealed', 'accepted') THEN 'voided' ELSE state END WHERE message_n = :n",
        n=n,
    )
    for env in envs:
        sql(
            connection,
            "UPDATE links_out SET nonce = x'', slot = x'',"
            " state = CASE state WHEN 'open' THEN 'voided' ELSE state END WHERE env = :env",
            env=env,
        )
        batches = sql(connection, "SELECT DISTINCT batch FROM proofs WHERE env = :env", env=env).all()
        sql(connection, "DELETE FROM proofs WHERE env = :env", env=env)
        for one in batches:
            sql(
                connection,
                "DELETE FROM proof_batches WHERE hash = :batch"
                " AND NOT EXISTS (SELECT 1 FROM proofs WHERE batch = :batch)",
                batch=one.batch,
            )


def blank_link(connection: Connection, env: bytes) -> None:
    """The place in the chain stays, what proves the content goes. `{}`: the column of the key reads it as JSON."""
    sql(
        connection,
        "UPDATE links_in SET header = CAST('{}' AS BLOB), signatures = x'', nonce = x'', salt = x'', wrap_hash = x''"
        " WHERE env = :env AND signatures <> x''",
        env=env,
    )


def _remember(
    connection: Connection, id_hash_: bytes, payload_hash: bytes, *, rule: str, now: int, forget_at: int
) -> None:
    sql(
        connection,
        "INSERT INTO erased VALUES (:id_hash, :payload_hash, :now, :rule, :forget_at)"
        " ON CONFLICT (id_hash, payload_hash) DO NOTHING",
        id_hash=id_hash_,
        payload_hash=payload_hash,
        now=now,
        rule=rule,
        forget_at=forget_at,
    )


def label_sent(cipher: LocalCipher, row: Any) -> Label:  # noqa: ANN401 - a row of any columns
    """What the rules look at in a row of messages that has its label."""
    return Label.of(orjson.loads(cipher.open("messages.label", row.id, bytes(row.label))))


def label_received(cipher: LocalCipher, row: Any) -> Label:  # noqa: ANN401 - a row of any columns
    """The same of a row of inbox."""
    return Label.of(orjson.loads(cipher.open("inbox.summary", bytes(row.env).hex(), bytes(row.summary))))
