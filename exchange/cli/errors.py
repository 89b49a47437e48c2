"""What an error means to whoever ran the command: the exit code and the hint, each in one table.

Owns both tables. Which code an error has is decided where it is raised (exchange/errors.py lists them); how it is
printed is `output`'s business.
"""

from __future__ import annotations

from typing import Final

from exchange.errors import ExchangeError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3  # by validation or policy
NOT_ALLOWED: Final = 4  # authentication or permission
UNREACHABLE: Final = 5  # or a time limit
NOT_GENUINE: Final = 6  # signature or decryption
INTERRUPTED: Final = 130  # as shells have it for SIGINT

# The longest row that a code begins with counts: a code itself, or its family.
EXITS: Final[dict[str, int]] = {
    "alarm.": UNREACHABLE,
    "alarm.no-apprise": FAILED,
    "alarm.none": USAGE,
    "application.": NOT_ALLOWED,
    "application.bad-document": REFUSED,
    "application.unknown": REFUSED,
    "auth.": NOT_ALLOWED,
    "backup.": REFUSED,
    "backup.damaged": NOT_GENUINE,
    "backup.no-secret": NOT_ALLOWED,
    "backup.under-way": UNREACHABLE,
    "backup.wrong-key": NOT_ALLOWED,
    "chain.": NOT_GENUINE,
    "checkpoint.": NOT_GENUINE,
    "cli.": USAGE,
    "cli.bad-file": REFUSED,
    "cli.digits-differ": NOT_GENUINE,
    "cli.no-unlock": NOT_ALLOWED,
    "cli.nothing-to-send": REFUSED,
    "cli.other-document": NOT_GENUINE,
    "cli.timeout": UNREACHABLE,
    "cli.unconfirmed": REFUSED,
    "cli.unknown-id": REFUSED,
    "content.": NOT_GENUINE,
    "content.too-large": REFUSED,
    "contact.": REFUSED,
    "counterpart.": REFUSED,
    "directory.": REFUSED,
    "directory.bad-genesis": NOT_GENUINE,
    "directory.bad-leaf": NOT_GENUINE,
    "directory.bad-order": NOT_GENUINE,
    "directory.bad-signature": NOT_GENUINE,
    "directory.read-only": UNREACHABLE,
    "directory.rollback": NOT_GENUINE,
    "directory.split": NOT_GENUINE,
    "directory.too-often": UNREACHABLE,
    "envelope.": NOT_GENUINE,
    "envelope.expired": REFUSED,
    "envelope.future": REFUSED,
    "envelope.too-large": REFUSED,
    "envelope.unknown-recipient": REFUSED,
    "format.": REFUSED,
    "hold.": UNREACHABLE,
    "home.": FAILED,
    "hub.": UNREACHABLE,
    "hub.address": FAILED,
    "hub.begun": REFUSED,
    "hub.certificate": NOT_GENUINE,
    "hub.genesis-incomplete": REFUSED,
    "hub.no-change": REFUSED,
    "hub.no-genesis": REFUSED,
    "hub.other-change": REFUSED,
    "hub.other-genesis": REFUSED,
    "tls.certificate": FAILED,
    "hub.wrong-key": NOT_GENUINE,
    "incident.": REFUSED,
    "internal.": FAILED,
    "invitation.": REFUSED,
    "invitation.expired": NOT_ALLOWED,
    "json.": REFUSED,
    "keystore.": FAILED,
    "keystore.key-file": NOT_ALLOWED,
    "keystore.mode": NOT_ALLOWED,
    "keystore.passphrase": REFUSED,
    "keystore.wrong-key": NOT_ALLOWED,
    "message.": REFUSED,
    "node.": REFUSED,
    "node.not-running": UNREACHABLE,
    "node.wrong-digits": NOT_GENUINE,
    "outbox.": UNREACHABLE,
    "onboarding.": REFUSED,
    "pending.": REFUSED,
    "pending.too-many": UNREACHABLE,
    "policy.": REFUSED,
    "quota.": UNREACHABLE,
    "rate.": UNREACHABLE,
    "receipt.": NOT_GENUINE,
    "record.": REFUSED,
    "release.": REFUSED,
    "request.": FAILED,
    "request.too-large": REFUSED,
    "retention.": REFUSED,
    "secretariat.": REFUSED,
    "secretariat.other": NOT_ALLOWED,
    "settings.": USAGE,
    "stix.": REFUSED,
    "snapshot.": NOT_GENUINE,
    "storage.": FAILED,
    "storage.busy": UNREACHABLE,
    "storage.full": UNREACHABLE,
    "submission.": NOT_GENUINE,
    "tlp.": REFUSED,
    "unit.": REFUSED,
}

# What to do about it; a code without a row has a sentence that says so itself.
HINTS: Final[dict[str, str]] = {
    "alarm.none": 'docs/cli.md lists the settings, e.g. command = ["/usr/local/bin/call-duty"]',
    "application.unknown": "`applications` lists those that wait; handles are typed whole",
    "application.ended": "`exchange node status` shows why; ask the hub's administrator for a new invitation",
    "auth.clock-skew": "set this machine's clock (UTC); a node corrects it by itself for its tokens",
    "auth.bad-signature": "if this home was restored and its keys were changed since the backup: docs/administrator.md",
    "auth.bad-invitation": "an invitation works once and at one hub; ask the administrator for a new one",
    "auth.unknown-issuer": "not approved yet, or the key was revoked; `exchange node status` says what to do",
    "backup.no-secret": "--backup-passphrase-file, --backup-key-file, or in the environment"
    " EXCHANGE_BACKUP_PASSPHRASE_FILE or EXCHANGE_BACKUP_KEY_FILE",
    "backup.other-kind": "a hub's: `exchange hub restore`; a member's: `exchange node restore`, with --as for a unit",
    "backup.own-secret": "with --backup-key-file or --backup-passphrase-file give a secret of its own",
    "backup.place": "name a folder that is there and can be written to; is its medium mounted?",
    "cli.ambiguous-id": "type a few more characters of the id",
    "cli.digits-differ": "do not go on: read the digits again over a telephone number you already knew",
    "cli.no-unlock": "give --passphrase-file, --key-file, EXCHANGE_PASSPHRASE_FILE or EXCHANGE_KEY_FILE",
    "cli.nothing-to-send": "the reasons stand above; correct the file, or send its facts by flags",
    "cli.other-document": "do not sign: ask who stated it which document it was",
    "cli.other-home": "name the right folder with --home or EXCHANGE_HOME",
    "cli.timeout": "the message is safe and goes on being delivered; `exchange node report ID` shows how far it is",
    "cli.unconfirmed": "run it again and answer yes, or give --yes",
    "cli.unknown-id": "`exchange node inbox` and `exchange node outbox` list the ids",
    "cli.usage": "`--help` after any command shows what it takes",
    "directory.no-drill": "at that member: exchange node rotate",
    "directory.read-only": "members' nodes bring it what they know; until it has heard them it waits. Try again later",
    "directory.unknown-contact": "`exchange directory contact list` shows this home's own",
    "directory.unknown-member": "`exchange directory members` lists the handles",
    "directory.stale-checkpoint": "start `exchange node serve` where the hub can be reached, then try again",
    "format.unknown": "`exchange formats` lists what can be read and written",
    "hub.genesis-incomplete": "each officer: `officer approve --genesis FILE`; then `hub init --genesis FILE`",
    "keystore.exists": "if an `init` was cut short before it printed anything, remove the folder and run it again",
    "node.wrong-digits": "do not go on: read the digits again over a telephone number you already knew",
    "home.locked": "use the server that runs, or stop it first",
    "home.missing": "make one with `init`, or name it with --home or EXCHANGE_HOME",
    "hub.certificate": "check the address; if the hub has a new CA, ask its administrator for the new network file",
    "hub.unreachable": "check the hub's address, the network and the proxy; what is queued is not lost",
    "invitation.bad-format": "give the whole line, or the name of the file that holds it",
    "incident.unknown-word": "docs/cli.md lists the words of the incident vocabulary",
    "keystore.key-file": "name the file that was used at `init`; for a backup, the one it was made with",
    "keystore.passphrase": "choose a longer one",
    "keystore.wrong-key": "use what was used at `init`; nobody else can open this home",
    "message.not-taken": "`exchange node report ID` shows whether it is sealed again, or why not",
    "message.unknown": "`exchange node inbox` lists what came; what was sent: exchange node report ID",
    "message.missing-original": "exchange node forward ID --to ADDRESS",
    "message.missing-contacts": "it is written by the secretariat's own commands",
    "message.missing-need": "`exchange directory ask` writes it",
    "message.missing-incident": "give a file with one, or --name, --determination and --type",
    "message.missing-outcome": "--outcome full, partial, negative, declined, interim or forwarded",
    "message.missing-question": "--question TEXT",
    "message.missing-reason": "--reason TEXT",
    "message.missing-reply-by": "--reply-by 2026-12-01T12:00Z, or 4h, 2d from now",
    "message.missing-reply-to": "--reply-to ID of the message it answers",
    "message.missing-subject": "--subject TEXT",
    "onboarding.checklist": "the list above says what to do for each item that is open",
    "pending.unknown": "`exchange officer applications` and `exchange node vote` list the ids",
    "policy.anchor-unconfirmed": "compare the network's digits with a sponsor or officer, then `node confirm-anchor`",
    "policy.provisional": "`exchange node status` shows whom you may write to until you are active",
    "policy.provisional-tlp": "lower --tlp if that is right, or wait until the member is active",
    "policy.restricted": "--urgency flash or immediate",
    "policy.suspended-clear-only": "what it must know of a danger to itself: --tlp clear",
    "policy.no-recipient": "--to HANDLE[,HANDLE...]",
    "retention.held": "`exchange node retention show` lists the holds",
    "retention.no-hold": "`exchange node retention show` lists the holds",
    "retention.no-reason": "--reason TEXT",
    "storage.full": "free some space on this disk; nothing was lost",
    "tlp.red-needs-persons": "--to 'MEMBER/Name of the person', or label it amber+strict if that is right",
    "contact.other-community": "add --cross-community if you mean it, or name another addressee",
    "unit.unknown": "`exchange node fetch` brings the newest directory; else ask the member which units have keys",
    "tlp.unknown": "--tlp clear, green, amber, amber+strict or red",
    "tlp.weaker-than-content": "raise --tlp to the label of the strictest object, or leave --tlp out",
}


def exit_of(code: str) -> int:
    """The exit code for an error's code; 1 for a family that no row knows."""
    rows = [row for row in EXITS if code == row or (row.endswith(".") and code.startswith(row))]
    return EXITS[max(rows, key=len)] if rows else FAILED


def hint_of(error: ExchangeError) -> str:
    """What to do, as one sentence without a full stop; empty where the error's own sentence says it."""
    return HINTS.get(error.code, "")
