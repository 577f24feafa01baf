"""``manage.py ms_identity map``: it prints each step of a sign-in, and writes nothing."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from django_ms_identity.models import Identity
from django_ms_identity.sessions import set_active
from tests.journeys.steps import NOTHING, rows, statements
from tests.support.builders import TENANT, make_identity, make_mapper, make_settings

from .commands import run

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


@pytest.fixture
def try_claims(tmp_path):
    def run_with(*arguments, text=None, provider="microsoft", **changes):
        path = tmp_path / "claims.json"
        claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
        path.write_text(json.dumps(claims) if text is None else text, encoding="utf-8")
        with statements() as gathered:
            result = run("map", "--provider", provider, "--claims", str(path), *arguments)
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
def test_map_command_prints_mapper_input_and_output(try_claims):
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
    assert "no signature, time or tenant is verified" in shown
    assert section(shown, "Identity schema").startswith("no schema")
    assert rows() == NOTHING


def test_map_command_fills_in_and_names_claims_of_every_token(try_claims):
    shown, _ = try_claims(ver="2.0", aud="mine")

    assert "Filled in, because they are missing: tid, iss, iat, nbf, exp, nonce.\n" in shown
    raw = json.loads(section(shown, "Mapper input: claims"))["raw_claims"]
    assert (raw["tid"], raw["aud"]) == (TENANT, "mine")


def test_map_command_fills_in_issuer_alone_for_the_tenant_of_the_claims(try_claims):
    given = dict.fromkeys(("aud", "nonce", "ver"), "x") | dict.fromkeys(("iat", "nbf", "exp"), 1)

    shown, _ = try_claims(tid=OTHER, **given)

    assert "Filled in, because they are missing: iss.\n" in shown
    raw = json.loads(section(shown, "Mapper input: claims"))["raw_claims"]
    assert raw["iss"] == f"https://login.microsoftonline.com/{OTHER}/v2.0"
    assert "Filled in" not in try_claims(tid=OTHER, iss="x", **given)[0]


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
def test_map_command_takes_subject_from_subject_source(try_claims, settings, source, arguments, subject):
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
def test_map_command_refuses_claims_without_subject_or_tenant(
    try_claims, settings, source, arguments, changes, reason
):
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
def test_map_command_refuses_file_without_claims(try_claims, text, reason):
    shown, error = try_claims(text=text)

    assert reason in error
    assert shown == ""


def test_map_command_lists_known_providers_for_unknown_one(try_claims, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "second"})

    _, error = try_claims(provider="mikrosoft")

    assert error == "No provider 'mikrosoft' is configured. There is: 'microsoft', 'second'."


def test_map_command_names_configuration_faults(try_claims, settings):
    settings.MS_IDENTITY = make_settings(FLOW_LIFESPAN=0)

    assert "FLOW_LIFESPAN" in try_claims()[1]


# What fails


@pytest.mark.kratos(84)
def test_map_command_explains_failing_mapper_after_its_input(try_claims, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("error 'no ' + std.extVar('claims').name")}
    )

    shown, error = try_claims()

    assert error.startswith("mapper_runtime_failed: ")
    assert "no Ines Okäfor" in error
    assert "Mapper input: claims" in shown
    assert "Mapper output" not in shown


def test_map_command_refuses_claims_of_wrong_type(try_claims):
    shown, error = try_claims(name=5)

    assert error.startswith("claims_invalid: claim 'name' is an integer")
    assert "Mapper input" not in shown


def test_map_command_reports_unavailable_schema_after_mapper_output(try_claims, settings):
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL="file:///nowhere")

    shown, error = try_claims()

    assert error.startswith("schema_unavailable: ")
    assert section(shown, "Mapper output")


def test_map_command_refuses_unstorable_result(try_claims, settings):
    address = "{via: 'a very long kind of way', value: 'x'}"
    program = make_mapper(f"{{identity: {{traits: {{}}, verified_addresses: [{address}]}}}}")
    settings.MS_IDENTITY = make_settings({"mapper_url": program})

    assert try_claims()[1].startswith("mapper_result_invalid: ")


# The schema


def test_map_command_reports_valid_traits(try_claims, settings, tmp_path):
    schema_of(settings, tmp_path, {"required": ["name"]})

    assert section(try_claims()[0], "Identity schema") == "the traits are valid"


@pytest.mark.kratos(84)
def test_map_command_names_traits_that_a_form_would_ask_for(try_claims, settings, tmp_path):
    properties = {"phone": {"type": "string"}, "first_name": {"type": "string", "minLength": 9}}
    schema_of(settings, tmp_path, {"required": ["phone"], "properties": properties})

    shown, error = try_claims()

    assert not error
    verdict = section(shown, "Identity schema")
    assert "phone: missing\n" in verdict
    assert "first_name: too_short (limit 9)\n" in verdict
    assert verdict.rpartition("\n")[2] == "complete/ would have to ask for: phone (text), first_name (text)"


def test_map_command_fails_last_for_trait_that_a_form_cannot_ask_for(try_claims, settings, tmp_path):
    schema_of(settings, tmp_path, {"required": ["tags"], "properties": {"tags": {"type": "array"}}})

    shown, error = try_claims()

    assert error.startswith("trait_not_askable: a form cannot ask for the trait tags")
    assert "tags: missing\na form cannot ask for the trait tags" in section(shown, "Identity schema")
    assert written(shown)["user"]["first_name"] == "Ines"


# A new person


@pytest.mark.kratos(84)
def test_map_command_prints_rows_of_a_registration(try_claims, settings):
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


def test_map_command_grants_guest_no_privilege(try_claims, settings):
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper("{identity: {traits: {}}, user: {username: 'ines', is_staff: true}}")}
    )

    assert written(try_claims(acct=1)[0])["user"] == {"username": "ines"}


def test_map_command_reports_taken_user_name(try_claims):
    get_user_model().objects.create_user("ines@contoso.example")

    assert "The user name is taken" in try_claims()[0]


def test_map_command_reports_address_collision(try_claims):
    user = get_user_model().objects.create_user("other", "ines@contoso.example")

    shown, error = try_claims()

    assert not error
    assert f"Refused: account_exists: a trusted address belongs to the existing user {user.pk}" in shown


def test_map_command_reports_disabled_registration(try_claims, settings):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    shown, error = try_claims()

    assert not error
    assert "Refused: registration_disabled" in shown


# A known person


def test_map_command_recognises_known_subject(try_claims):
    identity = make_identity(subject="subject")
    before = rows()

    shown, error = try_claims()

    assert not error
    printed = section(shown, "What would be written")
    assert f"Identity {identity.pk} is known by subject subject." in printed
    assert "Nothing: update_identity_on_login is never." in printed
    assert "With automatic, it would change: traits; user.first_name; user.email; verified address" in printed
    assert rows() == before
    assert Identity.objects.get().traits == {}


def test_map_command_reports_changes_of_update_on_login(try_claims, settings):
    program = "{identity: {traits: {a: 1}}, user: {username: 'x', first_name: 'New', groups: ['staff']}}"
    settings.MS_IDENTITY = make_settings(
        {"mapper_url": make_mapper(program), "update_identity_on_login": "automatic"}
    )
    Group.objects.create(name="staff")
    make_identity(subject="subject", first_name="Old", email="old@contoso.example")

    printed = section(try_claims()[0], "What would be written")

    changes = "traits; user.first_name; joins the group staff"
    assert printed.endswith(f"The update on login would change: {changes}\n")
    settings.MS_IDENTITY["PROVIDERS"][0]["mapper_url"] = make_mapper("{identity: {traits: {}}}")
    assert try_claims()[0].endswith("The update on login would change: nothing\n")


def test_map_command_shows_stored_identity_to_mapper_and_schema(try_claims, settings, tmp_path):
    seen = make_mapper("{identity: {traits: {seen: std.extVar('identity').traits.kept}}}")
    schema_of(settings, tmp_path, {"required": ["kept", "seen"]}, {"mapper_url": seen})
    identity = make_identity(subject="subject")
    Identity.objects.filter(pk=identity.pk).update(traits={"kept": "stored"})

    shown, error = try_claims()

    assert not error
    assert json.loads(section(shown, "Mapper input: identity"))["traits"] == {"kept": "stored"}
    assert json.loads(section(shown, "Mapper output"))["identity"]["traits"] == {"seen": "stored"}
    assert section(shown, "Identity schema") == "the traits are valid"


def test_map_command_reports_refusals_of_known_identity(try_claims):
    identity = make_identity(subject="subject", tenant=OTHER)
    set_active(identity, False)
    type(identity.user).objects.update(is_active=False)

    shown, _ = try_claims()

    assert f"belongs to tenant {OTHER}" in section(shown, "What would be written")
    assert "Refused: identity_inactive" in shown
    assert "Refused: user_inactive" in shown


def test_python_mapper_exception_is_shown_whole_by_map(try_claims, settings):
    settings.MS_IDENTITY = make_settings({"mapper": "tests.support.mapper_functions.quote"})

    _, error = try_claims()

    assert error.startswith("mapper_failed: the mapper tests.support.mapper_functions.quote raised KeyError")
    assert "no use for ines@contoso.example" in error


def test_python_mapper_result_is_shown_by_map(try_claims, settings):
    settings.MS_IDENTITY = make_settings({"mapper": "tests.support.mapper_functions.email"})

    shown, error = try_claims()

    assert error == ""
    assert '"username": "ines@contoso.example"' in shown
