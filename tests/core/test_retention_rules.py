"""Which rule counts, and what config.toml may say of it."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.errors import Refused
from exchange.retention import DEFAULTS, Label, RetentionPolicy
from exchange.tlp import Tlp


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (Label("alert", Tlp.RED), "red"),
        (Label("alert", Tlp.AMBER_STRICT), "amber_strict"),
        (Label("alert", Tlp.CLEAR, exercise=True), "exercise"),
        (Label("contact-verification", Tlp.GREEN), "kinds.contact-verification"),
        (Label("introduction", Tlp.RED, exercise=True), "red"),
        (Label(), "amber_strict"),  # what carries no label counts as that
    ],
)
def test_shortest_rule_that_applies_counts(label: Label, name: str) -> None:
    rule = DEFAULTS.rule_for(label)
    assert (rule.name, rule.ms) == (name, rule.days * 86_400_000)


def test_label_survives_its_summary() -> None:
    label = Label("alert", Tlp.AMBER_STRICT, "case-1", exercise=True)
    assert Label.of(label.summary()) == label
    assert Label.of({}) == Label()


def test_table_of_config_goes_round() -> None:
    policy = RetentionPolicy.from_mapping({"red": 7, "kinds": {"alert": 400}})
    assert (policy.red, policy.kinds["alert"], policy.kinds["introduction"]) == (7, 400, 365)
    assert policy.to_mapping() == {"red": 7, "kinds": {"alert": 400}}
    assert RetentionPolicy.from_mapping(policy.to_mapping()) == policy
    assert DEFAULTS.to_mapping() == {}


@pytest.mark.parametrize(
    "values",
    [
        3,
        {"red": 0},
        {"red": 36_501},
        {"red": "7"},
        {"red": True},
        {"blue": 7},
        {"kinds": 7},
        {"kinds": {"alert": -1}},
        {"kinds": {f"kind-{n}": 1 for n in range(65)}},
    ],
)
def test_what_is_no_number_of_days_is_refused(values: Any) -> None:
    with pytest.raises(Refused) as caught:
        RetentionPolicy.from_mapping(values)
    assert caught.value.code == "settings.invalid"
