"""Genesis leaves and statements on the wire, read before there is a log (docs/protocol.md §9.1, §9.3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exchange.canonical import b64, h, unb64
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.log_cases import BOTH, good_leaves, leaf, prekeys, signed
from tests.vectors.makers.network import DAY, NET, NOW, genesis, jcs, keys_json


def genesis_cases() -> Iterator[Case]:
    # with one officer, to be shorter than log/good's
    everyone = ("hub", BOTH[0], "recovery")
    officer = [{"keys": keys_json(BOTH[0]), "name": "ann"}]

    def case(name: str, why: str, signers: Sequence[str] = everyone, index: int = 0, **changed: Any) -> Case:
        def make() -> Made:
            raw = jcs(genesis(**{"officers": officer, "officers_threshold": 1, **changed}))
            net = h_net(raw)
            whole = leaf(raw, signed(raw, signers), index, NOW - 30 * DAY, net=b64(net))
            return {"leaf": whole.decode("ascii")}, None

        return Case("genesis", name, why, make, "directory.bad-genesis", "rejected", fixed=False)

    yield Case(
        "genesis",
        "good",
        "leaf 0 of log/good",
        lambda: ({"leaf": good_leaves()[0].decode("ascii")}, {"net": b64(NET)}),
    )
    yield case("without_recovery", "the recovery key didn't sign", everyone[:-1])
    yield case("without_an_officer", "an officer didn't sign", ("hub", "recovery"))
    yield case("signed_by_more", "somebody it doesn't name signed too", [*everyone, "stranger"])
    yield case("threshold_zero", "no officer is needed", officers_threshold=0)
    yield case("threshold_two", "more officers than there are", officers_threshold=2)
    yield case("own_net", "net isn't 32 zero bytes", net=b64(NET))
    yield case("suite_two", "min_suite isn't EX1", min_suite="EX2")
    yield case("lapsed", "not_after lies before the leaf", not_after=NOW - 31 * DAY)
    yield case(
        "hub_with_path",
        "the hub's address has a path",
        hub={**genesis()["hub"], "address": "https://hub.example/x"},
    )
    yield case("index_one", "not the first leaf", index=1)

    def flipped_leaf() -> Made:
        given = good_leaves()[0].decode("ascii")
        at = given.index('"hub","') + 40
        return {"leaf": given[:at] + ("B" if given[at] == "A" else "A") + given[at + 1 :]}, None

    yield Case(
        "genesis",
        "signature_wrong",
        "the hub's signature changed",
        flipped_leaf,
        "directory.bad-genesis",
        "rejected",
    )


def h_net(raw: bytes) -> bytes:
    """net of a genesis body (docs/protocol.md §2)."""
    return hashlib.sha256(b"exchange/v1/genesis\0" + raw).digest()


def statement_cases() -> Iterator[Case]:
    """The wire form of a statement, before anybody looks at its body."""

    def case(name: str, why: str, change: Callable[[dict[str, Any]], Any]) -> Case:
        def make() -> Made:
            return {"statement": change(wire_form())}, None

        return Case("statement", name, why, make, "directory.bad-statement", "rejected")

    def wire_form() -> dict[str, Any]:
        value = json.loads(good_leaves()[6])
        return {"body": value["body"], "signatures": value["signatures"]}

    yield Case(
        "statement",
        "good",
        "the prekeys of pe",
        lambda: ({"statement": wire_form()}, {"hash": b64(h(NET, "statement", jcs(prekeys("pe"))))}),
    )
    yield case("no_signatures_member", "a member missing", lambda s: {"body": s["body"]})
    yield case("unknown_member", "one member too many", lambda s: {**s, "note": 1})
    yield case("body_a_number", "the body isn't a text", lambda s: {**s, "body": 7})
    yield case(
        "row_of_three",
        "three values in a row",
        lambda s: {**s, "signatures": [[*row, 1] for row in s["signatures"]]},
    )
    yield case(
        "unsorted",
        "signers not sorted",
        lambda s: {**s, "signatures": [["pf", s["signatures"][0][1]], *s["signatures"]]},
    )
    yield case(
        "signature_short",
        "3,372 bytes",
        lambda s: {**s, "signatures": [[s["signatures"][0][0], b64(unb64(s["signatures"][0][1])[:-1])]]},
    )
    yield case(
        "signer_no_address",
        "a signer in upper case",
        lambda s: {**s, "signatures": [["PE", s["signatures"][0][1]]]},
    )
    yield case(
        "sixty_five", "65 signatures", lambda s: {**s, "signatures": [[f"m{n:02}", "AA"] for n in range(65)]}
    )
