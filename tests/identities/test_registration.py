from __future__ import annotations

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, OperationalError, connection

from django_ms_identity.exceptions import (
    AccountExists,
    IdentityInactive,
    MapperResultInvalid,
    RegistrationDisabled,
    RegistrationRefused,
)
from django_ms_identity.identities.credential_updates import settle_tenant
from django_ms_identity.identities.decision import decide
from django_ms_identity.identities.linking.matching import emails_in_use, users_with_any
from django_ms_identity.identities.registration import (
    SubjectTaken,
    is_registered,
    plan_registration,
    refuse_unstorable,
    register,
)
from django_ms_identity.identities.trusted_addresses import trusted_addresses
from django_ms_identity.models import Credential, Identity, VerifiableAddress, credential_key
from django_ms_identity.signals import identity_registering
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.journeys.steps import NOTHING, code_of, page, rows, statements, unquoted
from tests.support.builders import (
    make_claims,
    make_context,
    make_identity,
    make_mapped,
    make_mapper,
    make_provider,
    make_settings,
)
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

OTHER = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
EMAIL = "ines@contoso.example"
MANY = {"microsoft_tenant": "common"}


def registered(mapped, *, claims=None, subject="subject", **provider):
    context = make_context(make_provider(**provider), claims or make_claims(sub=subject), subject=subject)
    refuse_unstorable(mapped)
    trusted = trusted_addresses(context, mapped)
    owners = users_with_any(trusted.emails)
    if owners and is_registered(context.provider, subject):
        raise SubjectTaken
    if refusals := decide(context, credential=None, owners=owners).refusals:
        raise refusals[0]
    return register(context, plan_registration(context, mapped, trusted))


# What is written


def test_user_identity_credential_and_addresses_are_written(db):
    mapped = MappingResult(
        traits={"email": EMAIL, "deep": {"list": [1, None, "ü"]}},
        metadata_public={"a": 1},
        metadata_admin={"b": 2},
        verified_addresses=(Address(via="email", value=EMAIL), Address(via="sms", value="+44 7700 900417")),
    )

    credential = registered(mapped, claims=make_claims(oid="the-object"))

    identity = Identity.objects.get()
    assert credential.identity == identity
    assert identity.traits == mapped.traits
    assert (identity.metadata_public, identity.metadata_admin) == ({"a": 1}, {"b": 2})
    assert (identity.state, identity.self_asserted) == ("active", [])
    assert (credential.provider, credential.subject, credential.subject_source, credential.object_id) == (
        "microsoft",
        "subject",
        "userinfo",
        "the-object",
    )
    addresses = VerifiableAddress.objects.order_by("via").values_list("via", "value", "normalised")
    assert list(addresses) == [("email", EMAIL, EMAIL), ("sms", "+44 7700 900417", "+44 7700 900417")]


def test_the_same_address_in_two_spellings_is_one_row():
    registered(make_mapped(verified=("straße@contoso.example", "strasse@contoso.example")))

    assert VerifiableAddress.objects.get().normalised == "strasse@contoso.example"


def test_an_address_that_the_user_model_refuses_is_kept_with_the_identity_alone():
    """Django's validator knows ASCII names alone."""
    credential = registered(make_mapped(verified=("ünï@contoso.example",)))

    assert credential.identity.user.email == ""
    assert VerifiableAddress.objects.get().value == "ünï@contoso.example"


def test_groups_are_joined_by_name_and_none_is_made():
    staff = Group.objects.create(name="staff")

    credential = registered(make_mapped(user={}, groups=("staff", "absent", "")))

    assert list(credential.identity.user.groups.all()) == [staff]
    assert Group.objects.count() == 1


def test_people_of_any_tenant_get_neither_groups_nor_privileges():
    Group.objects.create(name="staff")

    credential = registered(make_mapped(user={"is_staff": True}, groups=("staff",)), **MANY)

    assert not credential.identity.user.groups.exists()
    assert not credential.identity.user.is_staff


def test_privileges_of_the_single_tenant_are_written():
    credential = registered(make_mapped(user={"is_staff": True, "is_superuser": True}))

    user = get_user_model().objects.get()
    assert credential.identity.user == user
    assert (user.is_staff, user.is_superuser) == (True, True)


@pytest.mark.parametrize(
    "address",
    [
        Address(via="x" * 17, value="a"),
        Address(via="email", value="x" * 321),
        Address(via="email", value="ﷺ" * 20),
    ],
    ids=["kind", "value", "normalised"],
)
def test_an_address_too_long_for_its_column_is_refused(address):
    with pytest.raises(MapperResultInvalid):
        registered(MappingResult(traits={}, verified_addresses=(address,)), **MANY)

    assert rows() == NOTHING


@pytest.mark.parametrize(
    "username", [None, "", "x" * 500, "a\tb", "a/b", "\uff49\uff4e\uff45\uff53", " ", "éÅ"]
)
def test_odd_usernames_are_made_to_fit(username):
    credential = registered(make_mapped(user={"username": username}))

    assert credential.identity.user.get_username()


# Taken usernames


def test_a_username_that_is_taken_gets_a_suffix():
    get_user_model().objects.create_user("ines", is_superuser=True)

    credential = registered(make_mapped(username="ines"))

    username = credential.identity.user.get_username()
    assert username.startswith("ines-")
    assert len(username) == len("ines-") + 8
    assert not credential.identity.user.is_superuser
    assert get_user_model().objects.count() == 2


def test_squatters_of_a_name_keep_nobody_out():
    """Whatever names somebody took who knew the subject beforehand."""
    for name in ("ines", f"ines-{credential_key('microsoft', 'subject')[:8]}"):
        get_user_model().objects.create_user(name)

    assert registered(make_mapped(username="ines")).identity.user.get_username().startswith("ines-")


# Collisions


COLLISIONS = [
    pytest.param(EMAIL, id="equal"),
    pytest.param("INES@CONTOSO.EXAMPLE", id="upper case"),
    pytest.param("Ines@Contoso.Example", id="title case"),
    pytest.param("ines@contoso\uff0eexample", id="full-width dot"),
    pytest.param("\uff49\uff4e\uff45\uff53@contoso.example", id="full-width letters"),
]


@pytest.mark.parametrize("spelling", COLLISIONS)
def test_the_verified_address_of_an_identity_collides(spelling):
    make_identity(subject="old", verified=(EMAIL,))

    with pytest.raises(AccountExists):
        registered(make_mapped(verified=(spelling,)))

    assert rows()["Identity"] == 1


@pytest.mark.parametrize("stored", [EMAIL.upper(), "\uff49\uff4e\uff45\uff53@contoso.example"])
def test_the_stored_spelling_does_not_matter(stored):
    make_identity(subject="old", verified=(stored,))

    with pytest.raises(AccountExists):
        registered(make_mapped(verified=(EMAIL,)))


@pytest.mark.parametrize("spelling", COLLISIONS)
def test_the_user_models_own_address_collides(spelling):
    get_user_model().objects.create_user("local", EMAIL, "password")

    with pytest.raises(AccountExists):
        registered(make_mapped(email=spelling))

    assert rows()["Identity"] == 0


@pytest.mark.parametrize("stored", ["Ines@contoso.example", "Ines@Contoso.Example"])
def test_djangos_own_form_of_an_address_is_found(stored):
    """Its managers lower the domain and leave the name."""
    get_user_model().objects.create_user("local", stored)

    with pytest.raises(AccountExists):
        registered(make_mapped(email="Ines@CONTOSO.example"))


@pytest.mark.parametrize("stored", ["Ines@contoso.example", "ines@Contoso.example"])
def test_the_spelling_that_microsoft_sends_is_found_as_it_is(stored):
    get_user_model().objects.bulk_create([get_user_model()(username="local", email=stored)])

    with pytest.raises(AccountExists):
        registered(make_mapped(email=stored))


def test_any_trusted_address_collides():
    make_identity(subject="old", verified=(EMAIL,))

    with pytest.raises(AccountExists):
        registered(make_mapped(verified=("new@contoso.example", EMAIL)))


def test_the_refusal_names_nobody():
    make_identity(subject="old", verified=(EMAIL,), username="planted")

    with pytest.raises(AccountExists) as caught:
        registered(make_mapped(verified=(EMAIL,)))

    assert EMAIL not in f"{caught.value.detail} {caught.value.hint}"
    assert "planted" not in f"{caught.value.detail} {caught.value.hint}"


@pytest.mark.parametrize(
    ("claims", "provider"),
    [
        pytest.param({"acct": 1}, {}, id="a guest's"),
        pytest.param({"idp": f"https://sts.windows.net/{OTHER}/"}, {}, id="from a foreign directory"),
        pytest.param({"idp": "live.com"}, {}, id="a personal account's in the tenant"),
        pytest.param({}, MANY, id="unverified at common"),
        pytest.param({"tid": OTHER}, {"microsoft_tenant": "organizations"}, id="of any organisation"),
    ],
)
def test_an_untrusted_address_collides_with_nobody(claims, provider):
    """nOAuth: whoever runs a tenant can write any address into it."""
    make_identity(subject="old", verified=(EMAIL,), email=EMAIL)

    credential = registered(make_mapped(email=EMAIL), claims=make_claims(**claims), **provider)

    assert credential.identity.user.email == ""
    assert not credential.identity.verifiable_addresses.exists()
    assert Identity.objects.count() == 2


def test_people_without_an_address_do_not_collide():
    get_user_model().objects.create_user("local", "")

    registered(make_mapped())

    assert Identity.objects.count() == 1


def test_a_similar_address_does_not_collide():
    make_identity(subject="old", verified=(EMAIL,), email=EMAIL)

    registered(make_mapped(verified=("ines+tag@contoso.example",)))

    assert Identity.objects.count() == 2


# Who may register


def test_a_closed_registration_is_refused(settings):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    with pytest.raises(RegistrationDisabled):
        registered(make_mapped())

    assert rows() == NOTHING


def test_a_collision_is_said_before_a_closed_registration(settings):
    """Somebody with an account here is told so, rather than that they may not have one."""
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    make_identity(subject="old", verified=(EMAIL,))

    with pytest.raises(AccountExists):
        registered(make_mapped(verified=(EMAIL,)))


def test_a_veto_comes_before_anything_is_written(listen):
    def veto(mapped, **_):
        assert rows() == NOTHING
        raise RegistrationRefused

    listen(identity_registering, veto)

    with pytest.raises(RegistrationRefused):
        registered(make_mapped())

    assert rows() == NOTHING


def test_nothing_is_asked_of_receivers_where_registration_is_refused_anyway(listen, settings):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    asked = []
    listen(identity_registering, lambda **_: asked.append(1))

    with pytest.raises(RegistrationDisabled):
        registered(make_mapped())

    assert asked == []


# Lost races


VOUCHING = "{identity: {traits: {}, verified_addresses: [{via: 'email', value: std.extVar('claims').email}]}}"


def test_who_loses_the_race_is_told_so(listen):
    listen(identity_registering, lambda **_: make_identity(subject="subject", username="ines"))

    with pytest.raises(SubjectTaken):
        registered(make_mapped(username="ines"))

    assert rows() | {"Session": 0} == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 0, "Session": 0}


def test_who_loses_the_race_leaves_no_second_user(listen):
    listen(identity_registering, lambda **_: make_identity(subject="subject", username="somebody"))

    with pytest.raises(SubjectTaken):
        registered(make_mapped(username="ines"))

    assert list(get_user_model().objects.values_list("username", flat=True)) == ["somebody"]


def test_the_loser_is_not_taken_for_a_stranger_with_the_same_address():
    """The winner committed between our look for the subject and our look for the address."""
    make_identity(subject="subject", verified=(EMAIL,))

    with pytest.raises(SubjectTaken):
        registered(make_mapped(verified=(EMAIL,)))


@pytest.mark.parametrize("moment", ["before the look for collisions", "before the rows are written"])
def test_both_visitors_of_a_race_are_signed_in_to_one_identity(
    client, ms_identity_emulator, settings, listen, moment
):
    rival = Browser()

    raced = []

    def race(*_, **__):
        if not raced:
            raced.append(rival)
            settings.MS_IDENTITY = make_settings()
            assert ms_identity_emulator.sign_in(rival).status_code == 302
        return 200, {}, VOUCHING

    if moment == "before the look for collisions":
        url = f"https://mapper.example/{uuid.uuid4()}.jsonnet"
        ms_identity_emulator.wire.add_callback("GET", url, callback=race)
        settings.MS_IDENTITY = make_settings({"mapper_url": url})
    else:
        listen(identity_registering, race)

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    assert rows() == {"User": 1, "Identity": 1, "Credential": 1, "SignIn": 2, "Session": 2}
    assert client.get("/home/").content == rival.get("/home/").content == b"ines.okafor@contoso.example"


def test_an_identity_that_is_deleted_meanwhile_signs_nobody_in(client, ms_identity_emulator, listen):
    found = []

    def win(claims, **_):
        make_identity(subject=claims.sub, username="rival")

    def delete_before_the_second_look(execute, sql, params, many, context):
        if unquoted(sql).startswith("SELECT ms_identity_credential"):
            found.append(Identity.objects.count())
            if len(found) == 2:
                Identity.objects.all().delete()
        return execute(sql, params, many, context)

    listen(identity_registering, win)

    with connection.execute_wrapper(delete_before_the_second_look):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert found[:2] == [0, 1]
    assert rows() == NOTHING | {"User": 1}


def test_a_value_that_the_database_refuses_leaves_nothing(client, ms_identity_emulator, caplog):
    """SQLite takes everything; PostgreSQL refuses what is longer than its column."""

    def refuse(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_credential"):
            raise DataError("value too long: planted")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("user_invalid", 503)
    assert "planted" not in caplog.text
    assert rows() == NOTHING


@pytest.mark.django_db(transaction=True)
def test_whose_account_is_disconnected_while_the_session_is_recorded_is_not_in(client, ms_identity_emulator):
    def delete(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_signin"):
            Credential.objects.all().delete()
            raise IntegrityError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delete):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("identity_inactive", 403)
    assert client.get("/home/").content == b"nobody"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_at_the_session_is_no_refusal(client, ms_identity_emulator):
    """Only who was deleted meanwhile is told that they may not come in."""

    def fail(execute, sql, params, many, context):
        if unquoted(sql).startswith("INSERT INTO ms_identity_signin"):
            raise OperationalError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        ms_identity_emulator.sign_in(client)

    assert (rows()["Identity"], rows()["SignIn"]) == (1, 0)
    assert client.get("/home/").content == b"nobody"


# Whole registrations


def test_a_mapper_cannot_make_an_administrator_of_any_tenants_people(client, ms_identity_emulator, settings):
    program = """{
      identity: { traits: {} },
      user: { username: 'x', is_staff: true, is_superuser: true, is_active: false, password: 'p', id: 7,
              last_login: '2020-01-01', groups: ['staff'] },
    }"""
    Group.objects.create(name="staff")
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "common", "mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302, page(response)
    user = get_user_model().objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active, user.groups.count()) == (False, False, True, 0)
    assert not user.has_usable_password()


@pytest.mark.kratos(85)
@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param("{", "mapper_syntax_invalid", id="syntax"),
        pytest.param("error 'planted'", "mapper_runtime_failed", id="error"),
        pytest.param("{}", "mapper_result_invalid", id="no identity"),
        pytest.param("{identity: {traits: {a: '\\u0000'}}}", "mapper_result_invalid", id="NUL"),
        pytest.param("import 'x'", "mapper_import_refused", id="import"),
    ],
)
def test_a_mapper_that_fails_registers_nobody(client, ms_identity_emulator, settings, program, code):
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)})

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == (code, 503)
    assert "planted" not in page(response)
    assert rows() == NOTHING


def test_a_mapper_that_fails_does_not_stop_a_login(client, ms_identity_emulator, settings):
    ms_identity_emulator.sign_in(Browser())
    settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper("error 'broken'")})

    assert ms_identity_emulator.sign_in(client).status_code == 302


def test_a_group_that_nobody_made_is_made_where_the_settings_say_so(client, ms_identity_emulator, settings):
    program = "{identity: {traits: {}}, user: {groups: ['new']}}"
    for create in (False, True):
        settings.MS_IDENTITY = make_settings({"mapper_url": make_mapper(program)}, CREATE_GROUPS=create)
        ms_identity_emulator.sign_in(Browser(), "admin" if create else "work")

    first, second = Identity.objects.order_by("created_at")
    assert (list(first.user.groups.all()), first.granted_groups) == ([], [])
    assert ([group.name for group in second.user.groups.all()], second.granted_groups) == (["new"], ["new"])


def test_a_collision_leads_to_the_page_that_connects_accounts(client, ms_identity_emulator):
    get_user_model().objects.create_user("local", "ines.okafor@contoso.example", "password")

    response = ms_identity_emulator.sign_in(client)

    assert (response.status_code, response.headers["Location"]) == (302, "/ms/confirm-link/")
    assert rows() == NOTHING | {"User": 1, "Session": 1}


# Many addresses at once


@pytest.mark.parametrize(
    "stored", [EMAIL, "INES@contoso.example", "Ünal@contoso.example", "ÜNAL@CONTOSO.example"]
)
@pytest.mark.parametrize(
    "asked", [EMAIL, "Ines@Contoso.example", "Ünal@contoso.example", "ÜNAL@CONTOSO.example"]
)
def test_many_addresses_are_found_as_one_is(stored, asked):
    get_user_model().objects.create(username="somebody", email=stored)

    found = emails_in_use([asked, "nobody@contoso.example"])

    assert bool(found) is bool(users_with_any([asked]))


def test_verified_addresses_are_found_in_any_spelling():
    make_identity(verified=("straße@contoso.example",))

    assert emails_in_use(["STRASSE@contoso.example", EMAIL]) == {"strasse@contoso.example"}


def test_nothing_is_asked_for_no_address():
    with statements() as gathered:
        assert emails_in_use([]) == set()
        assert users_with_any([]) == ()

    assert gathered == []


def test_a_credential_that_is_deleted_while_it_settles_lets_nobody_in():
    identity = make_identity(subject="subject")
    credential = identity.credentials.get()
    Credential.objects.all().delete()

    with pytest.raises(IdentityInactive, match="deleted while it signed in"):
        settle_tenant(credential, make_claims(sub="subject"))
