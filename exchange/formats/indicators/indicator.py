"""One indicator: of which kind a text is, its normal spelling, what speaks against it, and its STIX object.

Lists, pasted texts and whatever comes next share this. Where the text stands, and when it was seen, is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from exchange.directory.assets import MAX_ASN, SHORTEST_CLAIM, read_domain
from exchange.formats.indicators.suffixes import public_suffix
from exchange.formats.making import made, made_id, reference
from exchange.formats.objects import RawObject
from exchange.formats.stix.patterns import checked, literal
from exchange.tlp import Tlp

MAX_VALUE: Final = 2_048  # characters


class Kind(StrEnum):
    """What can be told apart in a list or a text."""

    IP = "ip"
    NETWORK = "cidr"
    DOMAIN = "domain"
    URL = "url"
    EMAIL = "email"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"
    FILE = "file"
    ASN = "asn"
    CVE = "cve"


@dataclass(frozen=True, slots=True)
class Indicator:
    """A value in its normal spelling. `doubt` says why a person should look at it first; empty: nothing does."""

    kind: Kind
    value: str
    doubt: str = ""


HASHES: Final = {32: Kind.MD5, 40: Kind.SHA1, 64: Kind.SHA256, 128: Kind.SHA512}
_HASH_PATHS: Final = {
    Kind.MD5: "file:hashes.MD5",
    Kind.SHA1: "file:hashes.'SHA-1'",
    Kind.SHA256: "file:hashes.'SHA-256'",
    Kind.SHA512: "file:hashes.'SHA-512'",
}
_HEX: Final = re.compile(r"[0-9a-f]{32,128}\Z", re.IGNORECASE)
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]{1,15})://([^/?#\s]{1,300})([^\s<>\"]*)\Z", re.IGNORECASE)
_EMAIL: Final = re.compile(r"([a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@([^@\s]{1,255})\Z", re.IGNORECASE)
_ASN: Final = re.compile(r"AS ?N?([0-9]{1,10})\Z", re.IGNORECASE)
_CVE: Final = re.compile(r"CVE-[0-9]{4}-(?:0[0-9]{3}|[1-9][0-9]{3,18})\Z", re.IGNORECASE)
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENDINGS: Final = (
    "7z apk bat bin cmd dll doc docm docx dotm elf exe hta iso jar js jse lnk msi pdf ps1 rar rtf scr sys vbe vbs "
    "wsf xll xls xlsb xlsm xlsx zip"
)
_PROGRAMS: Final = frozenset(_ENDINGS.split())
# Endings of files that are top-level domains as well.
_DOMAINS_TOO: Final = "ai app bz cc cpl gz lnk md mov pl ps py rs sh so st ws zip"
_BOTH: Final = frozenset(_DOMAINS_TOO.split())
_OWN: Final = {
    "a private address": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7",
    "an address of the machine itself": "127.0.0.0/8 ::1/128 0.0.0.0/8 ::/128",
    "an address of the local link": "169.254.0.0/16 fe80::/10",
    "an address of many machines": "224.0.0.0/4 ff00::/8 255.255.255.255/32",
}
_MAPPED_BITS: Final = 96  # before an IPv4 address within IPv6 (RFC 4291 §2.5.5.2)
_VAST: Final = "a large part of all addresses"
_OWN_NETWORKS: Final = [(ip_network(each), why) for why, nets in _OWN.items() for each in nets.split()]
# Doubts whether a text is an indicator at all: they go away where a list says what it is.
_OF_MEANING: Final = frozenset(
    (
        "may be the name of a file",
        "may be a word of a program",
        "no known top-level domain",
        "its host has no known top-level domain",
        "the name of a file alone says little",
        "a whole autonomous system",
    )
)
_EMPTY_FILE: Final = frozenset(
    (
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
)
_WORDS: Final[Mapping[str, Kind | None]] = {
    word: kind
    for kind, words in {
        Kind.IP: "ip ipv4 ipv6 ipv4-addr ipv6-addr ip-src ip-dst ip-address direccion-ip endereco-ip adresse-ip",
        Kind.NETWORK: "cidr network net prefix red rede reseau range",
        Kind.DOMAIN: "domain domain-name hostname host fqdn dominio domaine nome-de-dominio nombre-de-dominio",
        Kind.URL: "url uri link enlace lien",
        Kind.EMAIL: "email e-mail email-addr email-src email-dst mail correo courriel",
        Kind.MD5: "md5 filehash-md5",
        Kind.SHA1: "sha1 sha-1 filehash-sha1",
        Kind.SHA256: "sha256 sha-256 filehash-sha256",
        Kind.SHA512: "sha512 sha-512 filehash-sha512",
        Kind.FILE: "file filename file-name archivo ficheiro arquivo fichier nombre-de-archivo nome-de-arquivo",
        Kind.ASN: "asn as autonomous-system",
        Kind.CVE: "cve vulnerability vulnerabilidad vulnerabilidade vulnerabilite",
        None: "hash filehash file-hash hachage resumen",
    }.items()
    for word in words.split()
}


def kind_named(word: str) -> Kind | None:
    """The kind that a list calls so, in folded spelling; None for the words that only say that it is a hash.

    Raises ValueError for a word that names none.
    """
    name = word.replace(" ", "-").replace("_", "-")
    if name not in _WORDS:
        raise ValueError("the type isn't one of " + ", ".join(Kind))
    return _WORDS[name]


def recognised(text: str, kind: Kind | None = None) -> Indicator:
    """The indicator that a whole text is, its addresses being whole (`refang`); of that kind, if one is given.

    Whoever says the kind leaves no doubt that it is an indicator; what it would match may still be harmless.

    Raises ValueError saying what it isn't.
    """
    value = text.strip()
    if not value or len(value) > MAX_VALUE or _UNFIT.search(value):
        raise ValueError(f"an indicator has 1 to {MAX_VALUE} characters, and no control characters")
    if kind is not None:
        found = _OF_KIND[kind](value)
        if found.kind is not kind:
            raise ValueError(f"a {found.kind} where a {kind} should stand")
        return replace(found, doubt="") if found.doubt in _OF_MEANING else found
    for each in (_url, _cve, _hash, _address, _network, _email, _domain):
        try:
            found = each(value)
        except ValueError:
            continue
        if found.kind is not Kind.DOMAIN or public_suffix(found.value):
            return found
    if _ASN.match(value):
        return _asn(value)
    if value.rpartition(".")[2].lower() in _PROGRAMS and "." in value:
        return _file(value)
    raise ValueError("no indicator of a known kind")


def doubt_of_match(text: str) -> str:
    """Why looking for an address, name, URL or hash may find what is harmless; empty where it does not."""
    try:
        doubt = recognised(text).doubt
    except ValueError:
        return ""
    return "" if doubt in _OF_MEANING else doubt


def _address(value: str) -> Indicator:
    try:
        address = ip_address(value)
    except ValueError:
        raise ValueError("no IP address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone means something on one machine alone")
        address = address.ipv4_mapped or address
    return Indicator(Kind.IP, str(address), _doubt_of(ip_network(address)))


def _doubt_of(network: IPv4Network | IPv6Network) -> str:
    if network.prefixlen < SHORTEST_CLAIM[network.max_prefixlen]:
        return _VAST
    for own, why in _OWN_NETWORKS:
        if network.version == own.version and network.overlaps(own):
            return why if network.subnet_of(own) else f"{why} is in it"  # type: ignore[arg-type]  # of one version
    return ""


def _network(value: str) -> Indicator:
    if "/" not in value or "%" in value:
        raise ValueError("no network such as 192.0.2.0/24")
    try:
        network = ip_network(value)
    except ValueError:
        raise ValueError("no network such as 192.0.2.0/24, host bits zero") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        network = ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    return Indicator(Kind.NETWORK, str(network), _doubt_of(network))


def _domain(value: str) -> Indicator:
    name = read_domain(value).text
    if "." not in name or name.rpartition(".")[2].isdigit():
        raise ValueError("not a domain name")
    suffix = public_suffix(name)
    doubt = ""
    if suffix is None:
        doubt = "no known top-level domain"
    elif suffix == name:
        doubt = "anybody may register names below it"
    elif name.count(".") == 1 and suffix in _BOTH:
        doubt = "may be the name of a file"
    return Indicator(Kind.DOMAIN, name, doubt)


def _url(value: str) -> Indicator:
    match = _URL.match(value)
    if match is None:
        raise ValueError("no URL such as https://example.org/path")
    host = match[2].rpartition("@")[2]
    host = re.split("[]%]", host[1:])[0] if host.startswith("[") else host.partition(":")[0]
    try:
        doubt = _address(host).doubt
    except ValueError:
        doubt = "" if public_suffix(read_domain(host).text) else "its host has no known top-level domain"
    return Indicator(Kind.URL, f"{match[1].lower()}://{match[2]}{match[3]}", doubt)


def _email(value: str) -> Indicator:
    match = _EMAIL.match(value)
    if match is None:
        raise ValueError("no e-mail address")
    domain = _domain(match[2])
    return Indicator(
        Kind.EMAIL, f"{match[1]}@{domain.value}", domain.doubt if not public_suffix(domain.value) else ""
    )


def _hash(value: str) -> Indicator:
    kind = HASHES.get(len(value))
    if kind is None or not _HEX.match(value):
        raise ValueError("no hash: MD5, SHA-1, SHA-256 and SHA-512 are known")
    digest = value.lower()
    return Indicator(kind, digest, "the hash of an empty file" if digest in _EMPTY_FILE else "")


def _file(value: str) -> Indicator:
    if "/" in value or "\\" in value:
        raise ValueError("the name of a file has no folders")
    return Indicator(Kind.FILE, value, "the name of a file alone says little")


def _asn(value: str) -> Indicator:
    match = _ASN.match(value if not value.isdecimal() else f"AS{value}")
    if match is None or not 0 < int(match[1]) <= MAX_ASN:
        raise ValueError("no AS number such as AS64496")
    return Indicator(Kind.ASN, f"AS{int(match[1])}", "a whole autonomous system")


def _cve(value: str) -> Indicator:
    if not _CVE.match(value):
        raise ValueError("no CVE number such as CVE-2026-1234")
    return Indicator(Kind.CVE, value.upper())


_OF_KIND: Final = {
    **dict.fromkeys(HASHES.values(), _hash),
    Kind.ASN: _asn,
    Kind.IP: _address,
    Kind.NETWORK: _network,
    Kind.DOMAIN: _domain,
    Kind.URL: _url,
    Kind.EMAIL: _email,
    Kind.FILE: _file,
    Kind.CVE: _cve,
}


# -- STIX -------------------------------------------------------------------------------------------------------------


def pattern(indicator: Indicator) -> str:
    """The STIX pattern that looks for it; there is none for a CVE. It is checked by a pattern parser."""
    kind, value = indicator.kind, indicator.value
    if kind in (Kind.IP, Kind.NETWORK):
        path = "ipv6-addr:value" if ":" in value else "ipv4-addr:value"
        operator = "ISSUBSET" if kind is Kind.NETWORK else "="
        return checked(f"[{path} {operator} {literal(value)}]")
    if kind is Kind.ASN:
        return checked(f"[autonomous-system:number = {value.removeprefix('AS')}]")
    path = {
        Kind.DOMAIN: "domain-name:value",
        Kind.URL: "url:value",
        Kind.EMAIL: "email-addr:value",
        Kind.FILE: "file:name",
        **_HASH_PATHS,
    }[kind]
    return checked(f"[{path} = {literal(value)}]")


def stix_object(
    indicator: Indicator,
    *,
    source: str,
    at: str,
    valid_from: str = "",
    tlp: Tlp | None = None,
    **members: Any,
) -> RawObject:
    """The object of an indicator: a `vulnerability` for a CVE, else an `indicator` with its pattern.

    `source` names where it stood, `at` is the STIX time at which it was said: both go into its id. `members` are
    further properties; those of indicators alone are left out of a vulnerability.

    Raises: Refused `stix.*`.
    """
    object_type = "vulnerability" if indicator.kind is Kind.CVE else "indicator"
    object_id = made_id(object_type, source, indicator.kind, indicator.value, at)
    if indicator.kind is Kind.CVE:
        references = [
            reference("cve", external_id=indicator.value),
            *members.pop("external_references", ()),
        ]
        members.pop("valid_until", None)
        named = {"name": members.pop("name", None) or indicator.value, "external_references": references}
        return made(object_type, object_id, tlp, created=at, modified=at, **named, **members)
    return made(
        object_type,
        object_id,
        tlp,
        created=at,
        modified=at,
        pattern=pattern(indicator),
        pattern_type="stix",
        valid_from=valid_from or at,
        **members,
    )
