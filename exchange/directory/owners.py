"""Whose network, AS or domain something is, by the constituencies that officers approved.

Owns the look-up structure: for addresses one table per prefix length, so that a look-up is at most 33 or 129 steps
whatever the number of claims; for names one step per label. Nothing here asks anybody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, TypeAlias, TypeVar

from exchange.directory.assets import (
    IPV4_BITS,
    IPV6_BITS,
    Asset,
    claimed_domain,
    claimed_prefix,
    read_asn,
    read_asset,
)
from exchange.directory.book import Book
from exchange.directory.onboarding import is_removed

_Key = TypeVar("_Key", int, str)
Holders: TypeAlias = tuple[str, ...]  # handles, in order of name

NATIONAL: Final = "national_csirt"
NOBODY: Final = ""
# country codes in domain names that aren't ISO 3166-1's
_CCTLD: Final = {"UK": "GB", "EU": ""}


@dataclass(frozen=True)
class Match:
    """A claim that covers the asset: `by` is `prefix`, `asn`, `domain` or `country`, `claim` its normal spelling."""

    member: str
    by: str
    claim: str


@dataclass(frozen=True)
class Owned:
    """What was asked and every match, the most specific first. `fault` says why a text could not be read.

    `overlap`: more than one member claims it; `conflict`: two claim it equally closely, which officers must settle.
    """

    asked: str
    kind: str
    matches: tuple[Match, ...]
    fault: str = ""

    @property
    def overlap(self) -> bool:
        return len({match.member for match in self.matches}) > 1

    @property
    def nearest(self) -> tuple[str, ...]:
        """The members with the most specific claim: one, more in a conflict, none where nobody claims it."""
        return tuple(match.member for match in self.matches if match.claim == self.matches[0].claim)

    @property
    def conflict(self) -> bool:
        return len(self.nearest) > 1


class Owners:
    """The claims of all members. Build it once for many questions."""

    def __init__(self) -> None:
        """Empty; `build` fills it."""
        self._prefixes: dict[int, dict[int, dict[int, Holders]]] = {IPV4_BITS: {}, IPV6_BITS: {}}
        self._lengths: dict[int, list[int]] = {
            IPV4_BITS: [],
            IPV6_BITS: [],
        }  # those in use, the longest first
        self._sorted: dict[tuple[int, int], list[int]] = {}  # the keys of a table of prefixes, once asked for
        self._names: list[str] = []  # all domains, backwards, once asked for
        self._asns: dict[int, Holders] = {}
        self._domains: dict[str, Holders] = {}
        self._countries: dict[str, list[str]] = {}
        self.skipped = 0  # claims that are no network, number or name

    @classmethod
    def build(cls, book: Book) -> Owners:
        """From the constituencies in the book: those the log names, so those that officers approved."""
        owners = cls()
        for handle, entry in book.members.items():
            if is_removed(entry.member):
                continue
            countries = set(entry.claims.country) if entry.claims else set()
            if entry.member.member_class == NATIONAL and entry.member.country:
                countries.add(entry.member.country)
            for country in sorted(countries):
                owners._countries.setdefault(country, []).append(handle)
            if entry.claims is not None:
                owners._take(handle, claimed_prefix, entry.claims.prefix)
                owners._take(handle, read_asn, entry.claims.asn)
                owners._take(handle, claimed_domain, entry.claims.domain)
        for bits, tables in owners._prefixes.items():
            owners._lengths[bits] = sorted(tables, reverse=True)
        return owners

    def _take(self, handle: str, read: Callable[[Any], Asset], claims: Iterable[object]) -> None:
        alone = (handle,)  # one for all of a member's claims: there may be a million
        for claim in claims:
            try:
                asset = read(claim)
            except ValueError:
                self.skipped += 1
                continue
            if asset.kind == "asn":
                _add(self._asns, asset.first, alone)
            elif asset.kind == "domain":
                _add(self._domains, asset.text, alone)
            else:
                table = self._prefixes[asset.bits].setdefault(asset.length, {})
                _add(table, asset.first >> (asset.bits - asset.length), alone)

    def owner(self, asked: str) -> Owned:
        """Who answers for an IP address, prefix, AS number or domain name in any usual spelling (`assets`).

        Where nobody claims a name, the country of its top-level domain stands in; addresses and AS numbers nobody
        claims have no owner here: their country is in registries that this node doesn't hold.
        """
        try:
            asset = read_asset(asked)
        except ValueError as fault:
            return Owned(asked, "", (), str(fault))
        if asset.kind == "domain":
            return Owned(asked, asset.kind, self._of_name(asset.text))
        if asset.kind == "asn":
            holders = self._asns.get(asset.first, ())
            return Owned(asked, asset.kind, tuple(Match(each, "asn", asset.text) for each in holders))
        return Owned(asked, asset.kind, self._of_network(asset))

    def _of_network(self, asset: Asset) -> tuple[Match, ...]:
        tables, matches = self._prefixes[asset.bits], []
        for length in self._lengths[asset.bits]:
            if length > asset.length:
                continue  # a part of it belongs to somebody, not the whole
            first = asset.first >> (asset.bits - length)
            holders = tables[length].get(first)
            if holders:
                claim = _prefix_text(first, length, asset.bits)
                matches += [Match(each, "prefix", claim) for each in holders]
        return tuple(matches)

    def _of_name(self, name: str) -> tuple[Match, ...]:
        matches, rest = [], name
        while rest:
            matches += [Match(each, "domain", rest) for each in self._domains.get(rest, ())]
            rest = rest.partition(".")[2]
        country = name.rpartition(".")[2].upper()
        country = _CCTLD.get(country, country)
        if not matches:
            matches = [Match(each, "country", country) for each in self._countries.get(country, ())]
        return tuple(matches)

    def within(self, asked: str) -> tuple[Match, ...]:
        """The claims to parts of a prefix or of a domain, as `owner` reads it; those to the whole are `owner`'s."""
        try:
            asset = read_asset(asked)
        except ValueError:
            return ()
        if asset.kind == "domain":
            return self._below(asset.text)
        return () if asset.kind == "asn" else self._inside(asset)

    def _inside(self, asset: Asset) -> tuple[Match, ...]:
        tables, matches = self._prefixes[asset.bits], []
        for length in self._lengths[asset.bits]:
            if length <= asset.length:
                break
            known = self._sorted.setdefault((asset.bits, length), [])
            if not known:
                known += sorted(tables[length])
            first, end = (bound >> (asset.bits - length) for bound in _bounds(asset))
            for key in known[bisect_left(known, first) : bisect_left(known, end)]:
                claim = _prefix_text(key, length, asset.bits)
                matches += [Match(each, "prefix", claim) for each in tables[length][key]]
        return tuple(matches)

    def _below(self, name: str) -> tuple[Match, ...]:
        if not self._names:
            self._names = sorted(map(_backwards, self._domains))
        start, matches = _backwards(name) + ".", []
        for at in range(bisect_left(self._names, start), len(self._names)):
            if not self._names[at].startswith(start):
                break
            claim = _backwards(self._names[at])
            matches += [Match(each, "domain", claim) for each in self._domains[claim]]
        return tuple(matches)

    def group(self, addresses: Iterable[str]) -> dict[str, list[str]]:
        """The addresses by the member that owns them most closely; in a conflict under each; under `""` if nobody does.

        Members in order of name, each with its addresses as they were asked, in their order.
        """
        groups: dict[str, list[str]] = {}
        for address in addresses:
            for member in self.owner(address).nearest or (NOBODY,):
                groups.setdefault(member, []).append(address)
        return dict(sorted(groups.items()))


def _add(table: dict[_Key, Holders], key: _Key, holder: Holders) -> None:
    holders = table.setdefault(key, holder)
    if holder[0] not in holders:
        table[key] = holders + holder


def _bounds(asset: Asset) -> tuple[int, int]:
    """The first address of a prefix, and the first behind it."""
    return asset.first, asset.first + (1 << (asset.bits - asset.length))


def _backwards(name: str) -> str:
    return ".".join(reversed(name.split(".")))


def _prefix_text(first: int, length: int, bits: int) -> str:
    network = IPv4Network if bits == IPV4_BITS else IPv6Network
    return str(network((first << (bits - length), length)))
