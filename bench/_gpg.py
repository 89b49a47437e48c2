"""gpg as a peer: a home of its own with keys of its own making, and the CPU time of one sign-and-encrypt.

Owns gpg's temporary home and the life of its agent, which signs for it and whose time counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench._rounds import process_cpu_seconds

SENDER: Final = "sender@bench.example"
# what gpg makes when nobody asks for anything: this version, and 2.3 and later
DEFAULT: Final = "default"
MODERN: Final = "future-default"
FOREVER: Final = "never"


class NoGpg(Exception):
    """gpg isn't there; the message says what helps."""


def find_gpg() -> str:
    """The program's path. Raises NoGpg."""
    path = shutil.which("gpg")
    if path is None or shutil.which("gpg-connect-agent") is None:
        raise NoGpg("gpg is not installed; on Debian and Ubuntu: sudo apt-get install -y gnupg")
    return path


@dataclass(frozen=True)
class Gpg:
    """One home with a sender's key and recipients' keys of one algorithm."""

    program: str
    home: Path
    recipients: tuple[str, ...]
    agent: int

    def run(self, *arguments: str) -> bytes:
        """One run; what it printed. Raises CalledProcessError."""
        command = [self.program, "--homedir", str(self.home), "--batch", "--yes", "--no-tty", *arguments]
        ran = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - gpg
        return ran.stdout

    def version(self) -> str:
        """Of the program, e.g. `gpg (GnuPG) 2.2.40`, with the kind of key it made."""
        first = self.run("--version").decode().splitlines()[0]
        keys = self.run("--with-colons", "--list-keys", SENDER).decode().splitlines()
        kinds = {"1": "RSA", "16": "Elgamal", "18": "Cv25519", "22": "Ed25519"}
        fields = [line.split(":") for line in keys if line.startswith(("pub:", "sub:"))]
        return f"{first}, {' and '.join(f'{kinds.get(each[3], each[3])}-{each[2]}' for each in fields)}"

    def seal(self, plain: Path, sealed: Path) -> Mapping[str, float]:
        """Sign and encrypt a file to all recipients: CPU of gpg and its agent, and the time on the clock, in ms."""
        to = [word for one in self.recipients for word in ("--recipient", one)]
        signs = (
            "--trust-model",
            "always",
            "--local-user",
            SENDER,
            "--compress-algo",
            "none",
            "--sign",
            "--encrypt",
        )
        command = ["--homedir", str(self.home), "--batch", "--yes", "--no-tty", *signs, *to]
        agent, began = process_cpu_seconds(self.agent), time.perf_counter()
        pid = os.posix_spawn(
            self.program, [self.program, *command, "--output", str(sealed), str(plain)], os.environ
        )
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - began
        if status:
            raise RuntimeError(f"gpg ended with {os.waitstatus_to_exitcode(status)}")
        cpu = usage.ru_utime + usage.ru_stime + process_cpu_seconds(self.agent) - agent
        return {"cpu_ms": 1000 * cpu, "wall_ms": 1000 * wall}


@contextmanager
def gpg_home(folder: Path, algorithm: str, recipients: int) -> Iterator[Gpg]:
    """A home in `folder` with a sender and that many recipients, without passphrases; its agent ends with the block."""
    program = find_gpg()
    folder.mkdir(mode=0o700)
    names = tuple(f"r{number}@bench.example" for number in range(recipients))
    made = Gpg(program, folder, names, 0)
    connect = ["gpg-connect-agent", "--homedir", str(folder)]
    try:
        print(f"gpg makes {recipients + 1} {algorithm} keys", file=sys.stderr, flush=True)
        for name in (SENDER, *names):
            made.run("--passphrase", "", "--quick-gen-key", name, algorithm, "default", FOREVER)
        said = subprocess.run([*connect, "GETINFO pid", "/bye"], capture_output=True, check=True).stdout  # noqa: S603 - gpg's
        yield Gpg(program, folder, names, int(said.split()[1]))
    finally:
        subprocess.run([*connect, "KILLAGENT", "/bye"], capture_output=True, check=False)  # noqa: S603 - gpg's
