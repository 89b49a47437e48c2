"""The demo for a reader: what happens, when, and in the end a tick for each step of each copy.

Owns its look. With --json it says the same on stderr, and the object alone goes to stdout.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exchange.message import Message

# On black, as FIRST has them for TLP 2.0.
_COLOURS: Final = {
    "TLP:CLEAR": "#FFFFFF",
    "TLP:GREEN": "#33FF00",
    "TLP:AMBER": "#FFC000",
    "TLP:AMBER+STRICT": "#FFC000",
    "TLP:RED": "#FF2B2B",
}
WIDTH: Final = 110  # columns where there is no terminal to ask
_STEPS: Final = ("accepted", "stored", "opened", "acknowledged")


class Teller:
    """Says what happens with the seconds since the demo began."""

    def __init__(self, *, to_stderr: bool, quiet: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False, quiet=quiet)
        if not self._console.is_terminal:
            self._console = Console(stderr=to_stderr, highlight=False, quiet=quiet, width=WIDTH)
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """One step of the story."""
        self._console.print(Text(f"{time.monotonic() - self._began:6.2f} s  {line}"), soft_wrap=True)

    def sent(self, message: Message, sender: str, to: Sequence[str]) -> None:
        """A message that was sent."""
        line = Text(
            f"{time.monotonic() - self._began:6.2f} s  {sender} sends {', '.join(to)}: {message.kind}, "
        )
        line.append(f" {message.tlp.label} ", style=f"{_COLOURS[message.tlp.label]} on black")
        line.append(f", {message.urgency.value}: {message.subject}")
        self._console.print(line, soft_wrap=True)

    def end(self, value: Mapping[str, Any]) -> None:
        """The table of receipts, what the hub could see, and whether all went well."""
        table = Table("message", "from", "to", *_STEPS, "verified", box=None, pad_edge=False)
        for message in value["messages"]:
            for member in message["to"]:
                done = {each["status"] for each in message["receipts"] if each["member"] == member}
                ticks = ["\u2713" if step in done else "-" for step in _STEPS]
                verified = "yes" if message["verified"] else f"NO: {message['code']}"
                table.add_row(message["kind"], message["from"], member, *ticks, verified)
        self._console.print()
        self._console.print(table)
        self._console.print()
        if "data" in value:
            data = value["data"]
            self.say(
                f"{data['sent']} of {data['files']} real files sent; {data['objects_verified_byte_identical']} of"
                f" {data['objects_sent']} objects arrived byte for byte; {len(data['set_aside'])} set aside."
            )
        seen = (
            "SAW PLAINTEXT"
            if value["hub_saw_plaintext"]
            else "holds no word of it, in no file, in no wrapping"
        )
        self.say(f"The hub {seen}.")
        self.say("All is well." if value["ok"] else "NOT all is well: see above.")
