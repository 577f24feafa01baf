"""Somebody signs in or registers, from the button to the session."""

from __future__ import annotations

import json
import time

import pytest
from django.contrib.auth import get_user_model
from django.core.serializers import serialize

from django_ms_identity import sessions
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.journeys.steps import NOTHING, code_of, page, pick, press, rows
from tests.support import hook_functions
from tests.support.builders import TENANT, make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .steps import COMPLETE, CONNECTIONS, HOME, SECOND, WORK, age, fill, labels, row, who

pytestmark = pytest.mark.django_db

EMAIL_TRAIT = {"type": "string", "format": "email", "title": "E-mail"}
TEAM_TRAIT = {"type": "string", "minLength": 2, "title": "Team"}
EMAIL_ALONE = make_mapper("{identity: {traits: {email: std.extVar('claims').email}}}")
FIRST = {"hook": "tests.support.hook_functions.first"}
SECOND_HOOK = {"hook": "tests.support.hook_functions.second"}
SESSION = {"hook": "session"}


@pytest.fixture
def asks_for_a_team(settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": EMAIL_ALONE},
        IDENTITY_SCHEMA_URL=make_schema(
            {"email": EMAIL_TRAIT, "team": TEAM_TRAIT}, required=["email", "team"]
        ),
    )


@pytest.fixture
def heard():
    """The names of the project's hooks that ran, in order."""
    hook_functions.calls.clear()
    return lambda: [name for name, _ in hook_functions.calls]


# Ways in that lead nowhere


@row(18)
@pytest.mark.parametrize("url", ["/ms/start/nobody/", "/ms/callback/nobody/?state=x&code=y"])
def test_an_unknown_provider_is_not_found(client, url):
    response = client.get(url)

    assert (code_of(response), response.status_code) == ("provider_unknown", 404)


@row(20)
def test_an_answer_to_a_flow_that_nobody_started_is_refused(client):
    response = client.get("/ms/callback/microsoft/?state=0123456789abcdef&code=y")

    assert (code_of(response), response.status_code) == ("flow_missing", 400)
    assert rows() == NOTHING


@row(21)
def test_a_flow_that_took_too_long_is_told_and_can_be_started_anew(
    client, ms_identity_emulator, settings, monkeypatch
):
    settings.MS_IDENTITY = make_settings(FLOW_LIFESPAN=60)
    callback = pick(client, ms_identity_emulator, next="/home/?a=1")
    late = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: late)

    response = callback.send(client)

    assert (code_of(response), response.status_code) == ("flow_expired", 400)
    assert response.context["retry_url"].startswith("/ms/start/microsoft/")
    assert rows() == NOTHING


@row(69)
@pytest.mark.parametrize(
    "path",
    ["sign-in/", "start/microsoft/", "callback/microsoft/?state=x&code=y", "complete/", "connections/"],
)
def test_there_is_nothing_while_sign_in_is_off(client, settings, path):
    client.force_login(get_user_model().objects.create_user("local"), sessions.BACKEND)
    settings.MS_IDENTITY = make_settings(ENABLED=False)

    assert client.get(f"/ms/{path}").status_code == 404


@row(89)
@pytest.mark.parametrize(
    ("persona", "code", "status"),
    [
        pytest.param("cancel", "sign_in_cancelled", 400, id="consent declined"),
        pytest.param("disabled", "account_blocked", 403, id="sign-in refused"),
        pytest.param("admin-consent", "consent_required", 403, id="consent of an administrator missing"),
    ],
)
def test_what_microsoft_refuses_is_told_with_a_way_to_try_again(
    client, ms_identity_emulator, persona, code, status
):
    response = ms_identity_emulator.sign_in(client, persona, next="/home/?a=1")

    assert (code_of(response), response.status_code) == (code, status)
    assert response.context["retry_url"].startswith("/ms/start/microsoft/?next=%2Fhome%2F%3Fa%3D1")
    assert rows() == NOTHING


# Registering and coming back


@row(25)
def test_a_registration_opens_a_session_and_keeps_no_token(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    (access_token,) = ms_identity_emulator.microsoft.grants._tokens
    models = (get_user_model(), Identity, Credential, VerifiableAddress, SignIn)
    stored = "".join(serialize("json", model.objects.all()) for model in models)
    kept = f"{stored}{dict(client.session)}{client.cookies}"
    assert access_token not in kept
    assert ".eyJ" not in kept, "the payload of an ID token begins so"
    credential = Credential.objects.get()
    assert (credential.provider, bool(credential.subject)) == ("microsoft", True)
    assert who(client) == WORK


@row(26)
def test_a_second_registration_is_a_login(ms_identity_emulator, client, settings, heard):
    hooks = {"after_registration": [FIRST, SESSION], "after_login": [SECOND_HOOK]}
    settings.MS_IDENTITY = make_settings(HOOKS=hooks)
    ms_identity_emulator.sign_in(Browser())
    hook_functions.calls.clear()

    response = ms_identity_emulator.sign_in(client, next="/home/?a=1")

    assert response.headers["Location"] == "/home/?a=1"
    assert heard() == ["second"]
    assert (Identity.objects.count(), who(client)) == (1, WORK)


@row(36)
def test_signing_in_without_an_account_registers_and_runs_the_hooks_of_a_registration(
    client, ms_identity_emulator, settings, heard
):
    hooks = {"after_registration": [FIRST, SESSION], "after_login": [SECOND_HOOK]}
    settings.MS_IDENTITY = make_settings(HOOKS=hooks)

    ms_identity_emulator.sign_in(client)

    assert heard() == ["first"]
    assert (Identity.objects.count(), who(client)) == (1, WORK)


@row(45)
def test_who_registers_ends_where_they_wanted_to_go(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client, next="/home/?tab=2#part")

    assert Identity.objects.count() == 1
    assert response.headers["Location"] == "/home/?tab=2#part"


@row(46)
def test_whoever_comes_a_third_time_is_still_one_person(ms_identity_emulator):
    browsers = [Browser(), Browser(), Browser()]

    for browser in browsers:
        assert ms_identity_emulator.sign_in(browser).headers["Location"] == HOME

    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 3, "Session": 3}
    assert {who(browser) for browser in browsers} == {WORK}


@row(34)
def test_a_callback_sent_twice_leads_where_the_first_did(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator, next="/home/?a=1")
    callback.send(client)
    before = rows()

    response = callback.send(client)

    assert response.headers["Location"] == "/home/?a=1"
    assert rows() == before


@row(34)
def test_a_callback_sent_twice_is_refused_without_the_session(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    thief = Browser()
    thief.cookies.load({name: cookie.value for name, cookie in client.cookies.items()})
    callback.send(client)
    before = rows()

    response = callback.send(thief)

    assert (code_of(response), response.status_code) == ("flow_replayed", 400)
    assert (who(thief), rows()) == ("nobody", before)


@row(35)
@pytest.mark.parametrize(
    ("provider", "claims", "aal", "amr"),
    [
        pytest.param({"aal2_acr_values": ["2"]}, {"acr": "2"}, "aal2", [], id="acr fits"),
        pytest.param({"aal2_acr_values": ["2"]}, {"acr": "1"}, "aal1", [], id="acr does not"),
        pytest.param({"aal2_amr_values": ["otp"]}, {"amr": ["pwd", "otp"]}, "aal2", ["pwd", "otp"], id="amr"),
        pytest.param({"aal2_amr_values": ["otp"]}, {"amr": ["pwd"]}, "aal1", ["pwd"], id="amr does not"),
    ],
)
def test_a_session_keeps_its_level_and_its_methods(
    client, ms_identity_emulator, settings, provider, claims, aal, amr
):
    settings.MS_IDENTITY = make_settings(provider)
    ms_identity_emulator.persona("work", claims=claims)

    ms_identity_emulator.sign_in(client)

    sign_in = SignIn.objects.get()
    assert (sign_in.provider, sign_in.aal, sign_in.amr) == ("microsoft", aal, amr)


@row(37)
def test_who_asks_for_json_is_redirected_like_a_browser(client):
    response = client.get("/ms/start/microsoft/", headers={"Accept": "application/json"})

    assert response.status_code == 302
    assert response.headers["Location"].startswith("https://login.microsoftonline.com/")
    assert [name for name in client.cookies if name.startswith("ms_identity_flow_")]


@row(70)
def test_a_form_post_goes_on_as_a_get_that_carries_no_code(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"response_mode": "form_post"})
    browser = Browser(enforce_csrf_checks=True)
    location = browser.get("/ms/start/microsoft/", secure=True).headers["Location"]
    callback = ms_identity_emulator.callback(location)

    posted = browser.post("/ms/callback/microsoft/", dict(callback.fields), secure=True)

    assert posted.status_code == 303
    assert posted.headers["Location"] == f"/ms/callback/microsoft/?state={callback.fields['state']}"
    assert "csrftoken" not in posted.cookies
    assert browser.get(posted.headers["Location"], secure=True).headers["Location"] == HOME


# Who is signed in already


@row(52)
def test_who_is_signed_in_keeps_the_session(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    before, asked_before = client.session.session_key, len(ms_identity_emulator.requests)

    response = press(client, next="/home/?a=1")

    assert response.headers["Location"] == "/home/?a=1"
    assert client.session.session_key == before
    assert (SignIn.objects.count(), len(ms_identity_emulator.requests)) == (1, asked_before)


@row(53)
def test_a_new_proof_makes_the_sign_in_recent(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client)
    old = client.session[sessions.AUTHENTICATED_AT]

    location = client.get("/ms/step-up/?need=recent&next=/home/").headers["Location"]
    response = ms_identity_emulator.callback(location).send(client)

    assert response.headers["Location"] == HOME
    assert client.session[sessions.AUTHENTICATED_AT] > old + 3600
    assert SignIn.objects.filter(ended_at=None).count() == 1


@row(53)
@pytest.mark.parametrize(
    ("persona", "claims"),
    [
        pytest.param("admin", {}, id="somebody else"),
        pytest.param("work", {"auth_time": 1}, id="an old proof"),
        pytest.param("work", {"auth_time": None}, id="no time"),
    ],
)
def test_a_new_proof_is_of_the_same_person_and_new(client, ms_identity_emulator, persona, claims):
    ms_identity_emulator.sign_in(Browser(), "admin")
    ms_identity_emulator.sign_in(client)
    age(client)
    old = client.session[sessions.AUTHENTICATED_AT]
    ms_identity_emulator.persona(persona, claims=claims)

    location = client.get("/ms/step-up/?need=recent&next=/home/").headers["Location"]
    response = ms_identity_emulator.callback(location, persona).send(client)

    assert (code_of(response), response.status_code) == ("reauthentication_failed", 403)
    assert (who(client), client.session[sessions.AUTHENTICATED_AT]) == (WORK, old)


@row(23)
def test_a_second_factor_can_be_shown_at_microsoft(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"aal2_auth_contexts": ["c1"]})
    ms_identity_emulator.sign_in(client, "mfa")

    location = client.get("/ms/step-up/?need=aal2&next=/home/").headers["Location"]
    response = ms_identity_emulator.callback(location, "mfa").send(client)

    assert response.headers["Location"] == HOME
    assert [sign_in.aal for sign_in in SignIn.objects.order_by("pk")] == ["aal1", "aal2"]


@row(23)
def test_without_a_key_that_names_one_there_is_no_second_factor(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client, "mfa")

    response = client.get("/ms/step-up/?need=aal2&next=/home/")

    assert (code_of(response), response.status_code) == ("step_up_failed", 403)


# Traits that are missing or invalid


@row(24)
def test_a_trait_that_fails_the_schema_is_asked_for_with_what_was_mapped(
    client, ms_identity_emulator, settings
):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {email: 'no address'}}}")},
        IDENTITY_SCHEMA_URL=make_schema({"email": EMAIL_TRAIT}, required=["email"]),
    )
    assert ms_identity_emulator.sign_in(client).headers["Location"] == COMPLETE

    refused = fill(client, **{"E-mail": "still no address"})

    assert labels(client.get(COMPLETE)) == ["E-mail"]
    assert 'value="no address"' in page(client.get(COMPLETE))
    assert refused.context["form"]["0"].errors
    assert rows() == NOTHING | {"Session": 1}


@row(15)
@pytest.mark.usefixtures("asks_for_a_team")
@pytest.mark.parametrize("field", ["email", "traits.email", "trait-email", "trait-1"])
def test_a_form_adds_to_what_was_mapped_and_overrides_nothing(client, ms_identity_emulator, field):
    ms_identity_emulator.sign_in(client)
    ticket = client.get(COMPLETE).context["ticket"]

    client.post(COMPLETE, {"ticket": ticket, "trait-0": "Tools", field: "boss@contoso.example"})

    identity = Identity.objects.get()
    assert identity.traits == {"email": WORK, "team": "Tools"}
    assert identity.self_asserted == ["team"]


@row(47)
@pytest.mark.usefixtures("asks_for_a_team")
def test_an_answer_that_will_not_do_is_said_beside_the_only_field_that_is_asked(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    response = fill(client, Team="x")

    assert labels(response) == ["Team"]
    assert "at least 2 characters" in page(response)
    assert 'value="x"' in page(response)
    assert rows() == NOTHING | {"Session": 1}


@row(48)
def test_what_was_mapped_and_what_was_typed_are_stored_without_a_second_trip(
    client, ms_identity_emulator, settings
):
    text, texts = {"type": "string", "title": "Name"}, {"type": "array", "items": {"type": "string"}}
    settings.MS_IDENTITY = make_settings(
        {
            "mapper_url": make_mapper(
                "local claims = std.extVar('claims');"
                "{identity: {traits: {website: claims.website, groups: claims.raw_claims.groups}}}"
            )
        },
        IDENTITY_SCHEMA_URL=make_schema(
            {"website": {"type": "string"}, "groups": texts, "name": text},
            required=["website", "groups", "name"],
        ),
    )
    ms_identity_emulator.persona("work", groups=("a", "b"), claims={"website": "https://x.example/"})
    ms_identity_emulator.sign_in(client)
    before = len(ms_identity_emulator.requests)

    response = fill(client, Name="Ines")

    assert response.headers["Location"] == HOME
    assert Identity.objects.get().traits == {
        "website": "https://x.example/",
        "groups": ["a", "b"],
        "name": "Ines",
    }
    assert len(ms_identity_emulator.requests) == before


@row(49)
@pytest.mark.usefixtures("asks_for_a_team")
def test_one_schema_holds_for_everybody_whatever_a_link_asks_for(client, ms_identity_emulator):
    response = pick(client, ms_identity_emulator, identity_schema="another").send(client)

    assert response.headers["Location"] == COMPLETE
    assert labels(client.get(COMPLETE)) == ["Team"]


@row(72)
@pytest.mark.usefixtures("asks_for_a_team")
def test_a_form_that_is_shown_again_has_each_field_and_button_once(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    client.get(COMPLETE)
    fill(client, Team="x")

    shown = page(fill(client, Team="y"))

    assert shown.count('name="trait-0"') == 1
    assert shown.count("<button") == 1


@row(71)
def test_every_provider_has_one_button_with_its_label(client, settings):
    settings.MS_IDENTITY = make_settings({"label": "Contoso"}, SECOND)

    shown = client.get("/ms/sign-in/", {"next": "/home/"})

    assert [(button["label"], button["url"]) for button in shown.context["providers"]] == [
        ("Contoso", "/ms/start/microsoft/?next=%2Fhome%2F"),
        ("Elsewhere", "/ms/start/second/?next=%2Fhome%2F"),
    ]
    assert page(shown).count('href="/ms/start/') == 2


# Addresses


@row(55)
@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        pytest.param(WORK, WORK, id="the trait"),
        pytest.param(" Ines.Okafor@CONTOSO.example ", WORK, id="the trait, spelled otherwise"),
        pytest.param("other@contoso.example", "other@contoso.example", id="another address"),
        pytest.param(None, None, id="none"),
    ],
)
def test_an_address_is_kept_only_when_the_mapper_says_that_it_is_verified(
    client, ms_identity_emulator, settings, listed, kept
):
    addresses = [] if listed is None else [{"via": "email", "value": listed}]
    output = f"traits: {{email: std.extVar('claims').email}}, verified_addresses: {json.dumps(addresses)}"
    mapper = make_mapper(f"{{identity: {{{output}}}}}")
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})

    ms_identity_emulator.sign_in(client)

    stored = VerifiableAddress.objects.values_list("value", "verified_at")
    assert [value for value, _ in stored] == ([] if kept is None else [kept])
    assert all(verified_at is not None for _, verified_at in stored)


# Where people are sent


@row(86)
@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_a_target_elsewhere_becomes_the_default_before_anybody_is_registered(
    client, ms_identity_emulator, url
):
    callback = pick(client, ms_identity_emulator, next=url)
    assert rows() == NOTHING

    assert callback.send(client).headers["Location"] == HOME
    assert Identity.objects.count() == 1


@row(86, 89)
def test_nobody_new_comes_in_while_registration_is_off(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("registration_disabled", 403)
    assert rows() == NOTHING


@row(90)
def test_the_page_of_connections_outlives_its_provider(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(client)
    settings.MS_IDENTITY = make_settings(SECOND)

    shown = client.get(CONNECTIONS)

    assert shown.status_code == 200
    assert WORK in page(shown)
    assert Credential.objects.get().tenant == TENANT
