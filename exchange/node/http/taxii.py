"""The TAXII 2.1 server of a node (OASIS Standard, 10 June 2021): its endpoints, each one call and its answer.

What stands in the collections is `collections`', what is posted `posting`'s business; parameters http/query.py's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from exchange.access import Access, Scope
from exchange.errors import Refused
from exchange.formats.taxii import MAX_ID, MEDIA_TYPES, media_type, to_timestamp
from exchange.limits import MAX_STIX
from exchange.node.http.auth import entered, read_body
from exchange.node.http.context import CONTEXT
from exchange.node.http.problems import TAXII, TAXII_PATH
from exchange.node.http.query import Paging, check_accept, check_content_type, filters, paging
from exchange.node.store.taxii_page import Page, Row
from exchange.node.taxii.collections import Collection

API_ROOT: Final = "/taxii2/node/"
FIELDS: Final = ("id", "type", "version", "spec_version", "x_tlp", "x_kind")
OBJECT_FIELDS: Final = ("version", "spec_version")
VERSION_FIELDS: Final = ("spec_version",)
FIRST: Final = "X-TAXII-Date-Added-First"
LAST: Final = "X-TAXII-Date-Added-Last"


async def discovery(request: web.Request) -> web.Response:
    """§4.1"""
    await _entered(request)
    title = request.app[CONTEXT].title
    return _json({"title": title, "default": API_ROOT, "api_roots": [API_ROOT]})


async def api_root(request: web.Request) -> web.Response:
    """§4.2"""
    await _entered(request)
    title = request.app[CONTEXT].title
    return _json({"title": title, "versions": [TAXII], "max_content_length": MAX_STIX})


async def status(request: web.Request) -> web.Response:
    """§4.3"""
    access = await _entered(request)
    found = await request.app[CONTEXT].collections.status(access, request.match_info["status"].lower())
    return _answer(found)


async def collections(request: web.Request) -> web.Response:
    """§5.1"""
    access = await _entered(request)
    found = [_described(access, one) for one in request.app[CONTEXT].collections.listed(access)]
    return _json({"collections": found} if found else {})


async def collection(request: web.Request) -> web.Response:
    """§5.2"""
    access, where = await _at(request)
    return _json(_described(access, where))


async def manifest(request: web.Request) -> web.Response:
    """§5.3"""
    access, where = await _at(request, reads=True)
    asked = _paging(request, where, "manifest", FIELDS)
    page = await _page(request, access, where, asked, with_data=False)
    records = [
        {
            "id": row.id,
            "date_added": to_timestamp(row.added),
            "version": row.version,
            "media_type": media_type(row.spec),
        }
        for row in page.rows
    ]
    return _paged(request, asked, page, b"objects", [orjson.dumps(one) for one in records])


async def objects(request: web.Request) -> web.Response:
    """§5.4"""
    access, where = await _at(request, reads=True)
    asked = _paging(request, where, "objects", FIELDS)
    page = await _page(request, access, where, asked, with_data=True)
    return _paged(request, asked, page, b"objects", [row.data for row in page.rows])


async def add_objects(request: web.Request) -> web.Response:
    """§5.5"""
    access, where = await _at(request)
    _check_writable(access, where)
    check_content_type(request)
    data = await read_body(request, access, most=MAX_STIX)
    return _answer(await request.app[CONTEXT].posting.post(access, data), code=202)


async def one_object(request: web.Request) -> web.Response:
    """§5.6: an object that isn't there, or not in the version asked for, is 404; one that a filter leaves out isn't."""
    access, where = await _at(request, reads=True)
    id_ = _object_id(request)
    asked = _paging(request, where, f"objects/{id_}", OBJECT_FIELDS, ids=(id_,))
    page = await _page(request, access, where, asked, with_data=True)
    exact = any(isinstance(one, int) for one in asked.asked.versions)
    if not page.rows and (exact or not await request.app[CONTEXT].collections.has(access, where, id_)):
        raise Refused("taxii.no-object")
    return _paged(request, asked, page, b"objects", [row.data for row in page.rows])


async def delete_object(request: web.Request) -> web.Response:
    """§5.7, with its table of answers for those who may not."""
    access, where = await _at(request)
    reads, writes = Scope.TAXII_READ in access.scopes, Scope.TAXII_WRITE in access.scopes and where.writable
    if not reads and not writes:
        raise Refused("taxii.unknown", "no such collection here")
    if not (reads and writes):
        raise Refused("taxii.read-only")
    id_ = _object_id(request)
    asked = filters(request, fields=OBJECT_FIELDS, ids=(id_,), versions=("all",))
    await request.app[CONTEXT].posting.delete(access, where, asked)
    return _json({})


async def versions(request: web.Request) -> web.Response:
    """§5.8"""
    access, where = await _at(request, reads=True)
    id_ = _object_id(request)
    asked = _paging(request, where, f"versions/{id_}", VERSION_FIELDS, ids=(id_,))
    page = await _page(request, access, where, asked, with_data=False)
    if not page.rows and not await request.app[CONTEXT].collections.has(access, where, id_):
        raise Refused("taxii.no-object")
    named = dict.fromkeys(row.version for row in page.rows)  # two contents of one version are one of these
    return _paged(request, asked, page, b"versions", [orjson.dumps(version) for version in named])


async def nothing(request: web.Request) -> web.Response:
    """Any other path, and other methods: who isn't let in doesn't learn what there is."""
    await _entered(request)
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods
    if allowed := allowed - {hdrs.METH_ANY}:
        raise Refused("request.method", allow=", ".join(sorted(allowed)))
    raise Refused("request.not-found")


Handler = Callable[[web.Request], Awaitable[web.Response]]
_COLLECTION: Final = API_ROOT + "collections/{collection}/"
_ENDPOINTS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", TAXII_PATH, discovery),
    ("GET", API_ROOT, api_root),
    ("GET", API_ROOT + "status/{status}/", status),
    ("GET", API_ROOT + "collections/", collections),
    ("GET", _COLLECTION, collection),
    ("GET", _COLLECTION + "manifest/", manifest),
    ("GET", _COLLECTION + "objects/", objects),
    ("POST", _COLLECTION + "objects/", add_objects),
    ("GET", _COLLECTION + "objects/{object}/", one_object),
    ("DELETE", _COLLECTION + "objects/{object}/", delete_object),
    ("GET", _COLLECTION + "objects/{object}/versions/", versions),
)
# HTTP asks for HEAD wherever there is GET (RFC 9110 §9.1)
ROUTES: Final = (
    *_ENDPOINTS,
    *(("HEAD", path, handler) for method, path, handler in _ENDPOINTS if method == "GET"),
)


async def _entered(request: web.Request) -> Access:
    """Whoever may read or write here; and takes our answers."""
    access = await entered(request)
    if not {Scope.TAXII_READ, Scope.TAXII_WRITE} & access.scopes:
        access.check(Scope.TAXII_READ)
    check_accept(request)
    return access


async def _at(request: web.Request, *, reads: bool = False) -> tuple[Access, Collection]:
    access = await _entered(request)
    where = request.app[CONTEXT].collections.find(access, request.match_info["collection"].lower())
    if reads:
        access.check(Scope.TAXII_READ)
    return access, where


def _check_writable(access: Access, where: Collection) -> None:
    if not where.writable:
        raise Refused("taxii.read-only")
    access.check(Scope.TAXII_WRITE)


def _object_id(request: web.Request) -> str:
    id_ = request.match_info["object"]
    if len(id_) > MAX_ID:
        raise Refused("taxii.no-object")
    return id_


def _described(access: Access, where: Collection) -> dict[str, Any]:
    """§5.2.1"""
    return {
        "id": where.id,
        "title": where.title,
        "description": where.description,
        "alias": where.alias,
        "can_read": Scope.TAXII_READ in access.scopes,
        "can_write": where.writable and Scope.TAXII_WRITE in access.scopes,
        "media_types": list(MEDIA_TYPES),
    }


def _paging(
    request: web.Request,
    where: Collection,
    endpoint: str,
    fields: tuple[str, ...],
    ids: tuple[str, ...] | None = None,
) -> Paging:
    keys = request.app[CONTEXT].collections.keys
    found = paging(request, keys, place=f"{where.alias} {endpoint}", fields=fields, ids=ids)
    return found if fields is not VERSION_FIELDS else found.of_all_versions()


async def _page(
    request: web.Request, access: Access, where: Collection, asked: Paging, *, with_data: bool
) -> Page:
    return await request.app[CONTEXT].collections.page(
        access, where, asked.asked, limit=asked.limit, with_data=with_data
    )


def _paged(
    request: web.Request, asked: Paging, page: Page, name: bytes, parts: Sequence[bytes]
) -> web.Response:
    """The parts as they are, in one JSON object; the moments of the first and the last stand in the headers.

    Without any the headers say where the client is: what it may go on from without losing anything.
    """
    members = []
    if page.more:
        cursor = asked.cursor(request.app[CONTEXT].collections.keys, page.rows[-1].added)
        members.append(b'"more":true,"next":"%b"' % cursor.encode("ascii"))
    if parts:
        members.append(b'"%b":[%b]' % (name, b",".join(parts)))
    response = _answer(b"{%b}" % b",".join(members))
    here = max(0, asked.asked.after)
    response.headers[FIRST] = to_timestamp(_added(page.rows[:1], here))
    response.headers[LAST] = to_timestamp(_added(page.rows[-1:], here))
    return response


def _added(rows: Sequence[Row], otherwise: int) -> int:
    return rows[0].added if rows else otherwise


def _json(value: object) -> web.Response:
    return _answer(orjson.dumps(value))


def _answer(data: bytes, *, code: int = 200) -> web.Response:
    return web.Response(status=code, body=data, headers={"Content-Type": TAXII, "Cache-Control": "no-store"})
