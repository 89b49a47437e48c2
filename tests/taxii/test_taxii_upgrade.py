"""What the TAXII door gives out of what an older version of the node took in."""

from __future__ import annotations

from dataclasses import replace

from exchange.node.store import taxii as rows
from exchange.node.store.store import Transaction, sql
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.doors import Client, Place
from tests.taxii.conftest import indicator
from tests.taxii.test_taxii_policy import PAP_IDS
from tests.taxii.test_taxii_posts import path_of


def test_what_an_older_version_took_is_its_posters_and_under_its_label_after_a_start(
    door: Place, client: Client, reader: Client
) -> None:
    red, amber = (indicator(object_marking_refs=[one]) for one in (Tlp.RED.marking_id, PAP_IDS[Pap.AMBER]))
    client.post(red, amber)
    keys, store = door.context.collections.keys, door.pe.up.store

    def as_before(connection: Transaction) -> None:
        for n, facts in rows.classes(connection, store.cipher).items():
            old = rows.class_of(connection, store.cipher, keys, replace(facts, by="", pap=None))
            sql(connection, "UPDATE taxii_objects SET class = :old WHERE class = :n", old=old, n=n)

    def seen() -> list[list[int]]:
        return [[who.get(path_of(one)).status_code for one in (red, amber)] for who in (client, reader)]

    door.run(store.db.write(as_before))
    assert seen() == [[404, 200], [404, 200]]
    door.reopen()
    assert seen() == [[200, 200], [404, 404]]
