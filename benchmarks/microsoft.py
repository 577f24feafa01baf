"""What Microsoft answers, made before the clock starts.

Made meanwhile, they would push the measured code out of the processor's caches.
"""

from __future__ import annotations

import json
import time
import uuid
from urllib.parse import parse_qs, urlencode, urlsplit

from django_ms_identity.emulator import CLIENT_ID, TENANT_ID
from django_ms_identity.emulator.keys import WORK, signing_key
from django_ms_identity.testing.emulator import Emulator, Endpoint

ISSUER = f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"
CODE = "c" * 1200
"""As long as a real one."""


def callback(emulator: Emulator, location: str, person: str) -> str:
    """Let ``person`` pick their account at the authorize URL ``location``; return where the browser goes."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    tokens = {
        "token_type": "Bearer",
        "expires_in": 3599,
        "scope": query["scope"],
        "access_token": "a" * 1500,
        "id_token": signing_key(WORK).sign(_claims(person) | {"nonce": query["nonce"]}),
    }
    _answer(emulator, Endpoint.TOKEN, tokens)
    if "User.Read" in query["scope"]:
        _answer(emulator, Endpoint.ME, {"id": _oid(person), "displayName": person, "mail": email(person)})
    back = urlencode({"code": CODE, "state": query["state"], "session_state": _oid("session")})
    return f"{query['redirect_uri']}?{back}"


def access_token(emulator: Emulator, person: str) -> None:
    """Let the next answer hold an access token that names ``person``, as django-auth-adfs wants it."""
    token = signing_key(WORK).sign(_claims(person) | {"upn": email(person)})
    _answer(emulator, Endpoint.TOKEN, {"token_type": "Bearer", "access_token": token, "id_token": token})


def email(person: str) -> str:
    return f"{person}@contoso.example"


def _answer(emulator: Emulator, endpoint: Endpoint, answer: dict[str, object]) -> None:
    # It remembers every request, for tests that are shorter than this.
    emulator.requests.clear()
    emulator.wire.calls.reset()
    for response in emulator.wire.registered():
        response.calls.reset()
    emulator.answer_next(endpoint, body=json.dumps(answer))


def _claims(person: str) -> dict[str, object]:
    issued = int(time.time()) - 300
    return {
        "aud": CLIENT_ID,
        "iss": ISSUER,
        "iat": issued,
        "nbf": issued,
        "exp": issued + 3900,
        "sub": f"subject-of-{person}",
        "tid": TENANT_ID,
        "oid": _oid(person),
        "sid": _oid(f"session of {person}"),
        "uti": "u" * 22,
        "rh": "1.AXkA.",
        "ver": "2.0",
        "name": f"{person.title()} Okafor",
        "given_name": person.title(),
        "family_name": "Okafor",
        "preferred_username": email(person),
        "email": email(person),
        "xms_edov": True,
        "acct": 0,
    }


def _oid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
