"""PAP labels: their order, and the spellings that stand for them."""

from __future__ import annotations

import pytest

from exchange.pap import Pap, pap_of_marking_id, pap_of_tag, pap_of_word, strictest


def test_order_runs_from_everything_to_almost_nothing() -> None:
    assert sorted(Pap, reverse=True) == [Pap.RED, Pap.AMBER, Pap.GREEN, Pap.CLEAR]
    assert strictest([Pap.GREEN, Pap.RED, Pap.CLEAR]) is Pap.RED
    assert strictest([]) is None
    with pytest.raises(TypeError):
        assert Pap.RED < 3  # type: ignore[operator]  # which is what must fail


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("PAP:RED", Pap.RED),
        (" pap:amber ", Pap.AMBER),
        ('PAP:"GREEN"', Pap.GREEN),
        ("PAP:WHITE", Pap.CLEAR),
        ("PAP:CLEAR", Pap.CLEAR),
        ("PAP:violet", Pap.RED),
        ("PAP : Amber", Pap.AMBER),
        ("PAP\uff1aGREEN!", Pap.RED),
        ("tlp:red", None),
        ("papaya", None),
    ],
)
def test_tags(tag: str, label: Pap | None) -> None:
    assert pap_of_tag(tag) is label


def test_words_and_ids() -> None:
    assert [pap_of_word(pap.name) for pap in Pap] == list(Pap)
    assert Pap.AMBER.label == "PAP:AMBER"
    assert pap_of_marking_id("marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab") is Pap.AMBER
    assert pap_of_marking_id("marking-definition--a3bea94c-b469-41dc-9cfe-d6e7daba7730") is Pap.CLEAR
    assert pap_of_marking_id("marking-definition--00000000-0000-4000-8000-000000000000") is None
