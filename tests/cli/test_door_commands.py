"""`node token`, `node drafts`: what is shown however much there is, what can't work is told when it is given."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchange.canonical import sha256
from exchange.cli.app import run
from exchange.node.home import open_home
from exchange.node.store import posts as store_posts, rights as store_rights
from exchange.node.store.store import Store, Transaction, sql
from exchange.storage.unlock import Unlock
from tests.address_book import peru
from tests.cli.furnished import furnished


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished(tmp_path_factory.mktemp("doors"), peru())


@pytest.fixture
def co(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command on co's home: exit code, its JSON, and what was said on stderr."""
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(home / "key"))

    def call(*words: str) -> tuple[int, dict[str, Any], str]:
        code = run([*words, "--home", str(home / "co"), "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out.splitlines()[-1]), err

    return call


@pytest.fixture
def store(home: Path) -> Store:
    opened = open_home(home / "co", Unlock.key_file(home / "key")).open_store(owner=False)
    yield opened
    opened.db.close_sync()


def pem(name: str, *, days: int) -> bytes:
    """A client's certificate that ends so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_of_a_file_of_certificates_the_first_is_the_clients(co: Any, store: Store, tmp_path: Path) -> None:
    own, authority = pem("tool", days=9), pem("authority", days=9)
    (tmp_path / "chain.pem").write_bytes(b"subject=CN=tool\n" + own + authority)
    code, _, said = co(
        "node", "token", "add", "chain", "--scope", "taxii:read", "--certificate", str(tmp_path / "chain.pem")
    )
    der = x509.load_pem_x509_certificate(own).public_bytes(serialization.Encoding.DER)
    found = store.db.read_sync(
        lambda c: store_rights.by_secret(c, store_rights.Kind.CERTIFICATE, sha256(der))
    )
    assert (code, found and found.name) == (0, "chain")
    assert "client_ca" in said


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        pem("late", days=-1),
    ],
)
def test_what_could_never_enter_is_refused(co: Any, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "client.pem").write_bytes(data)
    code, value, _ = co(
        "node",
        "token",
        "add",
        "never",
        "--scope",
        "taxii:read",
        "--certificate",
        str(tmp_path / "client.pem"),
    )
    assert (code, value["error"]["code"]) == (3, "cli.bad-file")


def test_a_collection_that_there_is_not_is_told(co: Any) -> None:
    given = ("node", "token", "add", "typo", "--scope", "taxii:read", "--collections")
    code, _, said = co(*given, "tlp-gren,alert")
    assert (code, "tlp-gren" in said, "alert" in said) == (0, True, False)


def test_a_right_that_stands_is_listed_however_many_were_revoked_after_it(co: Any, store: Store) -> None:
    co("node", "token", "add", "first", "--scope", "taxii:read")

    def revoked(connection: Transaction) -> None:
        for number in range(store_rights.MOST_REVOKED + 1):
            sql(
                connection,
                "INSERT INTO accesses (name, kind, secret, scopes, collections, exercise, passive, created_at,"
                " created_by, revoked_at) VALUES ('old', 'token', :secret, 'taxii:read', '', 0, 0, 1, 'a', 2)",
                secret=number.to_bytes(32, "big"),
            )

    store.db.write_sync(revoked)
    names = [one["name"] for one in co("node", "token", "list")[1]["tokens"]]
    assert "first" in names
    assert names.count("old") == store_rights.MOST_REVOKED


def test_the_oldest_of_many_drafts_is_told_of_taken_out_and_dropped(
    co: Any, store: Store, tmp_path: Path
) -> None:
    many, oldest = 1_001, "0badcafe-0000-4000-8000-000000000000"

    def fill(connection: Transaction) -> None:
        for number in range(many):
            id_ = f"{number:08x}-0000-4000-8000-000000000000" if number else oldest
            n = store_posts.add(connection, id_, access=1, at=1)
            sql(
                connection,
                "INSERT INTO taxii_objects (added, source, class, spec, version, id_key, type_key, bytes_key)"
                " VALUES (:added, :source, 1, 21, 1, 1, 1, 1)",
                added=number + 1,
                source=-n,
            )

    store.db.write_sync(fill)
    listed = co("node", "drafts", "list", "--limit", "3")[1]
    assert (len(listed["drafts"]), listed["count"]) == (3, many)
    code, value, _ = co("node", "drafts", "export", oldest[:8], str(tmp_path / "oldest.json"))
    assert (code, value["id"]) == (0, oldest)
    assert co("node", "drafts", "drop", oldest[:8], "--yes")[0] == 0
    assert co("node", "drafts", "drop", oldest[:8], "--yes")[1]["error"]["code"] == "cli.unknown-id"
    assert co("node", "drafts", "drop", "0000", "--yes")[1]["error"]["code"] == "cli.ambiguous-id"
