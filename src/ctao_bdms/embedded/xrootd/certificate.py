"""Create a certificate for the servers of a home: without one, XRootD does not support transfers by HTTP."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ctao_bdms.durable import replace_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_certificate"]

_LIFE = dt.timedelta(days=3650)
_LEEWAY = dt.timedelta(days=1)


def make_certificate(certificate: Path, key: Path, now: dt.datetime) -> None:
    """Write a self-signed certificate of ``localhost`` and its key, unless valid ones exist.

    Parameters
    ----------
    certificate, key
        The files, PEM.
    """
    if certificate.exists() and key.exists():
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        if known.not_valid_after_utc > now + _LEEWAY:
            return
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_text(key, plain.decode("ascii"), mode=0o600)
    replace_text(certificate, made.public_bytes(pem).decode("ascii"), mode=0o600)
