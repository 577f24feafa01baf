"""Accounts that meet, are connected and are disconnected."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from django_ms_identity import sessions
from django_ms_identity.models import Credential, Identity, SignIn
from tests.journeys.steps import asked, code_of, page, pick
from tests.support.builders import make_identity, make_settings
from tests.support.web import Browser

from .steps import (
    ADMIN,
    CONFIRM,
    CONNECTIONS,
    HOME,
    SECOND,
    WORK,
    add_credential,
    age,
    buttons,
    confirm,
    link,
    link_url,
    row,
    unlink_url,
    who,
)

pytestmark = pytest.mark.django_db

AUTOMATIC = {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}


def accounts():
    return sorted(Credential.objects.values_list("account", flat=True))


def sign_in_locally(client, username="local"):
    assert client.login(username=username, password="pw")


# Somebody new has the address of somebody who is here


@row(50)
def test_whose_address_is_here_already_is_shown_nothing_of_the_account(
    client, ms_identity_emulator, settings, namesake
):
    settings.LOGIN_URL = "/accounts/login/"
    namesake.first_name = "Hidden"
    namesake.save()

    response = pick(client, ms_identity_emulator).send(client)

    assert response.headers["Location"] == CONFIRM
    shown = page(client.get(CONFIRM))
    assert 'href="/accounts/login/?next=/ms/confirm-link/"' in shown
    assert "Hidden" not in shown
    assert ">local<" not in shown
    assert Credential.objects.count() == 0


@row(51)
def test_no_hint_tells_which_account_the_existing_one_signs_in_by(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    make_identity(username="local", provider="second", subject="x", verified=(WORK,))

    response = pick(client, ms_identity_emulator).send(client)

    assert response.headers["Location"] == CONFIRM
    shown = page(client.get(CONFIRM))
    assert WORK in shown
    assert "Elsewhere" not in shown
    assert "/ms/start/second/" not in shown


@row(56)
def test_a_collision_leads_to_a_page_without_the_code(client, ms_identity_emulator, namesake):
    get_user_model().objects.update(email=WORK.upper())
    callback = pick(client, ms_identity_emulator)
    code = asked(callback.url)["code"]

    response = callback.send(client)

    assert response.headers["Location"] == CONFIRM
    shown = page(client.get(CONFIRM))
    assert WORK in shown
    assert code not in shown + str(response.cookies) + str(dict(client.session))


@row(57)
def test_another_account_than_the_one_that_was_met_is_not_connected(client, ms_identity_emulator, namesake):
    get_user_model().objects.create_user("other", password="pw")
    ms_identity_emulator.sign_in(client)
    sign_in_locally(client, "other")

    response = client.get(CONFIRM)

    assert (code_of(response), response.status_code) == ("link_mismatch", 403)
    assert Credential.objects.count() == 0


@row(58)
def test_the_accounts_are_connected_when_the_person_confirms_it(client, ms_identity_emulator, namesake):
    ms_identity_emulator.sign_in(client, next="/home/?a=1")
    sign_in_locally(client)
    client.get(CONFIRM)
    assert Credential.objects.count() == 0

    response = confirm(client)

    assert response.headers["Location"] == "/home/?a=1"
    assert Credential.objects.get().identity.user == namesake
    assert who(client) == "local"
    ms_identity_emulator.sign_in(later := Browser())
    assert who(later) == "local"


@row(59)
@pytest.mark.parametrize("persona", ["admin", "mfa"], ids=["theirs", "somebody else's"])
def test_another_connected_account_may_be_the_way_in(client, ms_identity_emulator, settings, persona):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    for other in ("admin", "mfa"):
        ms_identity_emulator.sign_in(Browser(), other, provider="second")
    theirs = Identity.objects.get(user__email=ADMIN)
    get_user_model().objects.filter(pk=theirs.user.pk).update(email=WORK)
    ms_identity_emulator.sign_in(client)
    ms_identity_emulator.sign_in(client, persona, provider="second", next=CONFIRM)

    if persona == "admin":
        assert confirm(client).headers["Location"] == HOME
        assert theirs.credentials.count() == 2
    else:
        assert code_of(client.get(CONFIRM)) == "link_mismatch"
        assert theirs.credentials.count() == 1


@row(60)
def test_accounts_are_connected_while_registration_is_off(client, ms_identity_emulator, settings, namesake):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    ms_identity_emulator.sign_in(client)
    sign_in_locally(client)

    confirm(client)

    assert Credential.objects.get().identity.user == namesake


@row(61)
def test_who_meets_nobody_is_refused_while_registration_is_off(
    client, ms_identity_emulator, settings, namesake
):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)

    response = ms_identity_emulator.sign_in(client, "admin")

    assert (code_of(response), response.status_code) == ("registration_disabled", 403)
    assert Credential.objects.count() == 0


@row(62)
@pytest.mark.parametrize(
    ("provider", "location"),
    [
        pytest.param(AUTOMATIC, HOME, id="every condition holds"),
        pytest.param(AUTOMATIC | {"auto_link_domains": []}, CONFIRM, id="no domain is trusted"),
        pytest.param(AUTOMATIC | {"microsoft_tenant": "organizations"}, CONFIRM, id="more than one tenant"),
        pytest.param({}, CONFIRM, id="not asked for"),
    ],
)
def test_accounts_are_connected_at_once_under_strict_conditions(
    client, ms_identity_emulator, settings, provider, location
):
    settings.MS_IDENTITY = make_settings(provider)
    provisioned = get_user_model().objects.create_user("provisioned", email=WORK)

    response = ms_identity_emulator.sign_in(client)

    assert response.headers["Location"] == location
    linked = [credential.identity.user for credential in Credential.objects.all()]
    assert linked == ([provisioned] if location == HOME else [])


@row(63)
def test_an_entry_that_nobody_has_proved_is_not_imported(tmp_path, capsys):
    entries = [
        {"provider": "microsoft", "subject": "proved"},
        {"provider": "microsoft", "subject": WORK, "use_auto_link": True},
    ]
    exported = {
        "id": "11111111-0000-4000-8000-000000000001",
        "state": "active",
        "traits": {"email": WORK},
        "credentials": {
            "oidc": {
                "type": "oidc",
                "identifiers": ["microsoft:proved", f"microsoft:{WORK}"],
                "config": {"providers": entries},
            }
        },
    }
    path = tmp_path / "identities.json"
    path.write_text(json.dumps([exported]))

    call_command("ms_identity", "import-kratos", str(path))

    assert [credential.subject for credential in Credential.objects.all()] == ["proved"]
    assert "Imported: 1" in capsys.readouterr().out


@row(87)
def test_nothing_is_connected_before_the_project_has_let_the_person_in(
    client, ms_identity_emulator, namesake
):
    """However many factors the project asks for, until then nobody is signed in."""
    ms_identity_emulator.sign_in(client)

    response = client.post(CONFIRM, {"ticket": "x"})

    assert response.context["login_url"].endswith("?next=/ms/confirm-link/")
    assert "ticket" not in response.context
    assert Credential.objects.count() == 0
    sign_in_locally(client)
    confirm(client)
    assert Credential.objects.count() == 1


@row(87)
def test_a_session_from_before_does_not_count_as_the_way_in(client, ms_identity_emulator, namesake):
    sign_in_locally(client)
    pick(client, ms_identity_emulator, prompt="select_account").send(client)

    shown = client.get(CONFIRM)

    assert who(client) == "nobody"
    assert "login_url" in shown.context
    assert "ticket" not in shown.context


# What is connected


def second_account(identity, settings):
    add_credential(identity)


def account_of_another_provider(identity, settings):
    add_credential(identity, provider="second")


def account_of_a_provider_that_is_gone(identity, settings):
    add_credential(identity, provider="gone")


def password(identity, settings):
    identity.user.set_password("pw")
    identity.user.save()


def password_without_a_backend(identity, settings):
    password(identity, settings)
    settings.AUTHENTICATION_BACKENDS = [sessions.BACKEND]


def somebody_elses_account(identity, settings):
    make_identity(username="other", subject="x")


def nothing(identity, settings): ...


@row(68)
@pytest.mark.parametrize(
    ("other", "is_way_in"),
    [
        (nothing, False),
        (second_account, True),
        (account_of_another_provider, True),
        (account_of_a_provider_that_is_gone, False),
        (password, True),
        (password_without_a_backend, False),
        (somebody_elses_account, False),
    ],
)
def test_only_another_way_in_lets_an_account_go(client, ms_identity_emulator, settings, other, is_way_in):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    ms_identity_emulator.sign_in(Browser())
    credential = Credential.objects.get()
    other(credential.identity, settings)
    ms_identity_emulator.sign_in(client)

    response = client.post(unlink_url(credential.pk))

    assert code_of(response) == ("" if is_way_in else "last_credential")
    assert Credential.objects.filter(pk=credential.pk).exists() is not is_way_in


@row(73)
@pytest.mark.parametrize(
    ("other", "unlinkable"),
    [
        pytest.param(nothing, 0, id="one account"),
        pytest.param(second_account, 2, id="two of one provider"),
        pytest.param(account_of_another_provider, 2, id="two of two providers"),
        pytest.param(account_of_a_provider_that_is_gone, 1, id="one that signs nobody in"),
        pytest.param(password, 1, id="one and a password"),
    ],
)
def test_every_account_has_a_button_and_every_provider_one_to_connect_more(
    client, ms_identity_emulator, settings, other, unlinkable
):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    ms_identity_emulator.sign_in(Browser())
    other(Identity.objects.get(), settings)
    ms_identity_emulator.sign_in(client)

    shown = client.get(CONNECTIONS)

    assert buttons(shown, "link") == ["microsoft", "second"]
    assert len(buttons(shown, "unlink")) == unlinkable


@row(73)
def test_who_has_connected_nothing_can_connect_everything(client, settings, local):
    settings.MS_IDENTITY = make_settings({}, SECOND)

    shown = client.get(CONNECTIONS)

    assert buttons(shown, "link") == ["microsoft", "second"]
    assert buttons(shown, "unlink") == []


# Disconnecting


@row(74)
def test_the_last_way_in_stays(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    response = client.post(unlink_url(Credential.objects.get().pk))

    assert (code_of(response), response.status_code) == ("last_credential", 409)
    assert (accounts(), who(client)) == ([WORK], WORK)


@row(74)
@pytest.mark.parametrize("whose", ["nobody's", "somebody else's"])
def test_what_is_not_connected_cannot_be_disconnected(client, ms_identity_emulator, local, whose):
    link(client, ms_identity_emulator)
    other = make_identity(username="other", subject="x").credentials.get()

    response = client.post(unlink_url(other.pk if whose == "somebody else's" else other.pk + 1))

    assert (code_of(response), response.status_code) == ("credential_missing", 404)
    assert Credential.objects.count() == 2


@row(75)
def test_one_account_is_disconnected_and_its_sessions_end(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)
    link(client, ms_identity_emulator, "admin")
    ms_identity_emulator.sign_in(by_work := Browser())
    ms_identity_emulator.sign_in(by_admin := Browser(), "admin")

    response = client.post(unlink_url(Credential.objects.get(account=WORK).pk))

    assert response.headers["Location"] == CONNECTIONS
    assert accounts() == [ADMIN]
    assert (who(by_work), who(by_admin), who(client)) == ("nobody", "local", "local")


@row(76)
def test_disconnecting_after_a_while_asks_microsoft_first(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin")
    age(client)

    location = client.post(unlink_url(Credential.objects.get(account=ADMIN).pk)).headers["Location"]

    assert location.startswith("https://login.microsoftonline.com/")
    assert (asked(location)["max_age"], accounts()) == ("0", [WORK, ADMIN])
    client.get(ms_identity_emulator.callback(location).send(client).headers["Location"])
    assert accounts() == [WORK]


@row(76)
def test_disconnecting_without_the_proof_changes_nothing(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin")
    age(client)
    client.post(unlink_url(Credential.objects.get(account=ADMIN).pk))

    assert client.get(CONNECTIONS).status_code == 200
    assert accounts() == [WORK, ADMIN]


@row(75)
def test_an_account_whose_provider_is_gone_can_be_disconnected(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    ms_identity_emulator.sign_in(client)
    link(client, ms_identity_emulator, "admin", provider="second")
    settings.MS_IDENTITY = make_settings()

    response = client.post(unlink_url(Credential.objects.get(provider="second").pk))

    assert response.headers["Location"] == CONNECTIONS
    assert accounts() == [WORK]


# Connecting


@row(77)
def test_an_unknown_provider_connects_nothing(client, local):
    response = client.post(link_url("nobody"))

    assert (code_of(response), response.status_code) == ("provider_unknown", 404)


@row(77)
def test_a_provider_that_is_connected_can_connect_another_account(client, ms_identity_emulator, local):
    link(client, ms_identity_emulator)
    assert link(client, ms_identity_emulator).headers["Location"] == CONNECTIONS
    assert accounts() == [WORK]

    link(client, ms_identity_emulator, "admin")

    assert accounts() == [WORK, ADMIN]
    assert Credential.objects.filter(identity__user=local).count() == 2


@row(78)
def test_an_account_of_somebody_else_is_not_connected(client, ms_identity_emulator, local):
    ms_identity_emulator.sign_in(Browser())

    response = link(client, ms_identity_emulator)

    assert (code_of(response), response.status_code) == ("credential_taken", 409)
    assert Credential.objects.get().identity.user != local
    assert who(client) == "local"


@row(79)
def test_without_an_id_token_nothing_is_connected(client, ms_identity_emulator, local):
    ms_identity_emulator.answer_next("token", body='{"access_token": "x", "token_type": "Bearer"}')

    response = link(client, ms_identity_emulator)

    assert (code_of(response), response.status_code) == ("microsoft_answer_invalid", 502)
    assert response.context["retry_url"] == CONNECTIONS
    assert (Credential.objects.count(), who(client)) == (0, "local")


@row(80)
@pytest.mark.parametrize("before", [0, 1], ids=["the first", "one more"])
def test_an_account_is_connected_and_the_session_stays_what_it_was(
    client, ms_identity_emulator, local, before
):
    if before:
        link(client, ms_identity_emulator, "admin")
    key = client.session.session_key

    response = link(client, ms_identity_emulator)

    assert response.headers["Location"] == CONNECTIONS
    assert local.ms_identity.credentials.filter(account=WORK).exists()
    assert (client.session.session_key, SignIn.objects.count()) == (key, 0)


@row(81)
def test_a_form_that_connects_passes_nothing_on(client, local):
    wishes = {"prompt": "login", "hd": "contoso.example", "acr_values": "c1", "login_hint": "x", "lol": "x"}

    query = asked(client.post(link_url(), wishes).headers["Location"])

    assert query["prompt"] == "select_account"
    assert set(wishes) & set(query) == {"prompt"}


@row(82)
def test_connecting_after_a_while_asks_microsoft_first_and_then_goes_on(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    age(client)

    location = client.post(link_url()).headers["Location"]
    assert asked(location)["max_age"] == "0"
    back = ms_identity_emulator.callback(location).send(client)
    resumed = client.get(back.headers["Location"]).headers["Location"]
    response = ms_identity_emulator.callback(resumed, "admin").send(client)

    assert response.headers["Location"] == CONNECTIONS
    assert accounts() == [WORK, ADMIN]


@row(82)
def test_who_has_connected_nothing_proves_it_where_the_project_signs_people_in(
    client, ms_identity_emulator, local
):
    age(client)

    page_after = asked(client.post(link_url()).headers["Location"])["next"]
    sign_in_locally(client)
    resumed = client.get(page_after).headers["Location"]
    ms_identity_emulator.callback(resumed).send(client)

    assert accounts() == [WORK]
