"""What was erased is in no file of the home any more."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from exchange.errors import Unavailable
from tests.node.test_retention import at_rest, records
from tests.simulator import Simulation, Site


async def test_what_is_erased_under_a_long_read_goes_from_the_file_after_it(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    secret = at_rest(co, "inbox", "payload")[0][-48:]
    with closing(sqlite3.connect(co.home / "node.db")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM inbox").fetchone() == (1,)
        await records(co).erase(sent)
        await co.up.retention.fold()
        assert any(secret in path.read_bytes() for path in co.home.glob("node.db*"))
    await co.up.retention.fold()
    assert not any(secret in path.read_bytes() for path in co.home.glob("node.db*"))


async def test_a_fold_that_fails_is_still_to_be_done(
    sim: Simulation, pe: Site, co: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    secret = at_rest(co, "inbox", "payload")[0][-48:]
    await records(co).erase(sent)

    async def fail() -> bool:
        raise Unavailable("storage.full")

    with monkeypatch.context() as patch:
        patch.setattr(co.up.store.db, "fold", fail)
        with pytest.raises(Unavailable):
            await co.up.retention.fold()
    await co.up.retention.fold()
    assert not any(secret in path.read_bytes() for path in co.home.glob("node.db*"))
