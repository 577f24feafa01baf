"""What a template sees of a request and an identity, and what it never sees."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from django.test import RequestFactory

from django_ms_identity.hooks.web_hook_payload import payload
from django_ms_identity.models import Identity

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLANTED = {
    "HTTP_COOKIE": "sessionid=planted",
    "HTTP_AUTHORIZATION": "Bearer planted",
    "HTTP_PROXY_AUTHORIZATION": "Basic planted",
    "HTTP_REFERER": "https://testserver/ms/callback/microsoft/?code=planted",
    "HTTP_X_FORWARDED_FOR": "planted",
    "HTTP_X_API_KEY": "planted",
    "REMOTE_ADDR": "planted",
}


def make_identity(**changes):
    return Identity(traits={"email": "ada@example.com"}, metadata_admin={"note": 1}, **changes)


def make_payload(identity=None, path="/ms/callback/microsoft/", **headers):
    request = RequestFactory().get(path, **headers)
    identity = identity or make_identity()
    return payload(request, stage="after_login", provider="microsoft", identity=identity)


def shape(value):
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value)


def test_the_request_is_described_as_kratos_describes_it():
    ctx = make_payload(HTTP_USER_AGENT="Browser/1", HTTP_ACCEPT_LANGUAGE="de")

    assert ctx["request_method"] == "GET"
    assert ctx["request_url"] == "http://testserver/ms/callback/microsoft/"
    assert ctx["request_headers"] == {"User-Agent": ["Browser/1"], "Accept-Language": ["de"]}
    assert ctx["request_cookies"] == {}
    assert ctx["flow"] == {
        "type": "browser",
        "active": "oidc",
        "stage": "after_login",
        "provider": "microsoft",
        "request_url": "http://testserver/ms/callback/microsoft/",
    }


@pytest.mark.parametrize(
    "query", ["code=planted&state=planted", "CODE=planted", "x=planted", "session_state=planted;code=planted"]
)
def test_no_secret_of_the_request_is_in_it(query):
    ctx = make_payload(path=f"/ms/callback/microsoft/?{query}", **PLANTED)

    assert "planted" not in json.dumps(ctx)


def test_the_identity_is_whole():
    person = uuid.uuid4()
    identity = make_identity(id=person, created_at=MOMENT, updated_at=MOMENT, metadata_public={"a": [1]})

    assert make_payload(identity)["identity"] == {
        "id": str(person),
        "schema_id": "default",
        "state": "active",
        "traits": {"email": "ada@example.com"},
        "metadata_public": {"a": [1]},
        "metadata_admin": {"note": 1},
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }


def test_an_identity_that_is_not_stored_yet_has_no_times():
    assert "created_at" not in make_payload()["identity"]


def test_a_sample_has_the_shape_of_the_real_one():
    real = make_payload(HTTP_USER_AGENT="Browser/1")

    sample = payload(None, stage="after_login", provider="microsoft", identity=make_identity())

    assert shape(sample) == shape(real)
