"""Each endpoint is asked what its document says and forbids: no answer is an error of ours, none isn't in the document.

`API_EXAMPLES=500 ./run test tests/api/test_api_everything.py` asks for longer, and other things each time.
"""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, settings, strategies as st
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi

from tests.api.conftest import DOCUMENT, api
from tests.doors import CO, Place
from tests.taxii.conftest import indicator

EXAMPLES = int(os.environ.get("API_EXAMPLES", "15"))  # of each endpoint and sort
CHECKS = (
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def known(door: Place) -> list[str]:
    """Ids of messages that are there: one that may leave, one that may not."""
    return [door.mail(indicator()), door.mail(indicator(), exercise_id="EX-1")]


def aimed(case: Any, known: str) -> None:
    """Sometimes a request is of something that is there, so that it gets past the first look."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = known
    if isinstance(case.body, dict) and "to" in case.body:
        case.body |= {"to": [CO], "tlp": "green"}


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_is_asked_is_answered_as_documented(
    door: Place, known: list[str], name: str, mode: GenerationMode
) -> None:
    operation, client = OPERATIONS[name], api(door)
    ids = st.sampled_from([*known, ""])

    @hypothesis.given(operation.as_strategy(generation_mode=mode), ids)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize="API_EXAMPLES" not in os.environ,
    )
    def ask(case: Any, id_: str) -> None:
        if name == "followEvents" and isinstance(case.query, dict):
            case.query["seconds"] = 0  # it would go on for an hour
        if id_:
            aimed(case, id_)
        answer = case.call(base_url=client.root, session=client.session)
        case.validate_response(answer, checks=CHECKS)

    ask()
