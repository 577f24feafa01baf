"""Whatever comes to the callback: one of our pages or a redirect, and no row."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from django.core.cache import cache
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_ms_identity import runtime
from django_ms_identity.testing.emulator import Emulator, Endpoint
from tests.support.builders import make_settings
from tests.support.web import Browser

from .steps import NOTHING, asked, code_of, pick, press, rows

pytestmark = pytest.mark.django_db

patient = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXT = st.text(max_size=40)
NAMES = st.sampled_from(
    ["state", "code", "error", "error_description", "session_state", "client_info", "iss", "admin_consent"]
)
STATE, CODE, FLOW = "<the state>", "<the code>", "<the flow's cookie>"
VALUES = st.one_of(TEXT, st.sampled_from([STATE, CODE, "access_denied", "AADSTS50020: x", "A" * 5000, "%00"]))
PARAMETERS = st.lists(st.tuples(st.one_of(NAMES, TEXT), VALUES), max_size=6)
COOKIES = st.lists(
    st.one_of(
        st.sampled_from(
            [FLOW, f"{FLOW}x", f" {FLOW}", f"\t{FLOW} ", f"__Host-{FLOW}", "sessionid=x", "=", ";"]
        ),
        TEXT.map(lambda text: text.encode("utf-8", "replace").decode("latin-1")),
    ),
    max_size=4,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)


def harmless(response):
    """Say whether this is one of our pages; the last word on what hostile input may get."""
    return bool(code_of(response)) and response.headers["Cache-Control"].count("no-store") == 1


@patient
@given(parameters=PARAMETERS, cookies=COOKIES)
def test_callback_takes_any_query_and_any_cookies(parameters, cookies):
    browser = Browser()
    state = asked(press(browser).headers["Location"])["state"]
    ((name, cookie),) = browser.cookies.items()
    filled = [(key, value.replace(STATE, state)) for key, value in parameters]
    header = "; ".join(cookies).replace(FLOW, f"{name}={cookie.value}")

    with Emulator():
        response = browser.get(
            "/ms/callback/microsoft/", filled, HTTP_COOKIE=header.replace("\r", "").replace("\n", "")
        )

    assert harmless(response)
    assert rows() == NOTHING


@patient
@given(parameters=PARAMETERS)
def test_callback_takes_any_query_around_a_genuine_flow(parameters):
    """The real code beside anything else: signed in, or one of our pages."""
    with Emulator() as emulator:
        browser = Browser()
        answer = asked(pick(browser, emulator).url)
        genuine = [("state", answer["state"]), ("code", answer["code"])]
        filled = [(key, value.replace(CODE, answer["code"])) for key, value in parameters]

        response = browser.get("/ms/callback/microsoft/", _query(genuine + filled))

    assert harmless(response) or response.headers["Location"] == "/home/"


@patient
@given(
    body=st.one_of(st.binary(max_size=200), PARAMETERS.map(lambda pairs: _form(pairs))),
    content_type=st.sampled_from(
        [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=utf-7",
            "multipart/form-data; boundary=b",
            "multipart/form-data",
            "text/plain",
            "",
        ]
    ),
    provider=st.sampled_from([{}, {"response_mode": "form_post"}]),
)
def test_callback_takes_any_body(body, content_type, provider):
    with override_settings(MS_IDENTITY=make_settings(provider)):
        browser = Browser()
        state = asked(browser.get("/ms/start/microsoft/", secure=True).headers["Location"])["state"]

        response = browser.generic(
            "POST",
            "/ms/callback/microsoft/",
            body.replace(STATE.encode(), state.encode()),
            content_type,
            secure=True,
        )

    assert harmless(response) or response.status_code in (303, 405)
    assert rows() == NOTHING


@patient
@given(
    endpoint=st.sampled_from([Endpoint.METADATA, Endpoint.KEYS, Endpoint.TOKEN, Endpoint.ME]),
    status=st.sampled_from([200, 201, 204, 301, 302, 400, 401, 403, 404, 429, 500, 503]),
    body=st.one_of(
        st.binary(max_size=200),
        JSON.map(json.dumps),
        st.dictionaries(
            st.sampled_from(
                ["error", "error_description", "id_token", "access_token", "keys", "id", "issuer"]
            ),
            JSON,
        ).map(json.dumps),
    ),
    headers=st.sampled_from(
        [{}, {"Location": "https://evil.example/"}, {"Retry-After": "soon"}, {"Content-Encoding": "gzip"}]
    ),
)
def test_callback_takes_any_answer_of_microsofts(endpoint, status, body, headers):
    domain = {"microsoft_tenant": "contoso.example", "subject_source": "me"}
    with override_settings(MS_IDENTITY=make_settings(domain)), Emulator() as emulator:
        _as_a_new_process()
        for _attempt in range(2):
            emulator.answer_next(endpoint, status=status, body=body, headers=headers)

        response = emulator.sign_in(Browser())

    assert harmless(response)
    assert rows() == NOTHING


@patient
@given(
    claims=st.dictionaries(
        st.sampled_from(
            [
                *(
                    "aud",
                    "iss",
                    "exp",
                    "iat",
                    "nbf",
                    "nonce",
                    "sub",
                    "tid",
                    "ver",
                    "oid",
                    "acct",
                    "idp",
                    "azp",
                ),
                *("sid", "email", "email_verified", "name", "given_name", "preferred_username", "locale"),
                *("amr", "xms_edov"),
            ]
        ),
        JSON.filter(lambda value: value == value),
        min_size=1,
        max_size=3,
    )
)
def test_callback_takes_any_claims(claims):
    """Microsoft's own signature under anything: signed in, or one of our pages."""
    with Emulator() as emulator:
        emulator.persona("work", claims=claims)
        before = rows()

        response = emulator.sign_in(Browser())

    assert harmless(response) or response.headers["Location"] == "/home/"
    assert not harmless(response) or rows() == before


@patient
@given(
    provider=st.text(
        alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=30
    )
)
def test_callback_takes_any_provider_in_the_address(provider, caplog):
    caplog.clear()

    response = Browser().get(f"/ms/callback/{_quoted(provider)}/?state=x&code=y")

    assert code_of(response) == ("callback_invalid" if provider == "microsoft" else "provider_unknown")
    assert all(
        "\n" not in record.getMessage() for record in caplog.records if record.name.startswith("django_ms")
    )


def _query(pairs):
    gathered: dict[str, list[str]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return gathered


def _form(pairs):
    return urlencode(pairs).replace("%3Cthe+state%3E", STATE).encode()


def _quoted(text):
    return quote(text, safe="")


def _as_a_new_process():
    runtime.reset()
    cache.clear()
