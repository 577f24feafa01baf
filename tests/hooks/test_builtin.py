"""revoke_active_sessions and require_verified_address, through whole sign-ins."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_ms_identity.models import SignIn, VerifiableAddress
from tests.journeys.steps import code_of, pick
from tests.support import hook_functions
from tests.support.builders import make_mapper, make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

REVOKE = {"hook": "revoke_active_sessions"}
REQUIRE = {"hook": "require_verified_address"}
FIRST = {"hook": "tests.support.hook_functions.first"}
WORK = b"ines.okafor@contoso.example"
VERIFIES = make_mapper(
    "local claims = std.extVar('claims');"
    "{identity: {traits: {username: claims.email},"
    " verified_addresses: [{via: 'email', value: claims.email}]}}"
)

VERIFIES_NOTHING = make_mapper(
    "{identity: {traits: {username: std.extVar('claims').email}, verified_addresses: []}}"
)


def after_login(settings, *hooks, **provider):
    settings.MS_IDENTITY = make_settings(provider, HOOKS={"after_login": list(hooks)})


def who(browser):
    return browser.get("/home/").content


# revoke_active_sessions


def test_revoke_active_sessions_ends_sessions_of_other_browsers(ms_identity_emulator, settings):
    after_login(settings, REVOKE)
    first, second, third = Browser(), Browser(), Browser()
    ms_identity_emulator.sign_in(first)
    ms_identity_emulator.sign_in(second)
    assert (who(first), who(second)) == (b"nobody", WORK)

    ms_identity_emulator.sign_in(third)

    assert (who(first), who(second), who(third)) == (b"nobody", b"nobody", WORK)
    ends = SignIn.objects.order_by("pk").values_list("ended_at", flat=True)
    assert [end is None for end in ends] == [False, False, True]


def test_sessions_of_other_browsers_stay_without_the_hook(ms_identity_emulator, settings):
    after_login(settings)
    first, second = Browser(), Browser()
    ms_identity_emulator.sign_in(first)

    ms_identity_emulator.sign_in(second)

    assert (who(first), who(second)) == (WORK, WORK)


def test_revoke_active_sessions_keeps_sessions_of_other_people(ms_identity_emulator, settings):
    after_login(settings, REVOKE)
    other, browser = Browser(), Browser()
    ms_identity_emulator.sign_in(other, "admin")
    ms_identity_emulator.sign_in(Browser())

    ms_identity_emulator.sign_in(browser)

    assert who(other) not in (b"nobody", WORK)
    assert who(browser) == WORK


def test_revoke_active_sessions_keeps_session_data_of_this_browser(client, ms_identity_emulator, settings):
    after_login(settings, REVOKE)
    ms_identity_emulator.sign_in(client)
    session = client.session
    session["basket"] = 3
    session.save()

    pick(client, ms_identity_emulator, prompt="select_account").send(client)

    assert who(client) == WORK
    assert client.session["basket"] == 3
    assert SignIn.objects.count() == 2
    assert SignIn.objects.filter(ended_at=None).count() == 1


def test_revoke_active_sessions_replaces_session_key_of_this_browser(client, ms_identity_emulator, settings):
    after_login(settings, REVOKE)
    ms_identity_emulator.sign_in(client)
    stolen = Browser()
    stolen.cookies["sessionid"] = client.cookies["sessionid"].value
    assert who(stolen) == WORK

    pick(client, ms_identity_emulator, prompt="select_account").send(client)

    assert who(stolen) == b"nobody"


# require_verified_address


def test_require_verified_address_refuses_person_without_one(client, ms_identity_emulator, settings):
    after_login(settings, REQUIRE, mapper_url=VERIFIES_NOTHING)
    ms_identity_emulator.sign_in(Browser())
    sessions = SignIn.objects.count()

    response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("address_unverified", 403)
    assert who(client) == b"nobody"
    assert SignIn.objects.count() == sessions


def test_require_verified_address_lets_person_with_one_sign_in(client, ms_identity_emulator, settings):
    after_login(settings, REQUIRE, mapper_url=VERIFIES)
    ms_identity_emulator.sign_in(Browser())

    response = ms_identity_emulator.sign_in(client)

    assert response.status_code == 302
    assert who(client) == WORK


def test_require_verified_address_ignores_unverified_address(client, ms_identity_emulator, settings):
    after_login(settings, REQUIRE, mapper_url=VERIFIES)
    ms_identity_emulator.sign_in(Browser())
    VerifiableAddress.objects.update(verified_at=None)

    assert code_of(ms_identity_emulator.sign_in(client)) == "address_unverified"


def test_require_verified_address_ignores_address_of_another_person(client, ms_identity_emulator, settings):
    after_login(settings, REQUIRE, mapper_url=VERIFIES)
    ms_identity_emulator.sign_in(Browser())
    ms_identity_emulator.sign_in(Browser(), "admin")
    user = get_user_model().objects.get(username=WORK.decode())
    VerifiableAddress.objects.filter(identity__user=user).delete()

    assert code_of(ms_identity_emulator.sign_in(client)) == "address_unverified"


def test_require_verified_address_does_not_apply_to_registration(client, ms_identity_emulator, settings):
    after_login(settings, REQUIRE, mapper_url=VERIFIES_NOTHING)

    ms_identity_emulator.sign_in(client)

    assert who(client) == WORK


def test_builtin_hooks_run_in_their_order(ms_identity_emulator, settings):
    hook_functions.calls.clear()
    after_login(settings, REQUIRE, REVOKE, FIRST, mapper_url=VERIFIES_NOTHING)
    first = Browser()
    ms_identity_emulator.sign_in(first)

    ms_identity_emulator.sign_in(Browser())

    assert who(first) == WORK
    assert hook_functions.calls == []
