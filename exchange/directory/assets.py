"""What an analyst asks the owner of: an IP address or prefix, an AS number, a domain name, in any usual spelling.

Owns how such a text is read and its one normal spelling. Whose it is, is `owners`' business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

IPV4_BITS: Final = 32
IPV6_BITS: Final = 128
MAX_ASN: Final = 2**32 - 1
SHORTEST_CLAIM: Final = {IPV4_BITS: 8, IPV6_BITS: 16}  # prefix lengths: nobody answers for more than that
MAX_TEXT: Final = 2_048  # characters of a URL pasted as it is

_ASN = re.compile(r"(?:asn?\s*)([0-9]{1,10})\Z", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,15}://([^/?#]*)", re.IGNORECASE)
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])\Z")


@dataclass(frozen=True)
class Asset:
    """One thing somebody owns. `kind`: `ip`, `prefix`, `asn` or `domain`; `text` its normal spelling.

    Of addresses and prefixes, `bits` is 32 or 128, `first` the first address as a number and `length` the prefix's;
    of an AS, `first` is its number.
    """

    kind: str
    text: str
    bits: int = 0
    first: int = 0
    length: int = 0


def read_asset(text: str) -> Asset:
    """From `192.0.2.1`, `2001:db8::/32`, `AS64496`, `example.org`, a URL or an e-mail address, also made harmless
    (`hxxp://example[.]org`). Raises ValueError saying what it isn't.
    """
    if len(text) > MAX_TEXT:
        raise ValueError("too long for an address or a name")
    plain = text.strip()
    if "[" in plain or "(" in plain:
        plain = re.sub(r"[\[(]([.:@])[\])]", r"\1", plain)
    try:
        return _address(plain)
    except ValueError:
        pass
    asn = _ASN.match(plain)
    if asn:
        return read_asn(asn[1])
    scheme = _SCHEME.match(plain)
    if scheme:
        return _host(scheme[1].rpartition("@")[2])
    if "/" in plain:
        return read_prefix(plain)
    return _host(plain.rpartition("@")[2])


def read_asn(text: str | int) -> Asset:
    """An AS number without `AS`. Raises ValueError."""
    number = int(text)
    if not 0 < number <= MAX_ASN:
        raise ValueError(f"an AS number is 1 to {MAX_ASN}")
    return Asset("asn", f"AS{number}", first=number)


def read_prefix(text: str) -> Asset:
    """A prefix whose host bits are zero. Raises ValueError."""
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise ValueError("not an IPv4 or IPv6 prefix such as 192.0.2.0/24, host bits zero") from None
    return Asset(
        "prefix", str(network), network.max_prefixlen, int(network.network_address), network.prefixlen
    )


def read_domain(text: str) -> Asset:
    """A domain name: ASCII (IDNA 2003), lower case, no dot at the end. Raises ValueError."""
    if len(text) > MAX_TEXT:  # before IDNA, whose time grows faster than a text
        raise ValueError("not a domain name")
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower()
        except UnicodeError:
            raise ValueError("not a domain name") from None
    if len(name) > 253 or not _NAME.match(name):
        raise ValueError("not a domain name")
    return Asset("domain", name)


def claimed_prefix(text: str) -> Asset:
    """A prefix that one member may answer for. Raises ValueError for no prefix, or one of half the Internet."""
    prefix = read_prefix(text)
    shortest = SHORTEST_CLAIM[prefix.bits]
    if prefix.length < shortest:
        raise ValueError(f"shorter than /{shortest}: nobody has so much")
    return prefix


def claimed_domain(text: str) -> Asset:
    """A domain name that one member may answer for. Raises ValueError for no name, or a top-level domain's."""
    name = read_domain(text)
    if "." not in name.text:
        raise ValueError("a top-level domain is nobody's; claim the country instead")
    return name


def _address(text: str) -> Asset:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone means nothing elsewhere")
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    bits = address.max_prefixlen
    return Asset("ip", str(address), bits, int(address), bits)


def _host(text: str) -> Asset:
    """The host of a URL, with its port or without."""
    name = text[1:].partition("]")[0] if text.startswith("[") else text
    if name == text and text.count(":") == 1:
        name = text.partition(":")[0]
    try:
        return _address(name)
    except ValueError:
        return read_domain(name)
