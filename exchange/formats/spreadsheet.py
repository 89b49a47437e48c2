"""Tables as spreadsheets save and open them: encodings, delimiters, and cells that would be run as formulas.

What the columns of a table mean is each format's own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from exchange.errors import Refused

MAX_COLUMNS: Final = 256
MAX_CELL: Final = 16_384  # characters
BOM: Final = b"\xef\xbb\xbf"
STRANGE: Final = "\ufffd"  # stands for a byte that is none of the file's encoding
_DELIMITERS: Final = ",;\t|"
_COMMENT: Final = re.compile(r'[ \t]*("?)[ \t]*#')
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
# A spreadsheet runs a cell that begins so, some of them also behind quotes and white space (OWASP, CSV injection).
_FORMULA: Final = re.compile(r"[\s\"'\u201c\u201d\u2018\u2019]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r|%]")

# Where semicolons part cells, as in most of our languages, the commas and quotation marks that `written` puts around a
# cell protect nothing: what follows such a sign, or a line break, within a cell begins one of its own.
_RUN: Final = r"\s\"'\u201c\u201d\u2018\u2019;"
_BEGINS: Final = re.compile(rf"(?<![{_RUN}])([{_RUN}]++)(?=[=+\-@\uff1d\uff0b\uff0d\uff20|%])")
_PARTING: Final = re.compile(r"[;\t\r\n]")


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark, else Windows-1252, as old spreadsheets write.

    One stray byte makes no Windows-1252 of a text that is UTF-8 elsewhere. U+FFFD stands for what is neither.
    """
    if data.startswith(_UTF16):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", errors="replace")
        strange = text.count(STRANGE)
        beyond = sum(not sign.isascii() for sign in text) - strange
        return text if beyond >= strange else data.decode("cp1252", errors="replace")


def without_comments(text: str) -> tuple[str, list[tuple[int, str]]]:
    """A table with the lines left blank that begin with `#`, and these lines with their numbers.

    CSV knows no comments, and published lists begin with them all the same; a quotation mark within one would swallow
    what follows it. A line within a cell in quotes stays, and so does one that begins such a cell.
    """
    if "#" not in text:
        return text, []
    kept, comments, within = [], [], False
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        quotes = line.count('"')
        begins = None if within else _COMMENT.match(line)
        if begins is not None and not (begins[1] and quotes % 2):
            bare = line.rstrip("\r\n")
            comments.append((number, bare))
            kept.append(" " + line[len(bare) :])  # with nothing there, two ends of lines could become one
        else:
            kept.append(line)
            within ^= quotes % 2 == 1
    return "".join(kept), comments


def delimiter_of(text: str) -> str:
    """What parts the cells of a table: the sign that its first line has most of."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    return max(_DELIMITERS, key=first.count)


def is_quoted(text: str) -> bool:
    """Whether any cell of a table stands in quotes, as the cells then do that need them."""
    sign = re.escape(delimiter_of(text))
    return re.search(rf'(?:^|[\r\n]|{sign} *)"', text) is not None


def rows(text: str, most: int) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of the line on which it ends, white space around its cells taken away; no empty rows.

    Raises Refused `format.bad-file` for more than `most`
    rows, empty ones included, too many columns, or a cell that is too long, as after a quotation mark that never ends.
    """
    # lists of ThreatFox have blanks between a comma and the quotation mark after it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), skipinitialspace=True)
    found = 0
    try:
        for cells in reader:
            found += 1
            if found > most or len(cells) > MAX_COLUMNS or max(map(len, cells), default=0) > MAX_CELL:
                raise Refused(
                    "format.bad-file",
                    f"line {reader.line_num}: a table has at most {most} rows, {MAX_COLUMNS} columns and "
                    f"{MAX_CELL} characters in a cell",
                )
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error:
        raise Refused("format.bad-file", f"line {reader.line_num}: not CSV") from None


def written(head: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    """A table as UTF-8 with its mark, commas and CRLF, every cell guarded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    guard = lru_cache(maxsize=32)(guarded)  # a description may stand on thousands of lines
    writer.writerows([guard(cell) for cell in line] for line in lines)
    return BOM + text.getvalue().encode("utf-8", errors="replace")


def guarded(cell: str) -> str:
    """The cell with an apostrophe before it, and before parts of it, that a spreadsheet would run as a formula."""
    within = _BEGINS.sub(lambda run: f"{run[0]}'" if _PARTING.search(run[0]) else run[0], cell)
    return f"'{within}" if _FORMULA.match(cell) else within


def unguarded(cell: str) -> str:
    """The cell without the apostrophes that `guarded` put there."""
    whole = cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
    return _BEGINS.sub(
        lambda run: run[0][:-1] if run[0].endswith("'") and _PARTING.search(run[0]) else run[0], whole
    )
