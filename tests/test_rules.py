"""Each rule lives in the one file its name says: TLP order, member status, HTTP codes, catching everything.

Owns these checks and the few others that keep files small and their exceptions explained. Who may import whom is
test_layers.py's subject. A check looks at the syntax, so it finds a habit, not every disguise of it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from exchange.errors import CODES

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "stuff"}
ERRORS = {"ExchangeError", "Refused", "Rejected", "Unavailable", "Damaged", "Hold"}
LABELS = {"CLEAR", "GREEN", "AMBER", "AMBER_STRICT", "RED"}
STATUSES = {"active", "restricted", "suspended", "removed"}
ORDERING = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
ANY_NUMBER = 1_000


@dataclass(frozen=True)
class Source:
    """One file: its path from the root, its text and its syntax tree."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def sources(*patterns: str) -> list[Source]:
    """The files of the checkout that match, e.g. `exchange/**/*.py`."""
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]


Find = Callable[[Source], Iterator[tuple[int, str]]]


def violations(find: Find, allowed: dict[str, int], files: list[Source]) -> list[str]:
    """What `find` finds in `files`, but for the first few in the places `allowed` names with their number."""
    found = []
    for file in files:
        free = max(
            (number for pattern, number in allowed.items() if fnmatchcase(file.path, pattern)), default=0
        )
        found += [f"{file.path}:{line}: {what}" for line, what in list(find(file))[free:]]
    return found


def names(node: ast.AST) -> list[str]:
    """The parts of `a.b.c`, and of `a["b"]`; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return [*names(node.value), node.attr]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return [*names(node.value), str(node.slice.value)]
    return [node.id] if isinstance(node, ast.Name) else []


def mentions(node: ast.AST, word: str) -> bool:
    """Whether a name in `node` has `word` among its words: `message.tlp`, `old_tlp`, `Tlp.RED`."""
    return any(word in part.lower().split("_") for part in names(node))


def members(node: ast.AST) -> list[ast.expr]:
    """The elements of a literal collection, else the expression itself."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return node.elts
    return [node] if isinstance(node, ast.expr) else []


def comparisons(tree: ast.Module) -> Iterator[tuple[ast.Compare, list[ast.expr]]]:
    """Every comparison with its operands, those of a literal collection one by one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield node, [part for operand in (node.left, *node.comparators) for part in members(operand)]


def is_label(node: ast.AST) -> bool:
    """`Tlp.RED` or a label spelt as text."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.upper().startswith("TLP:")
    parts = names(node)
    return len(parts) > 1 and parts[-2].endswith("Tlp") and parts[-1] in LABELS


def tlp_comparisons(file: Source) -> Iterator[tuple[int, str]]:
    """Labels put in an order, or a decision taken on a particular label."""
    for comparison, operands in comparisons(file.tree):
        ordered = any(isinstance(op, ORDERING) for op in comparison.ops) and any(
            mentions(o, "tlp") for o in operands
        )
        if ordered or any(is_label(operand) for operand in operands):
            yield comparison.lineno, "compares TLP labels"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and names(node.func) in (["max"], ["min"], ["sorted"]):
            if any(mentions(part, "tlp") for argument in node.args for part in ast.walk(argument)):
                yield node.lineno, "orders TLP labels"
        elif isinstance(node, ast.MatchValue) and is_label(node.value):
            yield node.value.lineno, "matches TLP labels"


def is_status(node: ast.AST | None) -> bool:
    """A member's status as an enum's member or as the log spells it."""
    if isinstance(node, ast.Constant):
        return node.value in STATUSES
    parts = names(node) if node else []
    return len(parts) > 1 and parts[-2].endswith("Status") and parts[-1].lower() in STATUSES


def status_decisions(file: Source) -> Iterator[tuple[int, str]]:
    """A decision taken on a particular status of a member."""
    for comparison, operands in comparisons(file.tree):
        if any(is_status(o) for o in operands) and any(mentions(o, "status") for o in operands):
            yield comparison.lineno, "decides by a member's status"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.MatchValue) and is_status(node.value):
            yield node.value.lineno, "decides by a member's status"


def status_moves(file: Source) -> Iterator[tuple[int, str]]:
    """A member given a particular status, or a table from status to status."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.keyword) and node.arg == "status" and is_status(node.value):
            yield node.value.lineno, "gives a member a status"
        elif isinstance(node, ast.Assign) and is_status(node.value):
            if any(mentions(target, "status") for target in node.targets):
                yield node.lineno, "gives a member a status"
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                spelt = isinstance(key, ast.Constant) and key.value == "status"
                if (spelt or is_status(key)) and any(is_status(part) for part in members(value)):
                    yield node.lineno, "moves a member from status to status"


def is_http_error(node: ast.AST | None) -> bool:
    """An integer that means an HTTP error."""
    return isinstance(node, ast.Constant) and type(node.value) is int and 400 <= node.value <= 599


def http_codes(file: Source) -> Iterator[tuple[int, str]]:
    """An HTTP error answered, raised, or decided upon; a table of them counts once."""
    for node in ast.walk(file.tree):
        if (
            isinstance(node, ast.keyword)
            and node.arg in ("status", "status_code")
            and is_http_error(node.value)
        ):
            yield node.value.lineno, "answers an HTTP error"
        elif isinstance(node, ast.Attribute) and re.match(r"HTTP[A-Z][a-z]", node.attr):
            yield node.lineno, f"uses {node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in (
            "http",
            "aiohttp.web",
            "aiohttp.web_exceptions",
        ):
            yield from ((node.lineno, f"uses {a.name}") for a in node.names if a.name.startswith("HTTP"))
        elif isinstance(node, ast.Dict) and any(is_http_error(part) for part in (*node.keys, *node.values)):
            yield node.lineno, "has a table of HTTP errors"
    for comparison, operands in comparisons(file.tree):
        if any(mentions(o, "status") for o in operands) and any(is_http_error(o) for o in operands):
            yield comparison.lineno, "decides by an HTTP error"


def catch_alls(file: Source) -> Iterator[tuple[int, str]]:
    """Everything caught and kept; a handler that ends by raising again only passes it on."""
    for node in ast.walk(file.tree):
        kinds: list[ast.expr] = []
        if isinstance(node, ast.ExceptHandler) and not passes_on(node):
            kinds = members(node.type or ast.Name("Exception"))
        elif isinstance(node, ast.Call) and names(node.func)[-1:] == ["suppress"]:
            kinds = node.args
        if any(names(kind) in (["Exception"], ["BaseException"]) for kind in kinds):
            yield getattr(node, "lineno", 1), "catches everything"


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends by raising the same again."""
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def length_and_name(file: Source) -> Iterator[tuple[int, str]]:
    """A file too long to hold in mind, or named after nothing."""
    lines = file.text.count("\n")
    if lines > MAX_LINES:
        yield lines, f"longer than {MAX_LINES} lines: split it by noun"
    if VAGUE_NAMES & set(re.split(r"[/_.]", file.path)):
        yield 1, "the name says nothing of what the file owns"


def bare_exceptions_to_tools(file: Source) -> Iterator[tuple[int, str]]:
    """A `noqa` or `type: ignore` that names no code, or gives no reason after it."""
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            silenced = re.search(r"noqa\b(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?(.*)", token.string)
            silenced = silenced or re.search(r"type:\s*ignore(\[([a-z, -]+)\])?(.*)", token.string)
            if silenced and not (silenced[1] and re.search(r"[a-z]{3}", silenced[3])):
                yield token.start[0], "silences a tool without a code or a reason"


def mocks(file: Source) -> Iterator[tuple[int, str]]:
    """Something replaced from outside instead of handed in."""
    for node in ast.walk(file.tree):
        imports = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            imports = [f"{node.module}.{alias.name}" for alias in node.names]
        if any(name.startswith("unittest.mock") for name in imports):
            yield getattr(node, "lineno", 1), "hand the object in instead of patching it"


def codes_raised(file: Source) -> Iterator[tuple[int, str]]:
    """The codes written where one of our errors is made."""
    for node in ast.walk(file.tree):
        if (
            isinstance(node, ast.Call)
            and names(node.func)[-1:]
            and names(node.func)[-1] in ERRORS
            and node.args
        ):
            first = node.args[0]
            choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
            yield from ((c.lineno, str(c.value)) for c in choices if isinstance(c, ast.Constant))


def unregistered_codes(file: Source) -> Iterator[tuple[int, str]]:
    """A code that errors.CODES lacks."""
    return ((line, f"{code} isn't in errors.CODES") for line, code in codes_raised(file) if code not in CODES)


PRODUCT = ("exchange/**/*.py",)
ALL = ("exchange/**/*.py", "tests/**/*.py", "bench/**/*.py", "run")
# Each check, where it looks, and how many findings are right in which file.
RULES: dict[str, tuple[Find, tuple[str, ...], dict[str, int]]] = {
    "TLP": (tlp_comparisons, PRODUCT, {"exchange/tlp.py": ANY_NUMBER, "exchange/policy.py": ANY_NUMBER}),
    "status decisions": (
        status_decisions,
        PRODUCT,
        {"exchange/directory/onboarding.py": ANY_NUMBER, "exchange/policy.py": ANY_NUMBER},
    ),
    "status moves": (status_moves, PRODUCT, {"exchange/directory/onboarding.py": ANY_NUMBER}),
    # the client has one table of which of our errors an answer becomes; the command only catches urllib's class
    "HTTP": (
        http_codes,
        PRODUCT,
        {
            "exchange/hub/http*": ANY_NUMBER,
            "exchange/node/http*": ANY_NUMBER,
            "exchange/node/uplink/client.py": 1,
            "exchange/cli/hub/commands.py": 1,
        },
    ),
    "catching everything": (
        catch_alls,
        (*PRODUCT, "bench/**/*.py", "run"),
        {
            "exchange/node/sync.py": 1,  # the top of the loop
            "exchange/node/feeds/feeds.py": 1,  # same, of one feed's run
            "exchange/node/feeds/threads.py": 1,  # told to whoever awaits the thread
            "exchange/node/mail/opening.py": 1,  # logged by its type; the message is held, and an alarm after a day
            "exchange/node/taxii/posting.py": 1,  # told by an alarm, and left to a person
            "exchange/node/metrics.py": 1,  # logged by its type
            "exchange/alarm_hook.py": 1,  # told as a failure of that way, and tried again
            "exchange/hub/http/server.py": 1,  # the middleware
            "exchange/node/http/server.py": 1,  # the middleware
            "exchange/storage/write_queue.py": 1,  # carried to the caller that awaits it
            "exchange/storage/database.py": 1,  # same, for every caller of a group commit
            "bench/thin.py": 1,  # same, to the thread that asks for the figure
        },
    ),
    "length and name": (length_and_name, ALL, {}),
    "reasons": (bare_exceptions_to_tools, ALL, {}),
    "mocks": (mocks, ("tests/**/*.py",), {}),
    "codes": (unregistered_codes, PRODUCT, {}),
}


@pytest.mark.parametrize("name", RULES)
def test_rule_holds(name: str) -> None:
    find, where, allowed = RULES[name]
    found = violations(find, allowed, sources(*where))
    assert not found, "\n".join(found)


def test_every_registered_code_is_used() -> None:
    lists = {"exchange/codes_network.py", "exchange/codes_node.py"}
    files = [file for file in sources(*PRODUCT) if file.path not in lists]
    unused = unused_codes(set(CODES) - {"internal.unregistered-code"}, files)
    assert not unused, f"registered, and raised by nobody: {', '.join(sorted(unused))}"


def unused_codes(codes: set[str], files: list[Source]) -> set[str]:
    """The codes that stand in none of `files` as a text of its own."""
    nodes = (node for file in files for node in ast.walk(file.tree))
    return codes - {
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


BAD = {
    "TLP": (
        "if a.tlp > limit: pass",
        "x = Tlp.RED <= label",
        "x = label == Tlp.RED",
        "x = label in (Tlp.RED, Tlp.AMBER)",
        "x = text == 'TLP:RED'",
        "x = max(o.tlp for o in objects)",
        "match x:\n    case Tlp.RED: pass",
    ),
    "status decisions": (
        "if member.status == 'suspended': pass",
        "x = status in {Status.ACTIVE, Status.RESTRICTED}",
        "match member.status:\n    case MemberStatus.REMOVED: pass",
    ),
    "status moves": (
        "x = replace(member, status=Status.SUSPENDED)",
        "row.status = 'removed'",
        "x = {'status': 'active'}",
        "x = {Status.ACTIVE: (Status.SUSPENDED,)}",
    ),
    "HTTP": (
        "x = Response(status=404)",
        "raise web.HTTPNotFound()",
        "from http import HTTPStatus",
        "if response.status >= 500: pass",
        "if answer.status in (429, 503): pass",
        "x = {429: 'later'}",
    ),
    "catching everything": (
        "try: pass\nexcept: pass",
        "try: pass\nexcept Exception as e: log(e)",
        "try: pass\nexcept (KeyError, BaseException): pass",
        "with contextlib.suppress(Exception): pass",
    ),
    "length and name": ("\n" * (MAX_LINES + 1),),
    "reasons": (
        "x = 1  # noqa",
        "x = 1  # noqa: S101",
        "x = 1  # type: ignore",
        "x = 1  # type: ignore[arg-type]",
    ),
    "mocks": ("from unittest import mock", "import unittest.mock", "from unittest.mock import patch"),
    "codes": ("raise Refused('no.such-code')", "raise errors.Hold('a.b' if x else 'no.such-code')"),
}
GOOD = {
    "TLP": "same = a.tlp == b.tlp\nx = policy.strictest(o.tlp for o in objects)\ny = a.tlp is None",
    "status decisions": "x = receipt.status == 'stored'\ny = a.status == b.status\nz = word == 'active'",
    "status moves": "x = replace(receipt, status='stored')\ny = {Status.ACTIVE: 'green'}",
    "HTTP": "x = Response(status=200)\ny = limit > 500\nz = {'a': 1}",
    "catching everything": "try: pass\nexcept KeyError: pass\ntry: pass\nexcept BaseException:\n    undo()\n    raise",
    "length and name": "\n" * MAX_LINES,
    "reasons": "x = 1  # noqa: S101 - shown to people only\ny = 1  # type: ignore[arg-type]  # stix2 is untyped",
    "mocks": "import unittest",
    "codes": "raise Refused('internal.error')\nraise Rejected(code)",
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_planted_breach_is_found(name: str, text: str) -> None:
    find, _, allowed = RULES[name]
    assert violations(find, allowed, [Source("exchange/node/mail/outbox.py", text)])


@pytest.mark.parametrize("name", RULES)
def test_what_the_rule_permits_passes(name: str) -> None:
    find, _, allowed = RULES[name]
    assert violations(find, allowed, [Source("exchange/node/mail/outbox.py", GOOD[name])]) == []


def test_a_second_catch_all_in_an_allowed_file_is_found() -> None:
    handler = "try: pass\nexcept Exception: pass\n"
    find, _, allowed = RULES["catching everything"]
    assert violations(find, allowed, [Source("exchange/node/sync.py", handler)]) == []
    assert len(violations(find, allowed, [Source("exchange/node/sync.py", handler * 2)])) == 1


def test_a_vague_file_name_is_found() -> None:
    assert violations(length_and_name, {}, [Source("exchange/node/utils.py", "")])


def test_an_unused_code_is_found() -> None:
    file = Source("exchange/node/mail/outbox.py", "raise Refused('a.used')  # a.unused")
    assert unused_codes({"a.used", "a.unused"}, [file]) == {"a.unused"}
