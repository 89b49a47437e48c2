"""The hub's tables as SQLAlchemy sees them, and what each is for. migrations/ creates them.

envelopes     one row an accepted envelope: metadata, kept as store/forget.py says, at most
              30 days past `exp` (RETENTION_MS). `released_at`: since when nobody waits for it, once that was noted.
              `size` is the upload's, for the quota, `delivery` that of one recipient's share, both in bytes;
              `waiting`: how many recipients it had; 0 once nobody waits for the body, which goes then, and the
              quota is given back: but of what expired, `size` says what stays and counts until the last row goes
heads         its signed header with the signatures, kept as long
bodies        each body once, deleted with the last row that waits for it
slots         the slots of its recipients in one piece, SLOT_BYTES each, deleted with its last row in `mailbox`; once
              it has expired, only of those who have a row
mailbox       one row a recipient that has not receipted its copy. `n` rises over the whole hub: a cursor's number;
              `place`: of its slot in `slots`, `lc`: the slot's; `held`: its sender has a receipt that says so. Small
              on purpose: a batch of receipts deletes 256 rows, each beside those of the envelope's other recipients
senders       what each sender has waiting (quota), kept with every change so that nothing is ever counted over
signers       the highest receipt batch number of each signer, the hub's own included
counters      the last number given of `envelopes` and `mailbox`: none is given twice after rows are gone
proofs        receipts as their sender gets them (docs/protocol.md §7), JSON
proof_links   which envelopes a proof speaks of: the answer to a repeated upload
proof_feed    proofs that their sender has not stored yet
leaves        the directory log; `statement` is the hash of the leaf's statement, `judged`: this hub judged that it
              took effect, and need not verify it again
checkpoints   every checkpoint this hub or one before it signed, by H("checkpoint", ...): which `dir` it believes
parts         what members say of themselves beside the log, for members; only what the log or `pending` names
pending       statements that lack signatures, with the parts they name
prekey_records, applications, invitations (only the SHA-256 of a token)
stalls        whose flash waits too long, as the operator was told (store/alarm.py); calls: storage/calls.py

Owns names and columns only; the queries stand in the other store_ files.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import column, table

from exchange.limits import DAY_MS, RETENTION_DAYS

RETENTION_MS: Final = RETENTION_DAYS * DAY_MS

envelopes = table(
    "envelopes",
    column("n"),
    column("env"),
    column("sender"),
    column("lane"),
    column("exp"),
    column("size"),
    column("delivery"),
    column("waiting"),
    column("accepted_at"),
    column("released_at"),
)
heads = table("heads", column("envelope"), column("header"), column("signatures"))
bodies = table("bodies", column("envelope"), column("body"))
slots = table("slots", column("envelope"), column("slots"))
mailbox = table(
    "mailbox",
    column("n"),
    column("recipient"),
    column("lane"),
    column("envelope"),
    column("place"),
    column("lc"),
    column("expired"),
    column("held"),
)
senders = table("senders", column("address"), column("envelopes"), column("bytes"), column("rows"))
signers = table("signers", column("address"), column("batch"))
counters = table("counters", column("name"), column("value"))
proofs = table("proofs", column("n"), column("proof"), column("keep_until"))
proof_links = table("proof_links", column("envelope"), column("proof"))
proof_feed = table("proof_feed", column("n"), column("sender"), column("proof"))
leaves = table("leaves", column("position"), column("leaf"), column("statement"), column("judged"))
checkpoints = table(
    "checkpoints", column("ref"), column("term"), column("size"), column("root"), column("at")
)
prekey_records = table("prekey_records", column("kid"), column("record"), column("destroy"))
applications = table(
    "applications",
    column("member"),
    column("body"),
    column("signatures"),
    column("since"),
    column("until"),
    column("document"),
    column("salt"),
    column("invitation"),
    column("ended"),
    column("reason"),
)
parts = table(
    "parts",
    column("n"),
    column("hash"),
    column("address"),
    column("level"),
    column("salt"),
    column("body"),
)
pending = table(
    "pending",
    column("statement"),
    column("body"),
    column("signatures"),
    column("parts"),
    column("submitter"),
    column("since"),
    column("until"),
)
invitations = table(
    "invitations",
    column("token_hash"),
    column("member"),
    column("class"),
    column("country"),
    column("expires"),
)
