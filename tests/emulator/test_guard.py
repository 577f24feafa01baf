"""The emulator is 404 except for a developer's own machine under DEBUG."""

from __future__ import annotations

import re
from urllib.parse import urljoin

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
def test_emulator_serves_localhost_under_debug(path):
    assert status(path) != 404


@pytest.mark.parametrize("path", PATHS)
def test_emulator_is_404_without_debug(path, settings):
    settings.DEBUG = False

    assert status(path) == 404


def test_token_endpoint_is_404_without_debug(settings):
    settings.DEBUG = False

    path = "/login.microsoftonline.com/common/oauth2/v2.0/token"
    assert Client().post(path, headers={"Host": "localhost"}).status_code == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("peer", "host"),
    [
        *((peer, "localhost") for peer in ("192.168.1.7", "::ffff:203.0.113.9", "fe80::1", "", "unix:")),
        *(("127.0.0.1", host) for host in ("evil.example:8000", "localhost.evil.example", "[fe80::1]")),
        *(("127.0.0.1", host) for host in ("evil.example", "0.0.0.0", "192.168.1.7")),
    ],
)
def test_emulator_is_404_for_other_machines_and_rebound_names(path, peer, host):
    assert status(path, peer=peer, host=host) == 404


@pytest.mark.parametrize(
    "host", ["localhost", "app.localhost:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_emulator_serves_every_name_of_the_loopback_interface(host, peer):
    assert status(host=host, peer=peer) == 200


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("X-Forwarded-For", "127.0.0.1, ::1", 200),
        ("X-Forwarded-For", "203.0.113.9", 404),
        ("X-Forwarded-For", "127.0.0.1, 203.0.113.9", 404),
        ("X-Forwarded-For", "unknown", 404),
        ("Forwarded", "127.0.0.1", 404),
        ("Via", "127.0.0.1", 404),
        ("X-Forwarded-Host", "127.0.0.1", 404),
        ("X-Real-IP", "127.0.0.1", 404),
    ],
)
def test_emulator_is_404_behind_a_proxy_or_tunnel(header, value, expected):
    assert status(**{header: value}) == expected


@pytest.mark.parametrize("header", [ENVIRON_KEY, "ms-identity-emulator.microsoft"])
def test_request_header_cannot_bring_its_own_microsoft(settings, header):
    settings.DEBUG = False

    assert status(**{header: "1"}) == 404


def test_emulator_needs_no_login_and_no_csrf_token(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR="127.0.0.1")

    response = client.post(
        "/login.microsoftonline.com/common/oauth2/v2.0/token", headers={"Host": "localhost"}
    )

    assert response.status_code == 400


def test_assets_are_two_files():
    assert status("/assets/submit.js") == 200
    assert status("/assets/guard.py") == 404
    assert status("/assets/..") == 404


def test_page_links_its_stylesheet():
    page = Client().get(PATHS[3], headers={"Host": "localhost"}).content.decode()

    [link] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert status(urljoin(PATHS[3], link)) == 200


def sign_in(client_id, tenant):
    path = f"/login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
    query = {**QUERY, "client_id": client_id, "persona": "work"}
    return Client().get(path, query, headers={"Host": "localhost"})


def test_settings_replace_the_default_client_and_tenant(settings):
    assert sign_in(CLIENT_ID, TENANT_ID).status_code == 302
    own = "8EAEF023-2b34-4da1-9baa-8bc8c9d6a490"
    settings.MS_IDENTITY_EMULATOR = {"CLIENTS": {"own-client": "own-secret"}, "TENANT_ID": own}

    assert sign_in("own-client", own.lower()).status_code == 302
    assert "AADSTS700016" in sign_in(CLIENT_ID, own).content.decode()
    assert "AADSTS90002" in sign_in("own-client", TENANT_ID).content.decode()
