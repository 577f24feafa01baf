"""The page that asks for traits which the mapper could not supply."""

from __future__ import annotations

import json
import time

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from django_ms_identity import signals
from django_ms_identity.exceptions import RegistrationRefused
from django_ms_identity.flows import pending_step
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.support.builders import make_mapper, make_schema, make_settings
from tests.support.loopback import serve
from tests.support.web import Browser

from .steps import NOTHING, code_of, page, pick, press, rows, sign_in_locally

pytestmark = pytest.mark.django_db

URL = "/ms/complete/"
SCHEMA = make_schema(
    {
        "email": {"type": "string", "format": "email", "title": "E-mail"},
        "team": {"type": "string", "title": "Team", "minLength": 2, "description": "Where you work."},
        "age": {"type": "integer", "minimum": 18},
    },
    required=["email", "team"],
)
MAPPER = make_mapper(
    """local claims = std.extVar('claims');
    { identity: { traits: { [if 'email' in claims then 'email']: claims.email } } }"""
)
MAPS_NOTHING = make_mapper("{identity: {traits: {}}}")


@pytest.fixture(autouse=True)
def _schema(settings):
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPPER}, IDENTITY_SCHEMA_URL=SCHEMA)


def fields(response):
    return [field.label for field in response.context["form"]]


def ticket(response):
    return response.context["ticket"]


def fill(client, **values):
    """Open the page and send its form, by the labels of the fields."""
    shown = client.get(URL)
    assert code_of(shown) == "", code_of(shown)
    names = {field.label: field.html_name for field in shown.context["form"]}
    return client.post(
        URL, {"ticket": ticket(shown)} | {names[label]: value for label, value in values.items()}
    )


def post(client, shown, team="Tools"):
    """Send the form that was opened before."""
    return client.post(URL, {"ticket": ticket(shown), "trait-0": team})


def arrive(client, emulator, persona="work", **query):
    response = pick(client, emulator, persona, **query).send(client)
    assert response.headers["Location"] == URL
    return response


# Asking


def test_missing_traits_alone_are_asked(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)

    shown = client.get(URL)

    assert shown.status_code == 200
    assert fields(shown) == ["Team"]
    assert "Where you work." in page(shown)


@pytest.mark.kratos(24)
def test_an_invalid_trait_is_asked_with_what_microsoft_said(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", claims={"email": "no address"})
    arrive(client, ms_identity_emulator)

    shown = client.get(URL)

    assert fields(shown) == ["E-mail", "Team"]
    assert 'value="no address"' in page(shown)


def test_the_page_of_missing_traits_names_the_account_and_offers_another(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator, next="/home/?a=1")

    shown = page(client.get(URL))

    assert "Ines Okafor" in shown
    assert "ines.okafor@contoso.example" in shown
    assert "/ms/start/microsoft/?next=%2Fhome%2F%3Fa%3D1&amp;prompt=select_account" in shown


def test_missing_traits_write_nothing_before_the_form_is_sent(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    client.get(URL)

    assert rows() == NOTHING | {"Session": 1}


def test_a_person_with_every_trait_is_asked_nothing(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": MAPPER},
        IDENTITY_SCHEMA_URL=make_schema({"email": {"type": "string"}}, required=["email"]),
    )

    ms_identity_emulator.sign_in(client)

    assert Identity.objects.get().traits == {"email": "ines.okafor@contoso.example"}


# Answering


@pytest.mark.kratos(48)
def test_missing_traits_that_are_typed_register_and_sign_in(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator, next="/home/?a=1")

    response = fill(client, Team="Tools")

    assert response.headers["Location"] == "/home/?a=1"
    identity = Identity.objects.get()
    assert identity.traits == {"email": "ines.okafor@contoso.example", "team": "Tools"}
    assert identity.self_asserted == ["team"]
    assert client.get("/home/").content.decode() == identity.user.get_username()
    assert SignIn.objects.get().identity == identity
    assert pending_step.SESSION_KEY not in client.session


@pytest.mark.kratos(48)
def test_missing_traits_need_no_second_trip_to_microsoft(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    before = len(ms_identity_emulator.requests)

    fill(client, Team="Tools")

    assert len(ms_identity_emulator.requests) == before


@pytest.mark.kratos(15)
@pytest.mark.parametrize("field", ["email", "traits.email", "trait-email", "trait-1"])
def test_the_form_overrides_no_mapped_trait(client, ms_identity_emulator, field):
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)

    client.post(URL, {"ticket": ticket(shown), "trait-0": "Tools", field: "boss@contoso.example"})

    identity = Identity.objects.get()
    assert identity.traits == {"email": "ines.okafor@contoso.example", "team": "Tools"}
    assert identity.self_asserted == ["team"]


@pytest.mark.kratos(49)
def test_a_link_cannot_choose_another_identity_schema(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator, identity_schema="another")

    assert fields(client.get(URL)) == ["Team"]


def test_hooks_run_after_missing_traits_as_without_them(client, ms_identity_emulator, settings, listen):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "HOOKS": {"after_registration": []}}
    heard = []
    for name in ("identity_registering", "identity_registered", "identity_signed_in"):
        listen(getattr(signals, name), lambda name=name, **_: heard.append(name))
    arrive(client, ms_identity_emulator)

    response = fill(client, Team="Tools")

    assert heard == ["identity_registering", "identity_registered"]
    assert "Your account has been created" in page(response)
    assert "_auth_user_id" not in client.session


@pytest.mark.kratos(47)
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param("", "This field is required.", id="nothing"),
        pytest.param("x", "Please enter at least 2 characters.", id="too short"),
        pytest.param("x" * 1001, "at most 1000 characters", id="too long"),
        pytest.param("a\0b", "Null characters are not allowed.", id="NUL"),
    ],
)
def test_a_typed_trait_that_will_not_do_is_said_beside_its_field(client, ms_identity_emulator, typed, said):
    arrive(client, ms_identity_emulator)

    response = fill(client, Team=typed)

    assert said in page(response)
    assert response.context["form"]["0"].errors
    assert Identity.objects.count() == 0


@pytest.mark.parametrize(
    ("schema", "typed", "said"),
    [
        pytest.param(
            {"type": "string", "format": "email"}, "x", "Please enter an e-mail address", id="email"
        ),
        pytest.param({"type": "string", "format": "uri"}, "x", "Please enter a whole address", id="uri"),
        pytest.param({"type": "string", "format": "date"}, "x", "Enter a valid date.", id="date"),
        pytest.param({"type": "integer", "minimum": 18}, "17", "greater than or equal to 18", id="minimum"),
        pytest.param({"type": "number", "exclusiveMinimum": 1}, "1", "Please enter 1 or more.", id="bound"),
        pytest.param({"type": "string", "const": "yes"}, "", "This field is required.", id="const"),
        pytest.param({"type": "string", "not": {"const": "no"}}, "no", "This is not accepted.", id="other"),
    ],
)
def test_a_typed_trait_that_the_schema_refuses_is_said_in_words(
    client, ms_identity_emulator, settings, schema, typed, said
):
    url = make_schema({"x": schema | {"title": "X"}}, required=["x"])
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPS_NOTHING}, IDENTITY_SCHEMA_URL=url)
    arrive(client, ms_identity_emulator)

    assert said in page(fill(client, X=typed))


@pytest.mark.kratos(72)
def test_a_typed_trait_can_be_corrected(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    fill(client, Team="x")
    again = page(fill(client, Team="y"))
    assert (again.count('name="trait-0"'), again.count("<button")) == (1, 1)

    fill(client, Team="Tools")

    assert Identity.objects.get().traits["team"] == "Tools"


def test_a_typed_trait_that_requires_another_is_followed_by_it(client, ms_identity_emulator, settings):
    schema = make_schema(
        {"team": {"type": "string", "title": "Team"}, "room": {"type": "string", "title": "Room"}},
        required=["team"],
        **{
            "if": {"properties": {"team": {"const": "Tools"}}, "required": ["team"]},
            "then": {"required": ["room"]},
        },
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPS_NOTHING}, IDENTITY_SCHEMA_URL=schema)
    arrive(client, ms_identity_emulator)

    second = fill(client, Team="Tools")
    names = {field.label: field.html_name for field in second.context["form"]}
    client.post(URL, {"ticket": ticket(second), names["Team"]: "Tools", names["Room"]: "4b"})

    assert Identity.objects.get().traits == {"team": "Tools", "room": "4b"}


def test_a_trait_that_no_form_can_ask_for_is_named_to_the_operator(
    client, ms_identity_emulator, settings, caplog
):
    schema = make_schema({"tags": {"type": "array", "items": {"type": "string"}}}, required=["tags"])
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPPER}, IDENTITY_SCHEMA_URL=schema)

    response = pick(client, ms_identity_emulator).send(client)

    assert (code_of(response), response.status_code) == ("trait_not_askable", 503)
    assert "the trait tags" in caplog.text


def test_a_typed_trait_can_be_any_kind_that_the_schema_knows(client, ms_identity_emulator, settings):
    kinds = {
        "born": {"type": "string", "format": "date"},
        "floor": {"type": "number", "maximum": 9.5},
        "level": {"type": "integer"},
        "news": {"type": "boolean"},
        "rules": {"type": "boolean", "const": True},
        "site": {"type": "string", "format": "uri"},
        "size": {"enum": [38, 40, 42.5]},
        "place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": MAPS_NOTHING},
        IDENTITY_SCHEMA_URL=make_schema(
            kinds | {"size": {"type": "number", "enum": [38, 40, 42.5]}}, required=sorted(kinds)
        ),
    )
    arrive(client, ms_identity_emulator)

    fill(
        client,
        born="2001-02-03",
        floor="3.5",
        level="-4",
        rules="on",
        site="https://x.example/",
        size="2",
        city="Lagos",
    )

    assert Identity.objects.get().traits == {
        "born": "2001-02-03",
        "floor": 3.5,
        "level": -4,
        "news": False,
        "rules": True,
        "site": "https://x.example/",
        "size": 42.5,
        "place": {"city": "Lagos"},
    }
    assert Identity.objects.get().self_asserted == [
        "born",
        "floor",
        "level",
        "news",
        "rules",
        "site",
        "size",
        "place.city",
    ]


# What a visitor types vouches for nothing


def test_a_typed_address_is_not_verified_and_meets_no_account(client, ms_identity_emulator, settings):
    victim = get_user_model().objects.create_user("victim", email="boss@contoso.example")
    ms_identity_emulator.persona("work", email=None)
    arrive(client, ms_identity_emulator)

    response = fill(client, **{"E-mail": "boss@contoso.example", "Team": "Tools"})

    identity = Identity.objects.get()
    assert response.headers["Location"] == "/home/"
    assert identity.traits["email"] == "boss@contoso.example"
    assert identity.user != victim
    assert identity.user.email == ""
    assert VerifiableAddress.objects.count() == 0


def test_a_typed_name_does_not_reach_the_user(client, ms_identity_emulator, settings):
    schema = make_schema(
        {name: {"type": "string"} for name in ("username", "first_name", "last_name")},
        required=["first_name", "last_name", "username"],
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": MAPS_NOTHING}, IDENTITY_SCHEMA_URL=schema)
    arrive(client, ms_identity_emulator)

    fill(client, username="root", first_name="Chief", last_name="Executive")

    user = get_user_model().objects.get()
    assert (user.first_name, user.last_name) == ("", "")
    assert user.username != "root"
    assert Identity.objects.get().traits["username"] == "root"


# What is checked again


def test_a_registration_that_closed_meanwhile_is_refused(client, ms_identity_emulator, settings):
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "REGISTRATION_ENABLED": False}

    response = post(client, shown)

    assert code_of(response) == "registration_disabled"
    assert Identity.objects.count() == 0


def test_a_tenant_that_was_shut_out_meanwhile_is_refused(client, ms_identity_emulator, settings):
    wide = {"mapper_url": MAPPER, "microsoft_tenant": "organizations"}
    settings.MS_IDENTITY = make_settings(wide, IDENTITY_SCHEMA_URL=SCHEMA)
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)
    settings.MS_IDENTITY = make_settings(
        wide | {"allowed_tenants": ["22222222-0000-4000-8000-000000000000"]}, IDENTITY_SCHEMA_URL=SCHEMA
    )

    response = post(client, shown)

    assert code_of(response) == "tenant_not_allowed"
    assert Identity.objects.count() == 0


def test_a_provider_that_is_gone_is_refused(client, ms_identity_emulator, settings):
    arrive(client, ms_identity_emulator)
    settings.MS_IDENTITY = make_settings({"id": "other", "mapper_url": MAPPER}, IDENTITY_SCHEMA_URL=SCHEMA)

    assert code_of(client.get(URL)) == "provider_unknown"


def test_a_collision_that_came_up_meanwhile_is_met(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)
    get_user_model().objects.create_user("early", email="ines.okafor@contoso.example")

    response = post(client, shown)

    assert response.headers["Location"] == "/ms/confirm-link/"
    assert Identity.objects.count() == 0


@pytest.mark.parametrize("moment", ["before the form is sent", "while it is handled"])
def test_a_person_who_was_registered_meanwhile_is_signed_in(client, ms_identity_emulator, listen, moment):
    arrive(client, ms_identity_emulator)
    arrive(other := Browser(), ms_identity_emulator)
    shown = client.get(URL)
    raced = []

    def race(**_):
        if not raced:
            raced.append(other)
            fill(other, Team="Tools")

    if moment == "while it is handled":
        listen(signals.identity_registering, race)
    else:
        race()

    response = post(client, shown, "Elsewhere")

    assert response.headers["Location"] == "/home/"
    assert Identity.objects.get().traits["team"] == "Tools"
    assert SignIn.objects.count() == 2
    assert pending_step.SESSION_KEY not in client.session


def test_a_person_who_was_deactivated_meanwhile_is_refused(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    arrive(other := Browser(), ms_identity_emulator)
    shown = client.get(URL)
    fill(other, Team="Tools")
    Identity.objects.update(state=Identity.State.INACTIVE)

    assert code_of(post(client, shown)) == "identity_inactive"


def test_a_veto_of_the_registration_is_heard_after_missing_traits(client, ms_identity_emulator, listen):
    def veto(**_):
        raise RegistrationRefused("no")

    listen(signals.identity_registering, veto)
    arrive(client, ms_identity_emulator)

    assert code_of(fill(client, Team="Tools")) == "registration_refused"
    assert Identity.objects.count() == 0


# Whose step it is


def test_a_pending_step_belongs_to_the_browser_that_arrived(client, ms_identity_emulator):
    """A session planted in a victim's browser brings no step with it: the cookie is missing."""
    attacker = Browser()
    arrive(attacker, ms_identity_emulator)
    client.cookies["sessionid"] = attacker.cookies["sessionid"].value

    assert code_of(client.get(URL)) == "pending_missing"


def test_a_pending_step_is_not_finished_by_another_user(client, ms_identity_emulator):
    """At a shared computer: the account must not become that of the next person there."""
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)
    sign_in_locally(client)

    response = post(client, shown)

    assert code_of(response) == "pending_missing"
    assert Credential.objects.count() == Identity.objects.count() == 0
    assert pending_step.SESSION_KEY not in client.session


def test_a_pending_step_cookie_that_came_twice_is_not_believed(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    cookie = client.cookies["ms_identity_pending_token"].value
    session = client.cookies["sessionid"].value
    tossed = f"sessionid={session}; ms_identity_pending_token={cookie}; ms_identity_pending_token={cookie}"

    response = Client().get(URL, headers={"Cookie": tossed})

    assert code_of(response) == "pending_missing"


def test_the_log_says_why_no_pending_step_is_found(client, ms_identity_emulator, caplog):
    """A cookie that is missing is another matter than one that belongs to another session."""
    missing, foreign = "its cookie is missing", "does not belong to this browser's cookie"

    def reason_for(browser):
        caplog.clear()
        browser.get(URL)
        return caplog.messages[0]

    assert missing in reason_for(client)
    arrive(client, ms_identity_emulator)
    other = Browser()
    other.cookies["sessionid"] = client.cookies["sessionid"].value
    assert missing in reason_for(other)
    other.cookies["ms_identity_pending_token"] = "x" * 32
    assert foreign in reason_for(other)
    client.cookies["sessionid"] = "x" * 32
    assert missing in reason_for(client)


def test_a_pending_step_cookie_is_for_this_host_alone(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = {**settings.MS_IDENTITY, "BASE_REDIRECT_URI": "https://testserver"}
    started = client.get("/ms/start/microsoft/", secure=True)
    response = ms_identity_emulator.callback(started.headers["Location"]).send(client)

    cookie = response.cookies["__Host-ms_identity_pending_token"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", 600)
    assert client.get(URL, secure=True).status_code == 200


def test_a_pending_step_is_not_finished_by_the_form_of_another_tab(client, ms_identity_emulator):
    """In one tab Ines fills in, in another Marek arrives: her answer must not become his."""
    arrive(client, ms_identity_emulator, "work")
    shown = client.get(URL)
    arrive(client, ms_identity_emulator, "admin")

    response = post(client, shown)

    assert code_of(response) == "pending_missing"
    assert Identity.objects.count() == 0
    assert "Marek" in page(client.get(URL))


def test_a_pending_step_can_be_used_once(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    shown = client.get(URL)
    fill(client, Team="Tools")

    response = post(client, shown)

    assert code_of(response) == "pending_missing"
    assert Identity.objects.count() == 1


def test_a_pending_step_waits_ten_minutes(client, ms_identity_emulator, monkeypatch):
    arrive(client, ms_identity_emulator)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + pending_step.LIFESPAN - 5)
    assert code_of(client.get(URL)) == ""
    monkeypatch.setattr(time, "time", lambda: now + pending_step.LIFESPAN + 5)

    assert code_of(client.get(URL)) == "pending_missing"


def test_signing_out_drops_the_pending_step(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)
    client.post("/ms/sign-out/")

    assert code_of(client.get(URL)) == "pending_missing"


def test_a_pending_step_of_a_new_person_signs_another_user_out(client, ms_identity_emulator):
    client.force_login(get_user_model().objects.create_user("local"))

    arrive(client, ms_identity_emulator, prompt="select_account")

    assert client.get("/home/").content.decode() == "nobody"
    assert code_of(client.get(URL)) == ""


def test_a_form_of_missing_traits_without_its_csrf_token_is_refused(ms_identity_emulator):
    strict = Browser(enforce_csrf_checks=True)
    arrive(strict, ms_identity_emulator)
    shown = strict.get(URL)
    assert "csrfmiddlewaretoken" in page(shown)

    response = post(strict, shown)

    assert response.status_code == 403
    assert Identity.objects.count() == 0


def test_a_pending_step_is_sealed(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)

    assert "ines" not in json.dumps(dict(client.session)).lower()


# Text that nothing can take


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-16", "base64", "rot13", "undefined", "none-such"])
def test_a_form_of_missing_traits_in_an_odd_charset_is_an_error_page(client, ms_identity_emulator, charset):
    arrive(client, ms_identity_emulator)
    body = (
        f'--x\r\nContent-Disposition: form-data; name="ticket"\r\n\r\n{ticket(client.get(URL))}\r\n'
        '--x\r\nContent-Disposition: form-data; name="trait-0"\r\n\r\n\\ud800 Tools\r\n--x--\r\n'
    )

    response = client.generic(
        "POST", URL, body.encode(), content_type=f"multipart/form-data; boundary=x; charset={charset}"
    )

    assert response.status_code in (200, 302, 400)
    for identity in Identity.objects.all():
        assert identity.traits["team"].encode()


def test_half_a_character_in_an_account_name_is_no_error(client, ms_identity_emulator):
    broken = {
        "name": "In\ud800es",
        "preferred_username": "in\ud800es",
        "sid": "\ud800",
        "login_hint": "\udfff",
    }
    ms_identity_emulator.persona("work", claims=broken)
    arrive(client, ms_identity_emulator)

    assert "In\ufffdes" in page(client.get(URL))
    assert fill(client, Team="Tools").headers["Location"] == "/home/"
    assert "\ufffd" in Credential.objects.get().account


def test_an_account_name_cannot_turn_the_direction_of_the_page(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", claims={"name": "Ines\u202exe.knab\r\n"})
    arrive(client, ms_identity_emulator)

    assert "Inesxe.knab" in page(client.get(URL))


def test_a_trait_name_from_the_claims_forges_no_line_of_the_log(
    client, ms_identity_emulator, settings, caplog
):
    program = "{identity: {traits: {[std.extVar('claims').name]: 1}}}"
    schema = make_schema({}, additionalProperties={"type": "array"})
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)}, IDENTITY_SCHEMA_URL=schema)
    ms_identity_emulator.persona("work", claims={"name": "x\nERROR forged secret@contoso.example"})

    response = pick(client, ms_identity_emulator).send(client)

    assert code_of(response) == "trait_not_askable"
    assert "forged" not in caplog.text


# A slow pattern


def test_a_schema_pattern_that_would_hang_is_a_refusal(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": MAPS_NOTHING},
        IDENTITY_SCHEMA_URL=make_schema(
            {"code": {"type": "string", "pattern": "^(a+)+$", "title": "Code"}}, required=["code"]
        ),
    )
    arrive(client, ms_identity_emulator)

    began = time.monotonic()
    response = fill(client, Code="a" * 60 + "!")

    assert time.monotonic() - began < 20
    assert "does not have the form" in page(response)


def test_a_web_hook_that_breaks_the_schema_is_a_refusal(client, ms_identity_emulator, settings):
    answer = json.dumps({"identity": {"traits": {"team": 1}}}).encode()
    arrive(client, ms_identity_emulator)
    with serve(lambda handler: handler.reply(answer)) as server:
        settings.DEBUG = True
        config = {"url": server.url, "method": "POST", "allow_private": True, "response": {"parse": True}}
        call = {"hook": "web_hook", "config": config}
        settings.MS_IDENTITY = {**settings.MS_IDENTITY, "HOOKS": {"after_registration": [call]}}
        response = fill(client, Team="Tools")

    assert code_of(response) == "traits_invalid"
    assert len(server.received) == 1
    assert (Identity.objects.count(), Credential.objects.count()) == (0, 0)


def test_a_pending_step_does_not_stop_a_new_start(client, ms_identity_emulator):
    arrive(client, ms_identity_emulator)

    assert press(client).status_code == 302
