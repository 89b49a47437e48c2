"""Files beside the databases on a full or failing disk: each call that writes one fails in turn, in a real process.

strace puts the fault into the n-th system call on the staged file: what is told, and that the old file still opens.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file

CHANGE = """
import sys
from pathlib import Path
from exchange.errors import ExchangeError
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
home = Path(sys.argv[1])
store = Keystore.open(home / "prekeys", Unlock.key_file(home / "key"))
try:
    store.put("new", b"secret of the new prekey")
except ExchangeError as fault:
    print(fault.code)
else:
    print("done")
print(",".join(store.names()))
"""


@cache
def why_not() -> str:
    if shutil.which("strace") is None:
        return "no strace here"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace here"


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        ("openat", "ENOSPC", "storage.full"),
        ("write", "ENOSPC", "storage.full"),
        ("write", "EIO", "storage.io"),
        ("write", "EDQUOT", "storage.full"),
        ("fsync", "EIO", "storage.io"),
        ("fsync", "ENOSPC", "storage.full"),
        ("rename", "EIO", "storage.io"),
    ],
)
def test_a_keystore_that_can_not_be_written_stands_as_it_was(
    call: str, error: str, code: str, tmp_path: Path
) -> None:
    if why_not():
        pytest.skip(why_not())
    create_key_file(tmp_path / "key")
    unlock = Unlock.key_file(tmp_path / "key")
    Keystore.create(tmp_path / "prekeys", unlock, {"old": b"secret of the old prekey"})
    before = (tmp_path / "prekeys").read_bytes()
    faults = [f"--inject={call}:error={error}", f"--trace-path={tmp_path / '.prekeys.new'}"]
    command = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), *faults]
    ran = subprocess.run(
        [*command, sys.executable, "-c", CHANGE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert ran.stdout.split() == [code, "old"], ran.stderr
    assert (tmp_path / "prekeys").read_bytes() == before
    store = Keystore.open(tmp_path / "prekeys", unlock)
    store.put("new", b"secret of the new prekey")  # a file left half-written is in nobody's way
    assert Keystore.open(tmp_path / "prekeys", unlock).names() == ["new", "old"]
