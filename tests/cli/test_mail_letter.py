"""A message as a mail: labels where everybody sees them, nothing that a mailer would take for a header or a link."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import orjson
import pytest

from exchange.cli.mail_letter import MAX_SUBJECT, Enclosed, letter
from exchange.cli.message_view import message_lines
from exchange.formats.stix.cover import compose
from exchange.formats.stix.read import read_object
from exchange.message import Author, Draft, Message, Urgency
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.stix_samples import SOMEBODY

NOW = 1_793_000_000_000


def message(**more: Any) -> Message:
    facts = {
        "id": "0f0f0f0f-0000-4000-8000-000000000001",
        "kind": "alert",
        "case_id": "pe-1",
        "urgency": Urgency.ROUTINE,
        "tlp": Tlp.AMBER_STRICT,
        "subject": "Ñandú at https://evil.example/a",
        "created": NOW,
        "text": "Look at 203.0.113.9\n.\nand https://evil.example/b",
    }
    author = Author(id=SOMEBODY["id"], name="pe-csirt", created=NOW)
    return compose(Draft(**facts | more), author, [read_object(orjson.dumps(SOMEBODY))])


def mailed(told: Message, enclosed: Enclosed | None = None) -> EmailMessage:
    lines = message_lines(told, sender="pe-csirt", received_at=NOW, marks=["fork"])
    made = letter(told, lines, enclosed, sender="x@pe.example", to="ana@pe.example", now=NOW)
    read = message_from_bytes(made.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    return read


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body()
    assert body is not None
    return str(body.get_content())


def test_the_labels_stand_in_the_subject_and_around_the_text() -> None:
    mail = mailed(message(pap=Pap.AMBER, exercise_id="ejercicio-26"))
    label = "TLP:AMBER+STRICT  PAP:AMBER  EXERCISE ejercicio-26"
    assert mail["Subject"] == (
        "[TLP:AMBER+STRICT] [PAP:AMBER] [EXERCISE ejercicio-26] Ñandú at hxxps://evil[.]example/a"
    )
    lines = text_of(mail).splitlines()
    assert lines[:2] == lines[:-3:-1] == ["EXERCISE EXERCISE EXERCISE", label]
    assert (mail["To"], mail["From"]) == ("ana@pe.example", "x@pe.example")


def test_no_address_in_it_can_be_followed_and_its_doubts_are_told() -> None:
    text = text_of(mailed(message()))
    assert "hxxps://evil[.]example/b" in text
    assert "https://" not in text
    assert "203[.]0[.]113[.]9" in text
    assert "FORK" in text


def test_a_long_subject_is_cut_behind_its_label() -> None:
    subject = mailed(message(subject="ä" * 250))["Subject"]
    assert len(subject) == MAX_SUBJECT
    assert subject.startswith("[TLP:AMBER+STRICT] ää")


@pytest.mark.parametrize(
    ("name", "ending"), [("stix", "json"), ("csv", "csv"), ("text", "txt"), ("x", "txt")]
)
def test_what_is_enclosed_comes_as_it_was(name: str, ending: str) -> None:
    told = message()
    data = b"a,b\r\n\xff.\r\n" + b"x" * 2_000
    (part,) = mailed(told, Enclosed(name, data)).iter_attachments()
    assert part.get_filename() == f"{told.id}.{ending}"
    assert part.get_payload(decode=True) == data
