"""response_mode form_post: a cross-site POST that carries no session, then a GET."""

from __future__ import annotations

import pytest

from tests.support.builders import make_settings
from tests.support.web import Browser

from .steps import NOTHING, asked, code_of, page, rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _form_post(settings):
    settings.MS_IDENTITY = make_settings({"response_mode": "form_post"})


def start(client, **query):
    return client.get("/ms/start/microsoft/", query, secure=True)


def post(client, callback):
    return client.post("/ms/callback/microsoft/", dict(callback.fields), secure=True)


@pytest.mark.kratos(70)
def test_form_post_signs_in(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client, next="/home/?x").headers["Location"])

    bounced = post(client, callback)

    assert bounced.status_code == 303
    assert bounced.headers["Location"] == f"/ms/callback/microsoft/?state={callback.fields['state']}"
    assert rows() == NOTHING
    ((name, cookie),) = bounced.cookies.items()
    assert name.startswith("__Host-ms_identity_answer_")
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["max-age"], cookie["path"], cookie["domain"]) == (60, "/", "")
    assert callback.fields["code"] not in str(bounced.cookies)

    response = client.get(bounced.headers["Location"], secure=True)

    assert response.headers["Location"] == "/home/?x", page(response)
    assert [name for name in client.cookies if "ms_identity" in name] == []
    assert client.get("/home/", secure=True).content == b"ines.okafor@contoso.example"


def test_form_post_flow_cookie_comes_along_with_a_cross_site_post(client):
    response = start(client)

    ((_, cookie),) = response.cookies.items()
    assert (cookie["samesite"], cookie["secure"], cookie["httponly"]) == ("None", True, True)
    assert asked(response.headers["Location"])["response_mode"] == "form_post"


def test_form_post_needs_no_csrf_token(ms_identity_emulator):
    browser = Browser(enforce_csrf_checks=True)

    assert ms_identity_emulator.sign_in(browser).status_code == 302


def test_form_post_without_the_flow_cookie_is_refused(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])
    stranger = Browser()

    response = post(stranger, callback)

    assert (code_of(response), response.status_code) == ("flow_missing", 400)
    assert "ms_identity_answer" not in str(response.cookies)


def test_form_post_carries_a_refusal_too(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, "cancel")

    assert code_of(response) == "sign_in_cancelled"
    assert [name for name in client.cookies if "ms_identity" in name] == []
    assert rows() == NOTHING


def test_form_post_refuses_a_code_in_the_address(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])

    response = client.get("/ms/callback/microsoft/", dict(callback.fields), secure=True)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert rows() == NOTHING


def test_form_post_is_refused_where_the_answer_comes_by_query(client, ms_identity_emulator, settings):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])
    settings.MS_IDENTITY = make_settings()

    response = post(client, callback)

    assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_form_post_get_without_the_answer_is_refused(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])

    response = client.get("/ms/callback/microsoft/", {"state": callback.fields["state"]}, secure=True)

    assert code_of(response) == "flow_missing"


def test_form_post_get_that_is_repeated_goes_where_the_first_went(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client, next="/home/?x").headers["Location"])
    bounced = post(client, callback)
    client.get(bounced.headers["Location"], secure=True)
    before = rows()

    response = client.get(bounced.headers["Location"], secure=True)

    assert response.headers["Location"] == "/home/?x"
    assert rows() == before


def test_form_post_answer_belongs_to_its_flow(client, ms_identity_emulator):
    """The sealed answer of one flow under the name of another's."""
    first = ms_identity_emulator.callback(start(client).headers["Location"], "work")
    second = ms_identity_emulator.callback(start(client).headers["Location"], "admin")
    ((_, first_answer),) = post(client, first).cookies.items()
    ((second_name, _),) = post(client, second).cookies.items()
    client.cookies.load({second_name: first_answer.value})

    response = client.get("/ms/callback/microsoft/", {"state": second.fields["state"]}, secure=True)

    assert code_of(response) == "flow_invalid"
    assert rows() == NOTHING


def test_form_post_cookie_holds_the_longest_code(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])

    response = client.post(
        "/ms/callback/microsoft/", {"state": callback.fields["state"], "code": "x" * 2800}, secure=True
    )

    ((name, cookie),) = response.cookies.items()
    assert len(f"{name}={cookie.value}") <= 4096


@pytest.mark.parametrize("code", ["x" * 2801, "é" * 100, "a\nb", "a\0b"])
def test_form_post_refuses_what_cannot_be_a_code(client, ms_identity_emulator, code):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])

    response = client.post(
        "/ms/callback/microsoft/", {"state": callback.fields["state"], "code": code}, secure=True
    )

    assert (code_of(response), response.status_code) == ("callback_invalid", 400)


def test_form_post_cookie_holds_the_longest_refusal(client, ms_identity_emulator):
    callback = ms_identity_emulator.callback(start(client).headers["Location"])
    answer = {"state": callback.fields["state"], "error": "e" * 100, "error_description": "ü" * 5000}

    response = client.post("/ms/callback/microsoft/", answer, secure=True)

    ((name, cookie),) = response.cookies.items()
    assert len(f"{name}={cookie.value}") <= 4096


MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="state"\r\n\r\n\\ud800' + b"s" * 21 + b"\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("multipart/form-data", b"x", id="no boundary"),
        pytest.param("multipart/form-data; boundary=x", b"--x\r\n\r\n", id="broken multipart"),
        pytest.param("application/x-www-form-urlencoded", b"a=1&" * 2000, id="too many fields"),
        pytest.param("application/x-www-form-urlencoded", b"a=" + b"x" * 3_000_000, id="too large"),
        pytest.param("application/x-www-form-urlencoded; charset=utf-16", b"state=x", id="other charset"),
        pytest.param("multipart/form-data; boundary=x; charset=hex", MULTIPART, id="charset of no text"),
        pytest.param("multipart/form-data; boundary=x; charset=unicode_escape", MULTIPART, id="surrogates"),
        pytest.param("application/json", b'{"state": "x"}', id="JSON"),
        pytest.param("", b"state=x", id="no type"),
    ],
)
def test_form_post_refuses_a_body_that_cannot_be_read(client, content_type, body):
    response = client.generic("POST", "/ms/callback/microsoft/", body, content_type, secure=True)

    assert (code_of(response), response.status_code) == ("callback_invalid", 400)


def test_form_post_refuses_too_many_parameters(client):
    response = client.get(f"/ms/callback/microsoft/?{'a=1&' * 2000}", secure=True)

    assert (code_of(response), response.status_code) == ("callback_invalid", 400)
