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
    "directory.bad-leaf": "a leaf of the log is damaged",
    "directory.bad-order": "a leaf's index or time is out of order",
    "directory.leaf-ahead": "a leaf's time is more than 10 minutes ahead of this clock",
    "directory.bad-statement": "the statement breaks a rule of its type",
    "directory.repeated": "the statement took effect before",
    "directory.limited": "the officers use a statement this version doesn't know: upgrade; no new keys until then",
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
    "home.locked": "another process owns this home; stop it first, or let it do the work",
    "home.missing": "there is no such home; create it with `init`",
    "home.too-many-files": "the folder holds more files than any home does; is it the right one?",
    "keystore.damaged": "the keystore file is damaged; restore it from its backup",
    "keystore.exists": "a file is there already, and what it opens or holds would be lost",
    "keystore.key-file": "the key file is missing or does not hold 32 to 4,096 random bytes",
    "keystore.limit": "a keystore entry's name, size or number is over the limit",
    "keystore.missing": "there is no keystore file",
    "keystore.mode": "others may read a file of secrets; close it with chmod 600",
    "keystore.no-entry": "the keystore holds no secret of this name",
    "keystore.passphrase": "a passphrase has 12 characters or more and at most 1,024 bytes",
    "keystore.wrong-key": "the keystore does not open with this passphrase or key file",
    "storage.bad-local-key": "the local key is not 32 bytes",
    "storage.closed": "the database is closed or closing",
    "storage.damaged": "the database file is damaged; restore it from its backup",
    "storage.newer-schema": "the database was made by a newer version of this program",
    "storage.older-schema": "the database is older than this program; start its server once to upgrade it",
    "storage.row-damaged": "a stored value does not open with the local key; restore the database from its backup",
    "storage.too-large": "a value is over the size limit of storage",
    "storage.upgrade-failed": "the database could not be upgraded and is as it was before",
    "storage.wrong-file": "the file is not a database of this program",
    "hub.stopping": "the hub is stopping; come back later",
    "hub.genesis-incomplete": "the network has no genesis yet that everyone it names has signed",
    "hub.wrong-key": "this home's hub key isn't the one the log names",
    "hub.begun": "the network has begun; its genesis can't be changed any more",
    "hub.no-genesis": "there is no genesis draft here; run `exchange hub init`",
    "hub.other-genesis": "the signed copy is of another genesis draft than this home's",
    "hub.address": "the hub can't listen on this host and port",
    "hub.public-certificate": "the certificate or its key can't be used",
    "settings.invalid": "a setting in config.toml is unknown or out of range",
    "invitation.bad-request": "an invitation needs a free handle, a class, a country and 1 to 90 days",
    "application.too-many": "too many applications wait; ask the officers to decide some",
    "hub.unreachable": "the hub can't be reached",
    "hub.certificate": "the hub's certificate isn't signed by the network's CA",
    "tlp.unknown": "not a TLP label; write clear, green, amber, amber+strict or red",
    "tlp.red-needs-persons": "TLP:RED is for named persons, and persons have no keys yet",
    "tlp.weaker-than-content": "the message would carry a weaker label than one of its objects",
    "message.bad-id": "a message id is a UUID in lower case with hyphens",
    "message.bad-case": "a case or exercise id is 1 to 64 letters, digits, dots, underscores or hyphens",
    "message.bad-lang": "the language is not an RFC 5646 tag such as en or pt-BR",
    "message.bad-legal-status": "the legal status is informal or formal-copy",
    "message.bad-text": "a text of the message has a character that is not allowed in it",
    "message.text-too-long": "a text of the message is too long",
    "message.bad-time": "a time of the message is out of range or not after its creation",
    "message.unknown-kind": "this version does not write messages of that kind",
    "message.bad-outcome": "an outcome belongs to a response and is one of the known words",
    "message.missing-subject": "a message needs a subject",
    "message.missing-incident": "an incident report needs an incident with the incident core extension",
    "message.missing-question": "a request for information needs a question",
    "message.missing-reply-by": "a request for information needs the time by which a reply is wanted",
    "message.missing-reply-to": "this kind of message needs the id of the message it belongs to",
    "message.missing-outcome": "a response needs an outcome",
    "message.missing-reason": "declining needs a reason",
    "message.bad-bundle": "the content is not a STIX bundle that can be read",
    "message.no-cover": "the bundle does not begin with a cover object",
    "message.two-covers": "the bundle has more than one cover object",
    "message.bad-cover": "the cover object breaks a rule of docs/messages.md",
    "json.too-large": "the file or bundle is too large",
    "json.too-deep": "the JSON is nested too deeply",
    "json.too-many-values": "the JSON has too many values",
    "json.too-many-objects": "the file or bundle has too many objects",
    "json.not-utf8": "the file is not UTF-8 text",
    "json.bad-syntax": "the file is not JSON",
    "stix.ambiguous-file": "a property stands twice in the bundle itself, so it can be read in two ways",
    "stix.bad-bundle": "the bundle has no list of objects",
    "stix.duplicate-key": "a property stands twice in the object, so it can be read in two ways",
    "stix.bad-value": "the object has a text or number that JSON readers cannot agree on",
    "stix.not-an-object": "a STIX object with type and id was expected",
    "stix.nested-bundle": "a bundle within a bundle",
    "stix.id-mismatch": "the id does not begin with the object's type",
    "stix.unknown-version": "the object is of a STIX version other than 2.0 and 2.1",
    "stix.invalid": "the object breaks a rule of the STIX schemas",
    "stix.no-schemas": "the OASIS schemas are missing from this installation (package stix2-validator 3.2.0)",
    "incident.unknown-word": "that word is not in the incident vocabulary",
    "format.unknown": "the format of the file is not known",
    "cli.usage": "the command line is wrong",
    "cli.unconfirmed": "it was not confirmed, and nothing was done",
    "cli.timeout": "the time limit of --wait passed before every receipt came",
    "cli.unknown-id": "no message here has an id that begins so",
    "cli.ambiguous-id": "more than one message here has an id that begins so",
    "cli.no-unlock": "neither a passphrase nor a key file was given, and there is no terminal to ask on",
    "cli.digits-differ": "the digits given are not those of the keys",
    "cli.bad-file": "a file is not what this command reads",
    "cli.nothing-to-send": "nothing is left to send",
    "cli.other-home": "the folder is not a home of this kind",
    "node.not-joined": "this node hasn't joined a network; use `exchange node join INVITATION`",
    "node.wrong-digits": "these aren't the network's digits; compare them again, and don't go on if they differ",
    "node.restored": "this home looks like an older copy: new prekeys were made and the members asked to send again; "
    "if nobody restored it, somebody else holds its keys: tell an officer",
    "node.not-running": "no serving process answers at this home",
    "directory.own-name": "the log has a statement in this member's name that this node didn't make",
    "outbox.lost": "a message could not be delivered before its end",
    "chain.fork": "a sender's chain contradicts itself; both headers are kept as evidence",
    "message.conflict": "the sender used this message id for two different contents",
    "message.unknown": "no message with that id is here",
    "message.bad-status": "the status is acknowledged, working or declined",
    "message.author-mismatch": "the message names another author than the envelope's sender",
    "message.id-mismatch": "the message's id isn't the one in its frame",
    "node.other-member": "the invitation is for another member",
    "node.joined": "this home belongs to another network",
}
