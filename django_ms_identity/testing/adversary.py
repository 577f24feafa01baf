"""A Microsoft that lies, for tests which show that nobody believes it. The emulator itself never does."""

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

from .browser import Callback
from .emulator import Emulator, Endpoint, endpoint_of

if TYPE_CHECKING:
    import requests

LEFT_OUT = object()
"""As the value of a member: it is not there."""
Signer = Callable[[bytes], bytes]
Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IDToken:
    """An ID token taken apart, to be changed and put together again (RFC 7515 section 7.1)."""

    header: Mapping[str, object]
    claims: Mapping[str, object] = field(repr=False)
    sign: Signer = field(repr=False)
    """Microsoft's own key, unless a lie has another."""

    @classmethod
    def parse(cls, text: str) -> Self:
        header, claims, _signature = text.split(".")
        return cls(header=_read(header), claims=_read(claims), sign=_sign_as_microsoft(_read(header)["kid"]))

    def with_header(self, **changes: object) -> Self:
        """Change members of the header; ``LEFT_OUT`` takes one away."""
        return replace(self, header=_changed(self.header, changes))

    def with_claims(self, **changes: object) -> Self:
        """Change claims; ``LEFT_OUT`` takes one away."""
        return replace(self, claims=_changed(self.claims, changes))

    def signed_by(self, sign: Signer) -> Self:
        """Have somebody else sign it."""
        return replace(self, sign=sign)

    def __str__(self) -> str:
        message = f"{_written(self.header)}.{_written(self.claims)}"
        return f"{message}.{_base64url(self.sign(message.encode()))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint of Microsoft's answers to the app."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """What Microsoft says against the truth, to the app and to the browser."""

    answers: Mapping[Endpoint, Callable[[Answer], Answer]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    """What becomes of an endpoint's true answer."""
    way_back: Callable[[Callback], Callback] = lambda callback: callback
    """What becomes of what the browser brings back."""

    def also(self, other: Lie) -> Lie:
        """Tell both; of two lies about one endpoint, the other's."""
        return Lie(
            answers={**self.answers, **other.answers},
            way_back=lambda callback: other.way_back(self.way_back(callback)),
        )


HONEST = Lie()


def about_json(endpoint: Endpoint, change: Callable[[Any], object]) -> Lie:
    """Lie about the JSON that an endpoint answers with success."""

    def lie(answer: Answer) -> Answer:
        if answer.status != HTTPStatus.OK:
            return answer
        return replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())

    return Lie(answers={endpoint: lie})


def about_id_token(change: Callable[[IDToken], IDToken | str]) -> Lie:
    """Lie about the ID token; it is signed as Microsoft would, unless ``change`` says by whom."""
    return about_json(
        Endpoint.TOKEN,
        lambda answer: {**answer, "id_token": str(change(IDToken.parse(answer["id_token"])))},
    )


def about_keys(change: Callable[[list[dict[str, object]]], object]) -> Lie:
    """Lie about the signing keys: ``change`` gets the entries of the key set and returns others."""
    return about_json(Endpoint.KEYS, lambda answer: {"keys": change(answer["keys"])})


def instead(
    endpoint: Endpoint,
    *,
    status: int = 200,
    body: bytes | str = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Lie:
    """Answer like this whatever the truth is."""
    octets = body.encode() if isinstance(body, str) else body
    return Lie(answers={endpoint: lambda _: Answer(status=status, body=octets, headers=headers)})


def on_the_way_back(change: Callable[[Parameters], Parameters]) -> Lie:
    """Change the parameters that the browser brings back in the address."""

    def lie(callback: Callback) -> Callback:
        parts = urlsplit(callback.url)
        query = urlencode(change(parse_qsl(parts.query)), errors="surrogatepass")
        return replace(callback, url=parts._replace(query=query).geturl())

    return Lie(way_back=lie)


class Adversary(Emulator):
    """An ``Emulator`` that tells ``lie``, which may be another one at any time::

    with Adversary(about_id_token(lambda token: token.with_claims(aud="another client"))) as microsoft:
        assert microsoft.sign_in(client).status_code == 403
    """

    def __init__(self, lie: Lie = HONEST) -> None:
        super().__init__()
        self.lie = lie
        self.given_away: set[str] = set()
        """Every state, code and token that was handed out, or forged: none belongs on a page or in a log."""

    def callback(self, location: str, persona: str | Persona = "work") -> Callback:
        genuine = super().callback(location, persona)
        callback = self.lie.way_back(genuine)
        for each in (genuine, callback):
            told = dict(parse_qsl(urlsplit(each.url).query)) | dict(each.fields)
            self.given_away |= _texts(told, "state", "code")
        return callback

    def _answer(self, request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        status, headers, body = super()._answer(request)
        endpoint = endpoint_of(request.url or "")
        genuine = answer = Answer(status=status, body=body, headers=headers)
        if endpoint and endpoint in self.lie.answers:
            answer = self.lie.answers[endpoint](genuine)
        if endpoint is Endpoint.TOKEN:
            for each in (genuine, answer):
                self.given_away |= _texts(_told(each), "id_token", "access_token")
        return answer.status, answer.headers, answer.body


def _told(answer: Answer) -> object:
    # Not every lie is JSON.
    with suppress(ValueError, RecursionError):
        told: object = json.loads(answer.body)
        return told
    return None


def _texts(told: object, *names: str) -> set[str]:
    values = [told.get(name) for name in names] if isinstance(told, dict) else []
    return {value for value in values if isinstance(value, str) and value}


def _sign_as_microsoft(kid: object) -> Signer:
    (key,) = [key for key in map(signing_key, (WORK, NEXT, PERSONAL)) if key.kid == kid]
    return lambda message: key.private.sign(message, PKCS1v15(), SHA256())


def _changed(members: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**members, **changes}.items() if value is not LEFT_OUT}


def _read(segment: str) -> dict[str, object]:
    octets = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return cast("dict[str, object]", json.loads(octets))


def _written(members: Mapping[str, object]) -> str:
    return _base64url(json.dumps(members).encode())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
