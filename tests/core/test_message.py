"""The rules of a message, one broken at a time."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from exchange.errors import Refused
from exchange.message import (
    MAX_REASON_CHARS,
    MAX_SUBJECT_CHARS,
    MAX_TEXT_CHARS,
    Draft,
    Kind,
    Outcome,
    Urgency,
    check_message,
    member_identity_id,
)
from exchange.tlp import Tlp

NOW = 1_793_000_000_000
OTHER = "1f0f0f0f-0000-4000-8000-000000000001"
ALERT = Draft(
    id="0f0f0f0f-0000-4000-8000-000000000001",
    kind=Kind.ALERT,
    case_id="PE-pe-2026-0001",
    urgency=Urgency.FLASH,
    tlp=Tlp.AMBER,
    subject="Ransomware at a bank",
    created=NOW,
)
REQUEST = replace(ALERT, kind=Kind.REQUEST_INFORMATION, question="Seen this address?", reply_by=NOW + 1)
RESPONSE = replace(ALERT, kind=Kind.RESPONSE, in_reply_to=OTHER, outcome=Outcome.PARTIAL)
DECLINED = replace(RESPONSE, outcome=Outcome.DECLINED, reason="A court has to ask")
UPDATE = replace(ALERT, kind=Kind.INCIDENT_UPDATE, in_reply_to=OTHER)
REPORT = replace(ALERT, kind=Kind.INCIDENT_REPORT)
VERIFICATION = replace(ALERT, kind=Kind.CONTACT_VERIFICATION, contacts=("pe/tracing",), validate_by=NOW - 1)
COUNTERPART = replace(REQUEST, kind=Kind.COUNTERPART_REQUEST, country="PE", topic="firearms")
INTRODUCTION = replace(ALERT, kind=Kind.INTRODUCTION, contacts=("pe/tracing", "co"))


@pytest.mark.parametrize(
    "draft", [ALERT, REQUEST, RESPONSE, DECLINED, UPDATE, VERIFICATION, COUNTERPART, INTRODUCTION]
)
def test_a_complete_message_of_each_kind_passes(draft):
    assert check_message(draft, carries_incident=False) is None


def test_an_incident_report_passes_with_an_incident_and_not_without():
    assert check_message(REPORT, carries_incident=True) is None
    with pytest.raises(Refused) as caught:
        check_message(REPORT, carries_incident=False)
    assert caught.value.code == "message.missing-incident"


@pytest.mark.parametrize(
    ("draft", "change", "code"),
    [
        (ALERT, {"id": "not-a-uuid"}, "message.bad-id"),
        (ALERT, {"id": ALERT.id.upper()}, "message.bad-id"),
        (ALERT, {"in_reply_to": ""}, "message.bad-id"),
        (ALERT, {"supersedes": "x"}, "message.bad-id"),
        (VERIFICATION, {"contacts": ()}, "message.missing-contacts"),
        (VERIFICATION, {"contacts": ("PE",)}, "message.bad-text"),
        (VERIFICATION, {"contacts": ("pe",) * 257}, "message.bad-text"),
        (VERIFICATION, {"validate_by": -1}, "message.bad-time"),
        (COUNTERPART, {"country": None}, "message.missing-need"),
        (COUNTERPART, {"topic": None}, "message.missing-need"),
        (COUNTERPART, {"country": "Peru"}, "message.bad-text"),
        (COUNTERPART, {"country": ""}, "message.bad-text"),
        (COUNTERPART, {"topic": "Fire arms"}, "message.bad-text"),
        (COUNTERPART, {"question": " "}, "message.missing-question"),
        (COUNTERPART, {"reply_by": None}, "message.missing-reply-by"),
        (INTRODUCTION, {"contacts": ()}, "message.missing-contacts"),
        (ALERT, {"kind": "forward"}, "message.missing-original"),
        (ALERT, {"case_id": ""}, "message.bad-case"),
        (ALERT, {"case_id": "a b"}, "message.bad-case"),
        (ALERT, {"case_id": "a" * 65}, "message.bad-case"),
        (ALERT, {"exercise_id": "../x"}, "message.bad-case"),
        (ALERT, {"audience_function": "Central Authority"}, "message.bad-text"),
        (ALERT, {"lang": "english please"}, "message.bad-lang"),
        (ALERT, {"legal_status": "secret"}, "message.bad-legal-status"),
        (ALERT, {"subject": " "}, "message.missing-subject"),
        (ALERT, {"subject": "x" * (MAX_SUBJECT_CHARS + 1)}, "message.text-too-long"),
        (ALERT, {"text": "x" * (MAX_TEXT_CHARS + 1)}, "message.text-too-long"),
        (DECLINED, {"reason": "x" * (MAX_REASON_CHARS + 1)}, "message.text-too-long"),
        (ALERT, {"subject": "a\nb"}, "message.bad-text"),
        (ALERT, {"subject": "a\x1b[2Jb"}, "message.bad-text"),
        (ALERT, {"text": "a\x00b"}, "message.bad-text"),
        (ALERT, {"text": "a\ud800b"}, "message.bad-text"),
        (ALERT, {"created": -1}, "message.bad-time"),
        (ALERT, {"created": 2**64}, "message.bad-time"),
        (ALERT, {"expires": NOW}, "message.bad-time"),
        (ALERT, {"ack_by": NOW - 1}, "message.bad-time"),
        (REQUEST, {"reply_by": NOW}, "message.bad-time"),
        (REQUEST, {"reply_by": None}, "message.missing-reply-by"),
        (REQUEST, {"question": "  "}, "message.missing-question"),
        (RESPONSE, {"in_reply_to": None}, "message.missing-reply-to"),
        (RESPONSE, {"outcome": None}, "message.missing-outcome"),
        (RESPONSE, {"outcome": "perhaps"}, "message.bad-outcome"),
        (DECLINED, {"reason": ""}, "message.missing-reason"),
        (UPDATE, {"in_reply_to": None}, "message.missing-reply-to"),
        (ALERT, {"outcome": "full"}, "message.bad-outcome"),
        (ALERT, {"kind": "early-warning"}, "message.unknown-kind"),
    ],
)
def test_one_broken_rule_is_named_by_its_code(draft, change, code):
    with pytest.raises(Refused) as caught:
        check_message(replace(draft, **change), carries_incident=False)
    assert caught.value.code == code


def test_a_text_may_have_several_lines():
    assert check_message(replace(ALERT, text="one\n\ttwo\r\n"), carries_incident=False) is None


def test_an_update_may_supersede_instead_of_replying():
    assert check_message(replace(UPDATE, in_reply_to=None, supersedes=OTHER), carries_incident=False) is None


def test_flash_is_served_first_and_routine_last():
    assert sorted(Urgency, key=lambda urgency: urgency.rank) == ["flash", "immediate", "priority", "routine"]
    assert [urgency.rank for urgency in Urgency] == [0, 1, 2, 3]


def test_a_members_identity_is_the_uuid5_of_its_handle_in_the_network():
    network = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    assert member_identity_id(network, "pe") == f"identity--{uuid.uuid5(network, 'pe')}"
    assert member_identity_id(network, "pe") != member_identity_id(network, "co")
