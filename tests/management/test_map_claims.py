"""``manage.py ms_identity map``: each step of a sign-in is shown, and nothing is written."""

from __future__ import annotations

import io
import json
import sys
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from django_ms_identity.models import Identity
from django_ms_identity.sessions import set_active
from tests.journeys.steps import NOTHING, rows, statements
from tests.support.builders import TENANT, make_identity, make_mapper, make_settings

pytestmark = pytest.mark.django_db

OID = "00000000-0000-4000-8000-000000000009"
OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
CLAIMS = {
    "sub": "subject",
    "oid": OID,
    "name": "Ines Okäfor",
    "given_name": "Ines",
    "email": "ines@contoso.example",
    "preferred_username": "ines@contoso.example",
    "xms_edov": True,
}


def run(*arguments):
    """Return what the command printed, and the error that it ended with."""
    out = StringIO()
    try:
        call_command("ms_identity", "map", *arguments, stdout=out, no_color=True)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


@pytest.fixture
def try_claims(tmp_path):
    def run_with(*arguments, text=None, provider="microsoft", **changes):
        path = tmp_path / "claims.json"
        claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
        path.write_text(json.dumps(claims) if text is None else text, encoding="utf-8")
        with statements() as gathered:
            result = run("--provider", provider, "--claims", str(path), *arguments)
        assert all(sql.startswith("SELECT") for sql in gathered), gathered
        return result

    return run_with


def section(shown, title):
    """Return the text of a section."""
    assert f"\n{title}\n" in shown, shown
    return shown.partition(f"\n{title}\n")[2].partition("\n\n")[0]


def written(shown):
    text = section(shown, "What would be written")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def schema_of(settings, tmp_path, traits, *providers, **changes):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"properties": {"traits": {"type": "object", **traits}}}))
    settings.MS_IDENTITY = make_settings(*providers, IDENTITY_SCHEMA_URL=path.as_uri(), **changes)


# Input and output


@pytest.mark.kratos(84)
def test_the_mappers_input_and_output_are_shown(try_claims):
    shown, error = try_claims()

    assert not error
    claims = json.loads(section(shown, "Mapper input: claims"))
    assert (claims["sub"], claims["name"]) == ("subject", "Ines Okäfor")
    assert claims["raw_claims"]["xms_edov"] is True
    assert json.loads(section(shown, "Mapper input: identity"))["traits"] == {}
    output = json.loads(section(shown, "Mapper output"))
    assert output["identity"]["traits"]["first_name"] == "Ines"
    assert output["identity"]["verified_addresses"] == [{"via": "email", "value": "ines@contoso.example"}]
    assert output["user"] is None
    assert "Okäfor" in shown
    assert rows() == NOTHING


def test_it_is_said_that_nothing_is_verified(try_claims):
    assert "no signature, time or tenant is verified" in try_claims()[0]


def test_claims_of_every_token_are_filled_in_and_named(try_claims):
    shown, _ = try_claims(ver="2.0", aud="mine")

    assert "Filled in, because they are missing: tid, iss, iat, nbf, exp, nonce.\n" in shown
    raw = json.loads(section(shown, "Mapper input: claims"))["raw_claims"]
    assert (raw["tid"], raw["aud"]) == (TENANT, "mine")


def test_nothing_is_filled_in_for_a_whole_token(try_claims):
    whole = dict.fromkeys(("aud", "iss", "nonce", "ver"), "x") | dict.fromkeys(("iat", "nbf", "exp"), 1)

    assert "Filled in" not in try_claims(tid=TENANT, **whole)[0]


def test_the_issuer_is_filled_in_for_the_tenant_that_is_given(try_claims):
    raw = json.loads(section(try_claims(tid=OTHER)[0], "Mapper input: claims"))["raw_claims"]

    assert raw["iss"] == f"https://login.microsoftonline.com/{OTHER}/v2.0"


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CLAIMS).encode())))

    assert run("--provider", "microsoft", "--claims", "-")[1] == ""


# The subject


@pytest.mark.parametrize(
    ("source", "arguments", "subject"),
    [
        ("userinfo", [], "subject"),
        ("oid", [], OID),
        ("me", [], OID),
        ("me", ["--subject", "0123456789abcdef"], "0123456789abcdef"),
    ],
)
def test_the_subject_is_that_of_the_subject_source(try_claims, settings, source, arguments, subject):
    settings.MS_IDENTITY = make_settings({"subject_source": source})

    shown, error = try_claims(*arguments)

    assert not error
    assert json.loads(section(shown, "Mapper input: claims"))["sub"] == subject
    assert f"A new person, by subject {subject}:" in shown


@pytest.mark.parametrize(
    ("source", "arguments", "changes", "reason"),
    [
        ("userinfo", [], {"sub": ...}, "subject_source is userinfo, and the claims have no sub"),
        ("userinfo", [], {"sub": None}, "the claims have no sub"),
        ("oid", [], {"oid": ...}, "subject_source is oid, and the claims have no oid"),
        ("oid", [], {"oid": "no-guid"}, "the claims have no oid"),
        ("me", [], {"oid": ...}, "no oid, and --subject was not given"),
        ("userinfo", ["--subject", "x"], {}, "--subject is for subject_source me"),
        ("userinfo", [], {"sub": "ü"}, "not printable ASCII"),
        ("userinfo", [], {"tid": "contoso"}, "tid is no GUID"),
        ("userinfo", [], {"tid": None}, "tid is no GUID"),
    ],
)
def test_who_the_claims_are_of_must_be_clear(try_claims, settings, source, arguments, changes, reason):
    settings.MS_IDENTITY = make_settings({"subject_source": source})

    shown, error = try_claims(*arguments, **changes)

    assert reason in error
    assert shown == ""


# Arguments


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("eyJ0eXAi.eyJ.x", "is not JSON", id="a whole token"),
        pytest.param("[]", "is an array; expected is an object", id="array"),
        pytest.param('{"sub": Infinity}', "a number that is not finite", id="infinite"),
        pytest.param('{"sub": ' + "9" * 5000 + "}", "a number that is too long", id="long number"),
        pytest.param('{"a": ' * 100_000, "nested too deeply", id="deep"),
    ],
)
def test_a_file_that_holds_no_claims_is_refused(try_claims, text, reason):
    shown, error = try_claims(text=text)

    assert reason in error
    assert shown == ""


def test_a_file_that_is_not_there_is_named():
    _, error = run("--provider", "microsoft", "--claims", "/nowhere/claims.json")

    assert error == "/nowhere/claims.json cannot be read: No such file or directory."


def test_an_unknown_provider_is_answered_with_the_known(try_claims, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "second"})

    _, error = try_claims(provider="mikrosoft")

    assert error == "No provider 'mikrosoft' is configured. There is: 'microsoft', 'second'."


def test_faults_of_the_configuration_are_named(try_claims, settings):
    settings.MS_IDENTITY = make_settings(FLOW_LIFESPAN=0)

    assert "FLOW_LIFESPAN" in try_claims()[1]


# What fails


@pytest.mark.kratos(84)
def test_a_mapper_that_fails_explains_itself_after_its_input(try_claims, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("error 'no ' + std.extVar('claims').name")}
    )

    shown, error = try_claims()

    assert error.startswith("mapper_runtime_failed: ")
    assert "no Ines Okäfor" in error
    assert "Mapper input: claims" in shown
    assert "Mapper output" not in shown


def test_claims_of_a_wrong_type_fail(try_claims):
    assert try_claims(name=5)[1].startswith("claims_invalid: claim 'name' is an integer")


def test_a_broken_schema_fails_after_the_output(try_claims, settings):
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL="file:///nowhere")

    shown, error = try_claims()

    assert error.startswith("schema_unavailable: ")
    assert section(shown, "Mapper output")


def test_a_result_that_cannot_be_stored_fails(try_claims, settings):
    address = "{via: 'a very long kind of way', value: 'x'}"
    program = make_mapper(f"{{identity: {{traits: {{}}, verified_addresses: [{address}]}}}}")
    settings.MS_IDENTITY = make_settings({"mapper_url": program})

    assert try_claims()[1].startswith("mapper_result_invalid: ")


# The schema


def test_without_a_schema_it_says_so(try_claims):
    assert section(try_claims()[0], "Identity schema").startswith("no schema")


def test_valid_traits_are_said_to_be_valid(try_claims, settings, tmp_path):
    schema_of(settings, tmp_path, {"required": ["name"]})

    assert section(try_claims()[0], "Identity schema") == "the traits are valid"


@pytest.mark.kratos(84)
def test_what_a_form_would_ask_is_named(try_claims, settings, tmp_path):
    properties = {"phone": {"type": "string"}, "first_name": {"type": "string", "minLength": 9}}
    schema_of(settings, tmp_path, {"required": ["phone"], "properties": properties})

    shown, error = try_claims()

    assert not error
    verdict = section(shown, "Identity schema")
    assert "phone: missing\n" in verdict
    assert "first_name: too_short (limit 9)\n" in verdict
    assert verdict.rpartition("\n")[2] == "complete/ would have to ask for: phone (text), first_name (text)"


def test_what_a_form_cannot_ask_fails_after_everything_is_shown(try_claims, settings, tmp_path):
    schema_of(settings, tmp_path, {"required": ["tags"], "properties": {"tags": {"type": "array"}}})

    shown, error = try_claims()

    assert error.startswith("trait_not_askable: a form cannot ask for the trait tags")
    assert "tags: missing\na form cannot ask for the trait tags" in section(shown, "Identity schema")
    assert written(shown)["user"]["first_name"] == "Ines"


# A new person


@pytest.mark.kratos(84)
def test_the_rows_of_a_new_person_are_shown(try_claims, settings):
    Group.objects.create(name="staff")
    settings.MS_IDENTITY = make_settings(
        {
            "mapper_url": make_mapper(
                "{identity: {traits: {a: 1}, metadata_public: {p: 1}, metadata_admin: {q: 2}},"
                " user: {username: 'ines', is_staff: true, is_active: false, groups: ['staff', 'none']}}"
            )
        }
    )

    shown, error = try_claims()

    assert not error
    assert written(shown) == {
        "user": {"username": "ines", "is_staff": True},
        "groups": ["staff"],
        "traits": {"a": 1},
        "metadata_public": {"p": 1},
        "metadata_admin": {"q": 2},
        "verified_addresses": [],
    }
    assert "No such groups here: none." in shown


def test_a_guest_gets_no_privilege(try_claims, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {}}, user: {username: 'ines', is_staff: true}}")}
    )

    assert written(try_claims(acct=1)[0])["user"] == {"username": "ines"}


def test_a_user_name_that_is_taken_is_said(try_claims):
    get_user_model().objects.create_user("ines@contoso.example")

    assert "The user name is taken" in try_claims()[0]


def test_a_collision_is_said(try_claims):
    user = get_user_model().objects.create_user("somebody", "ines@contoso.example")

    shown, error = try_claims()

    assert not error
    assert f"Refused: account_exists: a trusted address belongs to the existing user {user.pk}" in shown


def test_closed_registration_is_said(try_claims, settings):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    shown, error = try_claims()

    assert not error
    assert "Refused: registration_disabled" in shown


# A known person


def test_a_known_person_is_recognised(try_claims):
    identity = make_identity(subject="subject")
    before = rows()

    shown, error = try_claims()

    assert not error
    told = section(shown, "What would be written")
    assert f"Identity {identity.pk} is known by subject subject." in told
    assert "Nothing: update_identity_on_login is never." in told
    assert "With automatic, it would change: traits; user.first_name; user.email; verified address" in told
    assert rows() == before
    assert Identity.objects.get().traits == {}


def test_what_an_update_on_login_would_change_is_said(try_claims, settings):
    program = "{identity: {traits: {a: 1}}, user: {username: 'x', first_name: 'New', groups: ['staff']}}"
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper(program), "update_identity_on_login": "automatic"}
    )
    Group.objects.create(name="staff")
    make_identity(subject="subject", first_name="Old", email="old@contoso.example")

    told = section(try_claims()[0], "What would be written")

    assert told.endswith("The update on login would change: traits; user.first_name; joins the group staff\n")


def test_an_update_that_changes_nothing_is_said(try_claims, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {}}}"), "update_identity_on_login": "automatic"}
    )
    make_identity(subject="subject")

    assert try_claims()[0].endswith("The update on login would change: nothing\n")


def test_the_mapper_and_the_schema_see_what_is_stored(try_claims, settings, tmp_path):
    seen = make_mapper("{identity: {traits: {seen: std.extVar('identity').traits.kept}}}")
    schema_of(settings, tmp_path, {"required": ["kept", "seen"]}, {"mapper_url": seen})
    identity = make_identity(subject="subject")
    Identity.objects.filter(pk=identity.pk).update(traits={"kept": "stored"})

    shown, error = try_claims()

    assert not error
    assert json.loads(section(shown, "Mapper input: identity"))["traits"] == {"kept": "stored"}
    assert json.loads(section(shown, "Mapper output"))["identity"]["traits"] == {"seen": "stored"}
    assert section(shown, "Identity schema") == "the traits are valid"


def test_what_keeps_a_known_person_out_is_said(try_claims):
    identity = make_identity(subject="subject", tenant=OTHER)
    set_active(identity, False)
    type(identity.user).objects.update(is_active=False)

    shown, _ = try_claims()

    assert f"belongs to tenant {OTHER}" in section(shown, "What would be written")
    assert "Refused: identity_inactive" in shown
    assert "Refused: user_inactive" in shown
