"""Encrypt (AES-256-GCM) and sign (HMAC-SHA256) with keys that are derived per kind of data (RFC 5869)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class SealBroken(Exception):
    """Raised when a text was not sealed for this kind and context with one of the secrets."""


class Keyring:
    """Seal with the first secret and open with any, so that secrets rotate as by SECRET_KEY_FALLBACKS."""

    def __init__(self, secrets: Sequence[str | bytes]) -> None:
        self._secrets = tuple(s.encode() if isinstance(s, str) else s for s in secrets)

    def seal(self, plain: bytes, *, kind: str, context: Sequence[str] = ()) -> str:
        """Encrypt to URL-safe text with AES-256-GCM; ``kind`` and ``context`` are authenticated."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + _cipher(self._secrets[0], kind).encrypt(
            nonce, plain, _associated_data(kind, context)
        )
        return _base64(sealed)

    def open(self, sealed: str, *, kind: str, context: Sequence[str] = ()) -> bytes:
        """Decrypt a text that ``seal`` made for the same kind and context, or raise ``SealBroken``."""
        try:
            raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise SealBroken from None
        # Base64 decodes several texts to the same bytes: accept one, so that a sealed text cannot be varied.
        if _base64(raw) != sealed:
            raise SealBroken
        for secret in self._secrets:
            try:
                return _cipher(secret, kind).decrypt(
                    raw[:_NONCE], raw[_NONCE:], _associated_data(kind, context)
                )
            except (InvalidTag, ValueError):
                continue
        raise SealBroken

    def seal_json(self, value: Mapping[str, object], *, kind: str, context: Sequence[str]) -> str:
        """Encrypt an object as compressed JSON; the one codec for what waits in a cookie or a session."""
        plain = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
        return self.seal(plain, kind=kind, context=context)

    def open_json(self, sealed: str, *, kind: str, context: Sequence[str]) -> dict[str, Any]:
        """Return what ``seal_json`` encrypted, or raise ``SealBroken``."""
        # Authenticated before it is decompressed, so its size is that of something this project wrote.
        plain = self.open(sealed, kind=kind, context=context)
        try:
            value: dict[str, Any] = json.loads(zlib.decompress(plain))
        except (zlib.error, ValueError):  # Sealed by a release with another codec.
            raise SealBroken from None
        return value

    def sign(self, message: bytes, *, kind: str) -> str:
        """Return the HMAC-SHA256 of ``message`` in hex."""
        return _mac(self._secrets[0], kind, message)

    def verify(self, message: bytes, signature: str, *, kind: str) -> bool:
        """Return whether ``sign`` made this signature with one of the secrets."""
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_mac(s, kind, message).encode(), given) for s in self._secrets)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _associated_data(kind: str, context: Sequence[str]) -> bytes:
    return json.dumps([kind, *context]).encode()


@lru_cache(maxsize=64)
def _derive_key(secret: bytes, kind: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"django_ms_identity", info=f"{kind}.v1".encode()).derive(
        secret
    )


@lru_cache(maxsize=64)
def _cipher(secret: bytes, kind: str) -> AESGCM:
    return AESGCM(_derive_key(secret, kind))


def _mac(secret: bytes, kind: str, message: bytes) -> str:
    return hmac.new(_derive_key(secret, kind), message, sha256).hexdigest()
