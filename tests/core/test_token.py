"""Tokens: good for one request of one issuer at one hub for five minutes, and for nothing else."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from exchange import token as t
from exchange.canonical import b64, dumps, sha256
from exchange.errors import Rejected
from exchange.keys import PublicKeys
from exchange.limits import MAX_TOKEN, TOKEN_AHEAD_SECONDS, TOKEN_LIFE_SECONDS
from tests.core.refusals import attempt
from tests.worlds import NOW, keys

NET = sha256(b"net")
ME = "co-csirt"
ORIGIN = "https://hub.example"
HEAD = b64(dumps({"alg": "EdDSA", "typ": "exchange+jwt"}))
TARGETS = st.text(string.ascii_letters + string.digits + "/?=&-._~%", max_size=60).map(
    lambda rest: "/" + rest
)


def keys_of(issuer: str) -> PublicKeys:
    if issuer != ME:
        raise Rejected("auth.unknown-issuer")
    return keys(issuer).public


def made(**changed: Any) -> str:
    values: dict[str, Any] = {
        "keys": keys(ME),
        "net": NET,
        "issuer": ME,
        "origin": ORIGIN,
        "method": "POST",
        "target": "/v1/receipts",
        "body_hash": sha256(b"body"),
        "now": NOW,
        "jti": bytes(16),
    }
    return t.make_token(**{**values, **changed})


def checked(token: str, **changed: Any) -> t.Token:
    values: dict[str, Any] = {
        "net": NET,
        "origins": {ORIGIN, "https://hub.local:8443"},
        "method": "POST",
        "target": "/v1/receipts",
        "now": NOW,
        "keys_of": keys_of,
    }
    return t.check_token(token, **{**values, **changed})


def test_a_token_is_good_for_its_request() -> None:
    found = checked(made())
    assert found == t.Token(ME, sha256(b"body"))
    found.check_body(sha256(b"body"))
    with pytest.raises(Rejected, match=r"auth\.body-mismatch"):
        found.check_body(sha256(b"other"))
    assert checked(made(origin="https://hub.local:8443")).issuer == ME


@given(TARGETS, st.sampled_from(["GET", "PUT", "POST", "DELETE"]), st.binary(min_size=32, max_size=32))
def test_any_request_can_have_one(target: str, method: str, digest: bytes) -> None:
    token = made(target=target, method=method, body_hash=digest)
    assert checked(token, target=target, method=method).body_hash == digest
    with pytest.raises(Rejected, match=r"auth\.wrong-request"):
        checked(token, target=target + "x", method=method)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"net": bytes(32)}, "auth.other-network"),
        ({"origins": {"https://other.example"}}, "auth.wrong-origin"),
        ({"method": "GET"}, "auth.wrong-request"),
        ({"target": "/v1/receipts?x=1"}, "auth.wrong-request"),
        ({"keys_of": lambda _: keys("pe-csirt").public}, "auth.bad-signature"),
    ],
)
def test_a_token_is_good_for_nothing_else(changed: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected, match=code):
        checked(made(), **changed)


def test_a_token_of_nobody_known_is_refused() -> None:
    with pytest.raises(Rejected, match=r"auth\.unknown-issuer"):
        checked(made(issuer="pe-csirt"))


@pytest.mark.parametrize(
    ("offset", "good"),
    [
        (-TOKEN_AHEAD_SECONDS * 1_000 - 1, False),
        (-TOKEN_AHEAD_SECONDS * 1_000, True),
        (0, True),
        (TOKEN_LIFE_SECONDS * 1_000 - 1, True),
        (TOKEN_LIFE_SECONDS * 1_000, False),
    ],
)
def test_a_token_lives_five_minutes(offset: int, good: bool) -> None:
    found, fault = attempt(lambda: checked(made(), now=NOW + offset))
    assert (found is not None) is good
    if fault:
        assert (fault.code, fault.facts["now"]) == ("auth.clock-skew", NOW + offset)


def test_only_a_true_member_learns_the_hubs_time() -> None:
    forged = made(keys=keys("pe-csirt"))
    with pytest.raises(Rejected, match=r"auth\.bad-signature") as caught:
        checked(forged, now=NOW + 10**9)
    assert "now" not in caught.value.facts


def test_no_character_of_a_token_may_change() -> None:
    token = made()
    for at, old in enumerate(token):
        for new in ("A" if old != "A" else "B", "-", "."):
            if new != old:
                _, fault = attempt(lambda at=at, new=new: checked(token[:at] + new + token[at + 1 :]))
                assert isinstance(fault, Rejected), at
                assert fault.code.startswith("auth."), fault.code


@settings(max_examples=200)
@given(st.text(max_size=60) | st.text(string.ascii_letters + ".-_=", max_size=60))
@pytest.mark.parametrize("start", ["", HEAD + "."])
def test_noise_is_a_bad_token(start: str, noise: str) -> None:
    with pytest.raises(Rejected, match=r"auth\.bad-token"):
        checked(start + noise)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**53)
    | st.text(max_size=50)
    | st.lists(st.integers(), max_size=2)
)
NAMES = ["aud", "exp", "h", "iat", "iss", "jti", "m", "net", "p", "more"]


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=3))
def test_claims_of_any_value_signed_by_a_member_are_refused_by_an_auth_code(changed: dict[str, Any]) -> None:
    import json

    claims = {"aud": ORIGIN, "exp": NOW // 1_000 + 9, "h": b64(bytes(32)), "iat": NOW // 1_000, "iss": ME}
    claims |= {"jti": b64(bytes(16)), "m": "POST", "net": b64(NET), "p": "/v1/receipts"}
    whole = {**claims, **changed}
    start = f"{HEAD}.{b64(json.dumps(whole, sort_keys=True, separators=(',', ':')).encode())}"
    found, fault = attempt(lambda: checked(f"{start}.{b64(keys(ME).sign_transport(start.encode()))}"))
    assert isinstance(fault, Rejected) if fault else (found and set(changed) <= set(NAMES[:-1]))
    assert not fault or fault.code.startswith("auth.")


def test_a_token_over_the_limit_is_not_read() -> None:
    with pytest.raises(Rejected, match=r"auth\.bad-token"):
        checked(made(target="/" + "a" * MAX_TOKEN), target="/" + "a" * MAX_TOKEN)


def test_a_sockets_proof_is_of_one_hub_and_one_challenge() -> None:
    first = t.socket_message(NET, ORIGIN, bytes(32))
    others = {
        t.socket_message(bytes(32), ORIGIN, bytes(32)),
        t.socket_message(NET, "https://other.example", bytes(32)),
        t.socket_message(NET, ORIGIN, bytes([1]) * 32),
    }
    assert len(others | {first}) == 4
