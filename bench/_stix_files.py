"""Published STIX files where they lie beside the checkout (../shared/data), else bundles that our own builders make.

Owns which files are taken: every bundle, 2.0 or 2.1, that both sides can read as a whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

from bench._node_network import Alerts
from exchange.errors import Refused
from exchange.formats import registry

PUBLISHED: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
GENERATED: Final = 200


def stix_files(folder: Path = PUBLISHED) -> tuple[str, Mapping[str, bytes]]:
    """Where they are from, and their bytes by name."""
    found = {path.name: path.read_bytes() for path in sorted(folder.glob("*/*.json")) if path.is_file()}
    bundles = {name: data for name, data in found.items() if _is_bundle(name, data)}
    if bundles:
        return "published files", bundles
    alerts = Alerts(uuid.UUID(int=1), "bench-csirt")
    return "generated alerts", {f"alert {n}": alerts.next().bundle for n in range(GENERATED)}


def _is_bundle(name: str, data: bytes) -> bool:
    try:
        value = orjson.loads(data)
        if not (isinstance(value, dict) and value.get("type") == "bundle" and value.get("objects")):
            return False
        registry.load(name, data)
    except (orjson.JSONDecodeError, Refused):
        return False
    return True
