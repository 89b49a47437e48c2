"""Invitations: the line a person is handed comes back whole, and a damaged one is told from an old one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings, strategies as st

from exchange.canonical import HANDLE, MAX_INT, b64, is_member_handle
from exchange.errors import Refused, Rejected
from exchange.invitation import PREFIX, Invitation
from tests.core.refusals import attempt
from tests.worlds import NOW

HASHES = st.binary(min_size=32, max_size=32)
INVITATIONS = st.builds(
    Invitation,
    net=HASHES,
    hub=st.sampled_from(["https://hub.example", "https://10.0.0.7:8443", "https://[2001:db8::7]:8443"]),
    ca=st.binary(max_size=600),
    size=st.integers(1, MAX_INT),
    root=HASHES,
    member=st.from_regex(HANDLE, fullmatch=True).filter(is_member_handle),
    member_class=st.sampled_from(["national_csirt", "police"]),
    country=st.sampled_from(["PE", "CO", ""]),
    expires=st.integers(0, MAX_INT),
    token=HASHES,
)
ONE = Invitation(
    bytes(32), "https://hub.example", b"ca", 7, bytes(32), "ec-csirt", "national_csirt", "EC", NOW, bytes(32)
)


@given(INVITATIONS, st.sampled_from(["", " ", "\r\n", "\t"]))
def test_an_invitation_comes_back(invitation: Invitation, around: str) -> None:
    line = invitation.to_line()
    assert Invitation.from_line(around + line + around) == invitation
    assert line.startswith(PREFIX)
    assert line == line.strip()


def test_no_change_of_a_character_goes_unnoticed() -> None:
    line = ONE.to_line()
    for at, old in enumerate(line):
        new = "A" if old != "A" else "B"
        found, fault = attempt(lambda at=at, new=new: Invitation.from_line(line[:at] + new + line[at + 1 :]))
        # an invitation is not signed: a changed key or date is another invitation, and `net` is compared by voice
        assert found != ONE
        assert fault is None or fault.code == "invitation.bad-format"


@settings(max_examples=200)
@given(st.text(max_size=50) | st.binary(max_size=50).map(b64) | st.text(string.printable, max_size=50))
@pytest.mark.parametrize("start", ["", PREFIX])
def test_noise_is_no_invitation(start: str, noise: str) -> None:
    with pytest.raises(Rejected, match=r"invitation\.bad-format"):
        Invitation.from_line(start + noise)


def test_an_invitation_is_good_until_it_expires() -> None:
    ONE.check_time(NOW - 1)
    for now in (NOW, NOW + 1):
        with pytest.raises(Refused, match=r"invitation\.expired"):
            ONE.check_time(now)


def test_a_line_too_long_is_not_read() -> None:
    with pytest.raises(Rejected, match=r"invitation\.bad-format"):
        Invitation.from_line(PREFIX + "A" * 20_000)


def test_no_error_shows_the_secret() -> None:
    secret = b64(b"\xaa" * 32)
    line = Invitation(**{**ONE.__dict__, "token": b"\xaa" * 32, "member": "hub"}).to_line()
    with pytest.raises(Rejected) as caught:
        Invitation.from_line(line)
    assert secret not in repr(caught.value)
    assert line not in repr(caught.value)
