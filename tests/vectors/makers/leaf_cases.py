"""Leaves that come after log/good: one flaw each, by the rules of docs/protocol.md §9.2 in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exchange.canonical import b64, h
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.log_cases import (
    BOTH,
    HOUR,
    add,
    body,
    flipped,
    leaf,
    prekeys,
    signed,
)
from tests.vectors.makers.network import (
    DAY,
    KEYS,
    NET,
    NOW,
    OTHER_NET,
    PREKEYS,
    SIZE,
    ZERO,
    genesis,
    jcs,
    keys_json,
)

AT = NOW - HOUR
SPONSORED = ("co", "newcomer", *BOTH, "pe")
Make = Callable[[], bytes]


def after_prekeys(name: str) -> bytes:
    return h(NET, "statement", jcs(prekeys(name)))


def _case(
    name: str,
    why: str,
    make: Make,
    code: str,
    outcome: str,
    *,
    alarm: bool = False,
    fixed: bool = False,
    more: Any = tuple,
) -> Case:
    def made() -> Made:
        # leaves are ASCII, so they stand as text
        extra = [one.decode("ascii") for one in more()]
        given = {"after": "log/good", "more": extra, "leaf": make().decode("ascii"), "now": NOW}
        output = {"effective": not code, "alarm": alarm} if outcome in ("", "no-effect") else None
        return given, output

    return Case("leaf", name, why, made, code or "ok", outcome, fixed)


def _statement(
    name: str,
    why: str,
    code: str,
    value: dict[str, Any] | bytes,
    signers: Sequence[str],
    *,
    alarm: bool = True,
    edit: Callable[[list[list[str]]], Any] = list,
    kind: str = "statement",
) -> Case:
    """A right leaf around a statement with a flaw. `edit` changes its signatures."""
    raw = value if isinstance(value, bytes) else jcs(value)
    return _case(
        name,
        why,
        lambda: leaf(raw, edit(signed(raw, signers, kind)), at=AT),
        code,
        "no-effect" if code else "",
        alarm=bool(code) and alarm,
    )


def leaf_cases() -> Iterator[Case]:
    yield from _right()
    yield from _damaged()
    yield from _quiet()
    yield from _malformed()
    yield from _forged()
    yield from _against_rules()


def _right() -> Iterator[Case]:
    yield _statement("add_member", "officers, two sponsors, possession", "", add("newcomer", "EC"), SPONSORED)
    again = prekeys("pe", after_prekeys("pe"))
    yield _statement("prekeys_again", "the next statement of pe on its prekeys", "", again, ["pe"])
    raw = jcs(again)
    yield _case(
        "ten_minutes_ahead",
        "exactly 10 minutes ahead of the node's clock",
        lambda: leaf(raw, signed(raw, ["pe"]), at=NOW + 600_000),
        "",
        "",
    )


def _damaged() -> Iterator[Case]:
    raw = jcs(prekeys("pe", after_prekeys("pe")))
    bare: list[Any] = []

    def bad(
        name: str, why: str, make: Make, code: str = "directory.bad-leaf", outcome: str = "transport"
    ) -> Case:
        return _case(name, why, make, code, outcome, fixed=True)

    order = "directory.bad-order"
    yield bad("not_json", "not JSON", lambda: b"leaf")
    yield bad("with_space", "white space between members", lambda: leaf(raw, bare).replace(b",", b", "))
    yield bad("unknown_member", "one member too many", lambda: leaf(raw, bare, note=1))
    yield bad("version_two", "v is 2", lambda: leaf(raw, bare, v=2))
    yield bad("other_network", "net of another network", lambda: leaf(raw, bare, net=b64(OTHER_NET)))
    yield bad("body_not_b64", "the body is padded base64", lambda: leaf(raw, bare, body="eyI="))
    yield bad("signer_a_number", "a signer isn't a text", lambda: leaf(raw, [[1, b64(bytes(3_373))]]))
    yield bad("index_skipped", "index 8 after 6", lambda: leaf(raw, bare, index=SIZE + 1), order)
    yield bad("index_again", "index 6 again", lambda: leaf(raw, bare, index=SIZE - 1), order)
    yield bad("time_back", "at before the last leaf's", lambda: leaf(raw, bare, at=NOW - 3 * DAY), order)
    yield bad(
        "ahead",
        "10 minutes and 1 ms ahead of the node's clock",
        lambda: leaf(raw, bare, at=NOW + 600_001),
        "directory.leaf-ahead",
        "hold",
    )


def _quiet() -> Iterator[Case]:
    """No effect and no alarm: nobody did wrong."""

    def quiet(name: str, why: str, code: str, value: dict[str, Any], signers: Sequence[str]) -> Case:
        return _statement(name, why, f"directory.{code}", value, signers, alarm=False)

    yield quiet("repeated", "pe's prekeys statement once more", "repeated", prekeys("pe"), ["pe"])
    stranger = body("levy", ["network", "levy"], rate=1)
    yield quiet("limited", "an unknown type with both officers", "limited", stranger, BOTH)
    yield quiet("unknown_type", "an unknown type with one officer", "unknown-type", stranger, BOTH[:1])
    lapsed = {**prekeys("pe", after_prekeys("pe")), "not_after": AT - 1}
    yield quiet("lapsed", "not_after 1 ms before at", "lapsed", lapsed, ["pe"])
    yield quiet("stale", "after is not the last one's hash", "stale", prekeys("pe", bytes(range(32))), ["pe"])
    stale_first = prekeys("pe", ZERO, [PREKEYS["pe"][0].row()])
    yield quiet("stale_as_first", "after is zeros although there was one", "stale", stale_first, ["pe"])


def _malformed() -> Iterator[Case]:
    """Bodies against their schema, which is judged before anybody asks who signed."""

    def bad(
        name: str, why: str, value: dict[str, Any] | bytes, signers: Sequence[str] = ("pe",), **more: Any
    ) -> Case:
        return _statement(name, why, "directory.bad-statement", value, signers, **more)

    good = prekeys("pe", after_prekeys("pe"))
    rows = [one.row() for one in PREKEYS["pe"]]
    yield bad("body_not_json", "the body isn't JSON", b"statement")
    yield bad("body_with_space", "white space in the body", jcs(good).replace(b",", b", "))
    yield bad("body_other_network", "net of another network", {**good, "net": b64(OTHER_NET)})
    yield bad(
        "body_without_not_after", "a member missing", {k: v for k, v in good.items() if k != "not_after"}
    )
    yield bad("subject_of_three", "a subject of three parts", {**good, "subject": ["pe", "prekeys", "x"]})
    yield bad("subject_other", "prekeys on the identity", {**good, "subject": ["pe", "identity"]})
    yield bad("prekeys_unknown_member", "one member too many", {**good, "note": 1})
    yield bad("prekeys_none", "no prekey", {**good, "prekeys": []})
    yield bad("prekeys_seventeen", "17 prekeys", {**good, "prekeys": [rows[0]] * 17})
    yield bad("kid_short", "31 bytes of kid", {**good, "prekeys": [[b64(bytes(31)), *rows[0][1:]]]})
    yield bad("signers_unsorted", "signers not sorted", good, ["pe", "co"])
    yield bad("signed_twice", "one signer twice", good, ["pe", "pe"])
    yield bad(
        "signature_short",
        "3,372 bytes of signature",
        good,
        edit=lambda _: [["pe", b64(bytes(3_372))]],
    )
    for name, why, changed in (
        ("status_suspended", "nobody is admitted as suspended", {"status": "suspended"}),
        ("class_unknown", "no such class", {"class": "bank"}),
        ("country_small", "country in lower case", {"country": "ec"}),
        ("handle_reserved", "the handle hub", {"handle": "hub"}),
        (
            "key_short",
            "31 bytes of transport key",
            {"keys": {**keys_json("newcomer"), "transport": b64(bytes(31))}},
        ),
    ):
        value = add("newcomer", "EC", **changed)
        yield bad(f"add_{name}", why, value, ["newcomer"])
    yield bad(
        "add_other_subject",
        "the subject isn't the handle",
        {**add("newcomer", "EC"), "subject": ["novel", "identity"]},
        ["newcomer"],
    )
    yield bad("second_genesis", "a genesis later on", {**genesis(), "net": b64(NET)}, BOTH)


def _forged() -> Iterator[Case]:
    good = prekeys("pe", after_prekeys("pe"))

    def bad(name: str, why: str, value: Any = good, signers: Sequence[str] = ("pe",), **more: Any) -> Case:
        return _statement(name, why, "directory.bad-signature", value, signers, **more)

    yield bad("ed25519_wrong", "a flipped bit", edit=lambda s: [[s[0][0], flipped(s[0][1], 3)]])
    yield bad("mldsa_wrong", "a flipped bit", edit=lambda s: [[s[0][0], flipped(s[0][1], 800)]])
    yield bad("signed_as_envelope", "signed with KIND envelope", kind="envelope")
    other = b64(KEYS["co"].sign("statement", jcs(good)))
    yield bad("signed_by_other", "co's signature under pe's name", edit=lambda _: [["pe", other]])
    yield bad("signer_unknown", "a signer nobody knows", add("newcomer", "EC"), (*SPONSORED, "stranger"))


def _against_rules() -> Iterator[Case]:
    def bad(name: str, why: str, code: str, value: dict[str, Any], signers: Sequence[str]) -> Case:
        return _statement(name, why, f"directory.{code}", value, signers)

    new = add("newcomer", "EC")
    yield bad(
        "one_officer", "one of two officers", "too-few-officers", new, ("co", "newcomer", BOTH[0], "pe")
    )
    yield bad("one_sponsor", "one of two sponsors", "too-few-sponsors", new, ("co", "newcomer", *BOTH))
    own = add("newcomer", "CO")
    yield bad(
        "sponsor_of_own_country", "co sponsors a member of its country", "too-few-sponsors", own, SPONSORED
    )
    yield bad("no_possession", "the new key didn't sign", "no-possession", new, ("co", *BOTH, "pe"))
    taken = {
        **add("newcomer", "EC", handle="bb"),
        "subject": ["bb", "identity"],
        "after": b64(h(NET, "statement", jcs(add("bb", "BB")))),
    }
    yield _statement(
        "handle_taken",
        "a second bb, signed by its new key",
        "directory.handle-taken",
        taken,
        (),
        edit=lambda _: sorted(
            [
                ["bb", b64(KEYS["newcomer"].sign("statement", jcs(taken)))],
                *signed(jcs(taken), ("co", *BOTH, "pe")),
            ]
        ),
    )
    reused = add("newcomer", "EC", keys={**keys_json("newcomer"), "transport": keys_json("co")["transport"]})
    yield bad("transport_reused", "co's transport key", "key-reused", reused, SPONSORED)
    both = keys_json("newcomer")
    own_revoke = add("newcomer", "EC", revoke={"ed25519": both["ed25519"], "mldsa65": both["mldsa65"]})
    yield bad(
        "revoke_is_signing", "the revoke-only key is the signing key", "key-reused", own_revoke, SPONSORED
    )
    good = prekeys("pe", after_prekeys("pe"))
    yield bad("prekeys_by_officer", "an officer signs pe's prekeys", "not-own", good, BOTH[:1])
    yield bad("prekeys_by_both", "pe and an officer sign pe's prekeys", "not-own", good, (BOTH[0], "pe"))
    rows = [one.row() for one in PREKEYS["pe"]]
    kid, start, until, destroy = [b64(bytes(range(32))), *rows[1][1:]]
    for name, why, changed in (
        ("used_nine_days", "used for more than 8 days", [[kid, start, start + 8 * DAY + 1, destroy + DAY]]),
        ("used_never", "until is from", [[kid, start, start, destroy]]),
        ("kept_long", "kept more than 15 days after use", [[kid, start, until, until + 15 * DAY + 1]]),
        ("kept_never", "destroyed at until", [[kid, start, until, until]]),
        ("unordered", "not in order of from", [rows[1], rows[0]]),
        (
            "far_ahead",
            "used from 120 days and 1 ms after the leaf",
            [[kid, AT + 120 * DAY + 1, AT + 121 * DAY, AT + 122 * DAY]],
        ),
        ("twice", "a kid twice", [rows[0], [rows[0][0], *rows[1][1:]]]),
    ):
        value = prekeys("pe", after_prekeys("pe"), changed)
        yield bad(f"prekeys_{name}", why, "bad-prekeys", value, ["pe"])
    yield _too_often()


def _too_often() -> Case:
    """pe's first statement of log/good is 2 days old; four more within a day fill the measure."""
    values, after = [], after_prekeys("pe")
    for number in range(5):
        value = {**prekeys("pe", after), "not_after": NOW + DAY + number}
        values.append(jcs(value))
        after = h(NET, "statement", values[-1])

    def at(number: int) -> bytes:
        return leaf(values[number], signed(values[number], ["pe"]), SIZE + number, AT + number)

    return _case(
        "too_often",
        "the fifth prekeys statement in 24 h",
        lambda: at(4),
        "directory.too-often",
        "no-effect",
        alarm=True,
        more=lambda: [at(number) for number in range(4)],
    )
