"""Which networks, names and AS numbers an object mentions anywhere, and whether they are somebody's own.

Errs on the side of seeing too much: what looks like a name counts as one, and a pattern that can't be read value by
value counts as mentioning something unreadable. Which objects go to whom is `extract`'s business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_network
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from exchange.directory.assets import (
    IPV4_BITS,
    SHORTEST_CLAIM,
    Asset,
    read_asn,
    read_asset,
    read_domain,
    read_prefix,
)
from exchange.errors import Refused
from exchange.formats.indicators.refang import refang
from exchange.formats.indicators.suffixes import public_suffix

MAX_ASSETS: Final = 100_000
MAX_PATTERN: Final = 65_536  # characters; a longer one counts as unreadable
MAX_ENCODED: Final = 3  # times that a text is percent-encoded; beyond that it counts as unreadable
UNREADABLE: Final = Asset("unreadable", "")
_IPV4 = re.compile(r"(?<!\d)(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?!\d|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:/\d{1,3})?(?![\w:])",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w-])(?<![\w-]\.)(?:[\w-]+\.)+[\w-]{2,}")
# A range or a net with its end left open has no addresses that could be read one by one.
_OPEN_ENDED = re.compile(
    r"(?<![\d.])\d{1,3}\.(?:\d{1,3}\.){2}(?:[*x](?!\w)|\d{1,3} ?[-\u2013] ?\d)"
    r"|(?<![\d.])\d{1,3}\.(?:\d{1,3}\.[*x]|[*x]\.[*x])\.[*x](?!\w)",
    re.IGNORECASE,
)
# The first octets of a net alone, `192.0.2/24`; of two octets not what is a mark out of ten: `9.8/10`.
_SHORT_NET = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.\d{1,3}\.\d{1,3}|(?!(?:\d|10)\.\d/10\b)\d{1,3}\.\d{1,3})/\d{1,2}(?![\w./])"
)
# An address as programs take it in a URL: one number, or up to four, also octal or hexadecimal.
_NUMBER_HOST = re.compile(
    r"://(?:[^/?#\s@]*+@)?((?:0x[0-9a-f]{1,16}|\d{1,16})(?:\.(?:0x[0-9a-f]{1,16}|\d{1,16})){0,3})(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_ASN = re.compile(
    r"(?<![^\W_])(?:(?:AS|(?i:ASN|autonomous[ -]systems?|sistemas? aut[o\u00f3\u00f4]nomos?"
    r"|syst[e\u00e8]mes? autonomes?))"
    r"(?i:\W{0,3}\b(?:ASN?|numbers?|n[or]\.?|n[u\u00fa]meros?|num[\u00e9e]ros?)(?!\w)){0,2}(?:[^\w.]|_){0,4}"
    r"|(?i:AS)[:#=_-]?)(\d{1,10})\b"  # but "as 3 hosts", "ASN.1"
)
_SPACES = re.compile(r"\s+")
_BRACKETED = re.compile(r"[\[({<] ?(\.|dot|punto|ponto|point|:|://|/|@|at|arroba) ?[\])}>]", re.IGNORECASE)
_SPELT_DOT = re.compile(r"(?<=\w) (?:(?i:dot)|PUNTO|PONTO|POINT) (?=\w)")
_DOT_OF_NUMBERS = re.compile(r"(?<=\d) ?\. ?(?=\d)")
_SPACE_BEFORE_DOT = re.compile(r"(?<=\w) \.(?: (?=\w)|(?=\w)(?!NET\b))")
# As a sentence goes on behind an abbreviation, and endings of names go on with nothing: `Cia. de seguros`, `bank. de`.
_GOING_ON = "al|as|at|be|by|de|do|es|et|il|in|is|it|la|me|my|no|pa|se|so|to|us"
# A sentence begins with a capital, and `e. g.`, `etc.` are no names.
_SPACE_BEHIND_DOT = re.compile(rf"(?<=\w)(?<!\b\w)(?<!\betc)\. (?!(?:{_GOING_ON}) \w)(?=[^\W_A-Z])")
# Endings that the public list hasn't: of names inside somebody's house, and those kept for examples (RFC 6761).
_INSIDE: Final = frozenset(
    "corp example home internal intra intranet invalid lan local localdomain test".split()  # noqa: SIM905 - a block reads better
)
# Of an object, not of what is nested in it: what its schema lets say nothing of anybody.
_IDENTIFYING: Final = frozenset(("id", "type", "spec_version", "created", "modified", "pattern_type"))
_ID: Final = re.compile(r"[a-z][a-z0-9-]{1,249}--[0-9a-fA-F-]{36}\Z")
# Where everybody looks up what is public; a reference there says nothing of anybody's assets.
_LIBRARIES: Final = frozenset(
    ("attack.mitre.org", "capec.mitre.org", "cve.mitre.org", "cwe.mitre.org", "nvd.nist.gov", "www.cve.org")
)
# Observables whose value is one address or name, whatever it looks like.
_ADDRESSES: Final = frozenset(("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr"))
_LITERAL = re.compile(r"'((?:[^'\\]|\\.)*+)'?", re.DOTALL)  # one without an end goes to the pattern's: linear
_ADDRESS_PATH = re.compile(rf"\b(?:{'|'.join(sorted(_ADDRESSES))}):")
# Besides what compares inexactly: binary and hex literals, and comments, which may also hold a quotation mark.
_NOT_EXACT = re.compile(r"\b(?:LIKE|MATCHES|ISSUPERSET)\b|\b[bh]'|/\*|//")


@dataclass(frozen=True)
class Assets:
    """What belongs to somebody: prefixes (addresses too), AS numbers, and domain names with all below them."""

    networks: Mapping[tuple[int, int], frozenset[int]] = field(
        default_factory=dict
    )  # by bits, length: first bits
    texts: frozenset[str] = frozenset()  # all of them, in their normal spelling
    asns: frozenset[int] = frozenset()
    domains: frozenset[str] = frozenset()

    @classmethod
    def read(cls, texts: Iterable[str]) -> Assets:
        """From `192.0.2.0/24`, `AS64496`, `example.org`. Raises Refused release.no-assets for none, or what is none."""
        found = [asset_named(text) for text in texts]
        if not 0 < len(found) <= MAX_ASSETS:
            raise Refused("release.no-assets", f"name 1 to {MAX_ASSETS} of them")
        networks: dict[tuple[int, int], set[int]] = {}
        for each in found:
            if each.bits:
                first = each.first >> (each.bits - each.length)
                networks.setdefault((each.bits, each.length), set()).add(first)
        return cls(
            {size: frozenset(firsts) for size, firsts in networks.items()},
            frozenset(each.text for each in found),
            frozenset(each.first for each in found if each.kind == "asn"),
            frozenset(each.text for each in found if each.kind == "domain"),
        )

    def covers(self, asset: Asset) -> bool:
        """Whether all of `asset` is among them."""
        if asset.kind == "asn":
            return asset.first in self.asns
        if asset.kind == "domain":
            labels = asset.text.split(".")
            return any(".".join(labels[first:]) in self.domains for first in range(len(labels)))
        return any(
            asset.bits == bits and asset.length >= length and asset.first >> (bits - length) in firsts
            for (bits, length), firsts in self.networks.items()
        )


def asset_named(text: str) -> Asset:
    """What somebody may have. Raises Refused release.no-assets for what nobody has, or what is none."""
    try:
        asset = read_asset(text)
    except ValueError as fault:
        raise Refused("release.no-assets", f"{text[:64]}: {fault}") from None
    if asset.kind == "domain" and ("." not in asset.text or public_suffix(asset.text) == asset.text):
        raise Refused("release.no-assets", f"{asset.text}: anybody may have a name below that")
    if asset.bits and asset.length < SHORTEST_CLAIM[asset.bits]:
        raise Refused("release.no-assets", f"{asset.text}: nobody has so much")
    return asset


def mentions(value: Mapping[str, Any]) -> frozenset[Asset]:
    """Everything an object mentions; with UNREADABLE among it where something can't be read to its end."""
    return frozenset(_of_object(value, nested=False))


def _of_object(value: Mapping[str, Any], *, nested: bool = True) -> Iterator[Asset]:
    kind = str(value.get("type"))  # what was nested in something else may be anything
    if kind in _ADDRESSES:
        yield _whole(value.get("value"))
    if kind == "autonomous-system":
        yield _asn(value.get("number"))
    for name, each in value.items():
        if name in _IDENTIFYING and not nested:
            continue
        if name == "pattern" and kind == "indicator":
            yield from _of_pattern(str(each), str(value.get("pattern_type", "stix")))
        elif name == "external_references":
            yield from _of_references(each)
        elif isinstance(each, int) or (isinstance(each, str) and each.isdecimal()):
            yield from in_text(f"{name}={each}")  # `x_asn`: 64496
        else:
            yield from _of_any(name)
            yield from _of_any(each)


def _of_any(value: object) -> Iterator[Asset]:
    """Of a text, or of all texts within a list or an object; an embedded observable counts as what it is."""
    if isinstance(value, str):
        if not _ID.match(value):
            yield from in_text(value)
    elif isinstance(value, list):
        for each in value:
            yield from _of_any(each)
    elif isinstance(value, dict):
        yield from _of_object(value)


def _of_pattern(pattern: str, pattern_type: str) -> Iterator[Asset]:
    if pattern_type != "stix" or len(pattern) > MAX_PATTERN:
        yield UNREADABLE
        return
    bare = _LITERAL.sub("''", pattern)
    if _NOT_EXACT.search(bare):
        yield UNREADABLE
    for literal in _LITERAL.findall(pattern):
        yield from in_text(re.sub(r"\\(.)", r"\1", literal))
    if "autonomous-system:" in bare:
        for number in re.findall(r"(?<![\w.-])\d{1,10}(?!\w)", bare):
            yield _asn(int(number))
    if _ADDRESS_PATH.search(bare):  # also a name that looks like none
        for literal in _LITERAL.findall(pattern):
            try:
                yield read_asset(literal)
            except ValueError:
                continue


def _of_references(value: object) -> Iterator[Asset]:
    """Of external references, but for addresses in the libraries that everybody looks things up in."""
    for each in value if isinstance(value, list) else []:
        parts: dict[str, object] = each if isinstance(each, dict) else {"": each}
        for name, part in parts.items():
            yield from _of_any(_beyond_library(part) if name == "url" else part)


def _beyond_library(url: object) -> object:
    """What a reference says beside the name of a library that everybody looks things up in."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    known = parts is not None and parts.netloc.lower() in _LIBRARIES
    return f"{parts.path} {parts.query} {parts.fragment}" if parts is not None and known else url


def in_text(text: str) -> Iterator[Asset]:
    """Whatever looks like an address, a name or an AS number in a text, also made harmless, percent-encoded, or with
    white space and the like where its dots are.
    """
    for _ in range(MAX_ENCODED + 1):
        plain = unicodedata.normalize("NFKC", text)  # also in full-width digits
        whole, close = refang(plain), _closed_up(plain)
        found = frozenset(_seen(whole))
        yield from found
        if close != whole:  # `for .bank.example` mentions no more than `.bank.example`
            yield from (one for one in _seen(close) if not _is_below(one, found))
        text = unquote(whole) if "%" in whole else whole
        if text == whole:
            return
    yield UNREADABLE


def _is_below(asset: Asset, found: frozenset[Asset]) -> bool:
    """Whether it is a name, and one that it is below was found."""
    labels = asset.text.split(".") if asset.kind == "domain" else []
    return any(Asset("domain", ".".join(labels[first:])) in found for first in range(1, len(labels)))


def _closed_up(text: str) -> str:
    """`text` whole and on one line, without the white space at what may be the dots of an address: seen besides it."""
    text = _BRACKETED.sub(r"[\1]", _SPACES.sub(" ", text))
    text = _SPELT_DOT.sub(".", refang(text))
    text = _SPACE_BEFORE_DOT.sub(".", _DOT_OF_NUMBERS.sub(".", text))
    return _SPACE_BEHIND_DOT.sub(".", text)


def _seen(text: str) -> Iterator[Asset]:
    if _OPEN_ENDED.search(text):
        yield UNREADABLE
    for match in _IPV4.findall(text):
        yield from _of_address(re.sub(r"\b0+(?=\d)", "", match.partition("/")[0]), match.partition("/")[2])
    for match in _IPV6.findall(text):
        yield from _of_address(match.partition("/")[0], match.partition("/")[2])
    for match in _SHORT_NET.findall(text):
        yield from _of_short_net(*match.split("/"))
    for match in _NUMBER_HOST.findall(text):
        yield _of_number_host(match.lower().split("."))
    for match in _NAME.findall(text):
        if _exists(match.lower()):
            yield _name(match)
    for number in _ASN.findall(text):
        yield _asn(int(number))


def _of_short_net(octets: str, length: str) -> Iterator[Asset]:
    if int(length) >= SHORTEST_CLAIM[IPV4_BITS]:
        yield from _of_address(octets + ".0" * (3 - octets.count(".")), length)


def _of_number_host(parts: Sequence[str]) -> Asset:
    """As inet_aton reads it: the last number is all the rest of the address."""
    try:
        numbers = [int(part, 16 if "x" in part else 8 if part[0] == "0" else 10) for part in parts]
        first = sum(number << 8 * (3 - place) for place, number in enumerate(numbers[:-1])) + numbers[-1]
        fits = all(number < 256 for number in numbers[:-1]) and numbers[-1] < 256 ** (5 - len(numbers))
        return read_asset(str(IPv4Address(first))) if fits else UNREADABLE
    except ValueError:
        return UNREADABLE


def _of_address(text: str, length: str) -> Iterator[Asset]:
    """An address, or the prefix that begins there; what follows it in a URL may be no length."""
    try:
        yield read_prefix(str(ip_network(f"{text}/{length}", strict=False)))
    except ValueError:
        try:
            yield read_asset(text)
        except ValueError:
            return


def _name(text: str) -> Asset:
    try:
        return read_domain(text)
    except ValueError:
        return UNREADABLE


def _exists(name: str) -> bool:
    """Whether it is a name somebody may have: not an ending alone, and not what only looks so, such as `a.exe`."""
    suffix = public_suffix(name)
    return name != suffix if suffix else name.rpartition(".")[2] in _INSIDE


def _whole(value: object) -> Asset:
    try:
        return read_asset(value) if isinstance(value, str) else UNREADABLE
    except ValueError:
        return UNREADABLE


def _asn(number: object) -> Asset:
    try:
        return read_asn(number) if isinstance(number, int) else UNREADABLE
    except ValueError:
        return UNREADABLE
