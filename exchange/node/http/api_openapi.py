"""Makes the OpenAPI 3.1 document of the REST API from its routes and models: what it says is what is served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exchange.errors import CODES
from exchange.node.http.api_call import API, Answer, Route
from exchange.node.http.api_models import Problem
from exchange.node.http.problems import TAXII, headers_said, status_of
from exchange.protocol import PROBLEM

_REF: Final = "#/components/schemas/{model}"
_IN_PATH = re.compile(r"\{(\w+)\}")
_RATE: Final = {
    "RateLimit": "What is left: requests `r`, all back in `t` seconds.",
    "RateLimit-Policy": "Requests at once `q`, filled anew in `w` seconds.",
}
_TEXT: Final = {"type": "string"}


def document(routes: Sequence[Route], *, title: str) -> dict[str, Any]:
    """The document. `routes` in the order in which it shows them."""
    models: set[type[BaseModel]] = {Problem}
    for route in routes:
        models |= {one.model for one in route.answers.values() if one.model is not None}
        models |= {route.body} if route.body is not None else set()
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation" if model in _bodies(routes) else "serialization") for model in ordered],
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": API}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def codes_of(names: Iterable[str]) -> dict[int, list[str]]:
    """The codes by the HTTP status that each becomes; `family.*` is all of a family."""
    found: dict[int, list[str]] = {}
    for name in names:
        family = name.removesuffix("*")
        for code in sorted(CODES) if name.endswith(".*") else [name]:
            if code == name or (name.endswith(".*") and code.startswith(family)):
                found.setdefault(status_of(code), []).append(code)
    return {status: sorted(set(codes)) for status, codes in sorted(found.items())}


def _bodies(routes: Iterable[Route]) -> set[type[BaseModel]]:
    return {route.body for route in routes if route.body is not None}


def _operation(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {str(status): _good(one) for status, one in route.answers.items()}
    for status, codes in codes_of(route.all_codes).items():
        answers[str(status)] = _refusal(status, codes)
    answers["431"] = {
        "description": "The request line and headers are too long; told before the path is read, so as to TAXII.",
        "headers": {},
        "content": {TAXII: {"schema": {"type": "object"}}},
    }
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"For rights of entry with the scope `{route.scope.value}`.",
        "responses": answers,
    }
    parameters = [*_path(route), *_headers(route), *_query(route)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _good(one: Answer) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=one.model.__name__)} if one.model is not None else {}
    content = {one.media: {"schema": schema}} if one.media else {}
    answer = {"description": one.description, "headers": _said({**_RATE, **one.headers})}
    return answer | ({"content": content} if content else {})


def _refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    schema = {
        "allOf": [
            {"$ref": _REF.format(model=Problem.__name__)},
            {"properties": {"code": {"enum": list(codes)}, "status": {"const": status}}},
        ]
    }
    return {
        "description": "; ".join(f"`{code}`: {CODES[code]}" for code in codes),
        "headers": _said(headers_said(status)),
        "content": {PROBLEM: {"schema": schema}},
    }


def _said(headers: dict[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": _TEXT} for name, text in headers.items()}


def _path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _IN_PATH.findall(route.path)
    ]


def _headers(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": _TEXT}
        for name, text in route.headers.items()
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": one.pop("description", ""),
            "schema": _bare(one),
        }
        for name, one in schema.get("properties", {}).items()
    ]


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, which is left out rather than null."""
    schema = {key: value for key, value in schema.items() if key != "title" and value is not None}
    choices = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]
    return {**schema, **(choices[0] if len(choices) == 1 else {})}
