"""How a 32-byte seed is written on paper, and read from it: base32 in groups of four, the last group a checksum.

It comes from a file, standard input or the terminal, never from an argument, which others could read.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from exchange.cli.output import safe
from exchange.errors import Refused

SEED_BYTES = 32
_MOST = 1_024  # characters of a printed seed


def on_paper(seed: bytes) -> str:
    """Thirteen groups of the seed (RFC 4648 base32) and one of its SHA-256, so that a slip of the pen shows."""
    text = base64.b32encode(seed).decode("ascii").rstrip("=")
    text += base64.b32encode(hashlib.sha256(seed).digest())[:4].decode("ascii")
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def from_paper(text: str) -> bytes:
    """The seed that `on_paper` wrote, however it was typed. Raises Refused cli.bad-seed for a slip of the pen."""
    typed = "".join(char for char in text.upper() if char.isalnum())
    body, checksum = typed[:-4], typed[-4:]
    try:
        seed = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES or base64.b32encode(hashlib.sha256(seed).digest())[:4].decode() != checksum:
        raise Refused("cli.bad-seed")
    return seed


def read_seed(source: str) -> str:
    """A printed seed from a file, or from standard input for `-`. Raises Refused cli.bad-file."""
    if source == "-":
        return sys.stdin.readline(_MOST)
    try:
        with Path(source).open(encoding="ascii") as file:
            return file.read(_MOST)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("cli.bad-file", f"can't read the seed in {safe(source)}") from error
