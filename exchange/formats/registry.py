"""The table of formats: reads a file whatever its format, writes a message in the one asked for.

The next format is one file and one row here.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchange.errors import Refused
from exchange.formats import shadowserver, text
from exchange.formats.csaf import read as csaf
from exchange.formats.indicators import sheet, table
from exchange.formats.misp import read as misp, write as misp_write
from exchange.formats.objects import Loaded
from exchange.formats.source import Format, Source, Written
from exchange.formats.stix import read as stix
from exchange.formats.stix.spans import Limits
from exchange.message import Message

__all__ = ["Format", "Source", "Written", "dump", "formats", "load"]


# The first row that recognises the file reads it.
_FORMATS = (
    Format(stix.FORMAT, "STIX 2.0 and 2.1", stix.recognise, stix.read, stix.write),
    Format("misp", "MISP event, or a list of events", misp.recognise, misp.read, misp_write.write),
    Format(
        "csaf",
        "CSAF 2.0 advisory, written if carried",
        csaf.recognise,
        csaf.read,
        csaf.write,
    ),
    Format("shadowserver", "Shadowserver report", shadowserver.recognise, shadowserver.read),
    Format("csv", "CSV of indicators, addresses made harmless", table.recognise, table.read, sheet.write),
    Format("csv-live", "CSV of indicators as they are, for machines", write=sheet.write_live),
    Format("text", "plain text for people", write=text.write),
)


def formats() -> tuple[Format, ...]:
    """Every format, in the order in which a file is tried."""
    return _FORMATS


def load(
    name: str,
    data: bytes,
    limits: Limits | None = None,
    *,
    at: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Loaded:
    """Read a file by its content; `name` is repeated in the result and may tell formats that are no JSON apart.

    `at` and `columns` are what `Source` says of them: when it is read, and which column of a table is what.

    Raises: Refused `json.*` if it is none of a format that isn't JSON, and not JSON within the limits either;
    `format.unknown`, or the reader's own refusals of the whole file (`stix.ambiguous-file`, `stix.bad-bundle`).
    """
    limits = limits or Limits()
    source = Source(name, data, limits, at, columns or {})
    for each in _FORMATS:
        if each.recognise is not None and each.read is not None and each.recognise(source):
            return each.read(source, limits)
    source.scanned()  # most files are JSON, and where a fault stands in one is worth more than that it is unknown
    raise Refused(
        "format.unknown", f"formats that are read: {', '.join(each.title for each in _FORMATS if each.read)}"
    )


def dump(message: Message, to_format: str) -> Written:
    """Write a message: `stix` is the exact bundle that was signed, `text` is for people.

    Raises: Refused `format.unknown`, or the writer's own refusal of a message that has no form in that format.
    """
    writers = {each.name: each.write for each in _FORMATS if each.write}
    writer = writers.get(to_format)
    if writer is None:
        raise Refused("format.unknown", f"formats to write: {', '.join(sorted(writers))}")
    return writer(message)
