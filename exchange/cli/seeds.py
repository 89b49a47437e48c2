"""How a 32-byte seed is written on paper: base32 in groups of four, the last group a checksum."""

from __future__ import annotations

import base64
import hashlib


def on_paper(seed: bytes) -> str:
    """Thirteen groups of the seed (RFC 4648 base32) and one of its SHA-256, so that a slip of the pen shows."""
    text = base64.b32encode(seed).decode("ascii").rstrip("=")
    text += base64.b32encode(hashlib.sha256(seed).digest())[:4].decode("ascii")
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))
