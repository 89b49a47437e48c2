"""MISP's attribute types as STIX: which path of a pattern or observable each is, and its category by default.

One table, read in both directions. Types that aren't in it have no observable in STIX; they travel as notes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from exchange.formats.indicators.refang import refang

Comparison = tuple[str, str | int]  # path, value

_NETWORK: Final = "Network activity"
_DELIVERY: Final = "Payload delivery"
_PERSISTENCE: Final = "Persistence mechanism"
# A placeholder in paths: the address may be of version 4 or 6, and the value tells which.
_IP: Final = "ip"

_HASHES: Final[Mapping[str, str]] = {
    "md5": "MD5",
    "sha1": "'SHA-1'",
    "sha224": "'SHA-224'",
    "sha256": "'SHA-256'",
    "sha384": "'SHA-384'",
    "sha512": "'SHA-512'",
    "sha3-256": "'SHA3-256'",
    "sha3-512": "'SHA3-512'",
    "ssdeep": "SSDEEP",
    "tlsh": "TLSH",
}
_HTTP: Final = "network-traffic:extensions.'http-request-ext'.request_header"
_SERVICE: Final = "process:extensions.'windows-service-ext'"

# type -> its category, and the paths of its parts, which `|` parts
TYPES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    **{name: (_DELIVERY, (f"file:hashes.{key}",)) for name, key in _HASHES.items()},
    **{f"filename|{name}": (_DELIVERY, ("file:name", f"file:hashes.{key}")) for name, key in _HASHES.items()},
    "malware-sample": (_DELIVERY, ("file:name", "file:hashes.MD5")),
    "filename": (_DELIVERY, ("file:name",)),
    "attachment": (_DELIVERY, ("file:name",)),
    "ip-dst": (_NETWORK, (_IP,)),
    "ip-src": (_NETWORK, (_IP,)),
    "domain": (_NETWORK, ("domain-name:value",)),
    "hostname": (_NETWORK, ("domain-name:value",)),
    "domain|ip": (_NETWORK, ("domain-name:value", "domain-name:resolves_to_refs[*].value")),
    "ip-dst|port": (_NETWORK, ("network-traffic:dst_ref.value", "network-traffic:dst_port")),
    "ip-src|port": (_NETWORK, ("network-traffic:src_ref.value", "network-traffic:src_port")),
    "hostname|port": (_NETWORK, ("network-traffic:dst_ref.value", "network-traffic:dst_port")),
    "url": (_NETWORK, ("url:value",)),
    "uri": (_NETWORK, ("url:value",)),
    "mac-address": (_NETWORK, ("mac-addr:value",)),
    "AS": (_NETWORK, ("autonomous-system:number",)),
    "user-agent": (_NETWORK, (f"{_HTTP}.'User-Agent'",)),
    "email": (_DELIVERY, ("email-addr:value",)),
    "email-src": (_DELIVERY, ("email-addr:value",)),
    "email-dst": (_NETWORK, ("email-addr:value",)),
    "email-reply-to": (_DELIVERY, ("email-addr:value",)),
    "dns-soa-email": ("Attribution", ("email-addr:value",)),
    "whois-registrant-email": ("Attribution", ("email-addr:value",)),
    "target-email": ("Targeting data", ("email-addr:value",)),
    "email-subject": (_DELIVERY, ("email-message:subject",)),
    "email-body": (_DELIVERY, ("email-message:body",)),
    "email-message-id": (_DELIVERY, ("email-message:message_id",)),
    "email-x-mailer": (_DELIVERY, ("email-message:additional_header_fields.'X-Mailer'",)),
    "email-attachment": (_DELIVERY, ("email-message:body_multipart[*].body_raw_ref.name",)),
    "regkey": (_PERSISTENCE, ("windows-registry-key:key",)),
    "regkey|value": (_PERSISTENCE, ("windows-registry-key:key", "windows-registry-key:values[*].data")),
    "mutex": ("Artifacts dropped", ("mutex:name",)),
    "process-state": ("Artifacts dropped", ()),
    "windows-service-name": ("Artifacts dropped", (f"{_SERVICE}.service_name",)),
    "windows-service-displayname": ("Artifacts dropped", (f"{_SERVICE}.display_name",)),
    "x509-fingerprint-md5": (_NETWORK, ("x509-certificate:hashes.MD5",)),
    "x509-fingerprint-sha1": (_NETWORK, ("x509-certificate:hashes.'SHA-1'",)),
    "x509-fingerprint-sha256": (_NETWORK, ("x509-certificate:hashes.'SHA-256'",)),
}
# Rules in a language of their own: the words of STIX's pattern-type vocabulary, and the category each has in MISP.
RULES: Final[Mapping[str, str]] = {
    "yara": "yara",
    "sigma": "sigma",
    "snort": "snort",
    "stix2-pattern": "stix",
}
_RULE_CATEGORIES: Final = {
    "yara": "Payload installation",
    "sigma": "Payload installation",
    "snort": _NETWORK,
    "stix2-pattern": "Payload installation",
}
_HEAD: Final = re.compile(r"[^/?#]*(?://)?[^/?#]*")  # scheme and host of a URL
_PORT: Final = re.compile(r"[0-9]{1,5}")
_ASN: Final = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE)
_HEX: Final = {
    "MD5": 32,
    "'SHA-1'": 40,
    "'SHA-224'": 56,
    "'SHA-256'": 64,
    "'SHA-384'": 96,
    "'SHA-512'": 128,
    "'SHA3-256'": 64,
    "'SHA3-512'": 128,
}


def category_of(type_: str) -> str:
    """The category an attribute of the type has unless it says another."""
    if type_ in RULES:
        return _RULE_CATEGORIES[type_]
    return TYPES[type_][0] if type_ in TYPES else "Other"


def comparisons(type_: str, text: str, *, spelt: bool = False) -> list[Comparison] | None:
    """What a value of that type compares in STIX; None where STIX has no path for it or the value isn't of the type.

    `spelt`: as somebody has spelt it, as older versions took it.
    """
    paths = TYPES.get(type_, ("", ()))[1]
    parts = text.split("|", 1) if len(paths) > 1 else [text]
    if not paths or len(parts) != len(paths):
        return None
    try:
        return [
            _comparison(path, part.strip() if spelt else _whole(path, part.strip()))
            for path, part in zip(paths, parts, strict=True)
        ]
    except ValueError:
        return None


def _comparison(path: str, text: str) -> Comparison:
    """Raises ValueError for a value that can't be what the path says."""
    if not text:
        raise ValueError("empty")
    if path == _IP:
        version = ip_network(text, strict=False).version
        return f"ipv{version}-addr:value", text
    if path.endswith("_port"):
        if not _PORT.fullmatch(text) or int(text) > 65_535:
            raise ValueError("no port")
        return path, int(text)
    if path == "autonomous-system:number":
        number = _ASN.fullmatch(text)
        if number is None:
            raise ValueError("no AS number")
        return path, int(number[1])
    if path.endswith("resolves_to_refs[*].value"):
        ip_address(text)
    if path == "mac-addr:value":
        text = text.lower().replace("-", ":")
    length = _HEX.get(path.partition(":hashes.")[2])
    if length is not None and not re.fullmatch(f"[0-9a-fA-F]{{{length}}}", text):
        raise ValueError("no such hash")
    return path, text


def _whole(path: str, text: str) -> str:
    """The value as it stands on the wire: an address that somebody made harmless is whole again."""
    if path == "url:value":  # brackets within a path may be its own
        return _HEAD.sub(lambda head: refang(head[0]), text, count=1)
    if path in (_IP, "email-addr:value"):
        return refang(text)
    names = path == "domain-name:value" or path.endswith(("_ref.value", "_refs[*].value"))
    return refang(text).lower() if names else text


def is_network(text: str) -> bool:
    """Whether an address is one of many: `192.0.2.0/24`."""
    return "/" in text


# -- back ------------------------------------------------------------------------------------------------------------


def attribute_of(found: Sequence[Comparison]) -> tuple[str, str] | None:
    """The type and value that say what these comparisons say together; None where no type does."""
    values = {path: str(value) for path, value in found}
    type_ = _BACK.get(frozenset(map(_plain, values)))
    if type_ is None or len(values) != len(found):
        return None
    paths = TYPES[type_][1]
    ordered = [next(values[path] for path in values if _plain(path) == wanted) for wanted in paths]
    if type_ == "AS":
        ordered = [f"AS{ordered[0]}"]
    if type_ == "ip-dst|port" and not _is_ip(ordered[0]):
        type_ = "hostname|port"
    return type_, "|".join(ordered)


def _plain(path: str) -> str:
    return _IP if path in ("ipv4-addr:value", "ipv6-addr:value") else path


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# The first type with these paths speaks for them.
_BACK: Final[Mapping[frozenset[str], str]] = {
    frozenset(paths): name
    for name, (_, paths) in reversed(list(TYPES.items()))
    if paths and name not in ("malware-sample", "attachment")
}
