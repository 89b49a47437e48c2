"""Owns a server's TLS, the hub's and a node's: a certification authority of its own (ECDSA P-256), the SSL context.

The hub's authority stands in the genesis and in every invitation, so that the server's certificate may change: members
pin the authority. Private keys stay in the keystore; here they are in memory only.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exchange.errors import Refused
from exchange.limits import SECOND_MS
from exchange.storage.files import disk_fault, write_private
from exchange.storage.keystore import Keystore

CA_KEY: Final = "tls/ca-key"
CA_CERTIFICATE: Final = "tls/ca-certificate"
SERVER_KEY: Final = "tls/server-key"
SERVER_CERTIFICATE: Final = "tls/server-certificate"
CA_FILE: Final = "ca.pem"  # for people: what to give to a browser or a proxy

CA_DAYS: Final = 3650
SERVER_DAYS: Final = 90
RENEW_DAYS: Final = 30  # before the end
_BACKDATED = dt.timedelta(hours=24)  # members' clocks may be behind


@dataclass(frozen=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def create_authority(keystore: Keystore, home: Path, *, now: int, owner: str = "hub") -> bytes:
    """Make the authority of a hub or node, or find the one there is; its certificate as DER. `now` in ms.

    Raises Unavailable storage.*
    """
    if CA_CERTIFICATE not in keystore.names():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"exchange {owner} authority")])
        start = _time(now)
        certificate = (
            _builder(name, name, key.public_key(), start, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certify=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        keystore.update({CA_KEY: _private_der(key), CA_CERTIFICATE: certificate.public_bytes(_DER)})
        write_private(home / CA_FILE, certificate.public_bytes(serialization.Encoding.PEM))
    return keystore.get(CA_CERTIFICATE)


class ServerTls:
    """The context the server listens with; `refresh` renews its certificate while it runs."""

    def __init__(
        self,
        keystore: Keystore,
        origins: Sequence[str],
        *,
        certificate: str = "",
        key: str = "",
        owner: str = "hub",
    ) -> None:
        """`certificate` and `key` are PEM files of a public certificate; empty: one by the `owner`'s own authority."""
        self._owner = owner
        self._keystore = keystore
        self._names = [_host(origin) for origin in origins]
        self._files = (certificate, key)
        self.until = 0  # when the certificate that is loaded ends, ms
        self.context: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION

    def refresh(self, *, now: int) -> None:
        """Load the certificate, renewed if it ends within RENEW_DAYS or names other hosts. `now` in ms.

        Raises Refused tls.certificate; Unavailable storage.*
        """
        if self._files[0]:
            self._load(*self._files)
            self._note_end(_certificates(Path(self._files[0]))[0])
            return
        if not self._is_good(now):
            self._renew(now)
        certificate = self._keystore.get(SERVER_CERTIFICATE)
        self._load_pem(certificate, self._keystore.get(SERVER_KEY))
        self._note_end(x509.load_der_x509_certificate(certificate))

    def _note_end(self, certificate: x509.Certificate) -> None:
        self.until = int(certificate.not_valid_after_utc.timestamp()) * SECOND_MS

    def _is_good(self, now: int) -> bool:
        if SERVER_CERTIFICATE not in self._keystore.names():
            return False
        certificate = x509.load_der_x509_certificate(self._keystore.get(SERVER_CERTIFICATE))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        left = certificate.not_valid_after_utc - _time(now)
        # also when this clock was far ahead when it was made
        begun = certificate.not_valid_before_utc <= _time(now)
        return begun and left > dt.timedelta(days=RENEW_DAYS) and names == self._alternatives()

    def _alternatives(self) -> x509.SubjectAlternativeName:
        return x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(self._names)])

    def _renew(self, now: int) -> None:
        authority = self._authority()
        key = ec.generate_private_key(ec.SECP256R1())
        # a name of its own kind: the alternative names are what clients look at
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"exchange {self._owner}")])
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
        certificate = (
            _builder(name, authority.certificate.subject, key.public_key(), _time(now), SERVER_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certify=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(self._alternatives(), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_id, critical=False)
            .sign(authority.key, hashes.SHA256())
        )
        self._keystore.update(
            {SERVER_KEY: _private_der(key), SERVER_CERTIFICATE: certificate.public_bytes(_DER)}
        )

    def _authority(self) -> _Authority:
        key = serialization.load_der_private_key(self._keystore.get(CA_KEY), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused("keystore.damaged")
        return _Authority(key, x509.load_der_x509_certificate(self._keystore.get(CA_CERTIFICATE)))

    def _load_pem(self, certificate: bytes, key: bytes) -> None:
        """The ssl module reads files only: this one lives in memory, the key never touches the disk in clear."""
        pem = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
        private = serialization.load_der_private_key(key, password=None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
        except OSError as error:  # no file descriptors left
            raise disk_fault(error) from error
        try:
            os.write(descriptor, pem + private)
            self._load(f"/proc/self/fd/{descriptor}", None)
        finally:
            os.close(descriptor)

    def _load(self, certificate: str, key: str | None) -> None:
        try:
            # first into a context that nobody uses: one of a pair that doesn't fit would spoil the one in use
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ssl.SSLError) as error:
            if key is None:  # from memory
                detail = f"the one by the {self._owner}'s own authority: {_reason(error)}"
                raise Refused("tls.certificate", detail) from error
            raise _what_is_wrong(Path(certificate), Path(key), error) from error


_DER = serialization.Encoding.DER


def certificate_span(certificate: Path, key: Path) -> tuple[int, int]:
    """From when to when a certificate of people's own holds, UTC ms, once it and its key were loaded as a server does.

    Raises Refused tls.certificate, naming the file that can't be used.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise _what_is_wrong(certificate, key, error) from error
    first = _certificates(certificate)[0]
    begin, end = first.not_valid_before_utc, first.not_valid_after_utc
    return int(begin.timestamp()) * SECOND_MS, int(end.timestamp()) * SECOND_MS


def trust_clients(context: ssl.SSLContext, authorities: Path) -> None:
    """Ask clients for certificates by the authorities in a PEM file, or for these themselves.

    Raises Refused tls.certificate, naming the file.
    """
    try:
        context.load_verify_locations(cafile=str(authorities))
    except (OSError, ssl.SSLError) as error:
        _certificates(authorities)
        raise _unusable(authorities, _reason(error)) from error
    context.verify_mode = ssl.CERT_OPTIONAL


def client_certificate(path: Path, *, now: int) -> bytes:
    """A client's certificate, the first of a PEM file, as DER. `now` in ms.

    Raises Refused tls.certificate where there is none, or it is over.
    """
    certificate = _certificates(path)[0]
    if certificate.not_valid_after_utc <= _time(now):
        raise _unusable(path, f"it ended {certificate.not_valid_after_utc:%Y-%m-%d}")
    return certificate.public_bytes(_DER)


def _no_passphrase() -> bytes:
    """For a key that is encrypted: without this OpenSSL would ask for one on the terminal, and a server wait."""
    return b""


def _certificates(path: Path) -> list[x509.Certificate]:
    """Those of a PEM file, at least one; what it is a certificate of is the first. Raises Refused tls.certificate."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise _unusable(path, _reason(error)) from error
    except ValueError as error:
        raise _unusable(path, "it has no certificate in PEM that can be read") from error


def _what_is_wrong(certificate: Path, key: Path, error: Exception) -> Refused:
    """OpenSSL doesn't say which of the two files it couldn't use, nor why: they are looked at one after the other."""
    try:
        first = _certificates(certificate)[0]
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        fit = private.public_key() == first.public_key()
    except Refused as refused:
        return refused
    except OSError as fault:
        return _unusable(key, _reason(fault))
    except TypeError:
        return _unusable(
            key, f"it is encrypted, and a server has nobody to ask: openssl pkey -in {key} -out NEW"
        )
    except (ValueError, UnsupportedAlgorithm):
        return _unusable(key, "it has no private key in PEM that can be read")
    return (
        _unusable(certificate, _reason(error))
        if fit
        else _unusable(key, f"it isn't the key of {certificate}")
    )


def _unusable(path: Path, why: str) -> Refused:
    return Refused("tls.certificate", f"{path}: {why}", path=str(path))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "OpenSSL can't use it"
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def _private_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _BACKDATED)
        .not_valid_after(start + dt.timedelta(days=days))
    )


def _usage(*, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _time(now: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(now // 1000, tz=dt.UTC)


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
