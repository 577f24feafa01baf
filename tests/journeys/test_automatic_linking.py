"""``account_linking_mode: automatic``: only under every one of its conditions."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from django_ms_identity.flows import pending_step
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.support.builders import make_identity, make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .steps import SECOND, pick

pytestmark = pytest.mark.django_db

EMAIL = "ines.okafor@contoso.example"
BELIEVES = make_mapper("""
    local email = std.extVar('claims').email;
    {identity: {traits: {}, verified_addresses: [{via: 'email', value: email}]}}
""")
AUTOMATIC = {"account_linking_mode": "automatic", "auto_link_domains": ["Contoso.example"]}


@pytest.fixture(autouse=True)
def _automatic(settings):
    settings.MS_IDENTITY = make_settings(AUTOMATIC, SECOND)


@pytest.fixture
def provisioned():
    """A user whom an operator made, and who has never signed in."""
    user = get_user_model().objects.create_user("ines", email=EMAIL)
    assert not user.has_usable_password()
    return user


def arrive(client, emulator, persona="work"):
    return pick(client, emulator, persona).send(client).headers["Location"]


@pytest.mark.kratos(62)
def test_linking_at_once_of_a_provisioned_user(client, ms_identity_emulator, provisioned):
    assert arrive(client, ms_identity_emulator) == "/home/"

    assert client.get("/home/").content == b"ines"
    assert Credential.objects.get().identity.user == provisioned
    assert Identity.objects.get().traits["email"] == EMAIL
    assert arrive(Browser(), ms_identity_emulator) == "/home/"
    assert Identity.objects.count() == 1


def test_linking_at_once_by_a_verified_address(client, ms_identity_emulator):
    identity = make_identity(username="ines", provider="second", subject="x", verified=(EMAIL,))
    get_user_model().objects.update(last_login=timezone.now())

    assert arrive(client, ms_identity_emulator) == "/home/"

    assert identity.credentials.count() == 2


@pytest.mark.parametrize(
    ("provider", "place"),
    [
        pytest.param({}, "/home/", id="a single tenant's"),
        pytest.param({"microsoft_tenant": "organizations"}, "/ms/confirm-link/", id="any tenant's"),
        pytest.param(None, "/ms/confirm-link/", id="of a provider that is gone"),
    ],
)
@pytest.mark.parametrize("hooks", [[{"hook": "session"}], []], ids=["with a session", "without one"])
def test_linking_at_once_needs_accounts_of_single_tenants_alone(
    client, ms_identity_emulator, settings, provider, place, hooks
):
    """By another one a careless mapper lets a squatter in, who waits here for the owner of the address."""
    hooks = {"HOOKS": {"after_registration": hooks}}
    second = SECOND | {"mapper_url": BELIEVES}
    settings.MS_IDENTITY = make_settings(AUTOMATIC, second | (provider or {}), **hooks)
    squatter = Browser()
    ms_identity_emulator.persona("admin", email=EMAIL)
    ms_identity_emulator.sign_in(squatter, "admin", provider="second")
    assert VerifiableAddress.objects.get().credential.provider == "second"
    if provider is None:
        settings.MS_IDENTITY = make_settings(AUTOMATIC, **hooks)

    assert arrive(client, ms_identity_emulator) == place

    assert Credential.objects.count() == (2 if place == "/home/" else 1)


def test_linking_at_once_ends_the_persons_other_sessions(client, ms_identity_emulator):
    elsewhere = Browser()
    ms_identity_emulator.sign_in(elsewhere, provider="second")
    assert elsewhere.get("/home/").content == EMAIL.encode()

    assert arrive(client, ms_identity_emulator) == "/home/"

    assert elsewhere.get("/home/").content == b"nobody"
    ended, current = SignIn.objects.order_by("pk")
    assert (ended.ended_at is None, current.ended_at is None) == (False, True)


@pytest.mark.kratos(62)
@pytest.mark.parametrize(
    "provider",
    [
        pytest.param({"account_linking_mode": "confirm_with_existing_credential"}, id="another mode"),
        pytest.param({"auto_link_domains": ["other.example"]}, id="another domain"),
        pytest.param({"auto_link_domains": []}, id="no domain"),
        pytest.param({"auto_link_domains": ["example"]}, id="a part of the domain"),
        pytest.param({"microsoft_tenant": "organizations"}, id="more than one tenant"),
    ],
)
def test_linking_at_once_needs_a_provider_that_allows_it(
    client, ms_identity_emulator, settings, provisioned, provider
):
    settings.MS_IDENTITY = make_settings(AUTOMATIC | provider)

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"

    assert Credential.objects.count() == 0


@pytest.mark.parametrize("claims", [{"xms_edov": False}, {"xms_edov": 0}, {"xms_edov": "false"}])
def test_linking_at_once_needs_an_address_that_microsoft_does_not_deny(
    client, ms_identity_emulator, provisioned, claims
):
    ms_identity_emulator.persona("work", claims=claims)

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"acct": 1}, id="acct"),
        pytest.param({"idp": "https://sts.windows.net/11111111-0000-4000-8000-000000000000/"}, id="idp"),
    ],
)
def test_linking_at_once_is_not_for_guests(client, ms_identity_emulator, settings, provisioned, claims):
    ms_identity_emulator.persona("work", claims=claims)

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"

    assert Credential.objects.count() == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"is_staff": True}, id="staff"),
        pytest.param({"is_superuser": True}, id="superuser"),
        pytest.param({"is_active": False}, id="inactive"),
        pytest.param({"last_login": timezone.now()}, id="was here"),
        # A squatter can register any address, and wait.
        pytest.param({"password": make_password("pw")}, id="has a password"),
    ],
)
def test_linking_at_once_is_not_for_a_user_who_was_not_just_provisioned(
    client, ms_identity_emulator, provisioned, changes
):
    get_user_model().objects.update(**changes)

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"

    assert Credential.objects.count() == 0


def never_used():
    make_identity(username="ines", provider="second", subject="x", email=EMAIL)


def address_of_the_user_model_alone():
    make_identity(username="ines", provider="second", subject="x", email=EMAIL, last_login=timezone.now())


def address_that_is_not_verified():
    address_of_the_user_model_alone()
    VerifiableAddress.objects.create(
        identity=Identity.objects.get(), via="email", value=EMAIL, normalised=EMAIL
    )


def two_users():
    for name, email in (("ines", EMAIL), ("ines2", EMAIL.upper())):
        get_user_model().objects.create_user(name, email=email)


def another_credential_of_this_provider():
    """Make the address a recycled one: the new colleague must not get the old one's account."""
    make_identity(username="ines", subject="the colleague before", verified=(EMAIL,))


def inactive_identity():
    make_identity(username="ines", provider="second", subject="x", verified=(EMAIL,))
    Identity.objects.update(state=Identity.State.INACTIVE)


@pytest.mark.parametrize(
    "make_owner",
    [
        never_used,
        address_of_the_user_model_alone,
        address_that_is_not_verified,
        two_users,
        another_credential_of_this_provider,
        inactive_identity,
    ],
)
def test_linking_at_once_is_not_for_an_owner_who_may_be_another_person(
    client, ms_identity_emulator, make_owner
):
    make_owner()
    before = Credential.objects.count()

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"

    assert Credential.objects.count() == before


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        pytest.param("strasse@contoso.example", "straße@contoso.example", id="sharp s"),
        pytest.param("kim@contoso.example", "\u212aim@contoso.example", id="Kelvin sign"),
        pytest.param("mike@contoso.example", "m\u0130ke@contoso.example", id="dotted I"),
        pytest.param("ines@contoso.example", "\uff49nes@contoso.example", id="full width"),
        pytest.param("\uff49nes@contoso.example", "ines@contoso.example", id="full width here"),
        pytest.param("\u212aim@contoso.example", "kim@contoso.example", id="Kelvin sign here"),
    ],
)
@pytest.mark.parametrize("accounts", [None, 1, 0])
def test_linking_at_once_is_not_by_an_address_that_only_folds_to_the_same(
    client, ms_identity_emulator, stored, said, accounts
):
    if accounts is None:
        get_user_model().objects.create_user("ines", email=stored)
    else:
        make_identity(username="ines", provider="second", subject="x", verified=(stored,), email=stored)
        if not accounts:
            Credential.objects.all().delete()
    ms_identity_emulator.persona("work", email=said)

    assert arrive(client, ms_identity_emulator) != "/ms/complete/"

    assert client.get("/home/").content != b"ines"
    assert not Credential.objects.filter(provider="microsoft", identity__user__username="ines").exists()


def test_linking_at_once_is_not_by_a_look_alike_beside_another_address(client, ms_identity_emulator):
    make_identity(verified=("\u212aim@contoso.example",), email="other@contoso.example")
    Credential.objects.all().delete()
    ms_identity_emulator.persona("work", email="kim@contoso.example")

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"


def test_linking_at_once_by_an_address_of_any_claim(client, ms_identity_emulator, settings, provisioned):
    program = "{identity: {traits: {email: std.extVar('claims').raw_claims.verified_primary_email[0]}}}"
    settings.MS_IDENTITY = make_settings(AUTOMATIC | {"mapper_url": make_mapper(program)})
    ms_identity_emulator.persona(
        "work", email=None, claims={"verified_primary_email": ["Ines.Okafor@contoso.example"]}
    )

    assert arrive(client, ms_identity_emulator) == "/home/"
    assert client.get("/home/").content == b"ines"


def test_linking_at_once_is_not_by_an_address_that_the_mapper_spells_otherwise(
    client, ms_identity_emulator, settings
):
    program = "{identity: {traits: {email: '\\u212aim@contoso.example'}}}"
    settings.MS_IDENTITY = make_settings(AUTOMATIC | {"mapper_url": make_mapper(program)})
    get_user_model().objects.create_user("kim", email="kim@contoso.example")
    ms_identity_emulator.persona("work", email="kim@contoso.example")

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"


def test_linking_at_once_to_an_identity_asks_for_no_traits(client, ms_identity_emulator, settings):
    """The traits of the identity stay, so nothing has to be asked for."""
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(AUTOMATIC, SECOND, IDENTITY_SCHEMA_URL=schema)
    identity = make_identity(username="ines", provider="second", subject="x", verified=(EMAIL,))

    assert arrive(client, ms_identity_emulator) == "/home/"

    assert identity.credentials.count() == 2


def test_linking_at_once_is_not_for_a_user_who_must_be_asked_for_traits(
    client, ms_identity_emulator, settings, provisioned
):
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(AUTOMATIC, SECOND, IDENTITY_SCHEMA_URL=schema)

    assert arrive(client, ms_identity_emulator) == "/ms/confirm-link/"

    assert Identity.objects.count() == 0


def test_linking_at_once_after_a_form_leaves_no_pending_step(client, ms_identity_emulator, settings):
    """A user is provisioned while the visitor fills in the form."""
    schema = make_schema({"team": {"type": "string"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(AUTOMATIC, SECOND, IDENTITY_SCHEMA_URL=schema)
    assert arrive(client, ms_identity_emulator) == "/ms/complete/"
    shown = client.get("/ms/complete/")
    get_user_model().objects.create_user("ines", email=EMAIL)

    client.post("/ms/complete/", {"ticket": shown.context["ticket"], "trait-0": "Tools"})

    assert client.get("/home/").content == b"ines"
    assert pending_step.SESSION_KEY not in client.session
