"""What reading a file yields: the objects that go on, those set aside with their reason, and what was lost.

Only the shapes; the formats fill them, `registry` hands them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from exchange.pap import Pap
from exchange.tlp import Tlp

Version = Literal["2.0", "2.1"]


@dataclass(frozen=True, slots=True)
class RawObject:
    """One valid STIX object: its exact bytes as they stood in the file, and what is needed to know about it.

    `tlp` is the strictest TLP marking anywhere on the object, None without one. `marked` says whether a TLP
    marking covers the whole object, not only some of its properties.
    """

    id: str
    type: str
    version: Version
    data: bytes
    tlp: Tlp | None
    marked: bool
    is_core_incident: bool = False


@dataclass(frozen=True, slots=True)
class SetAside:
    """One object that doesn't go on: its id, or `#` and its place from 0, the code, and where and why."""

    object: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of a source that could not be carried over, or is in doubt: where it stood, what it was, and why.

    People read and forward these, so they tell names of fields and places, never a value that may be confidential.
    """

    place: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read.

    `losses` is what the file says and the accepted objects don't; of STIX nothing, for its objects go on as they are.
    `doubts` is what of the accepted objects may match what is harmless, and why, and a label that somebody wrote beside
    them and that makes them stricter: somebody should look at it before it goes. `pap`: the label that the file has for
    all of them, beside what each says itself; None without one.
    """

    name: str
    format: str
    accepted: tuple[RawObject, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    losses: tuple[Loss, ...] = ()
    doubts: tuple[Loss, ...] = ()
    pap: Pap | None = None
