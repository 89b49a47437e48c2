"""Every error of the network, sorted by who must act, and the one list of their codes.

    ExchangeError
     +- Refused        we, or our user, must change something; nothing was done
     +- Rejected       the peer's data is bad: quarantine it, never retry the same bytes
     +- Unavailable    nobody is at fault: try again later
         +- Damaged    the bytes may have been hurt on the way: fetch them again, then alarm (docs/protocol.md §6)
         +- Hold       a key or a directory size is not known here yet: fetch the directory, then try again

The code is the same word in vectors, HTTP problem bodies, command output, receipts' details and the access log.
Which HTTP status a code becomes is `hub/http`'s business, which exit code `cli/`'s.
"""

from __future__ import annotations

from typing import Any


class ExchangeError(Exception):
    """Base of all our errors: a registered `code`, a sentence for people, and named facts (never content)."""

    def __init__(self, code: str, detail: str = "", **facts: Any) -> None:
        if code not in CODES:
            detail, code = f"unregistered code {code}: {detail}", "internal.unregistered-code"
        self.code = code
        self.detail = detail or CODES[code]
        self.facts = facts
        super().__init__(f"{code}: {self.detail}")


class Refused(ExchangeError):
    """We must change something: wrong input, no right, over a limit."""


class Rejected(ExchangeError):
    """The peer's data is bad. Whoever catches it sets the bytes aside and answers with the code."""


class Unavailable(ExchangeError):
    """Nobody is at fault; `facts["retry_after"]`, where present, is in seconds."""


class Damaged(Unavailable):
    """Outcome *transport*: the wire or the hub may have hurt the bytes. No receipt is owed."""


class Hold(Unavailable):
    """Outcome *hold*: keep the bytes, refresh the directory, try again."""


CODES: dict[str, str] = {
    "internal.unregistered-code": "an error was raised with a code this list lacks; please report it",
    "internal.error": "an unexpected fault at this end; the log of this time has its type",
    "json.not-canonical": "not in the one spelling of signed JSON (docs/protocol.md §2)",
    "json.bad-schema": "a member is missing, unknown or of the wrong type",
    "envelope.bad-frame": "the envelope's frames don't fit its bytes",
    "envelope.too-large": "the envelope is over a limit of docs/protocol.md §12",
    "envelope.wrong-id": "the id in the path isn't this envelope's",
    "envelope.bad-header": "the header breaks a rule of docs/protocol.md §4.1",
    "envelope.unknown-suite": "the suite isn't EX1; upgrade this side",
    "envelope.blobs-unsupported": "this version carries no blobs",
    "envelope.other-network": "made for another network",
    "envelope.not-sender": "the uploader isn't the sender in the header",
    "envelope.unknown-sender": "the sender isn't a member",
    "envelope.unknown-key": "the sender has no such signing key",
    "envelope.unknown-recipient": "a recipient isn't a member",
    "envelope.unknown-prekey": "a prekey is not published, lapsed, or no longer held by its owner",
    "envelope.future": "sealed more than 24 h ahead of the hub's clock",
    "envelope.expired": "its time to be delivered is over",
    "envelope.outlives-prekey": "it would outlive the prekey it is sealed to",
    "envelope.body-mismatch": "the body isn't the one the header names",
    "envelope.wrap-mismatch": "a wrap isn't the one the header names",
    "envelope.bad-signature": "the sender's signatures don't hold",
    "envelope.not-recipient": "this address isn't among the recipients",
    "envelope.unwrap-failed": "the wrap doesn't open with this address's prekey",
    "envelope.link-range": "the chain number is outside 1..2^53-1",
    "envelope.link-mismatch": "the link isn't the one committed to beside the wrap",
    "envelope.body-undecryptable": "the body doesn't open with the wrapped key",
    "envelope.bad-compression": "the content doesn't inflate as announced",
    "envelope.inflate-overflow": "the content is longer than announced or allowed",
    "envelope.bad-padding": "the padding isn't zeros up to the bucket",
    "envelope.commitment-mismatch": "the content isn't the one the sender committed to",
    "hold.unknown-sender": "the sender isn't in this node's directory yet",
    "hold.unknown-key": "the sender's key isn't in this node's directory yet",
    "hold.directory-behind": "the sender knows a longer directory log than this node",
    "content.bad-frame": "the content's frame is damaged",
    "content.bad-payload": "the payload breaks a rule of its type",
    "content.lane-mismatch": "the content's lane isn't the envelope's",
    "content.too-large": "the content is over the size limit",
    "message.urgency-mismatch": "the message's urgency isn't the envelope's lane",
    "receipt.bad-format": "the receipt breaks a rule of docs/protocol.md §7",
    "receipt.other-network": "the receipt is of another network",
    "receipt.unknown-signer": "the receipt's signer or key is unknown",
    "receipt.bad-signature": "the receipt's signatures don't hold",
    "receipt.bad-root": "the receipt's leaves or path don't lead to its root",
    "receipt.wrong-signer": "the signer may not give this receipt",
    "receipt.no-match": "no mailbox row fits this receipt",
    "directory.bad-leaf": "a leaf of the log is damaged",
    "directory.bad-order": "a leaf's index or time is out of order",
    "directory.leaf-ahead": "a leaf's time is more than 10 minutes ahead of this clock",
    "directory.bad-statement": "the statement breaks a rule of its type",
    "directory.repeated": "the statement took effect before",
    "directory.limited": "the officers use a statement this version doesn't know: upgrade; until then no new keys are taken",
    "directory.unknown-type": "an unknown type of statement without the officers' threshold; ignored",
    "directory.lapsed": "the statement's not_after is over",
    "directory.stale": "another statement on this subject came first; make it again on the newest state",
    "directory.bad-signature": "a signature on the statement doesn't hold, or its signer is unknown",
    "directory.too-few-officers": "fewer officers signed than the threshold",
    "directory.too-few-sponsors": "fewer members of distinct other countries signed than the threshold",
    "directory.no-possession": "the new member's own signature is missing",
    "directory.handle-taken": "the handle was used before",
    "directory.key-reused": "a key was used before",
    "directory.not-own": "only the address itself may make this statement",
    "directory.bad-prekeys": "the prekeys' times or records break a rule",
    "directory.too-often": "more than 4 prekeys statements in 24 h",
    "directory.bad-genesis": "the genesis breaks a rule of docs/protocol.md §9.3",
    "directory.rollback": "the hub shows a shorter log than it did before",
    "directory.split": "two signed views of the log contradict each other",
    "directory.unknown-checkpoint": "the hub doesn't know the checkpoint; upload it",
    "directory.read-only": "the hub takes no statements until it knows the longest log",
    "directory.no-need": "these leaves weren't asked for",
    "directory.unknown-member": "no such member in the directory",
    "directory.no-prekey": "the member has no usable prekey",
    "directory.stale-checkpoint": "the newest checkpoint is older than 24 h; no new keys are taken",
    "checkpoint.bad-format": "the checkpoint breaks a rule of docs/protocol.md §9.6",
    "checkpoint.bad-signature": "the hub's signature on the checkpoint doesn't hold",
    "submission.bad-format": "the hub's answer to a statement is malformed",
    "submission.bad-signature": "the hub's signature on its answer doesn't hold",
    "auth.missing": "no token was sent",
    "auth.bad-token": "the token is malformed or too long-lived",
    "auth.unknown-issuer": "the token's issuer is neither an active member nor an officer",
    "auth.bad-signature": "the token's signature doesn't hold",
    "auth.other-network": "the token is of another network",
    "auth.wrong-origin": "the token is for another hub address",
    "auth.wrong-request": "the token is for another method or path",
    "auth.body-mismatch": "the body isn't the one the token names",
    "auth.clock-skew": "this clock and the hub's are apart; the answer's `now` has the hub's time",
    "auth.forbidden": "not allowed for this issuer",
    "auth.bad-invitation": "the invitation isn't known here",
    "auth.invitation-expired": "the invitation is over; ask for a new one",
    "invitation.bad-format": "not an invitation; copy the whole line",
    "invitation.expired": "the invitation is over; ask for a new one",
    "application.not-invited": "the application isn't for the handle, country and class of the invitation",
    "application.unknown": "no such application",
    "policy.sender-status": "the sender's status doesn't allow sending",
    "policy.recipient-status": "the recipient's status doesn't allow receiving",
    "policy.anchor-unconfirmed": "nothing above TLP:GREEN until `exchange node confirm-anchor`",
    "policy.no-recipient": "no recipient is named",
    "policy.self-only": "the only recipient is the sender",
    "quota.exceeded": "the sender's quota at the hub is used up until receipts come back",
    "request.bad": "the request is malformed",
    "request.not-found": "no such thing here",
    "request.method": "this path knows no such method",
    "request.timeout": "the request took too long",
    "request.length-required": "the request must say its length",
    "request.too-large": "the request is over the size limit",
    "rate.too-many": "too many requests; come back later",
    "storage.full": "the disk is full; nothing was lost; free space",
    "storage.busy": "too much work is waiting; come back later",
    "storage.io": "the disk failed; the process stops to recover from what is on it",
    "hub.stopping": "the hub is stopping; come back later",
    "hub.unreachable": "the hub can't be reached",
    "hub.certificate": "the hub's certificate isn't signed by the network's CA",
}
