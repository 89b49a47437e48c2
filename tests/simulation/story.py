"""What can happen to a network, each thing a method: passes, faults; then peace, and what must hold after it.

What people write is people.py's. Both drivers, the seeded one (driver.py) and the hypothesis machine, are nothing but
ways to choose. `steps` is what happened, to be printed when something that must hold doesn't.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exchange.errors import ExchangeError
from exchange.limits import MINUTE_MS, SECOND_MS
from exchange.node.retention import Records
from exchange.retention import RetentionPolicy
from tests.simulation import files
from tests.simulation.copies import Copies
from tests.simulation.forgery import forged
from tests.simulation.network import FaultySite
from tests.simulation.peace import drain
from tests.simulation.people import LANES, LIVES, People
from tests.simulation.steps import Crash, Turns
from tests.worlds import keys, seed

PATIENCE_MS: Final = 10 * MINUTE_MS  # no call stays on its way for longer


class Story(People):
    """One run: a network from its beginning to `end`, which says what was wrong."""

    def __init__(self, folder: Path, name: str, members: int = 3) -> None:
        super().__init__(folder, name, members)
        self._turns = Turns(random.Random(f"{name}/turns"))
        self.copies = Copies(folder, self.sim, self.ledger)
        self._passes = 0

    async def begin(self) -> None:
        """Everything up and in touch."""
        await self.sim.begin()

    # -- passes ---------------------------------------------------------------------------------------------------

    async def run(self, who: int, crash_at: int = 0) -> None:
        """One pass of a node, which may die at that point of it."""
        await self.together([who], crash_at=crash_at)

    async def together(self, whos: Sequence[int], turns: int | None = None, crash_at: int = 0) -> None:
        """Passes of several at once, their calls in an order by seed; the first dies at that point of its own.

        After `turns` turns what is on its way stays there.
        """
        sites = list(dict.fromkeys(self.site(who) for who in whos))
        sites = [site for site in sites if site.node is not None and not self._is_busy(site)]
        if not sites:
            return
        self._say(f"pass of {', '.join(one.member for one in sites)}, turns {turns}, crash at {crash_at}")
        sites[0].process.crash_at = crash_at
        if len(sites) == 1 and turns is None and not self._turns.parked:
            try:
                await self._pass(sites[0])
            except Crash:
                self._bury()
            sites[0].process.crash_at = 0
        else:
            for site in sites:
                self.sim.hub_process.turns = self._turns
                self._turns.begin(site.process, self._pass(site))
            await self.go_on(turns)
        self._bury()

    async def go_on(self, turns: int | None = None) -> None:
        """What is on its way goes on, to its end or for so many turns."""
        if not self._turns.parked:
            return
        await self._turns.go(turns)
        if not self._turns.parked:
            self.sim.hub_process.turns = None
        ended, self._turns.ended = self._turns.ended, []
        for process, fault in ended:
            process.crash_at = 0
            if not isinstance(fault, Crash):
                raise fault
        self._bury()

    async def _pass(self, site: FaultySite) -> None:
        self._passes += 1
        try:
            await site.once()
        except ExchangeError as error:
            self.refusals[error.code] += 1
            self._say(f"  {site.member}: {error.code}")

    def _is_busy(self, site: FaultySite) -> bool:
        return site.process in self._turns.parked

    # -- processes ------------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """Those who died on the way."""
        for site in self.sim.nodes:
            if site.node is not None and site.process.dead:
                self._count("node crash", f"{site.member} dies")
                site.bury()
                files.check_node(site)
        if self.sim.hub is not None and self.sim.hub_process.dead:
            self._count("hub crash", "the hub dies")
            self.sim.crash_hub()
            files.check_hub(self.sim)

    def kill(self, who: int) -> None:
        """At once, wherever it is."""
        site = self.site(who)
        if site.node is not None:
            site.process.die()
            self._bury()

    async def start(self, who: int, crash_at: int = 0) -> None:
        """Up again, or dead again at that point."""
        site = self.site(who)
        if site.node is None:
            self._say(f"{site.member} starts")
            await site.start(crash_at)

    def kill_hub(self, crash_at: int = 0) -> None:
        """At once, or at a point from now."""
        if self.sim.hub is not None:
            if crash_at:
                self._say(f"the hub will die at {crash_at}")
                self.sim.hub_process.crash_at = crash_at
            else:
                self.sim.hub_process.die()
                self._bury()

    async def start_hub(self) -> None:
        """Up again, in a new epoch."""
        if self.sim.hub is None:
            await self.go_on()
            self._say("the hub starts")
            await self.sim.start_hub()
            await self._look_after_hub()

    # -- links, disks, clocks -------------------------------------------------------------------------------------

    def cut(self, who: int, up: bool = False) -> None:
        """No way to the hub, or again one."""
        link = self.site(who).link
        if link.up and not up:
            self._count("partition", f"{self.site(who).member} is cut off")
        link.up = up

    def spoil(self, who: int, kind: str, share: float) -> None:
        """A link loses or repeats calls."""
        self._say(f"{self.site(who).member}: {kind} {share:.2f}")
        self.site(who).link.faults[kind] = share

    def hurt(self, who: int, items: int) -> None:
        """The next items to come are hurt on their way."""
        self._say(f"{self.site(who).member}: {items} items will be hurt")
        self.site(who).link.hurt = items

    def fill(self, who: int | None, full: bool) -> None:
        """The disk of a node, or the hub's (None), is full, or no longer."""
        if who is None:
            self.sim.hub_full = full
        else:
            self.site(who).fill(full)
            self._fill_files(self.site(who), full)
        if full:
            self._count("full disk", f"full disk: {'hub' if who is None else self.site(who).member}")

    async def wait(self, milliseconds: int) -> None:
        """Time passes for all."""
        if milliseconds > PATIENCE_MS:
            await self.go_on()
        if self._turns.parked:
            self.sim.world.now += milliseconds
            return
        self._say(f"{milliseconds // SECOND_MS} s pass")
        for site in self.sim.nodes:
            site.paused += milliseconds  # no pass runs meanwhile
        try:
            await self.sim.wait(milliseconds)
            await self._look_after_hub()
        except Crash:
            self._bury()
        except ExchangeError as error:
            self.refusals[error.code] += 1

    def clock(self, who: int | None, offset: int) -> None:
        """A clock is set, for a node's or the hub's (None): off by so much, ms."""
        self._count("clock step", f"clock of {who} is off by {offset // MINUTE_MS} min")
        if who is None:
            self.sim.offset = offset
        else:
            self.site(who).offset = offset

    async def expire(self) -> None:
        """The hub looks after what is due."""
        await self.go_on()
        self._say("the hub expires what is due")
        try:
            await self._look_after_hub()
        except Crash:
            self._bury()
        except ExchangeError as error:
            self.refusals[error.code] += 1

    async def _look_after_hub(self) -> None:
        """What a running hub does every minute."""
        if self.sim.hub is not None:
            await self.sim.running_hub.mailboxes.expire_due()
            await self.sim.running_hub.blobs.forget_due()
            await self.sim.running_hub.registrar.tick()

    # -- copies, keys ---------------------------------------------------------------------------------------------

    async def erase(self, who: int, which: int) -> None:
        """A person of this node has a letter erased that came or was sent; refused while it is under way."""
        await self.go_on()
        site = self.site(who)
        known = [one for one in self.ledger.letters if site.member in (one.sender, *one.recipients)]
        if site.node is None or not known:
            return
        letter = known[which % len(known)]
        site.process.crash_at = 0  # whether it was erased must be known
        records = Records(site.up.store, RetentionPolicy(), site.up.sources, who="analyst")
        try:
            await records.erase(letter.id)
        except ExchangeError as error:
            self.refusals[error.code] += 1
            return
        letter.erased.add(site.member)
        self._count("erased", f"{site.member} erases letter {letter.number}")

    async def backup(self, who: int | None, by_command: bool = False) -> None:
        """The disk of a node, or the hub's (None), is copied as it is; a node's also by the product's command."""
        await self.go_on()
        if who is None:
            self.copies.of_hub(blobs=not by_command)
            self._say("the hub is copied")
        else:
            site = self.site(who)
            self.copies.of_node(site, by_command=by_command)
            self._say(f"{site.member} is {'backed up' if by_command else 'copied'}")

    async def restore(self, who: int | None) -> None:
        """The newest copy in place of the disk, if there is one that fits, and started from it."""
        await self.go_on()
        if who is None:
            if self.copies.has_hub:
                self._count("hub restored", "the hub is restored")
                self.kill_hub()
                self.copies.put_hub_back()
                await self.sim.start_hub()
            return
        site = self.site(who)
        if kind := self.copies.fitting(site):
            self._count(kind, f"{site.member} is restored")
            self.kill(who)
            self.copies.put_back(site)
            await site.start()

    async def rotate(self, who: int) -> None:
        """A node changes to its printed next keys, once."""
        await self.go_on()
        site = self.site(who)
        if site.node is None or site.rotated_at is not None:
            return
        site.rotated_at = self.sim.world.now
        self._say(f"{site.member} changes its keys")
        try:
            await site.up.own_keys.rotate(
                site.hub, seed(f"next/{site.member}"), keys(f"second/{site.member}").public
            )
        except Crash:
            self._bury()
        except ExchangeError as error:
            self.refusals[error.code] += 1
            self._say(f"  {error.code}")

    # -- a hub that lies ------------------------------------------------------------------------------------------

    def withhold(self, who: int) -> None:
        """The hub never shows this node the next delivery."""
        self.sim.is_hostile = True
        self._say(f"the hub withholds one from {self.site(who).member}")
        self.site(who).link.withhold += 1

    def forge(self, who: int, from_: int) -> None:
        """The hub writes to this node in another member's name, under signatures of its own."""
        site, sender = self.site(who), self.site(from_).member
        if site.node is None or site.member == sender:
            return
        self.sim.is_hostile = True
        self._count("forgery", f"the hub forges a letter of {sender} to {site.member}")
        site.link.forged.append(forged(self.sim, site, sender))

    # -- the end --------------------------------------------------------------------------------------------------

    async def end(self) -> list[tuple[str, str]]:
        """Heal everything, let the queues drain, and say what doesn't hold: (kind, what)."""
        await self._heal()
        errors = await drain(self.sim, self.ledger)
        if self.sim.hub_restored and any(site.restored for site in self.sim.nodes):
            self._write_on()
            errors = await drain(self.sim, self.ledger)
        if self.ask_for_everything():
            errors = await drain(self.sim, self.ledger)
        for member, code in errors.items():
            self.sim.fault("stuck", f"{member}: {code}")
        self.ledger.check()
        return self.sim.faults

    def _write_on(self) -> None:
        """Mail goes on in every chain.

        Of copies of both disks, hub's and node's, from before a delivery only its sender knows what they lack, and its
        next number shows it (docs/protocol.md §6.4).
        """
        whos = range(len(self.sim.nodes))
        for who in whos:
            for lane in LANES:
                self.send(who, [one for one in whos if one != who], lane, LIVES[-1])

    async def _heal(self) -> None:
        self._say("peace")
        for process in (self.sim.hub_process, *(site.process for site in self.sim.nodes)):
            process.crash_at = 0
        await self.go_on()
        for site in self.sim.nodes:
            await site.deliver_late()
        self._bury()
        self.sim.offset, self.sim.hub_full = 0, False
        if self.sim.hub is None:
            await self.sim.start_hub()
        for site in self.sim.nodes:
            site.link.up, site.link.faults, site.link.hurt, site.offset = True, {}, 0, 0
            if site.node is None:
                await site.start()
            site.fill(False)
            self._fill_files(site, False)
