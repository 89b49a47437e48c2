"""Receipts (docs/protocol.md §7): uploads of all leaves, proofs of some, and what may be wrong with either."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exchange.canonical import b64, unb64
from tests.vectors.makers.case import Case, Made, committed
from tests.vectors.makers.log_cases import flipped, root
from tests.vectors.makers.network import KEYS, NET, NOW, OTHER_NET, ZERO, Chance, jcs, skid
from tests.vectors.makers.sealing import dir_ref

BAD_FORM, SCHEMA, CANONICAL = "receipt.bad-format", "json.bad-schema", "json.not-canonical"
ROOT, SIGNATURE, SIGNER = "receipt.bad-root", "receipt.bad-signature", "receipt.wrong-signer"


def leaf(number: int, **changed: Any) -> dict[str, Any]:
    chance = Chance(f"receipt leaf {number}")
    value = {
        "code": "",
        "env": b64(chance(32)),
        "lc": b64(chance(32)),
        "salt": b64(chance(16)),
        "status": "stored",
        "to": "co",
    }
    return {**value, **changed}


def accepted(number: int, **changed: Any) -> dict[str, Any]:
    return leaf(number, **{"to": "*", "lc": b64(ZERO), "status": "accepted", **changed})


THREE = (leaf(0), leaf(1, status="rejected", code="policy"), leaf(2, status="held"))


def body(leaves: Sequence[bytes], signer: str, **changed: Any) -> dict[str, Any]:
    value = {
        "at": NOW,
        "batch": 17,
        "dir": dir_ref(),
        "from": signer,
        "n": len(leaves),
        "net": b64(NET),
        "root": b64(root(leaves)),
        "skid": b64(skid(signer)),
        "suite": "EX1",
        "v": 1,
    }
    return {**value, **changed}


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1, as it is written there."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*path(leaves[:k], index), root(leaves[k:])]
    return [*path(leaves[k:], index - k), root(leaves[:k])]


def rows_of(leaves: Sequence[Any]) -> list[bytes]:
    return [one if isinstance(one, bytes) else jcs(one) for one in leaves]


def signed(raw: bytes, signer: str, kind: str = "receipts") -> dict[str, Any]:
    return {"body": b64(raw), "signatures": b64(KEYS[signer].sign(kind, raw))}


Change = Callable[[dict[str, Any]], dict[str, Any]]


def upload_cases() -> Iterator[Case]:
    def case(
        name: str,
        why: str,
        expect: str = "ok",
        leaves: Sequence[Any] = THREE,
        *,
        signer: str = "co",
        kind: str = "receipts",
        raw: Callable[[bytes], bytes] = bytes,
        outer: Change = dict,
        **changed: Any,
    ) -> Case:
        def make() -> Made:
            rows = rows_of(leaves)
            whole = raw(jcs(body(rows, signer, **changed)))
            value = outer({**signed(whole, signer, kind), "leaves": [b64(row) for row in rows]})
            output = (
                {"signer": signer, "batch": 17, "at": NOW, "leaves": list(leaves)} if expect == "ok" else None
            )
            return {"upload": value}, output

        return Case(
            "receipt_upload", name, why, make, expect, "" if expect == "ok" else "rejected", fixed=False
        )

    yield case("good", "stored, rejected and held")
    yield case("one_leaf", "a batch of one", leaves=THREE[:1])
    yield case(
        "expired_by_hub", "the hub says that it expired", leaves=[leaf(0, status="expired")], signer="hub"
    )
    yield from _outer_flaws(case)
    yield from _body_flaws(case)
    yield from _leaf_flaws(case)
    yield from _mutations()


def _outer_flaws(case: Any) -> Iterator[Case]:
    yield case(
        "member_missing",
        "no signatures",
        SCHEMA,
        outer=lambda u: {k: v for k, v in u.items() if k != "signatures"},
    )
    yield case("outer_unknown_member", "one member too many", SCHEMA, outer=lambda u: {**u, "note": 1})
    yield case("no_leaves", "no leaf", SCHEMA, outer=lambda u: {**u, "leaves": []})
    yield case("leaves_a_text", "leaves isn't a list", SCHEMA, outer=lambda u: {**u, "leaves": "AA"})
    yield case(
        "leaf_padded", "padded base64", SCHEMA, outer=lambda u: {**u, "leaves": ["AA==", *u["leaves"][1:]]}
    )
    yield case("leaves_257", "257 leaves", SCHEMA, outer=lambda u: {**u, "leaves": ["AA"] * 257})
    yield case("body_padded", "padded base64", SCHEMA, outer=lambda u: {**u, "body": u["body"] + "="})
    yield case("leaf_left_out", "two of three leaves", ROOT, outer=lambda u: {**u, "leaves": u["leaves"][:2]})
    yield case(
        "leaf_added", "a leaf more", ROOT, outer=lambda u: {**u, "leaves": [*u["leaves"], u["leaves"][0]]}
    )
    yield case(
        "leaves_swapped",
        "two leaves in each other's place",
        ROOT,
        outer=lambda u: {**u, "leaves": u["leaves"][::-1]},
    )
    yield case(
        "leaf_replaced",
        "a leaf the root doesn't cover",
        ROOT,
        outer=lambda u: {**u, "leaves": [b64(jcs(leaf(9))), *u["leaves"][1:]]},
    )


def _body_flaws(case: Any) -> Iterator[Case]:
    yield case(
        "body_with_space", "white space in the body", CANONICAL, raw=lambda raw: raw.replace(b",", b", ")
    )
    yield case("body_not_json", "no JSON", CANONICAL, raw=lambda raw: b"batch")
    yield case("body_over_4096", "a body of more than 4,096 bytes", CANONICAL, dir=["x" * 5_000])
    yield case("unknown_member", "one member too many", SCHEMA, note=1)
    yield case("version_two", "v is 2", SCHEMA, v=2)
    yield case("suite_two", "suite EX2", SCHEMA, suite="EX2")
    yield case("batch_zero", "batch numbers begin with 1", SCHEMA, batch=0)
    yield case("n_zero", "n is 0", SCHEMA, n=0)
    yield case("n_257", "n is 257", SCHEMA, n=257)
    yield case("from_capital", "a signer in upper case", SCHEMA, **{"from": "CO"})
    yield case("dir_of_two", "dir without its checkpoint", SCHEMA, dir=[7, b64(ZERO)])
    yield case("n_wrong", "n is 4, leaves are 3", ROOT, n=4)
    yield case("root_wrong", "another root", ROOT, root=b64(ZERO))
    yield case("other_network", "net of another network", "receipt.other-network", net=b64(OTHER_NET))
    yield case("unknown_signer", "from nobody known", "receipt.unknown-signer", **{"from": "nobody"})
    yield case("unknown_key", "a skid that co doesn't have", "receipt.unknown-signer", skid=b64(skid("pe")))
    yield case(
        "signed_by_other",
        "signed by pe",
        SIGNATURE,
        outer=lambda u: {**u, **signed(unb64(u["body"]), "pe")},
    )
    yield case("signed_as_envelope", "signed with KIND envelope", SIGNATURE, kind="envelope")


def _leaf_flaws(case: Any) -> Iterator[Case]:
    def one(name: str, why: str, expect: str, value: Any, signer: str = "co") -> Case:
        return case(f"leaf_{name}", why, expect, leaves=[value], signer=signer)

    yield one("with_space", "white space in a leaf", CANONICAL, jcs(leaf(0)).replace(b",", b", "))
    yield one("over_1024", "a leaf of more than 1,024 bytes", CANONICAL, leaf(0, code="x" * 1_024))
    yield one("unknown_member", "one member too many", SCHEMA, leaf(0, note=1))
    yield one("status_unknown", "no such status", SCHEMA, leaf(0, status="seen"))
    yield one("salt_short", "15 bytes of salt", SCHEMA, leaf(0, salt=b64(bytes(15))))
    yield one("lc_short", "31 bytes of lc", SCHEMA, leaf(0, lc=b64(bytes(31))))
    yield one("stored_with_code", "stored with a code", BAD_FORM, leaf(0, code="policy"))
    yield one("rejected_without_code", "rejected without a code", BAD_FORM, leaf(0, status="rejected"))
    yield one(
        "rejected_fine_code",
        "a fine code where a coarse one belongs",
        BAD_FORM,
        leaf(0, status="rejected", code="envelope.bad-padding"),
    )
    yield one("stored_to_all", "stored for everybody", BAD_FORM, leaf(0, to="*"))
    yield one("to_capital", "an address in upper case", BAD_FORM, leaf(0, to="CO"))
    yield one("accepted_to_one", "accepted for one recipient", BAD_FORM, accepted(0, to="co"), "hub")
    yield one(
        "accepted_with_lc",
        "accepted with a link commitment",
        BAD_FORM,
        accepted(0, lc=b64(bytes(range(32)))),
        "hub",
    )
    yield one("for_other", "co signs for bb", SIGNER, leaf(0, to="bb"))
    yield one("accepted_by_member", "a member says accepted", SIGNER, accepted(0))
    yield one("expired_by_member", "a member says expired", SIGNER, leaf(0, status="expired"))
    yield one("stored_by_hub", "the hub says stored", SIGNER, leaf(0), "hub")


def _mutations() -> Iterator[Case]:
    def case(name: str, why: str, part: str, at: int, expect: str) -> Case:
        def make() -> Made:
            good = committed("receipt_upload", "good")["input"]["upload"]
            return {"upload": {**good, part: flipped(good[part], at)}}, None

        return Case("receipt_upload", name, why, make, expect, "rejected")

    yield case("ed25519_wrong", "the Ed25519 signature has a flipped bit", "signatures", 1, SIGNATURE)
    yield case("mldsa_wrong", "the ML-DSA signature has a flipped bit", "signatures", 2_000, SIGNATURE)
    yield case("body_altered", "a digit of at changed after signing", "body", 12, SIGNATURE)

    def short() -> Made:
        good = committed("receipt_upload", "good")["input"]["upload"]
        return {"upload": {**good, "signatures": b64(unb64(good["signatures"])[:-1])}}, None

    yield Case("receipt_upload", "signature_short", "3,372 bytes", short, SIGNATURE, "rejected")


def proof_cases() -> Iterator[Case]:
    leaves = [accepted(number) for number in range(5)]

    def good(name: str, why: str, values: Sequence[Any], indexes: Sequence[int], signer: str = "hub") -> Case:
        def make() -> Made:
            rows = rows_of(values)
            shown = [[i, b64(rows[i]), [b64(step) for step in path(rows, i)]] for i in indexes]
            output = {"signer": signer, "batch": 17, "at": NOW, "leaves": [values[i] for i in indexes]}
            return {"proof": {**signed(jcs(body(rows, signer)), signer), "leaves": shown}}, output

        return Case("receipt_proof", name, why, make, fixed=False)

    yield good("good", "two of five leaves", leaves, [1, 4])
    yield good("only_leaf", "a batch of one: the path is empty", leaves[:1], [0])
    yield good("of_256", "the last of 256 leaves", [accepted(number) for number in range(256)], [255])
    yield good("by_member", "co's stored, shown to the sender", THREE, [0], "co")

    def whole() -> Made:
        rows = rows_of(THREE)
        output = {"signer": "co", "batch": 17, "at": NOW, "leaves": THREE}
        return {
            "proof": {**signed(jcs(body(rows, "co")), "co"), "leaves": [b64(row) for row in rows]}
        }, output

    yield Case("receipt_proof", "whole", "all leaves are the sender's: no paths", whole, fixed=False)

    def bad_whole(name: str, why: str, expect: str, change: Callable[[list[Any]], Any]) -> Case:
        def make() -> Made:
            value = committed("receipt_proof", "whole")["input"]["proof"]
            return {"proof": {**value, "leaves": change(value["leaves"])}}, None

        return Case("receipt_proof", name, why, make, expect, "rejected")

    yield bad_whole("whole_leaf_missing", "all leaves but the last", ROOT, lambda rows: rows[:-1])
    yield bad_whole("whole_swapped", "all leaves, out of order", ROOT, lambda rows: rows[::-1])
    yield bad_whole("whole_and_row", "a leaf, then a row", SCHEMA, lambda rows: [rows[0], [1, rows[1], []]])

    def bad(name: str, why: str, expect: str, change: Callable[[list[Any]], Any]) -> Case:
        def make() -> Made:
            value = committed("receipt_proof", "good")["input"]["proof"]
            return {"proof": {**value, "leaves": change(value["leaves"])}}, None

        return Case("receipt_proof", name, why, make, expect, "rejected")

    def row(change: Callable[[int, str, list[str]], list[Any]]) -> Callable[[list[Any]], Any]:
        return lambda rows: [change(*rows[0]), *rows[1:]]

    yield bad(
        "index_other", "the index of another leaf", ROOT, row(lambda i, leaf, path: [i + 1, leaf, path])
    )
    yield bad("index_beyond", "an index beyond n", ROOT, row(lambda i, leaf, path: [5, leaf, path]))
    yield bad(
        "index_text", "an index that is a text", BAD_FORM, row(lambda i, leaf, path: [str(i), leaf, path])
    )
    yield bad("path_short", "a step too few", ROOT, row(lambda i, leaf, path: [i, leaf, path[:-1]]))
    yield bad("path_long", "a step too many", ROOT, row(lambda i, leaf, path: [i, leaf, [*path, path[0]]]))
    yield bad(
        "path_swapped", "steps in the wrong order", ROOT, row(lambda i, leaf, path: [i, leaf, path[::-1]])
    )
    yield bad("path_of_nine", "nine steps", BAD_FORM, row(lambda i, leaf, path: [i, leaf, path[:1] * 9]))
    yield bad("path_a_text", "a path that is a text", BAD_FORM, row(lambda i, leaf, path: [i, leaf, path[0]]))
    yield bad(
        "step_short",
        "31 bytes of a step",
        SCHEMA,
        row(lambda i, leaf, path: [i, leaf, [b64(bytes(31)), *path[1:]]]),
    )
    yield bad(
        "leaf_altered", "a bit of a leaf", ROOT, row(lambda i, leaf, path: [i, flipped(leaf, 20), path])
    )
    yield bad("row_of_two", "no path", SCHEMA, row(lambda i, leaf, path: [i, leaf]))
    yield bad("no_leaves", "nothing shown", SCHEMA, lambda rows: [])

    def node_as_leaf() -> Made:
        value = committed("receipt_proof", "good")["input"]["proof"]
        digests = [root([row]) for row in rows_of(leaves)]
        shown = [[0, b64(digests[0] + digests[1]), [b64(step) for step in path(rows_of(leaves), 0)[1:]]]]
        return {"proof": {**value, "leaves": shown}}, None

    yield Case(
        "receipt_proof", "node_as_leaf", "an inner node passed off as a leaf", node_as_leaf, ROOT, "rejected"
    )
