"""Private files, the lock of a home, and the check of its modes."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.directory.snapshot import MAX_SNAPSHOT
from exchange.errors import Refused, Unavailable
from exchange.storage import files
from exchange.storage.files import (
    MAX_PRIVATE_BYTES,
    HomeLock,
    Owner,
    check_home_modes,
    disk_fault,
    owner_of,
    write_private,
)


def test_a_private_file_has_its_mode_under_any_umask(home: Path) -> None:
    for umask in (0o000, 0o277):
        before = os.umask(umask)
        try:
            write_private(home / "secret", b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600


def test_writing_replaces_the_whole_file_and_clears_a_stray_one(home: Path) -> None:
    (home / ".secret.new").write_bytes(b"left by a crash")
    write_private(home / "secret", b"long old content")
    write_private(home / "secret", b"new")
    assert (home / "secret").read_bytes() == b"new"
    assert [file.name for file in home.iterdir()] == ["secret"]


def test_a_failed_write_leaves_the_old_file(home: Path) -> None:
    write_private(home / "secret", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            write_private(home / "secret", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.code, caught.value.facts) == ("storage.io", {"errno": "EFBIG"})
    assert (home / "secret").read_bytes() == b"old"


def test_no_space_has_its_own_code() -> None:
    for number, code in (
        (errno.ENOSPC, "storage.full"),
        (errno.EDQUOT, "storage.full"),
        (errno.EIO, "storage.io"),
    ):
        assert disk_fault(OSError(number, "as the kernel says it")).code == code


def test_what_cannot_be_replaced_is_refused_and_stays(home: Path) -> None:
    (home / "secret").mkdir()
    with pytest.raises(Unavailable) as caught:
        write_private(home / "secret", b"x")
    assert caught.value.code == "storage.io"
    large = bytes(MAX_PRIVATE_BYTES + 1)
    with pytest.raises(Refused) as too_large:
        write_private(home / "other", large)
    assert too_large.value.code == "storage.too-large"
    assert not (home / "other").exists()
    write_private(home / "snapshot", large, most=MAX_SNAPSHOT)  # the log of a large network has to fit
    assert (home / "snapshot").stat().st_size == len(large)


def test_who_has_patience_gets_the_home_when_it_is_given_back(home: Path) -> None:
    holder = HomeLock(home / "lock")
    holder.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(HomeLock(home / "lock", patience=60).acquire)
        with pytest.raises(Refused):
            HomeLock(home / "lock", patience=0.01).acquire()
        assert not waiting.done()
        holder.release()
        waiting.result(timeout=60)


def test_one_process_owns_a_home(home: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from exchange.storage.files import HomeLock\n"
        "with HomeLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(home / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Refused) as caught:
            HomeLock(home / "lock").acquire()
        assert (caught.value.code, caught.value.facts["pid"]) == ("home.locked", other.pid)
        other.kill()
        other.wait()
    # the kernel gave it back; the dead owner's pid stands in the file and is not believed
    with HomeLock(home / "lock") as lock:
        assert (home / "lock").read_text() == str(os.getpid())
        with pytest.raises(Refused):
            HomeLock(home / "lock").acquire()
        with pytest.raises(Refused):
            lock.acquire()
    assert (home / "lock").read_bytes() == b""
    assert stat.S_IMODE((home / "lock").stat().st_mode) == 0o600
    lock.release()


def test_who_looks_at_a_lock_does_not_keep_a_server_from_starting(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = home / "lock", []
    path.touch(mode=0o600)
    with path.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)

        def look_away(seconds: float) -> None:
            waits.append(seconds)
            fcntl.flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", look_away)
        with HomeLock(path):
            assert len(waits) == 1
            assert owner_of(path) == Owner(os.getpid())
            with pytest.raises(Refused):
                HomeLock(path).acquire()
            assert len(waits) == 1  # an owner is told from who looks: nobody waits for it
    assert owner_of(path) is None


def test_who_looks_at_a_lock_for_ever_is_not_taken_for_its_owner(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "lock"
    path.write_text(str(os.getpid()))
    monkeypatch.setattr(files, "MOST_LOOKING", 0)
    with path.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(Refused) as caught:
            HomeLock(path).acquire()
    assert (caught.value.code, caught.value.facts["pid"]) == ("home.locked", None)


def test_owner_is_not_named_where_the_system_does_not_tell(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PROC", home / "none")
    with HomeLock(home / "lock"):
        assert owner_of(home / "lock") == Owner(None)
    assert owner_of(home / "lock") is None
    assert owner_of(home / "nowhere" / "lock") is None
    (home / "loop").symlink_to(home / "loop")
    with pytest.raises(Unavailable) as caught:
        owner_of(home / "loop")
    assert caught.value.code == "storage.io"


def test_a_lock_needs_a_home(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        HomeLock(tmp_path / "nowhere" / "lock").acquire()
    assert caught.value.code == "home.missing"


def test_open_modes_of_a_home_are_listed(home: Path) -> None:
    write_private(home / "secret", b"x")
    (home / "blobs").mkdir(mode=0o700)
    write_private(home / "blobs" / "one", b"x")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(home / "wake"))
    (home / "wake").chmod(0o600)
    assert check_home_modes(home) == []

    home.chmod(0o750)
    (home / "blobs" / "one").chmod(0o604)
    (home / "wake").chmod(0o660)
    (home / "gone").symlink_to(home / "nowhere")
    (home / "link").symlink_to(home / "blobs" / "one")
    assert check_home_modes(home) == [home, home / "blobs" / "one", home / "link", home / "wake"]
    with pytest.raises(Refused) as caught:
        check_home_modes(home / "nowhere")
    assert caught.value.code == "home.missing"
