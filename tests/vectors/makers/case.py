"""What a vector is and where it lies: one JSON file, tests/vectors/AREA/NAME.json. Knows no area's contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent
Made = tuple[dict[str, Any], dict[str, Any] | None]  # input, output


@dataclass(frozen=True)
class Case:
    """One vector. `fixed`: made anew it is the same, byte for byte; the others contain signing or sealing."""

    area: str
    name: str
    why: str  # the one flaw, or what is special about a good one
    make: Callable[[], Made]
    expect: str = "ok"
    outcome: str = ""  # transport, hold, rejected, refused or no-effect
    fixed: bool = True

    @property
    def path(self) -> Path:
        return FOLDER / self.area / f"{self.name}.json"

    def frame(self) -> dict[str, Any]:
        """What is known of the vector before it is made."""
        frame = {"why": self.why, "expect": self.expect}
        return {**frame, "outcome": self.outcome} if self.outcome else frame

    def text(self) -> str:
        """The file's text."""
        given, output = self.make()
        whole = {**self.frame(), "input": given}
        if output is not None:
            whole["output"] = output
        return written(whole)


def written(value: Any) -> str:
    """JSON as the vectors spell it."""
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def committed(area: str, name: str) -> dict[str, Any]:
    """A vector that is there already, for those made from it."""
    return json.loads((FOLDER / area / f"{name}.json").read_text(encoding="ascii"))


def steady(area: str, name: str, why: str, given: dict[str, Any], **more: Any) -> Case:
    """A vector whose input is at hand. `output` and Case's own fields are named."""
    output = more.pop("output", None)
    return Case(area, name, why, lambda: (given, output), **more)
