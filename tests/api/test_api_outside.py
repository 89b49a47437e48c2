"""What came by feeds from outside binds what leaves by the REST API, in and out."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from exchange.feed_settings import FeedKind, FeedSettings
from exchange.formats.stix.read import read_object
from exchange.formats.taxii import head_of
from exchange.node.store import feeds as store_feeds, outside as store_outside
from exchange.node.store.outside import Brought
from exchange.node.store.store import Transaction
from exchange.tlp import Tlp
from tests.api.conftest import ApiClient, api
from tests.doors import CO, READS, Client, Place
from tests.taxii.conftest import indicator


def bring(door: Place, one: dict[str, Any], *, said: Tlp | None, feed_name: str = "") -> None:
    """It comes by a feed."""
    store, keys = door.pe.up.store, door.context.collections.keys
    now, data = door.sim.world.now, orjson.dumps(one)
    head = head_of(one)
    assert head

    def write(connection: Transaction) -> None:
        settings = FeedSettings(kind=FeedKind.TAXII, url="https://feed.example/taxii2/")
        name = feed_name or f"feed-{one['id']}"
        feed = store_feeds.add(connection, store.cipher, name, settings, "", now=now, who="a")
        assert feed
        brought = Brought(head, said or Tlp.GREEN, said, None, data)
        store_outside.keep(connection, store.cipher, keys, feed, [brought], now=now)

    assert read_object(data).id == one["id"]
    door.run(store.db.write(write))


def test_what_nobody_decided_about_is_not_sent(door: Place, client: ApiClient) -> None:
    one = indicator()
    bring(door, one, said=None)
    order = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green", "objects": [one]}
    answer = client.post("/messages", order)
    assert (answer.status_code, answer.json()["code"]) == (403, "release.outside")
    assert client.post("/messages", order | {"objects": [indicator()]}).status_code == 201


def test_a_stricter_label_that_comes_later_counts_at_once_and_everywhere(
    door: Place, client: ApiClient
) -> None:
    one = indicator()
    id_ = door.mail(one, tlp=Tlp.GREEN)
    assert client.get(f"/messages/{id_}").status_code == 200
    bring(door, one, said=Tlp.RED)
    assert client.get(f"/messages/{id_}").json()["code"] == "tlp.red-needs-persons"
    rows = client.get("/messages", limit=200).json()["messages"]
    [row] = [row for row in rows if row["id"] == id_]
    assert row["withheld"]["code"] == "tlp.red-needs-persons"


def test_what_comes_again_by_another_feed_counts_at_once_too(door: Place) -> None:
    """The same bytes are no new version; but that feed knows them under a stricter label, or reads here itself."""
    one, other = indicator(), indicator()
    stricter, back = door.mail(one, tlp=Tlp.GREEN), door.mail(other, tlp=Tlp.GREEN)
    reader = api(door, "reading-feed")
    bring(door, one, said=Tlp.GREEN, feed_name="first")
    bring(door, other, said=Tlp.GREEN, feed_name="second")

    def withheld() -> dict[str, str]:
        rows = reader.get("/messages", limit=200).json()["messages"]
        return {row["id"]: row["withheld"]["code"] for row in rows if row["withheld"]}

    assert not {stricter, back} & withheld().keys()
    bring(door, one, said=Tlp.RED, feed_name="third")
    assert withheld()[stricter] == "tlp.red-needs-persons"
    bring(door, other, said=Tlp.GREEN, feed_name="reading-feed")
    assert withheld()[back] == "release.own-door"


def test_what_a_feed_says_of_a_members_object_counts_in_the_collections_too(door: Place) -> None:
    before, after, other, back = indicator(), indicator(), indicator(), indicator()
    reader, own = door.client("taxii-any", scopes=READS), door.client("taxii-feed", scopes=READS)

    def seen(client: Client, *ones: dict[str, Any], collection: str = "received") -> list[bool]:
        return [bool(client.objects(collection, match_id=one["id"])) for one in ones]

    bring(door, before, said=Tlp.AMBER, feed_name="feed-a")
    door.mail(before, after, other, back, tlp=Tlp.GREEN)
    assert seen(reader, before, after, other, back, collection="tlp-green") == [False, True, True, True]
    bring(door, after, said=Tlp.AMBER, feed_name="feed-b")
    other_type = {**other, "type": "campaign", "id": other["id"].replace("indicator", "campaign")}
    bring(door, other_type, said=Tlp.RED, feed_name="feed-c")
    bring(door, back, said=Tlp.CLEAR, feed_name="taxii-feed")
    assert seen(reader, before, after, other, back) == [True, True, False, True]
    assert seen(reader, before, after, back, collection="tlp-green") == [False, False, True]
    assert seen(own, before, after, other, back) == [True, True, False, False]

    store, later = door.pe.up.store, door.sim.world.now + 1
    for feed in door.run(store.db.read(store_feeds.names)):
        expire = partial(store_outside.expire, cipher=store.cipher, feed=feed, before=later)
        door.run(store.db.write(expire))
    assert seen(own, before, after, other, back, collection="tlp-green") == [True, True, True, True]


def test_what_an_older_version_added_is_asked_about_too(door: Place) -> None:
    one, client = indicator(), door.client("taxii-old", scopes=READS)
    door.mail(one, tlp=Tlp.GREEN)
    bring(door, one, said=Tlp.RED, feed_name="feed-old")
    door.run(door.context.collections.settle())
    as_before = (
        "UPDATE taxii_objects SET thing_key = NULL, own_class = NULL, class = own_class WHERE source > 0"
    )
    door.run(door.pe.up.store.db.write(lambda c: c.exec_driver_sql(as_before)))
    assert not client.objects("received", match_id=one["id"])
