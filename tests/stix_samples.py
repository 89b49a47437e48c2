"""The smallest valid STIX 2.1 object, and a bundle to put it in."""

from __future__ import annotations

from typing import Any, Final

import orjson

SOMEBODY: Final = {
    "type": "identity",
    "spec_version": "2.1",
    "id": "identity--cf8b0cc2-b8fc-4f13-8fd9-1a0244e0722a",
    "created": "2026-11-03T06:40:00.000Z",
    "modified": "2026-11-03T06:40:00.000Z",
    "name": "Somebody",
}


def bundle_of(*objects: dict[str, Any]) -> bytes:
    """A bundle of these objects, as a file holds it."""
    bundle = {"type": "bundle", "id": "bundle--24f585ab-fdde-4ee9-871b-15fca2063a19"}
    return orjson.dumps(bundle | {"objects": list(objects)})
