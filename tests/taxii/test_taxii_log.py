"""What the access log, and so the signed answer to a sender, says of what a right of entry was given of a message."""

from __future__ import annotations

import pytest

from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.doors import READS, Place
from tests.taxii.test_taxii_policy import PAP_IDS, marked


def reasons(door: Place, name: str, message_id: str, action: str = "taxii") -> list[str]:
    """What the access log says of what that right was given of a message, oldest first."""
    rows = [row for row in door.pe.desk.access_log() if row.who == f"token:{name}" and row.action == action]
    return [row.what.partition(": ")[2] for row in reversed(rows) if row.what.split()[1] == message_id]


@pytest.mark.parametrize("order", [1, -1])
def test_the_log_says_the_strictest_label_of_what_was_given_of_a_message(door: Place, order: int) -> None:
    labels = [Tlp.GREEN.marking_id, Tlp.AMBER.marking_id, Tlp.CLEAR.marking_id]
    id_ = door.mail(*(marked(label) for label in labels[::order]), tlp=Tlp.AMBER)
    name = f"mixed-{order}"
    door.client(name, scopes=READS).objects("received", match_type="indicator")
    assert reasons(door, name, id_) == ["TLP:AMBER may go to own member"]


def test_the_log_says_each_label_at_its_strictest_wherever_it_stands(door: Place) -> None:
    """The TLP of one object and the PAP of another, which this right may have, for it only looks."""
    id_ = door.mail(marked(Tlp.AMBER.marking_id), marked(Tlp.GREEN.marking_id, PAP_IDS[Pap.AMBER]))
    door.client("looks", scopes=READS, passive=True).objects("received")
    assert reasons(door, "looks", id_) == ["TLP:AMBER PAP:AMBER may go to own member"]


def test_what_a_later_page_has_under_a_stricter_label_is_logged_when_it_goes(door: Place) -> None:
    ones = [marked(label.marking_id) for label in (Tlp.GREEN, Tlp.CLEAR, Tlp.AMBER, Tlp.GREEN)]
    id_ = door.mail(*ones, tlp=Tlp.AMBER)
    client = door.client("pages", scopes=READS)
    given = [
        one
        for page in client.pages("collections/received/objects/", limit=1, match_type="indicator")
        for one in page.json()["objects"]
    ]
    assert [one for one in given if one in ones] == ones
    green, amber = (f"TLP:{word} may go to own member" for word in ("GREEN", "AMBER"))
    assert reasons(door, "pages", id_) == [green, amber]
    client.objects("received", match_type="indicator")
    assert reasons(door, "pages", id_) == [green, amber]  # each once


def test_a_message_whose_part_was_refused_is_logged_as_given_all_the_same(door: Place) -> None:
    one = marked(Tlp.GREEN.marking_id)
    id_ = door.mail(marked(PAP_IDS[Pap.RED]), one, tlp=Tlp.AMBER)
    client = door.client("partly", scopes=READS)
    assert one in client.objects("received", match_type="indicator")
    assert reasons(door, "partly", id_) == ["TLP:GREEN may go to own member"]
    assert len(reasons(door, "partly", id_, "taxii refused")) == 1
