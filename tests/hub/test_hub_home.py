"""A hub's home and the ceremony that begins a network; its certificates; its settings."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from exchange.directory.members import Officer
from exchange.directory.state import Directory
from exchange.errors import ExchangeError, Refused
from exchange.hub import app
from exchange.hub.home import (
    CONFIG,
    GENESIS,
    KEYSTORE,
    add_signatures,
    begin,
    init_home,
    load_settings,
    open_keystore,
    read_genesis,
)
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.settings import HubSettings
from exchange.storage.files import check_home_modes
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tls import SERVER_CERTIFICATE, ServerTls
from tests.hub_services import chance
from tests.worlds import NOW, OFFICERS, keys

ORIGIN = "https://hub.example:8443"


@pytest.fixture
def unlock(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "key")
    return Unlock.key_file(tmp_path / "key")


def init(home: Path, unlock: Unlock, **changes):
    wanted = {
        "name": "Red de prueba",
        "origins": [ORIGIN],
        "officers": [Officer(name, keys(f"officer/{name}").public) for name in OFFICERS],
        "officers_threshold": 2,
        "sponsors_threshold": 2,
        "unlock": unlock,
        "now": NOW,
        "random": chance,
        **changes,
    }
    return init_home(home, **wanted)


def code_of(call, *args, **rest) -> str:
    with pytest.raises(ExchangeError) as caught:
        call(*args, **rest)
    return caught.value.code


def test_ceremony_begins_the_network_only_with_every_signature(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    draft = init(home, unlock)
    assert draft.missing == ("officer/alba", "officer/bruno")
    assert PrivateKeys(draft.recovery_seed).public.signing is not None
    assert draft.recovery_seed not in b"".join(path.read_bytes() for path in home.iterdir())
    with pytest.raises(Refused, match="still to sign: officer/alba, officer/bruno"):
        begin(home, now=NOW)
    for name in OFFICERS:  # each signs a copy of the file at home
        copy = read_genesis(home).with_signature(f"officer/{name}", keys(f"officer/{name}"))
        draft = add_signatures(home, copy)
    assert draft.missing == ()
    assert begin(home, now=NOW).net == draft.net
    assert begin(home, now=NOW + 5).net == draft.net  # a second time changes nothing
    store = HubStore.open(home)
    (leaf,) = store.load_leaves_sync()
    store.close_sync()
    directory = Directory.from_genesis(leaf)
    assert (directory.net, directory.name, directory.hub.address) == (draft.net, "Red de prueba", ORIGIN)
    assert x509.load_der_x509_certificate(directory.hub.ca).subject is not None
    assert code_of(init, home, unlock) == "hub.begun"


def test_log_that_is_lost_is_never_begun_again(tmp_path: Path, unlock: Unlock) -> None:
    """Leaf 0 would have another time, and every node would see a second log under the same key."""
    home = tmp_path / "hub"
    init(home, unlock)
    for name in OFFICERS:
        add_signatures(home, read_genesis(home).with_signature(f"officer/{name}", keys(f"officer/{name}")))
    begin(home, now=NOW)
    (home / "begun").unlink()  # a home of before that file
    begin(home, now=NOW)
    for left in home.glob("hub.db*"):
        left.unlink()
    with pytest.raises(Refused) as caught:
        begin(home, now=NOW + 5)
    assert caught.value.code == "storage.damaged"
    assert code_of(init, home, unlock) == "hub.begun"


def test_init_again_keeps_keys_and_draft_until_something_changes(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    first = init(home, unlock)
    add_signatures(home, read_genesis(home).with_signature("officer/alba", keys("officer/alba")))
    again = init(home, unlock)
    assert (again.net, again.recovery_seed) == (first.net, None)
    assert again.missing == ("officer/bruno",)
    changed = init(home, unlock, officers_threshold=1)
    assert changed.net != first.net
    assert changed.recovery_seed not in (None, first.recovery_seed)
    assert open_keystore(home, unlock).get("hub/seed")
    stale = init(home, unlock, officers_threshold=1, now=NOW + 31 * DAY_MS)  # nobody may sign it any more
    assert stale.net != changed.net


def test_home_is_private(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    init(home, unlock)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert check_home_modes(home) == []
    assert {CONFIG, GENESIS, KEYSTORE} <= {path.name for path in home.iterdir()}
    settings = load_settings(home)
    assert (settings.origins, settings.host, settings.port) == ((ORIGIN,), "127.0.0.1", 8443)


def test_config_that_a_person_wrote_stays(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    init(home, unlock)
    text = (home / CONFIG).read_text() + "\n[limits]\nsettle_seconds = 5\n"
    (home / CONFIG).write_text(text)
    init(home, unlock)
    assert (home / CONFIG).read_text() == text
    assert load_settings(home).limits.settle_seconds == 5


def test_signatures_of_others_or_for_another_draft_are_refused(tmp_path: Path, unlock: Unlock) -> None:
    home, other = tmp_path / "hub", tmp_path / "other"
    init(home, unlock)
    init(other, unlock)
    assert code_of(add_signatures, home, read_genesis(other)) == "hub.other-genesis"
    forged = read_genesis(home).with_signature("officer/alba", keys("officer/bruno"))
    assert code_of(add_signatures, home, forged) == "directory.bad-signature"
    stranger = read_genesis(home).with_signature("officer/zoe", keys("officer/zoe"))
    assert add_signatures(home, stranger).missing == ("officer/alba", "officer/bruno")
    assert code_of(begin, tmp_path, now=NOW) == "hub.no-genesis"
    (home / GENESIS).write_bytes(b"{")
    assert code_of(read_genesis, home) == "directory.bad-statement"


def test_server_certificate_names_every_origin_and_renews_itself(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    init(home, unlock)
    keystore = open_keystore(home, unlock)
    tls = ServerTls(keystore, [ORIGIN, "https://10.0.0.7", "https://[::1]:9"])

    def certificate() -> x509.Certificate:
        return x509.load_der_x509_certificate(keystore.get(SERVER_CERTIFICATE))

    tls.refresh(now=NOW)
    first = certificate()
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["hub.example", "10.0.0.7", "::1"]
    tls.refresh(now=NOW + 59 * DAY_MS)
    assert certificate() == first
    tls.refresh(now=NOW + 61 * DAY_MS)
    assert certificate().not_valid_after_utc > first.not_valid_after_utc
    ServerTls(keystore, [ORIGIN]).refresh(now=NOW + 61 * DAY_MS)  # fewer names: another one
    assert len(certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == 1
    trust = ssl.create_default_context(cafile=home / "ca.pem")
    assert len(trust.get_ca_certs()) == 1


def test_public_certificate_that_is_none_is_refused(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    init(home, unlock, public_certificate=True)
    keystore = open_keystore(home, unlock)
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = str(tmp_path / "bad.pem")
    assert code_of(ServerTls(keystore, [ORIGIN], certificate=bad, key=bad).refresh, now=NOW) == (
        "tls.certificate"
    )


def test_files_of_a_hubs_certificate_are_named_relative_to_its_home(tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub"
    init(home, unlock, public_certificate=True)
    with (home / "config.toml").open("a") as config:
        config.write('tls_certificate = "chain.pem"\ntls_key = "key.pem"\n')
    with pytest.raises(Refused) as refused:
        app._tls(home, load_settings(home), open_keystore(home, unlock), lambda: NOW)
    assert refused.value.detail.startswith(f"{home}/chain.pem: No such file")


BAD_SETTINGS = (
    {},
    {"origins": "https://hub.example"},
    {"origins": []},
    {"origins": ["http://hub.example"]},
    {"origins": ["https://HUB.example"]},
    {"origins": ["https://hub.example:443"]},
    {"origins": ["https://hub.example/path"]},
    {"origins": [ORIGIN], "port": 65_536},
    {"origins": [ORIGIN], "port": "8443"},
    {"origins": [ORIGIN], "tls": 1},
    {"origins": [ORIGIN], "tls_key": "key.pem"},
    {"origins": [ORIGIN], "colour": "red"},
    {"origins": [ORIGIN], "limits": []},
    {"origins": [ORIGIN], "limits": {"colour": 1}},
    {"origins": [ORIGIN], "limits": {"head_seconds": 0}},
    {"origins": [ORIGIN], "limits": {"head_seconds": 11}},
    {"origins": [ORIGIN], "limits": {"head_seconds": True}},
    {"origins": [ORIGIN], "limits": {"quota_bytes": 2**64 - 1}},
)


@pytest.mark.parametrize("values", BAD_SETTINGS)
def test_bad_setting_is_refused(values: dict) -> None:
    assert code_of(HubSettings.from_mapping, values) == "settings.invalid"


def test_config_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    assert code_of(load_settings, tmp_path) == "home.missing"
    (tmp_path / CONFIG).write_text("origins = [")
    assert code_of(load_settings, tmp_path) == "settings.invalid"
    (tmp_path / CONFIG).write_bytes(b"\xff")
    assert code_of(load_settings, tmp_path) == "settings.invalid"
