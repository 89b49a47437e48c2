"""Owns how a file that may do harm leaves a home: alone in a zip, AES under the password everybody in the field knows.

The password hides nothing. It keeps mail filters and double clicks away from what is inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Final

import pyzipper

PASSWORD: Final = b"infected"


def write_infected(target: BinaryIO, name: str, pieces: Iterable[bytes]) -> None:
    """Write a zip with one entry `name`, made of `pieces`. Raises OSError, and what `pieces` raises."""
    with pyzipper.AESZipFile(
        target, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(PASSWORD)
        with archive.open(name, "w", force_zip64=True) as entry:
            for piece in pieces:
                entry.write(piece)
