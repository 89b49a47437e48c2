"""Tokens and invitations (docs/protocol.md §10). Ed25519 is deterministic, so all of them are made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from exchange.canonical import b64
from tests.vectors.makers.case import Case, steady
from tests.vectors.makers.network import DAY, KEYS, NET, NOW, ORIGIN, OTHER_NET, SIZE, Chance, jcs

HEAD = {"alg": "EdDSA", "typ": "exchange+jwt"}
SECONDS = NOW // 1_000
EMPTY = hashlib.sha256(b"").digest()


def claims(**changed: Any) -> dict[str, Any]:
    value = {
        "aud": ORIGIN,
        "exp": SECONDS + 300,
        "h": b64(EMPTY),
        "iat": SECONDS,
        "iss": "pe",
        "jti": b64(Chance("jti")(16)),
        "m": "GET",
        "net": b64(NET),
        "p": "/v1/mailbox?after=e1.7&wait=20",
    }
    return {**value, **changed}


def token(value: Any, *, head: Any = None, signer: str = "pe", transport: bool = True) -> str:
    raw = value if isinstance(value, bytes) else jcs(value)
    start = f"{b64(jcs(HEAD) if head is None else head)}.{b64(raw)}"
    keys = KEYS[signer]
    signature = (
        keys.sign_transport(start.encode("ascii")) if transport else keys.sign("token", start.encode())[:64]
    )
    return f"{start}.{b64(signature)}"


def token_cases() -> Iterator[Case]:
    def case(name: str, why: str, text: str, expect: str = "ok", issuer: str = "pe", **request: Any) -> Case:
        asked = {
            "method": "GET",
            "target": "/v1/mailbox?after=e1.7&wait=20",
            "body": "",
            "now": NOW,
            **request,
        }
        body = hashlib.sha256(bytes.fromhex(asked["body"])).digest()
        output = {"issuer": issuer, "h": b64(body)} if expect == "ok" else None
        outcome = "" if expect == "ok" else "refused"
        return steady(
            "token", name, why, {"token": text, **asked}, expect=expect, outcome=outcome, output=output
        )

    yield case("good", "a GET with a query", token(claims()))
    body = b"upload"
    put = claims(m="PUT", p="/v1/envelopes/x", h=b64(hashlib.sha256(body).digest()))
    yield case("good_with_body", "a PUT", token(put), method="PUT", target="/v1/envelopes/x", body=body.hex())
    officer = token(claims(iss="officer/ann"), signer="officer/ann")
    yield case("good_officer", "an officer's", officer, issuer="officer/ann")
    yield case("good_60_s_ahead", "iat 60 s ahead of the hub", token(claims()), now=NOW - 60_000)
    yield case("good_last_second", "1 ms before exp", token(claims()), now=NOW + 299_999)
    yield from _formless(case)
    yield case(
        "stranger",
        "an issuer that is no member",
        token(claims(iss="nobody"), signer="stranger"),
        "auth.unknown-issuer",
    )
    forged = "auth.bad-signature"
    yield case("other_key", "signed by another member", token(claims(), signer="co"), forged)
    yield case(
        "signing_key",
        "signed by the signing key instead of the transport key",
        token(claims(), transport=False),
        forged,
    )
    good = token(claims())
    spoilt = f"{good[:-10]}{'A' if good[-10] != 'A' else 'B'}{good[-9:]}"
    yield case("signature_altered", "one character of the signature", spoilt, forged)
    moved = token(claims()).split(".")
    other = b64(jcs(claims(p="/v1/state")))
    yield case(
        "claims_altered",
        "the path changed after signing",
        f"{moved[0]}.{other}.{moved[2]}",
        forged,
        target="/v1/state",
    )
    yield case(
        "other_network", "net of another network", token(claims(net=b64(OTHER_NET))), "auth.other-network"
    )
    origin = "auth.wrong-origin"
    yield case("other_hub", "another hub", token(claims(aud="https://other.example")), origin)
    yield case(
        "port_left_out", "the same host on another port", token(claims(aud="https://hub.example")), origin
    )
    yield case("origin_with_slash", "a slash after the origin", token(claims(aud=f"{ORIGIN}/")), origin)
    request = "auth.wrong-request"
    yield case("other_method", "for another method", token(claims()), request, method="POST")
    yield case("other_path", "for another path", token(claims()), request, target="/v1/state")
    yield case(
        "other_query", "for another query", token(claims()), request, target="/v1/mailbox?after=e1.8&wait=20"
    )
    yield case("without_query", "for the path without its query", token(claims(p="/v1/mailbox")), request)
    yield case(
        "other_body",
        "another body than h names",
        token(put),
        "auth.body-mismatch",
        method="PUT",
        target="/v1/envelopes/x",
        body=b"uploae".hex(),
    )
    skew = "auth.clock-skew"
    yield case("61_s_ahead", "iat 60.001 s ahead", token(claims()), skew, now=NOW - 60_001)
    yield case("lapsed", "exp is now", token(claims()), skew, now=NOW + 300_000)
    yield case("two_hours_old", "two hours old", token(claims()), skew, now=NOW + 7_200_000)


def _formless(case: Any) -> Iterator[Case]:
    def bad(name: str, why: str, text: str) -> Case:
        return case(name, why, text, "auth.bad-token")

    def claim(name: str, why: str, **changed: Any) -> Case:
        return bad(f"claim_{name}", why, token(claims(**changed)))

    good = token(claims())
    yield bad("empty", "no token", "")
    yield bad("two_parts", "no signature", good.rpartition(".")[0])
    yield bad("four_parts", "a part too many", f"{good}.AA")
    yield bad("over_2048", "more than 2,048 characters", token(claims(p="/" + "a" * 1_500)))
    yield bad(
        "alg_none", "alg none, no signature", f"{b64(jcs({**HEAD, 'alg': 'none'}))}.{b64(jcs(claims()))}."
    )
    yield bad("alg_hs256", "alg HS256", token(claims(), head=jcs({**HEAD, "alg": "HS256"})))
    yield bad("typ_jwt", "typ JWT", token(claims(), head=jcs({**HEAD, "typ": "JWT"})))
    yield bad("head_with_kid", "a header member more", token(claims(), head=jcs({**HEAD, "kid": "pe"})))
    yield bad(
        "head_with_space", "white space in the header", token(claims(), head=jcs(HEAD).replace(b",", b", "))
    )
    yield bad("padded", "padding", good + "=")
    yield bad("signature_short", "63 bytes", good[:-2])
    yield bad("claims_with_space", "white space in the claims", token(jcs(claims()).replace(b",", b", ")))

    rest = b",".join(jcs(claims())[1:-1].split(b",")[::-1])
    yield bad("claims_unsorted", "claims in the wrong order", token(b"{" + rest + b"}"))
    yield bad("claims_not_json", "no JSON", token(b"claims"))
    yield claim("sub", "a claim more", sub="pe")
    yield bad("claim_missing", "no jti", token({k: v for k, v in claims().items() if k != "jti"}))
    yield claim("jti_short", "15 bytes of jti", jti=b64(bytes(15)))
    yield claim("iss_capital", "an issuer in upper case", iss="PE")
    yield claim("iss_number", "an issuer that is no text", iss=7)
    yield claim("net_short", "31 bytes of net", net=b64(NET[:31]))
    yield claim("h_short", "31 bytes of h", h=b64(EMPTY[:31]))
    yield claim("m_small", "a method in lower case", m="get")
    yield claim("iat_text", "iat a text", iat=str(SECONDS))
    yield claim("iat_fraction", "iat with a fraction", iat=SECONDS + 0.5)
    yield claim("lives_301_s", "lives 301 s", exp=SECONDS + 301)
    yield claim("exp_at_iat", "exp is iat", exp=SECONDS)
    yield claim("exp_before_iat", "exp before iat", exp=SECONDS - 10)


def invitation_json(**changed: Any) -> dict[str, Any]:
    value = {
        "ca": b64(bytes.fromhex("3082010a")),
        "checkpoint": [SIZE, b64(Chance("root")(32))],
        "class": "national_csirt",
        "country": "EC",
        "expires": NOW + 7 * DAY,
        "hub": ORIGIN,
        "member": "newcomer",
        "net": b64(NET),
        "token": b64(Chance("invitation")(32)),
        "v": 1,
    }
    return {**value, **changed}


def invitation_cases() -> Iterator[Case]:
    prefix = "exchange-invitation-1."

    def line(value: Any) -> str:
        return prefix + b64(value if isinstance(value, bytes) else jcs(value))

    def good(name: str, why: str, now: int = NOW, around: str = "{}", **changed: Any) -> Case:
        value = invitation_json(**changed)
        given = {"line": around.format(line(value)), "now": now}
        return steady("invitation", name, why, given, output=value)

    def bad(name: str, why: str, text: str, code: str = "bad-format", now: int = NOW) -> Case:
        given = {"line": text, "now": now}
        return steady("invitation", name, why, given, expect=f"invitation.{code}", outcome="refused")

    def value(name: str, why: str, **changed: Any) -> Case:
        return bad(name, why, line(invitation_json(**changed)))

    whole = line(invitation_json())
    yield good("good", "from a hub with a CA of its own")
    yield good("public_ca", "a public CA", ca="")
    yield good(
        "no_country", "an organisation without a country", country="", **{"class": "international_org"}
    )
    yield good("pasted", "white space around it", around="  {}\r\n")
    yield good("default_port", "no port", hub="https://hub.example")
    yield good("ipv6", "an address instead of a name", hub="https://[2001:db8::1]:8443")
    yield good("last_moment", "1 ms before it expires", now=NOW + 7 * DAY - 1)
    yield bad("expired", "at its expiry", whole, "expired", NOW + 7 * DAY)
    yield bad("empty", "nothing", "")
    yield bad("other_version", "a later form", whole.replace("-1.", "-2."))
    yield bad("capitals", "the prefix in capitals", whole.replace("exchange", "Exchange"))
    yield bad("cut", "the end missing", whole[:-7])
    yield bad("inner_space", "a space inside", f"{whole[:80]} {whole[80:]}")
    yield bad("padded", "padding", whole + "=")
    yield bad("over_16384", "more than 16,384 characters", line(invitation_json(ca=b64(bytes(12_000)))))
    yield bad("not_json", "no JSON", prefix + b64(b"invitation"))
    yield bad("with_space", "white space between members", line(jcs(invitation_json()).replace(b",", b", ")))
    yield bad(
        "member_missing", "no token", line({k: v for k, v in invitation_json().items() if k != "token"})
    )
    yield value("unknown_member", "one member too many", note="x")
    yield value("version_two", "v is 2", v=2)
    yield value("hub_http", "a hub without TLS", hub="http://hub.example")
    yield value("hub_with_path", "a path after the origin", hub=f"{ORIGIN}/x")
    yield value("hub_capitals", "a hub in capitals", hub="https://HUB.example")
    yield value("hub_with_user", "a name before the host", hub="https://pe@hub.example")
    yield value("handle_reserved", "an invitation for the hub", member="hub")
    yield value("handle_capital", "a handle in upper case", member="EC")
    yield value("country_small", "a country in lower case", country="ec")
    yield value("token_short", "31 bytes of token", token=b64(bytes(31)))
    yield value("net_short", "31 bytes of net", net=b64(NET[:31]))
    yield value("size_zero", "a log has its genesis at least", checkpoint=[0, b64(bytes(32))])
    yield value("root_short", "31 bytes of root", checkpoint=[SIZE, b64(bytes(31))])
    yield value("expires_text", "expires a text", expires=str(NOW))
