"""A Microsoft that tampers with its own responses, for tests which show that the app refuses them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from django_ms_identity.emulator.keys import NEXT, PERSONAL, WORK, signing_key
from django_ms_identity.emulator.personas import Persona
from django_ms_identity.testing.browser import Callback
from django_ms_identity.testing.emulator import Emulator, Endpoint, endpoint_of

if TYPE_CHECKING:
    import requests

OMIT = object()
"""As the value of a member: leave the member out."""
Signer = Callable[[bytes], bytes]
Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IDToken:
    """An ID token taken apart, to be changed and serialized again (RFC 7515 section 7.1)."""

    header: Mapping[str, object]
    claims: Mapping[str, object] = field(repr=False)
    sign: Signer = field(repr=False)
    """Microsoft's own key, unless the tampering has another."""

    @classmethod
    def parse(cls, text: str) -> Self:
        header, claims, _signature = text.split(".")
        return cls(
            header=_parse(header), claims=_parse(claims), sign=_sign_as_microsoft(_parse(header)["kid"])
        )

    def with_header(self, **changes: object) -> Self:
        """Change members of the header; ``OMIT`` removes one."""
        return replace(self, header=_changed(self.header, changes))

    def with_claims(self, **changes: object) -> Self:
        """Change claims; ``OMIT`` removes one."""
        return replace(self, claims=_changed(self.claims, changes))

    def signed_by(self, sign: Signer) -> Self:
        """Sign with another key."""
        return replace(self, sign=sign)

    def __str__(self) -> str:
        message = f"{_serialize(self.header)}.{_serialize(self.claims)}"
        return f"{message}.{_base64url(self.sign(message.encode()))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResponse:
    """What an endpoint of Microsoft returns to the app."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """What changes in the responses to the app and in the callback of the browser."""

    responses: Mapping[Endpoint, Callable[[EndpointResponse], EndpointResponse]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    """Turns the genuine response of an endpoint into another."""
    callback: Callable[[Callback], Callback] = lambda callback: callback
    """Turns the genuine callback into another."""

    def combined_with(self, other: Tampering) -> Tampering:
        """Apply both; for an endpoint that both change, only ``other``."""
        return Tampering(
            responses={**self.responses, **other.responses},
            callback=lambda callback: other.callback(self.callback(callback)),
        )


UNTAMPERED = Tampering()


def tamper_json(endpoint: Endpoint, change: Callable[[Any], object]) -> Tampering:
    """Change the JSON of an endpoint's successful response."""

    def tampered(response: EndpointResponse) -> EndpointResponse:
        if response.status != HTTPStatus.OK:
            return response
        return replace(response, body=json.dumps(change(json.loads(response.body))).encode())

    return Tampering(responses={endpoint: tampered})


def tamper_id_token(change: Callable[[IDToken], IDToken | str]) -> Tampering:
    """Change the ID token, which Microsoft's key signs unless ``change`` sets another."""
    return tamper_json(
        Endpoint.TOKEN,
        lambda members: {**members, "id_token": str(change(IDToken.parse(members["id_token"])))},
    )


def tamper_keys(change: Callable[[list[dict[str, object]]], object]) -> Tampering:
    """Change the signing keys: ``change`` gets the entries of the key set and returns others."""
    return tamper_json(Endpoint.KEYS, lambda members: {"keys": change(members["keys"])})


def respond_with(
    endpoint: Endpoint,
    *,
    status: int = 200,
    body: bytes | str = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Tampering:
    """Replace every response of an endpoint."""
    octets = body.encode() if isinstance(body, str) else body
    return Tampering(
        responses={endpoint: lambda _: EndpointResponse(status=status, body=octets, headers=headers)}
    )


def tamper_callback(change: Callable[[Parameters], Parameters]) -> Tampering:
    """Change the parameters in the query of the callback URL."""

    def tampered(callback: Callback) -> Callback:
        parts = urlsplit(callback.url)
        query = urlencode(change(parse_qsl(parts.query)), errors="surrogatepass")
        return replace(callback, url=parts._replace(query=query).geturl())

    return Tampering(callback=tampered)


class MaliciousProvider(Emulator):
    """An ``Emulator`` with ``tampering``, which a test may replace at any time::

    with MaliciousProvider(tamper_id_token(lambda token: token.with_claims(aud="other"))) as microsoft:
        assert microsoft.sign_in(client).status_code == 403
    """

    def __init__(self, tampering: Tampering = UNTAMPERED) -> None:
        super().__init__()
        self.tampering = tampering
        self.issued_secrets: set[str] = set()
        """Every state, code and token that was issued or forged: none may be on a page or in a log."""

    def callback(self, location: str, persona: str | Persona = "work") -> Callback:
        genuine = super().callback(location, persona)
        callback = self.tampering.callback(genuine)
        for each in (genuine, callback):
            parameters = dict(parse_qsl(urlsplit(each.url).query)) | dict(each.fields)
            self.issued_secrets |= _texts(parameters, "state", "code")
        return callback

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        status, headers, body = super()._answer(request)
        endpoint = endpoint_of(request.url or "")
        genuine = response = EndpointResponse(status=status, body=body, headers=headers)
        if endpoint and endpoint in self.tampering.responses:
            response = self.tampering.responses[endpoint](genuine)
        if endpoint is Endpoint.TOKEN:
            for each in (genuine, response):
                self.issued_secrets |= _texts(_json_of(each), "id_token", "access_token")
        return response.status, response.headers, response.body


def _json_of(response: EndpointResponse) -> object:
    # Some tampering returns something else than JSON.
    with suppress(ValueError, RecursionError):
        members: object = json.loads(response.body)
        return members
    return None


def _texts(members: object, *names: str) -> set[str]:
    values = [members.get(name) for name in names] if isinstance(members, dict) else []
    return {value for value in values if isinstance(value, str) and value}


def _sign_as_microsoft(kid: object) -> Signer:
    (key,) = [key for key in map(signing_key, (WORK, NEXT, PERSONAL)) if key.kid == kid]
    return lambda message: key.private.sign(message, PKCS1v15(), SHA256())


def _changed(members: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**members, **changes}.items() if value is not OMIT}


def _parse(segment: str) -> dict[str, object]:
    octets = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return cast("dict[str, object]", json.loads(octets))


def _serialize(members: Mapping[str, object]) -> str:
    return _base64url(json.dumps(members).encode())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
