"""The table of formats: what tells a file's format, and what a file that no reader takes is answered."""

from __future__ import annotations

import pytest

from exchange.errors import Refused
from exchange.formats import registry
from exchange.formats.stix.spans import Limits


def test_every_format_is_read_or_recognised_or_written_and_has_a_name_of_its_own():
    known = registry.formats()
    assert len({each.name for each in known}) == len(known)
    assert all(each.title and (each.recognise or each.write) for each in known)
    assert all(each.recognise for each in known if each.read)


def test_a_source_is_scanned_once_and_only_when_somebody_asks():
    source = registry.Source("a.json", b'{"Event": {}}')
    assert "_scanned" not in vars(source)
    assert source.document is source.document
    assert source.document.members.keys() == {"Event"}


@pytest.mark.parametrize("data", [b"a;b\n1;2\n", b'{"type": ', b"\xff\xfe", b""])
def test_what_is_no_json_has_no_document_and_says_where(data):
    source = registry.Source("x", data)
    assert source.document is None
    with pytest.raises(Refused) as caught:
        registry.load("x", data)
    assert caught.value.code in ("json.bad-syntax", "json.not-utf8")


def test_json_over_a_limit_is_refused_and_not_taken_for_another_format():
    with pytest.raises(Refused) as caught:
        registry.load("x", b"[[[[1]]]]", Limits(max_depth=3))
    assert caught.value.code == "json.too-deep"
