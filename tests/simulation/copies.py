"""Older states of disks, and how they come back: as the disk was, or by the product's own backup and restore."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from exchange.hub.store.blob_files import FOLDER
from tests.simulation.ledger import Ledger
from tests.simulation.network import FaultySimulation, FaultySite
from tests.worlds import seed


@dataclass(frozen=True)
class Copy:
    """A node's older state. `is_backup`: made by the product's command.

    `letters`: how many there were. `is_rotated`: with the node's second keys. `erased`: which letters it had erased.
    """

    path: Path
    is_backup: bool
    letters: int
    is_rotated: bool
    erased: frozenset[int]


class Copies:
    """The newest of each node and of the hub."""

    def __init__(self, folder: Path, sim: FaultySimulation, ledger: Ledger) -> None:
        self._folder = folder
        self._sim = sim
        self._ledger = ledger
        self._made = 0
        self._copies: dict[str, Copy] = {}
        self._of_hub = folder / "hub.copy"

    def of_node(self, site: FaultySite, *, by_command: bool) -> None:
        """Keep the node's state of now."""
        self._made += 1
        path = self._folder / f"{site.member}.{self._made}"
        if by_command:
            site.back_up(path)
        else:
            shutil.copytree(site.home, path)
        letters, erased = len(self._ledger.letters), self._ledger.erased_at(site.member)
        self._copies[site.member] = Copy(path, by_command, letters, site.rotated_at is not None, erased)

    def fitting(self, site: FaultySite) -> str:
        """The kind of fault that the newest copy's return would be, "" for none: a disk with keys that count no more.

        A backup comes back with the keys that the node has now.
        """
        copy = self._copies.get(site.member)
        if copy is None:
            return ""
        if copy.is_backup:
            return "restored from a backup"
        return "node restored" if self._fits(copy, site) else ""

    def put_back(self, site: FaultySite) -> None:
        """The newest copy in place of the home; the node must be down. After a backup what was erased stays so."""
        copy = self._copies[site.member]
        if copy.is_backup:
            site.make_again(copy.path, seed=None if self._fits(copy, site) else seed(f"next/{site.member}"))
        else:
            site.put_back(copy.path)
            self._ledger.bring_back(site.member, copy.erased)
        self._ledger.forget(site.member, copy.letters)

    def _fits(self, copy: Copy, site: FaultySite) -> bool:
        return copy.is_rotated == (site.rotated_at is not None)

    @property
    def has_hub(self) -> bool:
        """Whether there is one of the hub."""
        return self._of_hub.exists()

    def of_hub(self, *, blobs: bool) -> None:
        """Keep the hub's state of now; without `blobs` as a backup does, which has none."""
        if self.has_hub:
            shutil.rmtree(self._of_hub)
        left_out = None if blobs else shutil.ignore_patterns(FOLDER)
        shutil.copytree(self._sim.folder / "hub", self._of_hub, ignore=left_out)

    def put_hub_back(self) -> None:
        """In place of its files; the hub must be down."""
        self._sim.put_hub_back(self._of_hub)
