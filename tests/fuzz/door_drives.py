"""How the parsers of the node's HTTP door are driven; as core_drives.py."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp.test_utils import make_mocked_request

from exchange import access
from exchange.formats import taxii
from exchange.formats.stix.spans import Limits, parse
from exchange.node.http.query import Paging, check_accept, check_content_type, paging
from exchange.node.store.taxii import Keys
from tests.fuzz.core_drives import same

FIELDS = ("id", "type", "version", "spec_version", "x_tlp", "x_kind")
KEYS = Keys(bytes(32))


def envelope(data: bytes) -> None:
    """What is taken of an envelope can be served: it has a head, and its bytes are JSON by themselves."""
    posted = taxii.read_envelope(data, Limits())
    assert len(posted.loaded.accepted) + len(posted.loaded.set_aside) == posted.total
    for one in posted.loaded.accepted:
        head = taxii.head_of(parse(one.data))
        assert head is None or head.id == one.id


def time(line: str) -> None:
    """A moment that is written again is the same."""
    moment = taxii.from_timestamp(line)
    same(taxii.from_timestamp(taxii.to_timestamp(moment)), moment)


def query(line: str) -> None:
    """The cursor of a page leads on from there, under the same parameters."""
    spelt = quote(line, safe="=&[],:.-+%")
    asked = _asked(spelt)
    if "next" in spelt:
        return
    found = _asked(f"{spelt}&next={asked.cursor(KEYS, 17)}")
    same((found.asked.after, found.limit), (max(asked.asked.after, 17), asked.limit))


def _asked(spelt: str) -> Paging:
    return paging(make_mocked_request("GET", f"/?{spelt}"), KEYS, place="received objects", fields=FIELDS)


def negotiation(line: str) -> None:
    """Either header may hold anything a head may."""
    headers = {"Accept": line, "Content-Type": line}
    request = make_mocked_request("GET", "/", headers=headers)
    check_accept(request)
    check_content_type(request)


def scopes(line: str) -> None:
    """Words of a command line."""
    words = line.split(",")
    same(access.parse_scopes(sorted(access.parse_scopes(words))), access.parse_scopes(words))


def names(line: str) -> None:
    """A right's name, its collections, or what is said to be its token."""
    access.token_hash(line)
    words = line.split(",")
    access.check_name(words[0])
    same(access.parse_collections(words), frozenset(words))
