"""Runs a story: a text file of commands and what they print, which is test and manual in one.

    # a comment
    $ exchange node send report.json --to co        a command of ours, run in this process
    $ exchange hub serve &                          a server: started, gone on once it has printed `ready`
    $ stop hub                                      SIGTERM to the server of that home, and its exit code
    $ exchange hub invite pe > invitation           what it prints on stdout goes to a file
    $ python read.py                                a script of the folder, by the Python that runs the tests
    $ write read.py                                 the lines below become a file; `append` adds them to one
    sent <message> to <*>                           what it prints: `<*>` is anything, `<name>` a word, later $name
    your digits: <pe...>                            `<name...>` is several words, to the end of the line
    ...                                             any number of lines
    [exit 3]                                        the exit code; without it, 0

Owns this language and nothing else. stdout and stderr of a command come in the order it wrote them;
empty lines don't count.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exchange.cli.app import run

SERVER_SECONDS = 30


@dataclass
class Step:
    """One command of a story with the lines it must print and its exit code."""

    line: int
    command: str
    expected: list[str] = field(default_factory=list)
    code: int = 0


def parse(text: str) -> list[Step]:
    """The steps of a story."""
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif match := re.fullmatch(r"\[exit (\d+)\]", line):
            steps[-1].code = int(match[1])
        elif line and not line.startswith("#"):
            steps[-1].expected.append(line)
    return steps


class Story:
    """A story being told in a folder of its own."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self._folder = folder
        self.names = dict(names)
        self._servers: dict[str, subprocess.Popen[str]] = {}

    def tell(self, text: str) -> None:
        """Run every step; the first that prints or returns something else fails the test."""
        for step in parse(text):
            if step.command.startswith(("write ", "append ")):
                self._put(step)
                continue
            code, printed = self._run(self._filled(step.command))
            what = f"line {step.line}: {step.command}\n--- printed:\n{printed}\n---"
            assert code == step.code, f"exit {code}, not {step.code}, {what}"
            self._match(step, printed, what)

    def close(self) -> None:
        """Stop the servers that still run."""
        for name in list(self._servers):
            self._stop(name)

    def _filled(self, command: str) -> str:
        return re.sub(r"\$(\w+)", lambda m: self.names[m[1]], command)

    def _run(self, command: str) -> tuple[int, str]:
        words = shlex.split(command)
        if words[0] == "stop":
            return self._stop(words[1]), ""
        if words[0] == "python":
            return self._script(words[1:])
        assert words[0] == "exchange", command
        if words[-1] == "&":
            return 0, self._serve(words[1:-1])
        target = None
        if ">" in words:
            target = self._folder / words[-1]
            words = words[: words.index(">")]
        out = io.StringIO()
        file = io.StringIO() if target else out
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(out):
            code = run(words[1:])
        if target:
            target.write_text(file.getvalue())
            target.chmod(0o600)
        return code, out.getvalue()

    def _put(self, step: Step) -> None:
        verb, name = step.command.split()
        with (self._folder / name).open("w" if verb == "write" else "a", encoding="utf-8") as file:
            file.write("\n".join(["", *step.expected, ""]))

    def _script(self, words: list[str]) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SERVER_SECONDS,
            check=False,
        )
        return ended.returncode, ended.stdout

    def _serve(self, words: list[str]) -> str:
        home = words[words.index("--home") + 1]
        if home in self._servers:  # of a story that broke off
            self._stop(home)
        server = subprocess.Popen(
            [sys.executable, "-m", "exchange", *words], stdout=subprocess.PIPE, cwd=self._folder, text=True
        )
        self._servers[home] = server
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("ready"), f"{words}: {line!r}, exit {server.poll()}"
        return line

    def _stop(self, home: str) -> int:
        server = self._servers.pop(home)
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=SERVER_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()
        return server.returncode

    def _match(self, step: Step, printed: str, what: str) -> None:
        lines = [line for line in printed.split("\n") if line.strip()]
        if not self._fits(step.expected, lines):
            raise AssertionError(f"other lines than expected, {what}\nexpected:\n" + "\n".join(step.expected))

    def _fits(self, expected: list[str], lines: list[str]) -> bool:
        if not expected:
            return not lines
        if expected[0] == "...":
            return any(self._fits(expected[1:], lines[skip:]) for skip in range(len(lines) + 1))
        if not lines or (found := self._line(expected[0], lines[0])) is None:
            return False
        before, self.names = self.names, {**self.names, **found}
        if self._fits(expected[1:], lines[1:]):
            return True
        self.names = before
        return False

    def _line(self, expected: str, line: str) -> dict[str, str] | None:
        """What the words of an expected line stand for in `line`; None if it is another line."""
        pattern, seen = "", set()
        for part in re.split(r"(<\*>|<\w+(?:\.\.\.)?>)", re.sub(r"\s+", " ", expected.strip())):
            if part == "<*>":
                pattern += ".*"
            elif word := re.fullmatch(r"<(\w+)(\.\.\.)?>", part):
                name, form = word[1], ".+" if word[2] else r"\S+"
                known = re.escape(self.names[name]) if name in self.names else rf"(?P<{name}>{form})"
                pattern += f"(?P={name})" if name in seen else known
                seen.add(name) if name not in self.names else None
            else:
                pattern += re.escape(part)
        # columns are as wide as their widest cell: white space only separates
        match = re.fullmatch(pattern, re.sub(r"\s+", " ", line.strip()))
        return match.groupdict() if match else None


@contextlib.contextmanager
def story(folder: Path, **names: str) -> Iterator[Story]:
    """A story in `folder`, with `names` to begin with; its servers are stopped at the end."""
    told = Story(folder, names)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield told
    finally:
        os.chdir(before)
        told.close()
