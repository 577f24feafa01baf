"""A new person has the address of an existing account: nothing is linked without a confirmation."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory

from django_ms_identity import conf, signals
from django_ms_identity.flows import pending_step
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress
from tests.support.builders import make_identity, make_mapper, make_schema, make_settings
from tests.support.web import Browser

from .steps import SECOND, asked, code_of, page, pick, sign_in_locally, who

pytestmark = pytest.mark.django_db

URL = "/ms/confirm-link/"
EMAIL = "ines.okafor@contoso.example"


@pytest.fixture
def local():
    return get_user_model().objects.create_user("ines", email=EMAIL, password="pw")


def meet(client, emulator, persona="work", **query):
    response = pick(client, emulator, persona, **query).send(client)
    assert response.headers["Location"] == URL
    return response


def confirm(client):
    shown = client.get(URL)
    assert code_of(shown) == "", code_of(shown)
    return client.post(URL, {"ticket": shown.context["ticket"]})


def ticket_of(client):
    """Return what the form would hold that is not shown."""
    cookie = client.cookies["ms_identity_pending_token"].value
    return pending_step.form_token(
        RequestFactory().get(URL, headers={"Cookie": f"ms_identity_pending_token={cookie}"}),
        conf.get_config(),
    )


def give_password(user, **fields):
    user.set_password("pw")
    for name, value in fields.items():
        setattr(user, name, value)
    user.save()


# The whole way


@pytest.mark.kratos(58)
def test_confirming_a_link_connects_the_accounts(client, ms_identity_emulator, local, listen):
    heard = []
    listen(signals.credential_linked, lambda identity, credential, **_: heard.append((identity, credential)))
    meet(client, ms_identity_emulator, next="/home/?a=1")
    sign_in_locally(client, "ines")

    response = confirm(client)

    assert response.headers["Location"] == "/home/?a=1"
    assert "The Microsoft account is connected." in page(client.get("/ms/connections/"))
    credential = Credential.objects.get()
    assert credential.identity.user == local
    assert credential.account == EMAIL
    assert credential.tenant
    assert heard == [(credential.identity, credential)]
    assert who(client) == "ines"
    ms_identity_emulator.sign_in(visitor := Browser())
    assert who(visitor) == "ines"


@pytest.mark.kratos(58, 87)
def test_signing_in_without_the_confirmation_links_nothing(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")
    client.get(URL)

    assert Credential.objects.count() == 0
    assert Identity.objects.count() == 0


def test_the_confirmation_page_shows_both_accounts(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    shown = page(client.get(URL))

    for text in ("Ines Okafor", EMAIL, "8eaef023-2b34-4da1-9baa-8bc8c9d6a490", ">ines</p>", "Connect"):
        assert text in shown


@pytest.mark.kratos(50, 87)
def test_the_confirmation_page_shows_nothing_of_the_account_before_its_sign_in(
    client, ms_identity_emulator, settings
):
    get_user_model().objects.create_user("secret-name", email=EMAIL, first_name="Hidden")
    settings.LOGIN_URL = "/accounts/login/"
    meet(client, ms_identity_emulator)

    shown = client.get(URL)

    assert shown.status_code == 200
    assert "secret-name" not in page(shown)
    assert "Hidden" not in page(shown)
    assert 'href="/accounts/login/?next=/ms/confirm-link/"' in page(shown)
    assert "ticket" not in shown.context
    assert "Ask the people who run this site to set a password" in page(shown)


@pytest.mark.kratos(51)
def test_the_confirmation_page_does_not_hint_at_the_providers_of_the_account(
    client, ms_identity_emulator, settings
):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    make_identity(username="ines", provider="second", subject="x", verified=(EMAIL,))
    meet(client, ms_identity_emulator)

    shown = page(client.get(URL))

    assert EMAIL in shown
    assert "Elsewhere" not in shown
    assert "/ms/start/second/" not in shown


@pytest.mark.kratos(56)
def test_a_collision_keeps_no_authorization_code(client, ms_identity_emulator, local):
    callback = pick(client, ms_identity_emulator)

    response = callback.send(client)

    assert response.headers["Location"] == URL
    code = asked(callback.url)["code"]
    assert code not in page(client.get(URL)) + str(response.cookies) + str(dict(client.session))


@pytest.mark.kratos(60)
def test_a_link_can_be_confirmed_while_registration_is_off(client, ms_identity_emulator, settings, local):
    settings.MS_IDENTITY = make_settings(REGISTRATION_ENABLED=False)
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    assert Credential.objects.get().identity.user == local


def test_a_confirmed_link_keeps_the_traits_of_the_identity(client, ms_identity_emulator):
    identity = make_identity(username="ines", subject="older", provider="second")
    give_password(identity.user, email=EMAIL)
    Identity.objects.update(traits={"mine": True})
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    assert Identity.objects.get().traits == {"mine": True}
    assert Credential.objects.count() == 2


def test_a_confirmed_link_makes_an_identity_of_what_was_mapped(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    assert Identity.objects.get().traits["email"] == EMAIL
    local.refresh_from_db()
    assert (local.username, local.first_name) == ("ines", "")


def test_a_confirmed_link_gives_no_privileges(client, ms_identity_emulator, settings, local):
    mapper = make_mapper(
        "{identity: {traits: {email: std.extVar('claims').email}},"
        " user: {is_staff: true, is_superuser: true}}"
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    local.refresh_from_db()
    assert (local.is_staff, local.is_superuser) == (False, False)


def test_a_confirmed_link_records_the_address(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    assert VerifiableAddress.objects.get().value == EMAIL


@pytest.mark.kratos(59)
def test_a_link_can_be_confirmed_by_another_microsoft_account(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({}, SECOND)
    ms_identity_emulator.sign_in(Browser(), "admin", provider="second")
    user = get_user_model().objects.get()
    get_user_model().objects.update(email=EMAIL)
    VerifiableAddress.objects.all().delete()
    meet(client, ms_identity_emulator)
    ms_identity_emulator.sign_in(client, "admin", provider="second", next=URL)

    confirm(client)

    assert {credential.provider for credential in user.ms_identity.credentials.all()} == {
        "microsoft",
        "second",
    }


def test_a_confirmed_link_asks_for_missing_traits_of_a_new_identity(
    client, ms_identity_emulator, settings, local
):
    schema = make_schema({"team": {"type": "string", "title": "Team"}}, required=["team"])
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema)
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    response = confirm(client)
    assert response.headers["Location"] == "/ms/complete/"
    assert Credential.objects.count() == 0
    shown = client.get("/ms/complete/")
    client.post("/ms/complete/", {"ticket": shown.context["ticket"], "trait-0": "Tools"})

    identity = Credential.objects.get().identity
    assert identity.user == local
    assert (identity.traits["team"], identity.self_asserted) == ("Tools", ["team"])


# Who may not


@pytest.mark.kratos(57)
def test_a_link_is_not_confirmed_by_a_different_account(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "other")

    response = client.get(URL)

    assert (code_of(response), response.status_code) == ("link_mismatch", 403)
    assert code_of(client.get(URL)) == "pending_missing"
    assert Credential.objects.count() == 0


def test_a_link_is_not_confirmed_by_a_post_of_a_different_account(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "other")

    response = client.post(URL, {"ticket": ticket_of(client)})

    assert code_of(response) == "link_mismatch"
    assert Credential.objects.count() == 0


@pytest.mark.kratos(87)
def test_a_link_is_not_confirmed_by_a_session_from_before(client, ms_identity_emulator, local):
    sign_in_locally(client, "ines")
    meet(client, ms_identity_emulator, prompt="select_account")
    assert who(client) == "nobody"

    shown = client.get(URL)

    assert "login_url" in shown.context
    client.post(URL, {"ticket": ticket_of(client)})
    assert Credential.objects.count() == 0
    sign_in_locally(client, "ines")
    confirm(client)
    assert Credential.objects.count() == 1


def test_a_link_by_an_address_that_moved_meanwhile_is_refused(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")
    shown = client.get(URL)
    get_user_model().objects.update(email="elsewhere@contoso.example")

    response = client.post(URL, {"ticket": shown.context["ticket"]})

    assert code_of(response) == "link_mismatch"
    assert Credential.objects.count() == 0


def test_a_link_to_an_account_that_got_the_address_afterwards_is_refused(client, ms_identity_emulator, local):
    """The step names who had it: a user who takes the address later is another person."""
    late = get_user_model().objects.create_user("late", password="pw")
    meet(client, ms_identity_emulator)
    get_user_model().objects.filter(pk=late.pk).update(email=EMAIL)
    sign_in_locally(client, "late")

    assert code_of(client.get(URL)) == "link_mismatch"


def test_a_link_of_an_account_that_was_taken_meanwhile_is_refused(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")
    shown = client.get(URL)
    # Without an address there is no collision, so it is registered.
    ms_identity_emulator.persona("work", email=None)
    ms_identity_emulator.sign_in(Browser())

    response = client.post(URL, {"ticket": shown.context["ticket"]})

    assert (code_of(response), response.status_code) == ("credential_taken", 409)
    assert Credential.objects.get().identity.user != local


def test_a_link_to_an_inactive_identity_is_refused(client, ms_identity_emulator):
    identity = make_identity(username="ines", subject="older", provider="second")
    give_password(identity.user, email=EMAIL)
    Identity.objects.update(state=Identity.State.INACTIVE)
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    assert code_of(confirm(client)) == "identity_inactive"
    assert Credential.objects.count() == 1


# The record


def test_a_link_planted_in_a_victims_browser_comes_to_nothing(client, ms_identity_emulator, local):
    """The attacker's Microsoft account has the victim's address; the victim never pressed a button."""
    attacker = Browser()
    meet(attacker, ms_identity_emulator)
    client.cookies["sessionid"] = attacker.cookies["sessionid"].value
    sign_in_locally(client, "ines")

    assert code_of(client.get(URL)) == "pending_missing"
    assert Credential.objects.count() == 0


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_session_that_a_squatter_shares_does_not_carry_the_link(
    client, ms_identity_emulator, local, signed_in
):
    """The squatter plants a session in the victim's browser, and signs in to it while the victim arrives."""
    squatter = Browser()
    squatter.get("/ms/sign-in/")
    if signed_in:
        sign_in_locally(squatter, "ines")
    else:
        session = squatter.session
        session["planted"] = 1
        session.save()
    client.cookies["sessionid"] = squatter.cookies["sessionid"].value

    meet(client, ms_identity_emulator, prompt="select_account")
    sign_in_locally(squatter, "ines")

    assert client.cookies["sessionid"].value != squatter.cookies["sessionid"].value
    assert "login_url" in client.get(URL).context
    assert who(client) == "nobody"
    # Nor does the squatter's session, tossed once more, hold what waits for the victim.
    client.cookies["sessionid"] = squatter.cookies["sessionid"].value
    assert code_of(client.get(URL)) == "pending_missing"


def test_many_squatters_do_not_keep_the_owner_from_the_link(client, ms_identity_emulator, local):
    get_user_model().objects.bulk_create(
        get_user_model()(username=f"squatter{number}", email=EMAIL) for number in range(30)
    )
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    assert confirm(client).status_code == 302
    assert Credential.objects.get().identity.user == local


def test_a_stolen_cookie_alone_confirms_no_link(client, ms_identity_emulator, local):
    victim = Browser()
    meet(victim, ms_identity_emulator)
    client.cookies["ms_identity_pending_token"] = victim.cookies["ms_identity_pending_token"].value
    sign_in_locally(client, "ines")

    assert code_of(client.get(URL)) == "pending_missing"


def test_a_change_of_user_drops_the_link(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "other")
    sign_in_locally(client, "ines")

    assert code_of(client.get(URL)) == "pending_missing"


def test_a_link_is_confirmed_once(client, ms_identity_emulator, local):
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")
    shown = client.get(URL)
    client.post(URL, {"ticket": shown.context["ticket"]})

    assert code_of(client.post(URL, {"ticket": shown.context["ticket"]})) == "pending_missing"
    assert Credential.objects.count() == 1


def test_of_two_links_the_older_form_confirms_nothing(client, ms_identity_emulator, local):
    ms_identity_emulator.persona("work", id="second-ines")
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")
    shown = client.get(URL)
    meet(client, ms_identity_emulator, "second-ines", prompt="select_account")
    sign_in_locally(client, "ines")

    assert code_of(client.post(URL, {"ticket": shown.context["ticket"]})) == "pending_missing"
    assert Credential.objects.count() == 0
    confirm(client)
    assert Credential.objects.count() == 1


def test_a_confirmation_of_a_link_needs_its_csrf_token(ms_identity_emulator, local):
    strict = Browser(enforce_csrf_checks=True)
    meet(strict, ms_identity_emulator)
    sign_in_locally(strict, "ines")
    shown = strict.get(URL)

    assert strict.post(URL, {"ticket": shown.context["ticket"]}).status_code == 403
    assert Credential.objects.count() == 0


def test_a_visitor_without_a_pending_link_is_told_so():
    assert code_of(Client().get(URL)) == "pending_missing"


# Addresses that do not count


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"claims": {"xms_edov": False}}, id="nobody vouches for it"),
        pytest.param({"claims": {"xms_edov": None}}, id="nothing is said of it"),
    ],
)
def test_an_unverified_address_of_a_foreign_tenant_is_no_collision(
    client, ms_identity_emulator, settings, local, changes
):
    """nOAuth: any tenant's administrator can write any address."""
    settings.MS_IDENTITY = make_settings({"microsoft_tenant": "organizations"})
    ms_identity_emulator.persona("work", id="attacker", tenant="Fabrikam", email=EMAIL, **changes)

    response = pick(client, ms_identity_emulator, "attacker").send(client)

    assert response.headers["Location"] == "/home/"
    assert who(client) != "ines"
    assert Credential.objects.get().identity.user != local
    assert Credential.objects.get().identity.user.email == ""


def test_a_guests_address_is_no_collision(client, ms_identity_emulator):
    get_user_model().objects.create_user("tuva", email="tuva.reyes@fabrikam.example", password="pw")

    response = pick(client, ms_identity_emulator, "guest").send(client)

    assert response.headers["Location"] == "/home/"
    assert who(client) != "tuva"


def test_an_address_that_a_squatter_typed_is_no_collision(client, ms_identity_emulator):
    squatter = make_identity(username="squatter", subject="x")
    VerifiableAddress.objects.create(
        identity=squatter, via="email", value=EMAIL, normalised=EMAIL, verified_at=None
    )

    response = pick(client, ms_identity_emulator).send(client)

    assert response.headers["Location"] == "/home/"
    assert who(client) == EMAIL


@pytest.mark.parametrize(
    "spelled",
    ["INES.OKAFOR@contoso.example", "Ines.Okafor@Contoso.Example", "ines.okafor＠contoso.example"],  # noqa: RUF001  # on purpose
)
def test_case_and_unicode_forms_of_an_address_are_a_collision(client, ms_identity_emulator, spelled):
    if "＠" in spelled:  # noqa: RUF001  # on purpose
        identity = make_identity(username="ines", subject="x", provider="second")
        VerifiableAddress.objects.create(
            identity=identity, via="email", value=spelled, normalised=EMAIL, verified_at="2026-01-01T00:00Z"
        )
    else:
        get_user_model().objects.create_user("ines", email=spelled)

    meet(client, ms_identity_emulator)


def test_a_look_alike_address_is_no_collision(client, ms_identity_emulator):
    get_user_model().objects.create_user("x", email="ines.okafоr@contoso.example")  # noqa: RUF001  # Cyrillic o

    assert pick(client, ms_identity_emulator).send(client).headers["Location"] == "/home/"


def test_a_link_to_a_staff_account_needs_the_confirmation_too(client, ms_identity_emulator, settings):
    get_user_model().objects.create_superuser("root", email=EMAIL, password="pw")
    settings.MS_IDENTITY = make_settings(
        {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}
    )

    meet(client, ms_identity_emulator)

    assert (Credential.objects.count(), SignIn.objects.count()) == (0, 0)


# The pages of two steps are not one


def test_a_link_that_waits_is_not_finished_on_the_page_that_asks_for_traits(
    client, ms_identity_emulator, local
):
    meet(client, ms_identity_emulator)

    assert code_of(client.get("/ms/complete/")) == "pending_missing"
    assert "login_url" in client.get(URL).context


def test_a_confirmed_link_records_no_address_of_another_user(client, ms_identity_emulator, settings):
    mapper = make_mapper(
        "local email = std.extVar('claims').email;"
        "{identity: {traits: {email: email}, verified_addresses: ["
        "{via: 'email', value: email}, {via: 'email', value: 'other@contoso.example'}]}}"
    )
    settings.MS_IDENTITY = make_settings({"mapper_url": mapper})
    get_user_model().objects.create_user("ines", email=EMAIL, password="pw")
    get_user_model().objects.create_user("other", email="other@contoso.example")
    meet(client, ms_identity_emulator)
    sign_in_locally(client, "ines")

    confirm(client)

    assert [row.value for row in VerifiableAddress.objects.all()] == [EMAIL]
