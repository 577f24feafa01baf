"""Strangers find nothing: the emulator is for one machine under DEBUG."""

from __future__ import annotations

import pytest
from django.test import Client

from django_ms_identity.emulator import CLIENT_ID, TENANT_ID
from django_ms_identity.emulator.microsoft import ENVIRON_KEY

from .wire import QUERY

pytestmark = pytest.mark.urls("django_ms_identity.testing.urls")
PATHS = [
    "/login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
    "/login.microsoftonline.com/common/discovery/v2.0/keys",
    "/login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "/login.microsoftonline.com/common/oauth2/v2.0/logout",
    "/graph.microsoft.com/v1.0/me",
    "/graph.microsoft.com/oidc/userinfo",
    "/assets/emulator.css",
]


@pytest.fixture(autouse=True)
def _debug(settings):
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["*"]


def status(path=PATHS[1], *, peer="127.0.0.1", host="localhost:8000", **headers):
    return Client(REMOTE_ADDR=peer).get(path, headers={"Host": host, **headers}).status_code


@pytest.mark.parametrize("path", PATHS)
def test_a_developer_is_served(path):
    assert status(path) != 404


@pytest.mark.parametrize("path", PATHS)
def test_without_debug_nothing_is_there(path, settings):
    settings.DEBUG = False

    assert status(path) == 404


def test_without_debug_no_token_is_there(settings):
    settings.DEBUG = False

    path = "/login.microsoftonline.com/common/oauth2/v2.0/token"
    assert Client().post(path, headers={"Host": "localhost"}).status_code == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("peer", ["192.168.1.7", "203.0.113.9", "::ffff:203.0.113.9", "fe80::1", "", "unix:"])
def test_other_machines_find_nothing(path, peer):
    assert status(path, peer=peer) == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "0.0.0.0", "192.168.1.7", "[fe80::1]"],
)
def test_a_rebound_name_finds_nothing(path, host):
    assert status(path, host=host) == 404


@pytest.mark.parametrize(
    "host", ["localhost", "app.localhost:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_the_loopback_interface_has_many_names(host, peer):
    assert status(host=host, peer=peer) == 200


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [("203.0.113.9", 404), ("127.0.0.1, 203.0.113.9", 404), ("unknown", 404), ("127.0.0.1, ::1", 200)],
)
def test_who_comes_through_a_tunnel_is_not_local(forwarded, expected):
    assert status(**{"X-Forwarded-For": forwarded}) == expected


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-Host", "X-Real-IP"])
def test_who_comes_through_a_proxy_is_not_local(header):
    assert status(**{header: "127.0.0.1"}) == 404


def test_no_header_makes_a_stranger_local(settings):
    settings.DEBUG = False
    names = (ENVIRON_KEY, "ms-identity-emulator.microsoft", "X-Forwarded-For")

    assert all(status(**{name: "1"}) == 404 for name in names)


def test_views_need_no_login_and_no_csrf_token(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR="127.0.0.1")

    response = client.post(
        "/login.microsoftonline.com/common/oauth2/v2.0/token", headers={"Host": "localhost"}
    )

    assert response.status_code == 400


def test_assets_are_two_files_and_nothing_else():
    assert status("/assets/submit.js") == 200
    assert status("/assets/guard.py") == 404
    assert status("/assets/..") == 404


def sign_in(client_id, tenant):
    path = f"/login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
    query = {**QUERY, "client_id": client_id, "persona": "work"}
    return Client().get(path, query, headers={"Host": "localhost"})


def test_by_default_the_emulators_own_client_is_known():
    assert sign_in(CLIENT_ID, TENANT_ID).status_code == 302


def test_a_project_names_its_own_client_and_tenant(settings):
    own = "8EAEF023-2b34-4da1-9baa-8bc8c9d6a490"
    settings.MS_IDENTITY_EMULATOR = {"CLIENTS": {"own-client": "own-secret"}, "TENANT_ID": own}

    assert sign_in("own-client", own.lower()).status_code == 302
    assert "AADSTS700016" in sign_in(CLIENT_ID, own).content.decode()
    assert "AADSTS90002" in sign_in("own-client", TENANT_ID).content.decode()
