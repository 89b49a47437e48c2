"""What a right of entry sees of the mail at the TAXII door: labels, exercises, collections; what ends leaves."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import orjson
import pytest

from exchange.content import REPLACED
from exchange.formats.taxii import from_timestamp
from exchange.limits import HOUR_MS
from exchange.node.doors.doors import Doors, own_reader
from exchange.node.store import (
    access as store_access,
    erasing as store_erasing,
    taxii as rows,
    taxii_page as pages,
)
from exchange.node.store.links import add_void
from exchange.node.store.notices import mark_unverified
from exchange.node.store.store import Transaction
from exchange.node.taxii.adding import Adding
from exchange.node.taxii.reading import read_waiting
from exchange.pap import Pap
from exchange.release import Door
from exchange.tlp import Tlp
from tests.doors import CO, PE, READS, Client, Place
from tests.taxii.conftest import indicator

PAP_IDS = {
    Pap.GREEN: "marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9",
    Pap.AMBER: "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab",
    Pap.RED: "marking-definition--740d36e5-7714-4c30-961a-3ae632ceee0e",
}
CEILINGS = ("tlp-clear", "tlp-green", "tlp-amber", "tlp-amber-strict")


def marked(*markings: str, **more: Any) -> dict[str, Any]:
    return indicator(object_marking_refs=list(markings), **more)


def sees(client: Client, one: dict[str, Any], collection: str = "received") -> bool:
    """Whether it is in a page, in the manifest and by itself: all three or none."""
    base = f"collections/{collection}/"
    found = {
        bool(client.objects(collection, match_id=one["id"])),
        "objects" in client.get(f"{base}manifest/", match_id=one["id"]).json(),
        client.get(f"{base}objects/{one['id']}/").status_code == 200,
        client.get(f"{base}objects/{one['id']}/versions/").status_code == 200,
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("tlp", [Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT])
def test_an_object_stands_in_the_collections_up_to_its_label(door: Place, client: Client, tlp: Tlp) -> None:
    one = indicator()
    door.mail(one, tlp=tlp)
    place = list(Tlp).index(tlp)
    assert [sees(client, one, ceiling) for ceiling in CEILINGS] == [place <= n for n in range(4)]
    assert sees(client, one)


def test_an_objects_own_label_counts_before_that_of_its_message(door: Place, client: Client) -> None:
    open_, closed, bare = marked(Tlp.CLEAR.marking_id), marked(Tlp.AMBER.marking_id), indicator()
    door.mail(open_, closed, bare, tlp=Tlp.AMBER)
    assert [sees(client, one, "tlp-clear") for one in (open_, closed, bare)] == [True, False, False]
    assert all(sees(client, one, "tlp-amber") for one in (open_, closed, bare))


def test_a_part_that_is_marked_more_strictly_counts_for_the_whole(door: Place, client: Client) -> None:
    one = marked(
        Tlp.CLEAR.marking_id,
        granular_markings=[{"marking_ref": Tlp.AMBER.marking_id, "selectors": ["name"]}],
    )
    door.mail(one, tlp=Tlp.AMBER)
    assert [sees(client, one, ceiling) for ceiling in CEILINGS] == [False, False, True, True]


@pytest.mark.parametrize(
    ("pap", "acting", "watching"),
    [(None, True, True), (Pap.GREEN, True, True), (Pap.AMBER, False, True), (Pap.RED, False, False)],
)
def test_what_may_not_be_acted_on_goes_to_no_machine_that_may(
    door: Place, client: Client, pap: Pap | None, acting: bool, watching: bool
) -> None:
    one = indicator() if pap is None else marked(PAP_IDS[pap])
    door.mail(one)
    assert sees(client, one) is acting
    assert sees(door.client(passive=True), one) is watching


def test_an_exercise_is_seen_by_what_is_marked_for_it_alone_and_that_sees_nothing_else(
    door: Place, client: Client
) -> None:
    drill = door.client(exercise=True)
    real, made = indicator(), indicator()
    door.mail(real)
    door.mail(made, exercise_id="EX-2026")
    assert (sees(client, real), sees(client, made)) == (True, False)
    assert (sees(drill, real), sees(drill, made)) == (False, True)
    client.post(real)
    drill.post(made)
    assert (sees(client, real, "drafts"), sees(client, made, "drafts")) == (True, False)
    assert (sees(drill, real, "drafts"), sees(drill, made, "drafts")) == (False, True)


def test_a_permission_for_all_of_a_message_holds_for_what_of_it_was_handed_on_in_a_file(
    door: Place, client: Client
) -> None:
    one = indicator()
    id_ = door.mail(one, tlp=Tlp.GREEN, pap=Pap.RED)
    inner = next(found for found in door.pe.inbox() if found.message_id == id_)
    cover = orjson.loads(inner.payload)["objects"][0]
    other = indicator()
    door.mail(cover, other, tlp=Tlp.GREEN)
    assert not sees(client, other)


def test_our_own_filters_are_by_label_and_kind(door: Place, client: Client) -> None:
    alert, update = indicator(), indicator()
    door.mail(alert, tlp=Tlp.GREEN)
    door.mail(update, tlp=Tlp.AMBER, kind="incident-update", in_reply_to=str(uuid.uuid4()))
    both = f"{alert['id']},{update['id']}"

    def found(**filters: str) -> list[dict[str, Any]]:
        return client.objects("received", match_id=both, **filters)

    assert found(match_x_tlp="green") == [alert]
    assert found(match_x_tlp="TLP:AMBER,red") == [update]
    assert found(match_x_kind="incident-update") == [update]
    assert found(match_x_kind="alert,incident-update", match_x_tlp="clear") == []
    assert found(match_x_kind="alert,incident-update") == [alert, update]


def test_each_kind_and_each_partner_has_a_collection(door: Place, client: Client) -> None:
    one = indicator()
    door.mail(one, kind="incident-update", in_reply_to=str(uuid.uuid4()))
    assert sees(client, one, "incident-update")
    assert sees(client, one, f"from-{CO}")
    assert not sees(client, one, "alert")
    assert not sees(client, one, "drafts")


def test_repeats_of_a_version_are_one_object_at_the_moment_of_the_first(door: Place, client: Client) -> None:
    one = indicator()
    door.mail(one)
    first = client.get("collections/received/manifest/", match_id=one["id"]).json()
    door.mail(one)
    assert (
        client.get("collections/received/manifest/", match_id=one["id"], match_version="all").json() == first
    )


def test_a_repeat_that_may_be_seen_stands_for_one_that_may_not(door: Place, client: Client) -> None:
    one = indicator()
    door.mail(one, exercise_id="EX-2026")
    assert not sees(client, one)
    door.mail(one)
    assert sees(client, one)


# -- what ends ---------------------------------------------------------------------------------------------------------


def test_what_expires_leaves(door: Place, client: Client) -> None:
    one = indicator()
    door.mail(one, expires=door.sim.world.now + HOUR_MS)
    assert sees(client, one)
    door.sim.world.now += HOUR_MS
    assert not sees(client, one)


def test_what_is_erased_leaves(door: Place, client: Client) -> None:
    one = indicator()
    id_ = door.mail(one)
    assert sees(client, one)
    store = door.pe.up.store
    now = door.sim.world.now
    door.run(store.db.write(lambda c: store_erasing.erase(c, store.cipher, id_, now=now)))
    assert not sees(client, one)


def test_what_its_sender_replaces_leaves_and_what_another_says_it_replaces_does_not(
    door: Place, client: Client
) -> None:
    old, new = indicator("old"), indicator("new")
    id_ = door.mail(old)
    door.mail(new, kind="incident-update", supersedes=id_)
    assert not sees(client, old)
    assert sees(client, new)


def test_what_turns_out_unverified_leaves(door: Place, client: Client) -> None:
    door.sim.world.now += 1
    one = indicator()
    door.mail(one)
    assert sees(client, one)
    skid = door.sim.sites[CO].up.identity.skid
    store = door.pe.up.store
    door.run(store.db.write(lambda c: mark_unverified(c, address=CO, skid=skid, since=door.sim.world.now)))
    assert not sees(client, one)


def test_what_is_unverified_before_anybody_asks_never_enters(door: Place, client: Client) -> None:
    door.sim.world.now += 1
    one, store = indicator(), door.pe.up.store
    door.mail(one)
    skid = door.sim.sites[CO].up.identity.skid
    door.run(store.db.write(lambda c: mark_unverified(c, address=CO, skid=skid, since=door.sim.world.now)))
    assert not sees(client, one)


def test_the_moment_of_adding_is_the_clocks(door: Place, client: Client) -> None:
    door.sim.world.now += HOUR_MS
    one = indicator()
    door.mail(one)
    [record] = client.get("collections/received/manifest/", match_id=one["id"]).json()["objects"]
    moment = from_timestamp(record["date_added"]) - door.sim.world.now * 1_000
    assert 0 <= moment < 1_000  # objects that came with it are a microsecond apart


def test_what_its_sender_declares_void_leaves(door: Place, client: Client) -> None:
    one = indicator()
    id_ = door.mail(one)
    assert sees(client, one)
    received = next(found for found in door.pe.inbox() if found.message_id == id_)
    door.run(door.pe.up.store.db.write(lambda c: add_void(c, CO, received.env, "taken back")))
    assert not sees(client, one)


def test_however_much_is_refused_with_one_page_all_of_it_is_logged(
    door: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client goes on behind the page's last object and never asks for what is before it again."""
    monkeypatch.setattr("exchange.node.store.taxii_page.MOST_REFUSED", 2)
    kept = [door.mail(indicator(object_marking_refs=[PAP_IDS[Pap.RED]])) for _ in range(5)]
    door.client("begun", scopes=READS).objects("received")
    rows = [row for row in door.pe.desk.access_log() if row.who == "token:begun"]
    refused = {row.what.split()[1] for row in rows if row.action == "taxii refused"}
    assert refused >= set(kept)


def test_refusals_that_are_told_go_on_behind_the_last_one(
    door: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is told already isn't looked through again."""
    monkeypatch.setattr("exchange.node.store.taxii_page.MOST_REFUSED", 2)
    for _ in range(3):
        door.mail(indicator(object_marking_refs=[PAP_IDS[Pap.RED]]))
    door.run(door.context.collections.settle())
    keys, store = door.context.collections.keys, door.pe.up.store

    def walk(connection: Transaction) -> list[int]:
        red = [n for n, one in rows.classes(connection, store.cipher).items() if one.pap is Pap.RED]
        query, found = pages.Query(classes=tuple(red)), [0]
        while more := pages.refused(connection, keys, query, access=-1, upto=None, beyond=found[-1]):
            found += [source for source, _ in more]
        return found[1:]

    found = door.run(store.db.read(walk))
    assert len(found) >= 3
    assert found == sorted(set(found))


def mark(door: Place, message_id: str, mark: str) -> None:
    """A mark on how it came, as it has from its first moment."""
    write = "UPDATE inbox SET marks = ? WHERE message_id = ?"
    door.run(door.pe.up.store.db.write(lambda c: c.exec_driver_sql(write, (mark, message_id))))


def take_back(door: Place, message_id: str, why: str = "taken back") -> None:
    [received] = [one for one in door.pe.inbox() if one.message_id == message_id]
    door.run(door.pe.up.store.db.write(lambda c: add_void(c, CO, received.env, why)))


def test_what_is_taken_back_before_anybody_asked_is_marked_and_never_comes_in(
    door: Place, client: Client
) -> None:
    one = indicator()
    id_ = door.mail(one)
    take_back(door, id_)
    assert not sees(client, one)
    assert [found.marks for found in door.pe.inbox() if found.message_id == id_] == [{"voided"}]
    doors = Doors(door.pe.up.store, door.pe.up.sources, address=PE, who="ana")
    assert doors.let_out(Door.EXPORT, id_, [own_reader(PE)], lambda passed: passed.doubts) == ["voided"]


def test_what_was_sealed_once_more_isnt_taken_back(door: Place, client: Client) -> None:
    one = indicator()
    take_back(door, door.mail(one), REPLACED)
    assert sees(client, one)


def test_what_stands_in_a_forked_chain_isnt_in_the_collections(door: Place, client: Client) -> None:
    one = indicator()
    mark(door, door.mail(one), "fork late")
    assert not sees(client, one)


def test_what_comes_into_doubt_while_it_is_read_stays_out(door: Place, client: Client) -> None:
    one, node = indicator(), door.pe.up
    door.run(door.context.collections.settle())
    id_ = door.mail(one)
    (found,) = door.run(node.store.db.read(partial(read_waiting, node.store.cipher, 10)))
    assert (found.message_id, one["id"] in [head.id for head, _, _ in found.items]) == (id_, True)
    mark(door, id_, "unverified")
    adding, keys = Adding(node.store, node.sources), door.context.collections.keys
    door.run(node.store.db.write(partial(adding.add, keys, found.chunk(10))))
    assert not sees(client, one)


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_is_replaced_comes_back_when_its_replacement_turns_out_to_be_in_doubt(
    door: Place, client: Client, order: str
) -> None:
    real, forged = indicator("real"), indicator("by whoever has the key")
    if order == "before":
        id_ = door.mail(real)
        assert sees(client, real)
        by = door.mail(forged, kind="incident-update", supersedes=id_)
    else:
        id_ = str(uuid.uuid4())
        by = door.mail(forged, kind="incident-update", supersedes=id_)
        door.mail(real, id=id_)
    assert (sees(client, real), sees(client, forged)) == (False, True)
    mark(door, by, "unverified")
    assert (sees(client, real), sees(client, forged)) == (True, False)
    door.run(door.context.collections.settle())
    assert len(client.objects("received", match_id=real["id"], match_version="all")) == 1


def test_what_two_replaced_stays_out_until_both_are_in_doubt(door: Place, client: Client) -> None:
    real = indicator("real")
    id_ = door.mail(real)
    by = [door.mail(indicator(), kind="incident-update", supersedes=id_) for _ in range(2)]
    assert not sees(client, real)
    mark(door, by[0], "voided")
    assert not sees(client, real)
    mark(door, by[1], "voided")
    assert sees(client, real)


# -- the access log ----------------------------------------------------------------------------------------------------


def test_the_access_log_says_what_each_was_given_once(door: Place) -> None:
    one = indicator()
    id_ = door.mail(one)
    logged = door.client("logged", scopes=READS)
    for _ in range(3):
        assert sees(logged, one)
    assert logged_about(door, id_) == [("token:logged", "taxii", "TLP:AMBER may go to own member")]
    assert door.run(door.pe.up.store.db.read(store_access.verify)) > 0


def test_the_access_log_says_what_each_was_refused_once(door: Place) -> None:
    made = indicator()
    id_ = door.mail(made, exercise_id="EX-2026")
    client = door.client("refused", scopes=READS)
    for _ in range(2):
        assert not sees(client, made)
    said = "release.exercise, an exercise leaves only for what is marked for exercises"
    assert logged_about(door, id_) == [("token:refused", "taxii refused", said)]


def logged_about(door: Place, message_id: str) -> list[tuple[str, str, str]]:
    """Who, what was done, and why, of each row of the access log about the message that names its reader."""
    found = []
    for row in reversed(door.pe.desk.access_log()):
        subject, _, why = row.what.partition(": ")
        sender, id_, reader = (*subject.replace(" to ", " ").split(" "), "", "")[:3]
        if (sender, id_) == (CO, message_id):
            assert row.who == f"token:{reader}"
            found.append((row.who, row.action, why))
    return found


def test_a_node_that_starts_again_goes_on_where_it_was(door: Place) -> None:
    """Last: it restarts the node. What was given out keeps its moments, ids and order."""
    one, client = indicator(), door.client("again")
    door.mail(one)
    before = client.get("collections/received/manifest/", limit=1000).json()
    next_ = client.get("collections/received/objects/", limit=3).json()["next"]
    collections = client.get("collections/").json()
    door.reopen()
    assert client.get("collections/").json() == collections
    assert client.get("collections/received/manifest/", limit=1000).json() == before
    assert client.get("collections/received/objects/", limit=3, next=next_).status_code == 200
    assert before["objects"]
