"""Everybody who can come: registered the first time, found the second."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.serializers import serialize

from django_ms_identity.emulator import TENANT_ID as CONTOSO
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.support.builders import TENANT, make_mapper, make_settings
from tests.support.web import Browser

from .steps import NOTHING, code_of, page, rows

pytestmark = pytest.mark.django_db

FABRIKAM = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
PEOPLE = [
    pytest.param("work", TENANT, TENANT, "ines.okafor@contoso.example", id="work"),
    pytest.param("admin", TENANT, TENANT, "marek.lindqvist@contoso.example", id="admin"),
    pytest.param("many-groups", TENANT, TENANT, "dagny.moreau@contoso.example", id="member of many groups"),
    pytest.param("guest", TENANT, TENANT, "", id="guest, whose e-mail another tenant vouches for"),
    pytest.param("guest", "organizations", FABRIKAM, "", id="member of any organisation"),
    pytest.param("work", "common", CONTOSO, "ines.okafor@contoso.example", id="work at common"),
    pytest.param("personal", "consumers", CONSUMERS, "", id="personal"),
    pytest.param("personal", "common", CONSUMERS, "", id="personal at common"),
    pytest.param("personal-without-email", "consumers", CONSUMERS, "", id="personal without e-mail"),
]


@pytest.mark.kratos(45)
@pytest.mark.parametrize(("persona", "tenant", "tid", "email"), PEOPLE)
def test_a_new_person_is_registered_and_signed_in(
    client, ms_identity_emulator, settings, persona, tenant, tid, email
):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": tenant})

    response = ms_identity_emulator.sign_in(client, persona, next="/home/?tab=1")

    assert (response.status_code, response.headers["Location"]) == (302, "/home/?tab=1"), page(response)
    identity = Identity.objects.get()
    credential = identity.credentials.get()
    assert (credential.provider, credential.tenant, credential.subject_source) == (
        "microsoft",
        tid,
        "userinfo",
    )
    assert credential.object_id
    assert identity.traits["name"] == ms_identity_emulator.personas[persona].name
    assert identity.user.email == email
    assert not identity.user.has_usable_password()
    assert not identity.user.is_staff
    sign_in = SignIn.objects.get()
    assert (sign_in.identity, sign_in.credential, sign_in.ended_at) == (identity, credential, None)
    assert client.get("/home/").content.decode() == identity.user.get_username()


@pytest.mark.kratos(46)
@pytest.mark.parametrize(("persona", "tenant", "tid", "email"), PEOPLE)
def test_a_second_sign_in_finds_the_same_identity(
    ms_identity_emulator, settings, persona, tenant, tid, email
):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": tenant})
    ms_identity_emulator.sign_in(Browser(), persona)
    before = Identity.objects.get()
    browser = Browser()

    response = ms_identity_emulator.sign_in(browser, persona)

    assert response.status_code == 302, page(response)
    assert Identity.objects.get() == before
    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 2, "Session": 2}
    assert browser.get("/home/").content.decode() == before.user.get_username()


@pytest.mark.kratos(2)
@pytest.mark.parametrize("source", ["userinfo", "me", "oid"])
@pytest.mark.parametrize(("persona", "tenant"), [("work", TENANT), ("personal", "consumers")])
def test_each_subject_source_names_one_person(ms_identity_emulator, settings, source, persona, tenant):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": tenant, "subject_source": source})

    first = ms_identity_emulator.sign_in(Browser(), persona)
    second = ms_identity_emulator.sign_in(Browser(), persona)

    assert (first.status_code, second.status_code) == (302, 302), page(second)
    credential = Credential.objects.get()
    assert credential.subject_source == source
    assert (credential.subject == credential.object_id) is (
        source == "oid" or (source, tenant) == ("me", TENANT)
    )


@pytest.mark.kratos(25, 88)
def test_a_registration_opens_a_cookie_session_and_keeps_no_token(client, ms_identity_emulator):
    response = ms_identity_emulator.sign_in(client)

    assert (response.content, response.cookies["sessionid"]["httponly"]) == (b"", True)
    assert client.session.session_key not in response.headers["Location"]
    (access_token,) = ms_identity_emulator.microsoft.grants._tokens
    models = (get_user_model(), Identity, Credential, VerifiableAddress, SignIn)
    stored = "".join(serialize("json", model.objects.all()) for model in models)
    kept = f"{stored}{dict(client.session)}{client.cookies}"
    assert access_token not in kept
    assert ".eyJ" not in kept, "the payload of an ID token begins so"


def test_two_people_are_two_identities(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(Browser(), "work")
    ms_identity_emulator.sign_in(client, "admin")

    assert rows() == {"User": 2, "Identity": 2, "Credential": 2, "SignIn": 2, "Session": 2}
    assert client.get("/home/").content.decode() == "marek.lindqvist@contoso.example"


@pytest.mark.kratos(55)
def test_an_address_that_microsoft_vouches_for_is_kept_as_verified(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client, "work")

    address = VerifiableAddress.objects.get()
    assert (address.via, address.value) == ("email", "ines.okafor@contoso.example")
    assert address.verified_at is not None


def test_a_guests_address_is_not_verified(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client, "guest")

    assert not VerifiableAddress.objects.exists()


@pytest.mark.kratos(55)
def test_a_trait_is_no_verified_address_unless_the_mapper_lists_it(client, ms_identity_emulator, settings):
    mapper = make_mapper(
        "{identity: {traits: {email: std.extVar('claims').email},"
        " verified_addresses: [{via: 'email', value: ' Other@CONTOSO.example '}]}}"
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})

    ms_identity_emulator.sign_in(client)

    assert VerifiableAddress.objects.get().value == "other@contoso.example"


def test_the_same_person_at_two_providers_is_two_credentials(ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, {"id": "common", "microsoft_tenant": "common"})
    ms_identity_emulator.persona("work", email=None)

    ms_identity_emulator.sign_in(Browser(), "work")
    ms_identity_emulator.sign_in(Browser(), "work", provider="common")

    assert sorted(Credential.objects.values_list("provider", flat=True)) == ["common", "microsoft"]
    assert Identity.objects.count() == 2


def test_the_operators_mapper_decides_the_traits(client, ms_identity_emulator, settings):
    program = """
        local claims = std.extVar('claims');
        {
          identity: {
            traits: { badge: claims.raw_claims.oid },
            metadata_public: { seen: true },
            metadata_admin: { tid: claims.raw_claims.tid },
          },
          user: { username: 'mapped', first_name: claims.given_name },
        }
    """
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    ms_identity_emulator.sign_in(client, "work")

    identity = Identity.objects.get()
    assert identity.traits == {"badge": "755ec5f0-55ea-47ca-89c9-7fa0d0b1f962"}
    assert (identity.metadata_public, identity.metadata_admin) == ({"seen": True}, {"tid": TENANT})
    assert (identity.user.get_username(), identity.user.first_name) == ("mapped", "Ines")


@pytest.mark.kratos(85, 89)
@pytest.mark.parametrize(
    ("persona", "tenant", "code", "status"),
    [
        pytest.param("cancel", TENANT, "sign_in_cancelled", 400, id="turned back"),
        pytest.param("disabled", TENANT, "account_blocked", 403, id="disabled at Microsoft"),
        pytest.param("admin-consent", TENANT, "consent_required", 403, id="not approved"),
        pytest.param("personal", TENANT, "account_not_allowed", 403, id="of another tenant"),
    ],
)
def test_a_person_whom_microsoft_refuses_is_told_why(
    client, ms_identity_emulator, settings, persona, tenant, code, status
):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": tenant})

    response = ms_identity_emulator.sign_in(client, persona)

    assert (code_of(response), response.status_code) == (code, status)
    assert "AADSTS" not in page(response)
    assert rows() == NOTHING


@pytest.mark.parametrize(
    ("persona", "provider"),
    [
        pytest.param(
            "guest", {"microsoft_tenant": "common", "allowed_tenants": [TENANT]}, id="not in the list"
        ),
        pytest.param(
            "personal",
            {"microsoft_tenant": "common", "allowed_tenants": [TENANT, FABRIKAM]},
            id="personal, not in the list",
        ),
    ],
)
def test_a_tenant_that_may_not_come_in_is_refused(client, ms_identity_emulator, settings, persona, provider):
    settings.MS_IDENTITY = make_settings(provider)

    response = ms_identity_emulator.sign_in(client, persona)

    assert (code_of(response), response.status_code) == ("tenant_not_allowed", 403)
    assert rows() == NOTHING


def test_personal_accounts_come_in_where_their_tenant_is_listed(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "common", "allowed_tenants": [CONSUMERS]})

    assert ms_identity_emulator.sign_in(client, "personal").status_code == 302


def test_the_page_of_a_refusal_offers_another_account(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "common", "allowed_tenants": [TENANT]})

    response = ms_identity_emulator.sign_in(client, "guest", next="/home/")

    assert response.context["retry_url"] == "/ms/start/microsoft/?next=%2Fhome%2F&prompt=select_account"


@pytest.mark.kratos(61, 86, 89)
def test_registration_can_be_closed(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser(), "work")
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    known = ms_identity_emulator.sign_in(client, "work")
    unknown = ms_identity_emulator.sign_in(Browser(), "admin")

    assert known.status_code == 302
    assert (code_of(unknown), unknown.status_code) == ("registration_disabled", 403)
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize(
    ("rows_of", "change", "code"),
    [
        (Identity, {"state": "inactive"}, "identity_inactive"),
        (get_user_model(), {"is_active": False}, "user_inactive"),
        (Credential, {"tenant": FABRIKAM}, "tenant_changed"),
    ],
)
def test_a_known_person_who_may_not_come_in_is_refused(client, ms_identity_emulator, rows_of, change, code):
    ms_identity_emulator.sign_in(Browser())
    rows_of.objects.update(**change)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, 403)
    assert client.get("/home/").content == b"nobody"
    assert SignIn.objects.count() == 1


def test_a_credential_is_never_found_by_email(client, ms_identity_emulator):
    """A new object of the directory with the address of an old one is another person."""
    ms_identity_emulator.sign_in(Browser())
    ms_identity_emulator.persona("work", oid="11111111-0000-4000-8000-000000000001")

    response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == "/ms/confirm-link/"
    assert rows()["Identity"] == 1
    assert client.get("/home/").content == b"nobody"


@pytest.mark.kratos(1, 22, 85)
@pytest.mark.parametrize(
    ("endpoint", "answer", "code", "status"),
    [
        pytest.param("token", {"status": 500}, "microsoft_unavailable", 503, id="token 500"),
        pytest.param("token", {"status": 429}, "microsoft_unavailable", 503, id="token 429"),
        pytest.param("token", {"body": "<html>"}, "microsoft_answer_invalid", 502, id="token no JSON"),
        pytest.param("token", {"body": "[]"}, "microsoft_answer_invalid", 502, id="token no object"),
        pytest.param("token", {"body": "{}"}, "microsoft_answer_invalid", 502, id="no ID token"),
        pytest.param(
            "token", {"body": '{"id_token": "x"}'}, "token_rejected", 403, id="ID token is no token"
        ),
        pytest.param(
            "token",
            {"status": 400, "body": '{"error": "invalid_grant", "error_description": "AADSTS54005: used"}'},
            "code_expired",
            400,
            id="code used before",
        ),
        pytest.param(
            "token",
            {"status": 401, "body": '{"error": "invalid_client", "error_description": "AADSTS7000215: x"}'},
            "client_misconfigured",
            503,
            id="wrong secret",
        ),
        pytest.param("keys", {"status": 503}, "microsoft_unavailable", 503, id="keys 503"),
        pytest.param("keys", {"body": '{"keys": []}'}, "microsoft_answer_invalid", 502, id="no keys"),
        pytest.param("me", {"status": 403}, "client_misconfigured", 503, id="Graph 403"),
        pytest.param("me", {"status": 200, "body": "{}"}, "subject_missing", 502, id="Graph names nobody"),
        pytest.param(
            "me", {"body": '{"id": "someone-else"}'}, "subject_mismatch", 403, id="Graph names another"
        ),
    ],
)
def test_a_fault_of_microsoft_is_an_error_page_and_writes_nothing(
    client, ms_identity_emulator, settings, endpoint, answer, code, status
):
    settings.MS_IDENTITY = make_settings({"subject_source": "me"})
    for _attempt in range(2 if endpoint == "keys" else 1):
        ms_identity_emulator.answer_next(endpoint, **answer)

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, status), page(response)
    assert rows() == NOTHING
