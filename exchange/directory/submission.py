"""Submissions: the hub's signed answer to a statement sent to it, so that it can't quietly outwait one (§11 end).

Owns their form and signature. What the hub answers is hub/registrar's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, Json, b64, dumps, loads
from exchange.errors import Rejected
from exchange.keys import SIGNATURE_BYTES, SUBMISSION, PrivateKeys, PublicKey

LOGGED: Final = "logged"
PENDING: Final = "pending"
SUPERSEDED: Final = "superseded"

_NAMES = ("at", "by", "index", "net", "outcome", "statement", "until", "v")
_MAX_BODY = 1_024  # bytes; a submission has about 300


@dataclass(frozen=True)
class Submission:
    """What became of the statement with hash `statement` at `at` (UTC ms).

    LOGGED at `index`; PENDING more signatures before `until` (UTC ms); SUPERSEDED by the statement with hash `by`.
    """

    net: bytes
    statement: bytes
    outcome: str
    at: int
    index: int = 0
    until: int = 0
    by: bytes = b""

    def to_bytes(self) -> bytes:
        return dumps(
            {
                "at": self.at,
                "by": b64(self.by),
                "index": self.index,
                "net": b64(self.net),
                "outcome": self.outcome,
                "statement": b64(self.statement),
                "until": self.until,
                "v": 1,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, net: bytes) -> Submission:
        """Inverse of `to_bytes`. Raises Rejected submission.bad-format, also for another network's."""
        try:
            fields = Fields(loads(data, most=_MAX_BODY, field="submission"), _NAMES, what="submission")
            fields.exactly("v", 1)
            fields.exactly("net", b64(net))
            outcome = fields.one_of("outcome", (LOGGED, PENDING, SUPERSEDED))
            return cls(
                net=net,
                statement=fields.binary("statement", 32),
                outcome=outcome,
                at=fields.integer("at"),
                # a member that doesn't belong to the outcome has its one empty value
                index=fields.integer("index", most=2**53 - 1 if outcome == LOGGED else 0),
                until=fields.integer("until", most=2**53 - 1 if outcome == PENDING else 0),
                by=fields.binary("by", 32 if outcome == SUPERSEDED else 0),
            )
        except Rejected as fault:
            raise Rejected("submission.bad-format", fault.detail) from None


@dataclass(frozen=True)
class SignedSubmission:
    """A submission's bytes with the hub's signature, not verified yet; the submitter keeps it."""

    body: bytes
    signature: bytes

    @classmethod
    def sign(cls, submission: Submission, hub_keys: PrivateKeys) -> SignedSubmission:
        body = submission.to_bytes()
        return cls(body, hub_keys.sign(SUBMISSION, body))

    def verify(self, net: bytes, hub_key: PublicKey, *, statement: bytes) -> Submission:
        """What the hub answered to the statement with this hash.

        Raises Rejected submission.bad-signature, submission.bad-format (also when it answers another statement).
        """
        hub_key.verify(SUBMISSION, self.body, self.signature, code="submission.bad-signature")
        submission = Submission.from_bytes(self.body, net)
        if submission.statement != statement:
            raise Rejected("submission.bad-format", "the hub answers for another statement")
        return submission

    def to_json(self) -> dict[str, Json]:
        return {"body": b64(self.body), "signature": b64(self.signature)}

    @classmethod
    def from_json(cls, value: Json) -> SignedSubmission:
        """Inverse of `to_json`. Raises Rejected submission.bad-format."""
        try:
            fields = Fields(value, ("body", "signature"), what="submission")
            return cls(fields.binary("body"), fields.binary("signature", SIGNATURE_BYTES))
        except Rejected as fault:
            raise Rejected("submission.bad-format", fault.detail) from None
