"""Snapshots after log/good (§9.18): the JSON without its first leaves, which a reader puts in from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exchange.canonical import b64, h
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.life_cases import life_leaves
from tests.vectors.makers.log_cases import body, checkpoint, checkpoint_json, good_leaves, root
from tests.vectors.makers.network import NET, SIZE, jcs

SALT = bytes(range(16))
SHOWN, INNER = b'{"name":"Peru"}', b'{"phone":"+51 1 555 0100"}'


def _hash(level: str, said: bytes) -> str:
    return b64(h(NET, "part", b"pe", level.encode(), SALT, said))


def _part(level: str, said: bytes) -> list[str]:
    return ["pe", level, b64(SALT), b64(said)]


RECORD = body(
    "record",
    ["pe", "record"],
    parts=[["members", _hash("members", INNER)], ["public", _hash("public", SHOWN)]],
)


def _snapshot(signer: str = "hub", more_signed: int = 1, **changed: Any) -> dict[str, Any]:
    more = life_leaves([(RECORD, ["pe"])])()
    leaves = [*good_leaves(), *(one.encode("ascii") for one in more)]
    size = SIZE + more_signed
    said = checkpoint(size=size, root=b64(root(leaves[:size])))
    whole = {
        "checkpoint": checkpoint_json(jcs(said), signer),
        "leaves": more,
        "level": "members",
        "parts": [_part("members", INNER), _part("public", SHOWN)],
        "v": 1,
    }
    return {"after": "log/good", "snapshot": {**whole, **changed}}


def snapshot_cases() -> Iterator[Case]:
    def case(name: str, why: str, code: str = "ok", **changed: Any) -> Case:
        def made() -> Made:
            given = _snapshot(**changed)
            parts = len(given["snapshot"]["parts"])
            return given, {"size": SIZE + 1, "parts": parts} if code == "ok" else None

        return Case("snapshot", name, why, made, code, "" if code == "ok" else "rejected", fixed=False)

    form, part = "snapshot.bad-format", "snapshot.bad-part"
    yield case("members", "with what members tell each other")
    yield case("public", "with what anybody may read", level="public", parts=[_part("public", SHOWN)])
    yield case("no_parts", "the log alone", parts=[])
    yield case("public_with_members", "a members' part in a public one", part, level="public")
    yield case("part_altered", "a part says something else", part, parts=[_part("public", INNER)])
    yield case("part_twice", "a part twice", part, parts=[_part("public", SHOWN)] * 2)
    yield case("part_unknown", "of another level than the log says", part, parts=[_part("members", SHOWN)])
    yield case("part_owner", "a level that is in no snapshot", form, parts=[_part("owner", SHOWN)])
    listed = [["pe", ["public"], b64(SALT), b64(SHOWN)]]
    yield case("part_level_list", "a part's level is a list", form, parts=listed)
    yield case("level_owner", "a level there isn't", form, level="owner")
    yield case("version_two", "v is 2", form, v=2)
    yield case("unknown_member", "one member too many", form, note="x")
    yield case("leaf_beyond", "a leaf that the checkpoint doesn't cover", form, more_signed=0)
    yield case("by_member", "a member signed the checkpoint", "checkpoint.bad-signature", signer="pe")
