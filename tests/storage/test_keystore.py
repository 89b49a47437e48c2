"""The keystore's file: what opens it, what is refused, and that a change is on disk or has not happened."""

from __future__ import annotations

import hashlib
import pickle
import resource
import stat
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings, strategies as st

from exchange.errors import Refused, Unavailable
from exchange.storage.keystore import MAX_ENTRIES, MAX_VALUE_BYTES, Keystore
from exchange.storage.unlock import Unlock, create_key_file

SECRETS = {"signing/ed25519": bytes(range(32)), "signing/ml-dsa": b"\x07" * 32, "empty": b""}
PHRASE = "correct horse battery staple"


@pytest.fixture
def key_file(home: Path) -> Path:
    create_key_file(home / "key")
    return home / "key"


@pytest.fixture
def unlock(key_file: Path) -> Unlock:
    return Unlock.key_file(key_file)


@pytest.fixture
def path(home: Path, unlock: Unlock) -> Path:
    Keystore.create(home / "keystore", unlock, SECRETS)
    return home / "keystore"


def contents(keystore: Keystore) -> dict[str, bytes]:
    return {name: keystore.get(name) for name in keystore.names()}


def refused(path: Path, unlock: Unlock) -> str:
    with pytest.raises(Refused) as caught:
        Keystore.open(path, unlock)
    return caught.value.code


def test_secrets_come_back(path: Path, unlock: Unlock) -> None:
    assert contents(Keystore.open(path, unlock)) == SECRETS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(secret and secret in path.read_bytes() for secret in SECRETS.values())


def test_a_passphrase_opens_in_either_unicode_form_and_another_does_not(home: Path) -> None:
    composed, decomposed = "contrase\u00f1a larga", "contrasen\u0303a larga"
    Keystore.create(home / "keystore", Unlock.passphrase(composed), SECRETS)
    assert contents(Keystore.open(home / "keystore", Unlock.passphrase(decomposed))) == SECRETS
    assert refused(home / "keystore", Unlock.passphrase("contrasena larga")) == "keystore.wrong-key"


def test_a_systemd_credential_opens(home: Path) -> None:
    (home / "hub-key").write_bytes(bytes(64))
    (home / "hub-key").chmod(0o440)  # as systemd shows it
    unlock = Unlock.credential(home, "hub-key")
    Keystore.create(home / "keystore", unlock, SECRETS)
    assert contents(Keystore.open(home / "keystore", Unlock.credential(home, "hub-key"))) == SECRETS
    for name in ("../hub-key", "", "nowhere"):
        with pytest.raises(Refused) as caught:
            Unlock.credential(home, name)
        assert caught.value.code == "keystore.key-file"


def test_wrong_keys_are_told_from_damage(path: Path, home: Path) -> None:
    create_key_file(home / "other")
    assert refused(path, Unlock.key_file(home / "other")) == "keystore.wrong-key"
    assert refused(path, Unlock.passphrase(PHRASE)) == "keystore.wrong-key"
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(path, Unlock.key_file(home / "other")) == "keystore.damaged"


def test_missing_and_open_files_are_refused(path: Path, key_file: Path, unlock: Unlock) -> None:
    assert refused(path.with_name("nowhere"), unlock) == "keystore.missing"
    path.chmod(0o640)
    with pytest.raises(Refused, match=f"chmod 600 {path}") as caught:
        Keystore.open(path, unlock)
    assert caught.value.code == "keystore.mode"
    key_file.chmod(0o604)
    with pytest.raises(Refused, match=f"chmod 600 {key_file}") as caught:
        Unlock.key_file(key_file)
    assert caught.value.code == "keystore.mode"


@pytest.mark.parametrize("size", [0, 31, 4097])
def test_a_key_file_of_another_size_is_refused(home: Path, size: int) -> None:
    (home / "key").write_bytes(bytes(size))
    (home / "key").chmod(0o600)
    with pytest.raises(Refused) as caught:
        Unlock.key_file(home / "key")
    assert caught.value.code == "keystore.key-file"


def test_a_key_file_is_a_file(home: Path) -> None:
    for path in (home, home / "nowhere"):
        with pytest.raises(Refused) as caught:
            Unlock.key_file(path)
        assert caught.value.code == "keystore.key-file"


def test_passphrases_have_limits(home: Path) -> None:
    for text in ("", "x" * 1025):
        with pytest.raises(Refused) as caught:
            Unlock.passphrase(text)
        assert caught.value.code == "keystore.passphrase"
    with pytest.raises(Refused) as caught:
        Keystore.create(home / "keystore", Unlock.passphrase("elevenchars"), SECRETS)
    assert caught.value.code == "keystore.passphrase"
    assert not (home / "keystore").exists()


def test_nothing_is_overwritten(path: Path, key_file: Path, unlock: Unlock) -> None:
    with pytest.raises(Refused) as caught:
        Keystore.create(path, unlock, {})
    assert caught.value.code == "keystore.exists"
    with pytest.raises(Refused) as caught:
        create_key_file(key_file)
    assert caught.value.code == "keystore.exists"
    assert contents(Keystore.open(path, unlock)) == SECRETS


def test_changes_are_on_disk_when_they_return(path: Path, unlock: Unlock) -> None:
    keystore = Keystore.open(path, unlock)
    before = path.read_bytes()
    keystore.put("prekey/1", b"new")
    assert Keystore.open(path, unlock).get("prekey/1") == b"new"
    keystore.put("prekey/1", b"newer")
    keystore.remove("empty")
    keystore.update({"prekey/2": b"2"}, remove=["signing/ml-dsa", "never there"])
    expected = {"signing/ed25519": SECRETS["signing/ed25519"], "prekey/1": b"newer", "prekey/2": b"2"}
    assert contents(Keystore.open(path, unlock)) == contents(keystore) == expected
    # magic, kdf and salt stay, the nonce does not: it is never used twice under one key
    assert path.read_bytes()[:49] == before[:49]
    assert path.read_bytes()[49:61] != before[49:61]
    for forgotten in (keystore.get, keystore.remove):
        with pytest.raises(Refused) as caught:
            forgotten("empty")
        assert caught.value.code == "keystore.no-entry"


def test_a_failed_change_has_not_happened(path: Path, unlock: Unlock) -> None:
    keystore = Keystore.open(path, unlock)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (128, before[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            keystore.put("prekey/1", bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "storage.io"
    assert contents(keystore) == contents(Keystore.open(path, unlock)) == SECRETS


@pytest.mark.parametrize("name", ["", "Upper", "a b", "\u00e9", "x" * 128, "/x"])
def test_names_are_bounded(path: Path, unlock: Unlock, name: str) -> None:
    with pytest.raises(Refused) as caught:
        Keystore.open(path, unlock).put(name, b"")
    assert caught.value.code == "keystore.limit"


def test_sizes_are_bounded(path: Path, unlock: Unlock) -> None:
    keystore = Keystore.open(path, unlock)
    keystore.put("big", bytes(MAX_VALUE_BYTES))
    for changes in (
        {"bigger": bytes(MAX_VALUE_BYTES + 1)},
        {f"n{n}": b"" for n in range(MAX_ENTRIES)},
        {f"n{n}": bytes(MAX_VALUE_BYTES) for n in range(256)},
    ):
        with pytest.raises(Refused) as caught:
            keystore.update(changes)
        assert caught.value.code == "keystore.limit"
    assert len(keystore.names()) == len(SECRETS) + 1


def test_secrets_do_not_show(path: Path, unlock: Unlock) -> None:
    keystore = Keystore.open(path, unlock)
    keystore.put("canary", b"canary-secret")
    phrase = Unlock.passphrase("canary-secret")
    assert "canary" not in repr(keystore) + str(keystore) + repr(phrase) + str(phrase)
    for holder in (keystore, phrase):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(holder)


# The fixtures are made once; an example only rewrites its own file, so nothing leaks from one to the next.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(data=st.data())
def test_any_changed_byte_is_refused_with_our_error(path: Path, unlock: Unlock, data: st.DataObject) -> None:
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    copy = path.with_name("flipped")
    copy.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
    copy.chmod(0o600)
    assert refused(copy, unlock) == "keystore.damaged"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(junk=st.binary(max_size=400), keep=st.integers(0, 49))
def test_junk_is_refused_with_our_error(path: Path, unlock: Unlock, junk: bytes, keep: int) -> None:
    copy = path.with_name("junk")
    copy.write_bytes(path.read_bytes()[:keep] + junk)
    copy.chmod(0o600)
    assert refused(copy, unlock) == "keystore.damaged"


def test_a_forger_without_the_key_gets_no_further_with_a_right_checksum(path: Path, unlock: Unlock) -> None:
    """The checksum is for accidents; the header and the body are held by the tag."""
    whole = path.read_bytes()[:-32]
    for at in (17, 48, 49, 60, 61, len(whole) - 1):  # salt, nonce, body, tag
        forged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(forged + hashlib.sha256(forged).digest())
        assert refused(path, unlock) == "keystore.wrong-key"
    forged = whole[:16] + b"\x09" + whole[17:]  # an unknown derivation
    path.write_bytes(forged + hashlib.sha256(forged).digest())
    assert refused(path, unlock) == "keystore.wrong-key"
    forged = b"exchange-keys/2\n" + whole[16:]
    path.write_bytes(forged + hashlib.sha256(forged).digest())
    assert refused(path, unlock) == "keystore.damaged"


@pytest.mark.parametrize(
    "entries",
    [
        b"\x01",
        b"\x01a\x00\x00",
        b"\x01a" + struct.pack(">I", 5) + b"1234",
        b"\x01b\0\0\0\0\x01a\0\0\0\0",
        b"\x01\xff\0\0\0\0",
    ],
    ids=["cut name", "cut length", "cut value", "out of order", "not ascii"],
)
def test_sealed_nonsense_is_refused(path: Path, unlock: Unlock, entries: bytes) -> None:
    """What a faulty writer with the right key might have left."""
    header = path.read_bytes()[:49]
    sealed = header + bytes(12) + AESGCM(unlock.derive(header[17:])).encrypt(bytes(12), entries, header)
    path.write_bytes(sealed + hashlib.sha256(sealed).digest())
    assert refused(path, unlock) == "keystore.damaged"
