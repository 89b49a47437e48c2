"""Owns what a person does with attachments: see them, ask for them, take them out of the home.

Works beside the serving process, as desk.py does. What may leave is asked of doors.py; what carries them is
attachments.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exchange.attachment import Attachment, file_name
from exchange.errors import Refused, Rejected
from exchange.node.attachments import attaching
from exchange.node.doors.doors import Doors, Passed
from exchange.node.identity import Identity, Sources
from exchange.node.mail.desk import Desk
from exchange.node.store import attachments as rows, outbox as store_outbox
from exchange.node.store.attachment_files import AttachmentFiles, files_of, handing_out
from exchange.node.store.attachments import Come, Leaving
from exchange.node.store.store import Store, Transaction
from exchange.release import Door, Reader
from exchange.storage.infected_zip import write_infected

HERE: Final = "here"  # of one that came: whole and verified, sealed in this home


@dataclass(frozen=True)
class Shown:
    """An attachment as people see it: its number from 1 on, its name made harmless, what it is, where it stands.

    `state`: of one that came offered, wanted, here, gone or bad; of one that was sent waiting, there or dropped.
    `have`, `of`: bytes of its sealed form that have come, or gone, and all of them. `code`: why it is as it is.
    """

    n: int
    name: str
    attachment: Attachment
    state: str
    have: int
    of: int
    code: str

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return self.state not in (rows.WANTED, rows.WAITING)


class AttachmentDesk:
    """The attachments of one home, for its user."""

    def __init__(
        self, store: Store, identity: Identity, sources: Sources, *, desk: Desk, doors: Doors
    ) -> None:
        self._store = store
        self._identity = identity
        self._sources = sources
        self._desk = desk
        self._doors = doors
        self._files: AttachmentFiles = files_of(store)

    def attach(self, source: Path, *, malware: bool) -> Attachment:
        """Seal a file into the home, for a message that is submitted next. Raises as attaching.attach."""
        return attaching.attach(
            self._files, source, net=self._identity.net, malware=malware, random=self._sources.random
        )

    def come(self, message_id: str, sender: str = "") -> list[Shown]:
        """What came with the newest message under that id. Raises Refused as Desk.find."""
        env = self._desk.find(message_id, sender)[-1].env
        return self.come_with(env)

    def come_with(self, env: bytes) -> list[Shown]:
        """What came with the message of that envelope."""
        found = self._store.db.read_sync(lambda c: rows.come_with(c, self._store.cipher, env))
        return [self._shown_come(one) for one in found]

    def sent(self, message_id: str) -> list[Shown]:
        """What goes, or went, with a message of this node; nothing where it sent none under that id."""

        def read(connection: Transaction) -> tuple[Leaving, ...]:
            found = store_outbox.find(connection, self._store.cipher, message_id)
            return rows.going_with(connection, self._store.cipher, found[0]) if found else ()

        return [_shown_sent(one) for one in self._store.db.read_sync(read)]

    def counts(self, envs: Sequence[bytes]) -> dict[bytes, int]:
        """How many came with the messages of each of these envelopes."""
        return self._store.db.read_sync(partial(rows.counts, envs=envs))

    def want(self, message_id: str, which: str | None, sender: str = "") -> list[int]:
        """Ask for one, by name or number, or for all; the numbers. The process that owns the home fetches them.

        Raises Refused as Desk.find, attachment.unknown.
        """
        env = self._desk.find(message_id, sender)[-1].env
        chosen = choose(self.come_with(env), which)
        wanted = [one.n for one in chosen if one.state != HERE]

        def write(connection: Transaction) -> None:
            for n in wanted:
                rows.want(connection, env, n)

        if wanted:
            self._store.db.write_sync(write)
        return [one.n for one in chosen]

    def save(
        self,
        message_id: str,
        which: str | None,
        target: Callable[[Shown], Path],
        reader: Reader,
        *,
        infected_zip: bool,
        sender: str = "",
    ) -> tuple[Shown, Path, Passed]:
        """Take one out of the home, opened, to the file that `target` names for it; logged as an export before.

        Raises Refused attachment.unknown, attachment.not-here, attachment.malware (without `infected_zip`),
        cli.bad-file (the file is there already, or can't be made), and as Doors.let_out; Rejected blob.* where it was
        damaged here.
        """

        leaving = ExitStack()

        def make(passed: Passed) -> tuple[Shown, Path, Passed]:
            found = self.come_with(passed.received.env) if passed.received else self.sent(message_id)
            (one, *others) = choose(found, which)
            if others:
                raise Refused("attachment.unknown", f"there are {len(found)}: say which, by name or number")
            attachment = one.attachment
            if not self._files.holds(attachment.blob, one.of):
                raise Refused("attachment.not-here")
            if attachment.malware and not infected_zip:
                raise Refused("attachment.malware")
            path = target(one)
            sealed = self._files.sealed(attachment.blob)
            file = leaving.enter_context(handing_out(path))
            pieces = attaching.opened(self._files, sealed, attachment, self._identity.net)
            try:
                if infected_zip:
                    write_infected(file, one.name, pieces)
                else:
                    for piece in pieces:
                        file.write(piece)
            except Rejected as fault:
                if passed.received:
                    self._doubt(passed.received.env, one, fault.code)
                raise
            return one, path, passed

        with leaving:  # the file takes its place at the end, when the log says so
            one, path, passed = self._doors.let_out(Door.EXPORT, message_id, [reader], make, sender=sender)
            what = f"{passed.sender} {passed.id} attachment {one.n} {one.attachment.blob.hex()[:16]}"
            self._desk.note_access("save in a zip" if infected_zip else "save", [what])
        return one, path, passed

    def _doubt(self, env: bytes, one: Shown, code: str) -> None:
        """It was whole when it came: it has been damaged here, and can be fetched again."""
        if one.state == HERE:
            self._store.db.write_sync(partial(rows.doubt, env=env, place=one.n, code=code))

    def _shown_come(self, one: Come) -> Shown:
        blob, state, have = one.attachment.blob, one.state, self._files.have(one.attachment.blob)
        if self._files.holds(blob, one.size):
            have = one.size
            state = HERE if state == rows.KEPT else state
        elif state == rows.KEPT:
            state = rows.OFFERED  # its file is lost, and can be fetched again
        return Shown(
            one.place, file_name(one.attachment.name), one.attachment, state, have, one.size, one.code
        )


def choose(found: Sequence[Shown], which: str | None) -> list[Shown]:
    """The one of that number, else of that name; all for None. Raises Refused attachment.unknown, also for several of a
    name: names are their sender's, numbers are ours."""
    named = [one for one in found if which is None or which == str(one.n)]
    named = named or [one for one in found if which == one.name]
    if not named:
        raise Refused("attachment.unknown")
    if which is not None and len(named) > 1:
        raise Refused("attachment.unknown", f"{len(named)} are called so: give the number")
    return named


def _shown_sent(one: Leaving) -> Shown:
    name = file_name(one.attachment.name)
    return Shown(one.place, name, one.attachment, one.state, one.sent, one.size, one.code)
