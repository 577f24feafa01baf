"""The keys that sign ID tokens: made at first use, gone with the process."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from .tenants import CONSUMERS, GLOBAL_HOST, Authority, issuer_for

WORK, NEXT, PERSONAL = "work", "next", "personal"
"""The first signs for work accounts; the second is listed ahead of use, as before every rollover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    private: RSAPrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)

    @property
    def kid(self) -> str:
        """Microsoft's key ids are the thumbprints of its certificates."""
        return base64url(hashlib.sha1(self.certificate, usedforsecurity=False).digest())

    def jwk(self, issuer: str) -> dict[str, object]:
        """Describe the public half as Microsoft does: without ``alg``, with the issuer it may sign for."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": base64url(numbers.n.to_bytes(256, "big")),
            "e": base64url(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(self.certificate).decode()],
            "issuer": issuer,
        }

    def sign(self, claims: Mapping[str, object]) -> str:
        """Make the compact JWS of RFC 7515; by hand, so that the library that verifies it did not make it."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.kid}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{base64url(self.private.sign(signed.encode(), PKCS1v15(), SHA256()))}"


_making = threading.Lock()


def signing_key(name: str) -> SigningKey:
    """Return the process's key of that name; two threads never make two."""
    with _making:
        return _make(name)


def key_set(authority: Authority) -> list[dict[str, object]]:
    """List the keys of an authority; where it has several issuers, each key names its own."""
    personal = signing_key(PERSONAL).jwk(issuer_for(GLOBAL_HOST, CONSUMERS.id))
    if authority.tenant == CONSUMERS:
        return [personal]
    keys = [signing_key(name).jwk(authority.issuer) for name in (WORK, NEXT)]
    return [*keys, personal] if authority.personal else keys


def base64url(octets: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@functools.cache
def _make(name: str) -> SigningKey:
    private = generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Microsoft emulator of django-ms-identity")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(private, SHA256())
    )
    return SigningKey(private=private, certificate=certificate.public_bytes(Encoding.DER))
