"""What every view has in common: methods, headers, configuration, and the page of a refusal."""

from __future__ import annotations

import logging
import re

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connections
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import get_resolver, reverse

from tests import urls
from tests.journeys.steps import asked, code_of, page, pick, press, sign_in_locally
from tests.support.builders import make_settings

pytestmark = pytest.mark.django_db


VIEWS = {
    "/ms/sign-in/": ("GET", "HEAD"),
    "/ms/start/microsoft/": ("GET", "POST"),
    "/ms/callback/microsoft/": ("GET", "POST"),
    "/ms/complete/": ("GET", "HEAD", "POST"),
    "/ms/confirm-link/": ("GET", "HEAD", "POST"),
    "/ms/connections/": ("GET", "HEAD"),
    "/ms/connections/microsoft/link/": ("POST",),
    "/ms/connections/7/unlink/": ("POST",),
    "/ms/step-up/": ("GET", "HEAD"),
    "/ms/sign-out/": ("POST",),
}


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


NOT_OFFERED = [
    (path, method) for path, offered in VIEWS.items() for method in METHODS if method not in offered
]


def view_of(path):
    return get_resolver().resolve(path).func


def assert_guarded(response):
    directives = set(response.headers["Cache-Control"].split(", "))
    assert {"no-store", "no-cache", "private", "max-age=0"} <= directives
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_url_names_are_the_contracts():
    arguments = {"start": ["microsoft"], "callback": ["microsoft"], "link": ["microsoft"], "unlink": [7]}
    names = "sign_in start callback complete confirm_link connections link unlink step_up sign_out"

    assert {reverse(f"ms_identity:{name}", args=arguments.get(name)) for name in names.split()} == set(VIEWS)


@pytest.mark.parametrize("path", VIEWS)
def test_every_answer_forbids_caches_and_frames(client, path, settings):
    middleware = [name for name in settings.MIDDLEWARE if "XFrame" not in name and "Security" not in name]
    settings.MIDDLEWARE = middleware

    for method in METHODS:
        assert_guarded(client.generic(method, path))


@pytest.mark.parametrize(("path", "method"), NOT_OFFERED)
def test_a_method_that_is_not_offered_is_refused(client, path, method):
    response = client.generic(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == ", ".join(VIEWS[path])


@pytest.mark.kratos(69)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", VIEWS)
def test_there_is_nothing_while_sign_in_is_off(client, settings, path, method):
    settings.MS_IDENTITY = make_settings(ENABLED=False)

    assert client.generic(method, path).status_code == 404


@pytest.mark.parametrize("enabled", [True, False])
def test_a_404_is_the_projects_own_page_and_no_cache_keeps_it(client, settings, monkeypatch, enabled):
    def handler404(request, exception):
        return HttpResponse("a page of the project's", status=404)

    monkeypatch.setattr(urls, "handler404", handler404, raising=False)
    settings.MS_IDENTITY = make_settings(ENABLED=enabled)

    response = client.get("/ms/step-up/?need=nothing-there-is")

    assert page(response) == "a page of the project's"
    assert_guarded(response)


@pytest.mark.parametrize("path", [path for path in VIEWS if path != "/ms/sign-out/"])
def test_a_broken_configuration_is_an_error_page(client, settings, path):
    settings.MS_IDENTITY = {"PROVIDERS": [{"id": "microsoft"}]}
    offered = VIEWS[path][0]

    response = client.generic(offered, path)

    assert (code_of(response), response.status_code) == ("configuration_invalid", 503)
    assert "client_id" not in page(response)


def test_a_broken_configuration_does_not_keep_a_user_signed_in(client, settings):
    settings.MS_IDENTITY = {"PROVIDERS": [{"id": "microsoft"}]}
    sign_in_locally(client, "ines")

    response = client.post("/ms/sign-out/")

    assert response.status_code == 302
    assert SESSION_KEY not in client.session


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_is_open_and_outside_transactions(path):
    view = view_of(path)

    assert view.login_required is False
    assert view._non_atomic_requests == set(connections)


@pytest.mark.parametrize("path", VIEWS)
def test_only_the_callback_takes_posts_without_a_token(path):
    assert getattr(view_of(path), "csrf_exempt", False) is (path == "/ms/callback/microsoft/")


def refused(client, emulator, persona="cancel"):
    return pick(client, emulator, persona, prompt="login").send(client)


def test_the_reference_of_an_error_page_is_the_one_in_the_log(client, ms_identity_emulator, caplog):
    response = refused(client, ms_identity_emulator)

    reference = response.context["reference"]
    assert re.fullmatch(r"[0-9a-f]{8}", reference)
    assert reference in page(response)
    (record,) = [record for record in caplog.records if record.name == "django_ms_identity"]
    assert f"(reference {reference}," in record.getMessage()
    assert "sign_in_cancelled" in record.getMessage()
    assert "microsoft" in record.getMessage()


def test_every_refusal_has_a_reference_of_its_own(client, ms_identity_emulator):
    references = {refused(client, ms_identity_emulator).context["reference"] for _ in range(3)}

    assert len(references) == 3


def test_the_error_page_shows_microsofts_trace_id(client, ms_identity_emulator, caplog):
    response = refused(client, ms_identity_emulator, "disabled")

    trace_id = response.context["trace_id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", trace_id)
    assert trace_id in page(response)
    assert trace_id in caplog.text


@pytest.mark.parametrize("who", ["visitor", "user", "staff", "developer"])
def test_the_error_page_shows_its_hint_to_operators_alone(client, ms_identity_emulator, settings, who):
    settings.DEBUG = who == "developer"
    if who in ("user", "staff"):
        sign_in_locally(client, is_staff=who == "staff")

    response = refused(client, ms_identity_emulator, "disabled")

    hint = "The user is disabled in Entra"
    assert (hint in page(response)) is (who in ("staff", "developer"))
    assert bool(response.context["detail"]) is (who in ("staff", "developer"))


@pytest.mark.parametrize(
    ("persona", "status", "level"),
    [("cancel", 400, logging.WARNING), ("disabled", 403, logging.WARNING), (None, 503, logging.ERROR)],
)
def test_a_refusal_that_the_operator_must_repair_is_an_error_in_the_log(
    client, ms_identity_emulator, caplog, persona, status, level
):
    if persona is None:
        ms_identity_emulator.answer_next("token", status=500)

    response = refused(client, ms_identity_emulator, persona or "work")

    (record,) = [record for record in caplog.records if record.name == "django_ms_identity"]
    assert (response.status_code, record.levelno) == (status, level)


def test_the_error_page_never_shows_microsofts_words(client):
    state = asked(press(client).headers["Location"])["state"]
    answer = {"state": state, "error": "planted_error", "error_description": "<b>planted text</b> AADSTS1: x"}

    response = client.get("/ms/callback/microsoft/", answer)

    assert code_of(response) == "microsoft_refused"
    assert "planted" not in page(response)
    assert "AADSTS" not in page(response)


def test_a_line_break_in_a_provider_id_forges_no_line_of_the_log(client, caplog):
    client.get("/ms/start/a%0AWARNING forged/")

    assert "\nWARNING forged" not in "".join(
        record.getMessage() for record in caplog.records if record.name == "django_ms_identity"
    )


def test_no_template_sees_what_microsoft_sent(client, ms_identity_emulator, settings, tmp_path):
    """A project's base template may well link to request.get_full_path."""
    (tmp_path / "ms_identity").mkdir()
    (tmp_path / "ms_identity" / "base.html").write_text(
        "{{ request.get_full_path }} {{ request.GET }} {{ request.META.QUERY_STRING }}"
        "{{ request.META.REQUEST_URI }} {{ request.META.RAW_URI }}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    callback = pick(client, ms_identity_emulator)
    ms_identity_emulator.answer_next("token", status=500)

    for provider in ("microsoft", "nobody"):
        url = callback.url.replace("/microsoft/", f"/{provider}/")
        shown = page(client.get(url, REQUEST_URI=url, RAW_URI=url))

        assert shown.startswith(f"/ms/callback/{provider}/")
        assert asked(callback.url)["code"] not in shown
        assert asked(callback.url)["state"] not in shown


def test_pages_are_the_projects_to_change(client, ms_identity_emulator, settings, tmp_path):
    (tmp_path / "ms_identity").mkdir()
    (tmp_path / "ms_identity" / "error.html").write_text("mine: {{ code }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]

    assert page(refused(client, ms_identity_emulator)) == "mine: sign_in_cancelled"


def test_pages_are_rendered_at_once(client):
    assert not isinstance(client.get("/ms/sign-in/"), TemplateResponse)
