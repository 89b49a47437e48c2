"""Sealed attachments: what goes in comes out, in whatever pieces, and nothing else does."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, strategies as st

from exchange.attachment import Attachment, file_name
from exchange.blob import BlobOpener, BlobSealer, sealed_size
from exchange.content import Meta, pack_content, same_message_hash, unpack_content
from exchange.errors import Refused, Rejected
from exchange.limits import MAX_ATTACHMENT, MAX_ATTACHMENT_NAME, MAX_ATTACHMENTS, MAX_BLOB, MAX_META
from tests.core.sealings import NET, a_meta

KEY = sha256(b"a blob's key").digest()
FILES = st.builds(
    lambda seed, size: (seed * (size // len(seed) + 1))[:size],
    st.binary(min_size=1, max_size=40),
    st.integers(0, 140_000),
)


def sealed(plain: bytes, step: int = 65_536) -> bytes:
    sealer = BlobSealer(KEY, NET, len(plain))
    parts = [sealer.update(plain[at : at + step]) for at in range(0, len(plain), step)]
    return b"".join(parts) + sealer.finish()


def opened(blob: bytes, plain: bytes, step: int = 65_536) -> bytes:
    """Opens `blob` as the one of `plain`; each piece that leaves must be the plain bytes that come next."""
    opener, out = BlobOpener(KEY, NET, len(plain), sha256(plain).digest()), b""
    for at in range(0, len(blob), step):
        out += opener.update(blob[at : at + step])
        assert plain.startswith(out)
    return out + opener.finish()


@given(FILES, st.integers(1, 70_000), st.integers(600, 70_000))
def test_a_file_comes_back_in_whatever_pieces(plain: bytes, write: int, read: int) -> None:
    blob = sealed(plain, max(write, len(plain) // 50))
    assert len(blob) == sealed_size(len(plain))
    assert opened(blob, plain, read) == plain


@given(FILES, st.data())
def test_no_byte_of_a_blob_can_change_and_no_wrong_byte_leaves(plain: bytes, data: st.DataObject) -> None:
    blob = sealed(plain)
    at, how = data.draw(st.integers(0, len(blob) - 1)), data.draw(st.sampled_from(("flip", "cut", "extend")))
    hurt = {
        "flip": blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :],
        "cut": blob[:at],
        "extend": blob + blob[at : at + 1],
    }[how]
    with pytest.raises(Rejected, match=r"blob\.bad-seal"):
        opened(hurt, plain)


def test_sealed_sizes() -> None:
    assert sealed_size(0) == sealed_size(1_024) == 56 + 1_024 + 16
    assert sealed_size(MAX_ATTACHMENT) == MAX_BLOB
    assert max(sealed_size(size) / size for size in range(65_537, MAX_ATTACHMENT, 99_991)) < 1.04


def test_a_file_that_changes_while_it_is_read_is_refused() -> None:
    longer = BlobSealer(KEY, NET, 3)
    with pytest.raises(Refused, match=r"blob\.wrong-size"):
        longer.update(b"four")
    shorter = BlobSealer(KEY, NET, 3)
    shorter.update(b"tw")
    with pytest.raises(Refused, match=r"blob\.wrong-size"):
        shorter.finish()
    with pytest.raises(Refused, match=r"blob\.too-large"):
        BlobSealer(KEY, NET, MAX_ATTACHMENT + 1)


def attachment(number: int = 0, name: str = "informe.pdf") -> Attachment:
    return Attachment(bytes([number]) * 32, KEY, MAX_ATTACHMENT, bytes(32), name, "application/pdf", True)


def test_a_message_names_its_attachments() -> None:
    meta: Meta = a_meta(attachments=(attachment(), attachment(1, "Ñandú.txt")))
    again, payload = unpack_content(pack_content(meta, b"{}"))
    assert (again, payload) == (meta, b"{}")
    assert again.blobs == ((bytes(32), MAX_BLOB), (bytes([1]) * 32, MAX_BLOB))


def test_the_longest_attachments_stay_within_the_limit_of_meta() -> None:
    longest = "a/" + "b" * 64
    many = tuple(
        Attachment(bytes([n]) * 32, KEY, MAX_ATTACHMENT, KEY, "x" * MAX_ATTACHMENT_NAME, longest, True)
        for n in range(MAX_ATTACHMENTS)
    )
    meta = a_meta(attachments=many)
    assert len(meta.to_bytes()) < MAX_META
    assert Meta.from_bytes(meta.to_bytes()) == meta


def test_other_attachments_make_another_message() -> None:
    plain, one, two = (
        same_message_hash(a_meta(attachments=files), b"{}")
        for files in ((), (attachment(),), (attachment(0, "other.pdf"),))
    )
    assert plain == sha256(b"{}").digest()
    assert len({plain, one, two}) == 3


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("informe.pdf", "informe.pdf"),
        ("Ñandú \u2022 año.tar.gz", "Ñandú \u2022 año.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\x.exe", "x.exe"),
        ("..", "attachment"),
        ("", "attachment"),
        ("a/", "attachment"),
        (".bashrc", "bashrc"),
        ("in\r\nvoice\0\x1b[2J.pdf", "invoice[2J.pdf"),
        ("annex\u202efdp.exe", "annexfdp.exe"),
        ('a<b>:"|?*.txt', "a_b______.txt"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("ends in dot.", "ends in dot"),
        ("-rf", "_-rf"),
        ("n" * 250 + ".csv", "n" * 236 + ".csv"),
        ("n" * 239 + " n", "n" * 239),
    ],
)
def test_a_name_becomes_one_that_a_file_may_have(name: str, clean: str) -> None:
    assert file_name(name) == clean


@given(st.text(max_size=400))
def test_no_name_leads_anywhere(name: str) -> None:
    clean = file_name(name.encode("utf-8", "replace").decode())
    assert clean not in ("", ".", "..")
    assert not set(clean) & set('/\\<>:"|?*\0\n\r')
    assert len(clean.encode()) <= MAX_ATTACHMENT_NAME
    assert file_name(clean) == clean
