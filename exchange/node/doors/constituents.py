"""Owns the list of whom this member serves: what is theirs, where mail for them goes, and whose a mailbox is.

Each change is in the access log. What may leave for them is `exchange.release`'s business.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from exchange.alarm import MAILBOX
from exchange.directory.assets import read_asset
from exchange.errors import Refused
from exchange.formats.mentions import Assets, asset_named
from exchange.node.identity import Sources
from exchange.node.store import access as store_access, constituents as store_constituents
from exchange.node.store.constituents import MOST, Constituent
from exchange.node.store.store import Store, Transaction
from exchange.release import Reader, Who

MAX_NAME: Final = 64  # characters of what a constituent is called
MAX_ASSETS: Final = 2_000  # of one
MAX_MAILBOXES: Final = 16


class Constituents:
    """The list, as user `who` (of the operating system) keeps it."""

    def __init__(self, store: Store, sources: Sources, *, who: str) -> None:
        self._store = store
        self._sources = sources
        self._who = who

    def listed(self) -> list[Constituent]:
        """All of them, by name."""
        return self._store.db.read_sync(lambda c: store_constituents.listed(c, self._store.cipher))

    def find(self, name: str) -> Constituent | None:
        """The one of that name."""
        return next((one for one in self.listed() if one.name == name), None)

    def put(self, name: str, assets: Sequence[str], mail: Sequence[str]) -> Constituent:
        """Keep one, in place of any of that name. Raises Refused constituent.*, release.no-assets."""
        called, mailboxes = name_of(name), tuple(dict.fromkeys(each.lower() for each in mail))
        if len(assets) > MAX_ASSETS:
            raise Refused("constituent.bad", f"at most {MAX_ASSETS} assets")
        if len(mailboxes) > MAX_MAILBOXES or not all(MAILBOX.match(each) for each in mailboxes):
            raise Refused("constituent.bad", f"mail: at most {MAX_MAILBOXES} addresses, name@host")
        kept = Constituent(called, tuple(sorted(Assets.read(assets).texts)), mailboxes)
        now = self._sources.clock()

        def write(connection: Transaction) -> bool:
            for other in store_constituents.listed(connection, self._store.cipher):
                if other.name != called and not set(other.mail).isdisjoint(mailboxes):
                    raise Refused("constituent.bad", f"one of these mailboxes is {other.name}'s")
            store_access.append(connection, at=now, who=self._who, action="constituent put", what=called)
            return store_constituents.put(connection, self._store.cipher, kept)

        if not self._store.db.write_sync(write):
            raise Refused("constituent.bad", f"at most {MOST} constituents")
        return kept

    def remove(self, name: str) -> None:
        """Forget one. Raises Refused constituent.unknown."""
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            if not store_constituents.remove(connection, self._store.cipher, name):
                raise Refused("constituent.unknown")
            store_access.append(connection, at=now, who=self._who, action="constituent remove", what=name)

        self._store.db.write_sync(write)


def name_of(typed: str) -> str:
    """What a constituent is called, fit for the access log. Raises Refused constituent.bad."""
    name = " ".join(unicodedata.normalize("NFC", typed).split())
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Refused("constituent.bad", f"a name has 1 to {MAX_NAME} letters, digits, signs and spaces")
    return name


def assets_of(constituent: Constituent, said: Sequence[str]) -> list[str]:
    """Those of its assets that were said; all where none were. Raises Refused release.no-assets for another's."""
    own = Assets.read(constituent.assets)
    for text in said:
        if not own.covers(asset_named(text)):
            raise Refused("release.no-assets", f"{text[:64]} isn't kept as {constituent.name}'s")
    return list(said or constituent.assets)


class Served:
    """Whose an address is among those that this member serves: by prefix, else by AS number."""

    def __init__(self, constituents: Iterable[Constituent]) -> None:
        self._assets = [(one.name, Assets.read(one.assets)) for one in constituents]

    def names(self, address: str, asn: int) -> list[str]:
        """Of all whose it is, by name; none where it is nobody's. `asn` is 0 where it isn't known."""
        said = [address, *([f"AS{asn}"] if asn else [])]
        for asset in map(read_asset, said):
            found = [name for name, assets in self._assets if assets.covers(asset)]
            if found:
                return found
        return []


def reader_of_mail(
    address: str, own: Iterable[str], constituents: Iterable[Constituent], *, exercise: bool
) -> Reader:
    """Who reads mail for that address: own people (`own`: their addresses, or `@domain`), or a constituent.

    Raises Refused release.bad-mailbox for what is none, release.unknown-mailbox for anybody else's.
    """
    if not MAILBOX.match(address):
        raise Refused("release.bad-mailbox")
    mailbox = address.lower()
    whose = next((one for one in constituents if mailbox in one.mail), None)
    if whose is not None:
        return Reader(who=Who.CONSTITUENT, name=whose.name, assets=frozenset(whose.assets), exercise=exercise)
    if {mailbox, "@" + mailbox.rpartition("@")[2]} & {each.lower() for each in own}:
        return Reader(who=Who.OWN, name=mailbox, own=True, exercise=exercise)
    raise Refused("release.unknown-mailbox", f"{mailbox} is nobody's that is known here")
