"""Keys, key sets, ID tokens, providers and caches: right by default, and each part can be broken."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from django_ms_identity.cache import SharedCache
from django_ms_identity.conf.provider_settings import parse_provider
from django_ms_identity.conf.reader import DictReader
from django_ms_identity.crypto import Keyring
from django_ms_identity.entra import id_token, jwks
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.entra.providers import Provider
from django_ms_identity.net.http import HttpClient
from django_ms_identity.net.remote_documents import RemoteDocuments

CLIENT_ID = "11111111-2222-3333-4444-555555555555"
SECRET = "planted-client-secret"
TID = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OTHER_TID = "0a5f2c11-93be-4a3e-8a52-0f2f4f0c9d01"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
OID = "690222be-ff1a-4d56-abd1-7e4f7d38e474"
LOGIN = "https://login.microsoftonline.com"
KEYS_URL = f"{LOGIN}/{TID}/discovery/v2.0/keys"
COMMON_KEYS_URL = f"{LOGIN}/common/discovery/v2.0/keys"
TEMPLATED = f"{LOGIN}/{{tenantid}}/v2.0"
NONCE = "raw-nonce-that-only-the-flow-knows"


def issuer(tid: str = TID) -> str:
    return f"{LOGIN}/{tid}/v2.0"


@cache
def key(name: str = "microsoft", *, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(name: str = "microsoft") -> bytes:
    return (
        key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def jwk(name: str = "microsoft", *, bits: int = 2048, **changes: object) -> dict[str, object]:
    """Build a key set's entry, its kid the key's name; a change to ``None`` leaves the member out."""
    public = RSAAlgorithm.to_jwk(key(name, bits=bits).public_key(), as_dict=True)
    entry = {
        "kty": "RSA",
        "use": "sig",
        "kid": name,
        "n": public["n"],
        "e": public["e"],
        "issuer": issuer(),
        **changes,
    }
    return {member: value for member, value in entry.items() if value is not None}


def private_jwk(name: str = "microsoft") -> dict[str, object]:
    return {**RSAAlgorithm.to_jwk(key(name), as_dict=True), "kid": name, "use": "sig", "issuer": issuer()}


def ec_jwk(kid: str = "microsoft") -> dict[str, object]:
    public = ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", "issuer": issuer()}


def key_set(*entries: object) -> str:
    return json.dumps({"keys": list(entries)})


def payload(**changes: object) -> dict[str, object]:
    """Build the claims of a work account; a change to ``LEFT_OUT`` leaves the claim out."""
    now = int(time.time())
    claims = {
        "aud": CLIENT_ID,
        "iss": issuer(),
        "iat": now - 300,
        "nbf": now - 300,
        "exp": now + 3600,
        "ver": "2.0",
        "tid": TID,
        "sub": "pairwise-subject",
        "oid": OID,
        "nonce": NONCE,
        "name": "planted-name",
        "preferred_username": "planted@contoso.example",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not LEFT_OUT}


LEFT_OUT = object()
Signer = Callable[[bytes], bytes]


def rs256(name: str = "microsoft", *, bits: int = 2048) -> Signer:
    return lambda message: key(name, bits=bits).sign(message, padding.PKCS1v15(), hashes.SHA256())


def rs384(name: str = "microsoft") -> Signer:
    return lambda message: key(name).sign(message, padding.PKCS1v15(), hashes.SHA384())


def ps256(name: str = "microsoft") -> Signer:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    return lambda message: key(name).sign(message, pss, hashes.SHA256())


def es256() -> Signer:
    return lambda message: ec_key().sign(message, ec.ECDSA(hashes.SHA256()))


def hs256(secret: bytes) -> Signer:
    return lambda message: hmac.digest(secret, message, "sha256")


def unsigned(message: bytes) -> bytes:
    return b""


def token(
    claims: object = None, *, header: Mapping[str, object] | None = None, sign: Signer | None = None
) -> str:
    """Sign ``claims``; ``header`` changes the header, a change to ``LEFT_OUT`` leaves the member out."""
    members = {"typ": "JWT", "alg": "RS256", "kid": "microsoft", **(header or {})}
    members = {name: value for name, value in members.items() if value is not LEFT_OUT}
    message = b".".join((segment(members), segment(payload() if claims is None else claims)))
    return b".".join((message, b64((sign or rs256())(message)))).decode()


def segment(value: object) -> bytes:
    return b64(json.dumps(value).encode())


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def provider(**changes: object) -> Provider:
    """Parse a provider object; a change to ``LEFT_OUT`` leaves the key out."""
    raw = {
        "id": "microsoft",
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "microsoft_tenant": TID,
        **changes,
    }
    read = DictReader({name: value for name, value in raw.items() if value is not LEFT_OUT})
    parsed = parse_provider(read)
    assert parsed is not None, read.faults
    return parsed


class Store:
    """A cache backend in memory that several processes may share, or that is down."""

    def __init__(self) -> None:
        self.kept: dict[str, object] = {}
        self.down = False
        self.calls = 0

    def get(self, key: str) -> object:
        self._call()
        return self.kept.get(key)

    def set(self, key: str, value: str, timeout: int) -> None:
        self._call()
        self.kept[key] = value

    def add(self, key: str, value: str, timeout: int) -> bool | None:
        self._call()
        if key in self.kept:
            return False
        self.kept[key] = value
        return True

    def _call(self) -> None:
        self.calls += 1
        if self.down:
            raise ConnectionError("planted-cache-password")


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def documents(
    store: Store | None = None, clock: Clock | None = None, *, secret: str = "secret", origin: str = ""
) -> RemoteDocuments:
    """Build what a new process would have."""
    return RemoteDocuments(
        transport=HttpClient(connect=1, read=1, emulator_url=origin),
        shared=SharedCache(store or Store(), Keyring([secret])),
        origin=origin,
        now=clock or time.time,
    )


def verify(raw: str, *, by: Provider | None = None, copies: RemoteDocuments | None = None) -> Claims:
    """Verify as the callback does: key from the provider's set, tenant resolved."""
    by, copies = by or provider(), copies or documents()
    return id_token.verify(
        raw,
        provider=by,
        tenant=jwks.configured_tenant(by, copies),
        nonce=NONCE,
        key_for=lambda kid: jwks.signing_key(by, kid, copies),
    )


def chain_text(error: BaseException | None) -> str:
    """Everything that an error and those it came from would tell a log or an error report."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        # What requests' and json's exceptions carry along.
        parts += [repr(vars(value)) for value in vars(error).values() if hasattr(value, "__dict__")]
        parts.append(str(getattr(error, "doc", "")))
        error = error.__cause__ or error.__context__
    return "\n".join(parts)
