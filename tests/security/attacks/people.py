"""Attacks on other people's accounts and links, and by mappers and web hooks."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import RequestFactory

from django_ms_identity import conf
from django_ms_identity.flows import pending_step
from django_ms_identity.models import Credential, Identity, VerifiableAddress
from tests.journeys.steps import page
from tests.support.builders import make_identity, make_mapper, make_schema
from tests.support.loopback import serve

from .harness import NOBODY, Case, Group, Harness, who
from .tokens import FABRIKAM, ORGANIZATIONS

EMAIL = "ines.okafor@contoso.example"
CONFIRM, COMPLETE = "/ms/confirm-link/", "/ms/complete/"
BELIEVES = make_mapper("""
    local email = std.extVar('claims').email;
    {identity: {traits: {}, verified_addresses: [{via: 'email', value: email}]}}
""")
AUTOMATIC = {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}


def ticket_of(harness: Harness) -> str:
    """Return what the form would hold that is not shown."""
    cookie = harness.browser.cookies["ms_identity_pending_token"].value
    return pending_step.form_token(
        RequestFactory().get("/", headers={"Cookie": f"ms_identity_pending_token={cookie}"}),
        conf.get_config(),
    )


def meet(harness: Harness, persona: str = "work") -> None:
    """Come with the address of a user who is here already."""
    response = harness.sign_in(persona=persona)
    assert response.headers["Location"] == CONFIRM, page(response)
    assert who(harness.browser) == NOBODY


def takeover_by_email(harness: Harness) -> HttpResponse:
    """Come with the victim's address, and confirm as oneself."""
    harness.local_user("victim", email=EMAIL)
    harness.local_user("attacker")
    meet(harness)
    harness.sign_in_locally(harness.browser, "attacker")
    harness.watch()
    return harness.browser.post(CONFIRM, {"ticket": ticket_of(harness)})


def takeover_without_sign_in(harness: Harness) -> HttpResponse:
    """Come with the victim's address, and confirm without being anybody."""
    harness.local_user("victim", email=EMAIL)
    meet(harness)
    harness.watch()
    response = harness.browser.post(CONFIRM, {"ticket": ticket_of(harness)})
    harness.assert_untouched()
    assert "victim" not in page(response)
    return response


def takeover_by_older_session(harness: Harness) -> HttpResponse:
    """Confirm in a session of the victim's that was open before."""
    harness.local_user("victim", email=EMAIL)
    harness.sign_in_locally(harness.browser, "victim")
    harness.sign_in(prompt="select_account")
    harness.watch()
    response = harness.browser.post(CONFIRM, {"ticket": ticket_of(harness)})
    harness.assert_untouched()
    return response


def takeover_by_planted_link(harness: Harness) -> HttpResponse:
    """Leave the attacker's waiting link in the victim's browser, and wait for them to sign in."""
    harness.local_user("victim", email=EMAIL)
    attacker = harness.open_browser()
    harness.sign_in(attacker)
    harness.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    harness.sign_in_locally(harness.browser, "victim")
    harness.watch()
    return harness.browser.get(CONFIRM)


def takeover_by_other_tenant(**claims: object):
    """Make the act of nOAuth: any tenant's administrators can write any address into it."""

    def act(harness: Harness) -> HttpResponse:
        victim = harness.local_user("victim", email=EMAIL)
        harness.microsoft.persona("work", id="attacker", tenant="Fabrikam", email=EMAIL, claims=claims)
        response = harness.sign_in(persona="attacker")
        newcomer = Credential.objects.get().identity.user
        assert (newcomer != victim, newcomer.email) == (True, "")
        return response

    return act


def takeover_by_guest(harness: Harness) -> HttpResponse:
    harness.local_user("victim", email="tuva.reyes@fabrikam.example")
    return harness.sign_in(persona="guest")


def takeover_by_recycled_upn(harness: Harness) -> HttpResponse:
    """Be the new colleague who is given the user name of one who left."""
    harness.microsoft.persona("work", id="before", email=None)
    harness.sign_in(harness.open_browser(), "before")
    harness.microsoft.persona("work", id="after", email=None)
    response = harness.sign_in(persona="after")
    assert Identity.objects.count() == 2
    return response


def takeover_by_recycled_address(harness: Harness) -> HttpResponse:
    """Be the new colleague who is given the address of one who left, where links are automatic."""
    make_identity(username="colleague before", subject="before", verified=(EMAIL,))
    meet(harness)
    assert Credential.objects.count() == 1
    return harness.browser.get(CONFIRM)


def squatter(harness: Harness) -> HttpResponse:
    """Register the victim's address with a password, and wait for their Microsoft account to be linked."""
    harness.local_user("squatter", email=EMAIL)
    meet(harness)
    assert Credential.objects.count() == 0
    return harness.browser.get(CONFIRM)


def squatter_by_another_provider(harness: Harness) -> HttpResponse:
    """Come by the app for every tenant, whose mapper believes any address, and wait for its owner."""
    second = {"id": "second", "client_id": "99999999-2222-3333-4444-555555555555", "mapper_url": BELIEVES}
    harness.configure(AUTOMATIC, second | {"microsoft_tenant": "organizations"})
    harness.microsoft.persona("admin", email=EMAIL)
    harness.sign_in(harness.open_browser(), "admin", provider="second")
    assert VerifiableAddress.objects.get().value == EMAIL
    meet(harness)
    assert Credential.objects.get().provider == "second"
    return harness.browser.get(CONFIRM)


def staff_by_automatic_link(harness: Harness) -> HttpResponse:
    get_user_model().objects.create_superuser("root", email=EMAIL)
    meet(harness)
    assert Credential.objects.count() == 0
    return harness.browser.get(CONFIRM)


def look_alike(harness: Harness) -> HttpResponse:
    harness.local_user("victim", email="ines.okafоr@contoso.example")  # noqa: RUF001  # Cyrillic o
    return harness.sign_in()


def typed_address(harness: Harness) -> HttpResponse:
    """Type the victim's address where the page asks for one."""
    harness.local_user("victim", email="victim@contoso.example")
    harness.microsoft.persona("no-email")
    assert harness.sign_in(persona="no-email").headers["Location"] == COMPLETE
    shown = harness.browser.get(COMPLETE)
    response = harness.browser.post(
        COMPLETE, {"ticket": shown.context["ticket"], "trait-0": "victim@contoso.example"}
    )
    identity = Identity.objects.get()
    assert (identity.user.email, identity.verifiable_addresses.filter(verified_at__isnull=False).count()) == (
        "",
        0,
    )
    return response


def known_from_other_tenant(harness: Harness) -> HttpResponse:
    harness.sign_in(harness.open_browser())
    Credential.objects.update(tenant=FABRIKAM)
    harness.watch()
    return harness.sign_in()


def inactive(harness: Harness) -> HttpResponse:
    harness.sign_in(harness.open_browser())
    Identity.objects.update(state=Identity.State.INACTIVE)
    harness.browsers.clear()
    harness.watch()
    return harness.sign_in()


def inactive_user(harness: Harness) -> HttpResponse:
    harness.sign_in(harness.open_browser())
    get_user_model().objects.update(is_active=False)
    harness.watch()
    return harness.sign_in()


def closed(harness: Harness) -> HttpResponse:
    harness.sign_in(harness.open_browser())
    harness.configure(REGISTRATION_ENABLED=False)
    harness.watch()
    return harness.sign_in(persona="admin")


def taken_account(harness: Harness) -> HttpResponse:
    """Connect a Microsoft account that is another person's."""
    harness.sign_in(harness.open_browser())
    harness.local_user("local")
    harness.sign_in_locally(harness.browser, "local")
    location = harness.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    callback = harness.microsoft.callback(location)
    harness.watch()
    return callback.send(harness.browser)


def others_credential(harness: Harness) -> HttpResponse:
    """Disconnect an account of another person, by its number."""
    harness.sign_in(harness.open_browser())
    credential = Credential.objects.get()
    harness.sign_in(persona="admin")
    harness.watch()
    return harness.browser.post(f"/ms/connections/{credential.pk}/unlink/")


def planted_completion(harness: Harness) -> HttpResponse:
    """Leave the attacker's half-finished registration in the victim's browser."""
    attacker = harness.open_browser()
    assert harness.sign_in(attacker, "no-email").headers["Location"] == COMPLETE
    harness.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    harness.watch()
    return harness.browser.get(COMPLETE)


def people(id: str, sentence: str, code: str, act, **more) -> Case:
    return Case(id=id, group=Group.PEOPLE, sentence=sentence, code=code, act=act, **more)


def safe(id: str, sentence: str, harmless: str, act, **more) -> Case:
    return Case(id=id, group=Group.PEOPLE, sentence=sentence, harmless=harmless, act=act, **more)


APART = "They are registered as a new person; the account that has the address is not touched."
ASKS = "Nothing is linked: they have to sign in to that account first."
WITH_EMAIL = {
    "IDENTITY_SCHEMA_URL": make_schema({"email": {"type": "string", "format": "email"}}, required=["email"])
}
PEOPLE = [
    people(
        "takeover-by-email",
        "A person with a victim's address confirms the link as another user.",
        "link_mismatch",
        takeover_by_email,
        next_visitor="mfa",
    ),
    safe(
        "takeover-without-sign-in",
        "They confirm the link without signing in.",
        ASKS,
        takeover_without_sign_in,
        lands=CONFIRM,
        signed_in=NOBODY,
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-older-session",
        "They confirm it in a session that was open before.",
        "Nothing is linked: that session proves nothing about who sits there now.",
        takeover_by_older_session,
        lands=CONFIRM,
        signed_in=NOBODY,
        next_visitor="mfa",
    ),
    people(
        "takeover-by-planted-link",
        "They leave their waiting link in the victim's browser.",
        "pending_missing",
        takeover_by_planted_link,
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-other-tenant",
        "An administrator of another tenant gives an account the victim's address.",
        APART,
        takeover_by_other_tenant(xms_edov=None),
        provider=ORGANIZATIONS,
        signed_in="attacker",
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-unverified-domain",
        "The same, where Microsoft says that the address is not verified.",
        APART,
        takeover_by_other_tenant(xms_edov=False),
        provider=ORGANIZATIONS,
        signed_in="attacker",
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-guest",
        "A guest has the victim's address.",
        APART,
        takeover_by_guest,
        signed_in="guest",
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-recycled-upn",
        "A new colleague gets the user name of one who left.",
        APART,
        takeover_by_recycled_upn,
        signed_in="after",
        next_visitor="mfa",
    ),
    safe(
        "takeover-by-recycled-address",
        "A new colleague gets the address of one who left; links are automatic.",
        ASKS,
        takeover_by_recycled_address,
        lands=CONFIRM,
        signed_in=NOBODY,
        provider=AUTOMATIC,
        next_visitor="mfa",
    ),
    safe(
        "squatter",
        "A person has registered the victim's address before them; links are automatic.",
        ASKS,
        squatter,
        lands=CONFIRM,
        signed_in=NOBODY,
        provider=AUTOMATIC,
        next_visitor="mfa",
    ),
    safe(
        "squatter-by-another-provider",
        "A person has come with the victim's address by a provider for all tenants; links are automatic.",
        ASKS,
        squatter_by_another_provider,
        lands=CONFIRM,
        signed_in=NOBODY,
        next_visitor="mfa",
    ),
    safe(
        "staff-by-automatic-link",
        "The address is a superuser's; links are automatic.",
        ASKS,
        staff_by_automatic_link,
        lands=CONFIRM,
        signed_in=NOBODY,
        provider=AUTOMATIC,
        next_visitor="mfa",
    ),
    safe(
        "look-alike-address",
        "The address looks like a victim's, with a letter of another alphabet.",
        APART,
        look_alike,
    ),
    safe(
        "typed-address",
        "A person types a victim's address where the page asks for one.",
        APART,
        typed_address,
        signed_in="no-email",
        settings=WITH_EMAIL,
    ),
    people(
        "other-tenant-of-known",
        "A known account comes from another tenant.",
        "tenant_changed",
        known_from_other_tenant,
        next_visitor="mfa",
    ),
    people(
        "identity-inactive",
        "A person comes whose identity was deactivated.",
        "identity_inactive",
        inactive,
        next_visitor="mfa",
    ),
    people(
        "user-inactive",
        "A person comes whose user was deactivated.",
        "user_inactive",
        inactive_user,
        next_visitor="mfa",
    ),
    people(
        "registration-closed",
        "A new person comes where registration is closed.",
        "registration_disabled",
        closed,
    ),
    people(
        "link-taken-account",
        "A person connects a Microsoft account of another person.",
        "credential_taken",
        taken_account,
    ),
    people(
        "unlink-of-another",
        "A person disconnects an account of another person.",
        "credential_missing",
        others_credential,
    ),
    people(
        "planted-completion",
        "An attacker leaves their half-finished registration in a victim's browser.",
        "pending_missing",
        planted_completion,
        settings=WITH_EMAIL,
    ),
]


# Mappers and web hooks

EVIL = "std.get(std.extVar('claims').raw_claims, 'evil', false)"


def mapper(program: str) -> Mapping[str, object]:
    """Make a provider whose mapper does this if there is the claim ``evil``, and else what it should."""
    otherwise = "{ identity: { traits: { name: std.extVar('claims').name } } }"
    return {"mapper_url": make_mapper(f"if {EVIL} then ({program}) else {otherwise}")}


def come_with(**claims: object):
    def act(harness: Harness) -> HttpResponse:
        harness.microsoft.persona("work", id="evil", claims={"evil": True, **claims})
        return harness.sign_in(persona="evil")

    return act


def mapped(id: str, sentence: str, code: str, program: str, **more) -> Case:
    return Case(
        id=id,
        group=Group.MAPPERS,
        sentence=sentence,
        code=code,
        provider=mapper(program),
        **{"act": come_with(), **more},
    )


def privileges_of_a_stranger(harness: Harness) -> HttpResponse:
    harness.microsoft.persona("work", id="evil", tenant="Fabrikam", claims={"evil": True})
    response = harness.sign_in(persona="evil")
    user = Identity.objects.get().user
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (False, False, 0)
    return response


def guarded_fields(harness: Harness) -> HttpResponse:
    response = come_with()(harness)
    user = Identity.objects.get().user
    assert (user.password[:1], user.has_usable_password(), user.is_active) == ("!", False, True)
    assert user.pk != 424242
    assert (user.date_joined.year, user.last_login.year) != (2020, 2020)
    return response


def markup(harness: Harness) -> HttpResponse:
    """Have a name that is a script, on the page that shows it."""
    harness.microsoft.persona("no-email", given_name="<script>alert(1)</script>")
    assert harness.sign_in(persona="no-email").headers["Location"] == COMPLETE
    response = harness.browser.get(COMPLETE)
    assert "&lt;script&gt;" in page(response)
    return response


def hooked(answer, *, stage: str = "after_login", **config: object):
    """Make the act of a known person whose sign-in asks a web hook that answers like this."""

    def act(harness: Harness) -> HttpResponse:
        harness.sign_in(harness.open_browser())
        harness.settings.DEBUG = True
        before = harness.settings.MS_IDENTITY
        with serve(answer) as server:
            call = {
                "hook": "web_hook",
                "config": {"url": server.url, "method": "POST", "allow_private": True, **config},
            }
            harness.configure(HOOKS={stage: [call]})
            harness.watch()
            response = harness.sign_in()
        harness.settings.MS_IDENTITY, harness.settings.DEBUG = before, False
        return response

    return act


def hook_into_the_network(harness: Harness) -> HttpResponse:
    """Have a web hook lead to where clouds keep the secrets of their machines."""
    before = harness.settings.MS_IDENTITY
    call = {"hook": "web_hook", "config": {"url": "https://169.254.169.254/latest/", "method": "POST"}}
    harness.configure(HOOKS={"after_login": [call]})
    response = harness.browser.get("/ms/start/microsoft/")
    harness.settings.MS_IDENTITY = before
    return response


def redirecting_hook(harness: Harness) -> HttpResponse:
    with serve(says({})) as other:
        response = hooked(says({}, 307, Location=other.url))(harness)
    assert other.received == []
    return response


def says(body: object, status: int = 200, **headers: str):
    return lambda handler: handler.reply(json.dumps(body).encode(), status=status, **headers)


def hook(id: str, sentence: str, code: str, act) -> Case:
    return Case(id=id, group=Group.MAPPERS, sentence=sentence, code=code, act=act)


PARSE = {"response": {"parse": True}}
SCRIPT = {"messages": [{"instance_ptr": "#/", "messages": [{"id": 1, "text": "<script>alert(1)</script>"}]}]}
RESULT = "mapper_result_invalid"
MAPPERS = [
    Case(
        id="mapper-privileges",
        group=Group.MAPPERS,
        sentence="A mapper makes superusers of people of a tenant that is not ours.",
        harmless="They are signed in without any privilege or group.",
        provider=ORGANIZATIONS
        | mapper(
            "{ identity: { traits: {} }, user: { is_staff: true, is_superuser: true, groups: ['admins'] } }"
        ),
        act=privileges_of_a_stranger,
        signed_in="evil",
    ),
    Case(
        id="mapper-guarded-fields",
        group=Group.MAPPERS,
        sentence="A mapper sets password, primary key, `is_active`, dates and relations of the user.",
        harmless="None of them is written, and the visitor is signed in.",
        provider=mapper(
            "{ identity: { traits: {} }, user: { password: 'x', id: 424242, pk: 424242, is_active: false, "
            "last_login: '2020-01-01T00:00Z', date_joined: '2020-01-01T00:00Z', ms_identity: 'x' } }"
        ),
        act=guarded_fields,
        signed_in="evil",
    ),
    mapped("mapper-import", "A mapper imports a file.", "mapper_import_refused", "import '/etc/passwd'"),
    mapped(
        "mapper-read-file",
        "A mapper reads a file.",
        "mapper_import_refused",
        "importstr '/proc/self/environ'",
    ),
    mapped(
        "mapper-endless",
        "A mapper computes for ever.",
        "mapper_timed_out",
        "local fib(n) = if n < 2 then n else fib(n - 1) + fib(n - 2); fib(99)",
        settings={"MAPPER_TIMEOUT": 1},
    ),
    mapped(
        "mapper-recursion",
        "A mapper calls itself without end.",
        "mapper_runtime_failed",
        "local f(n) = 1 + f(n + 1); f(0)",
    ),
    mapped(
        "mapper-huge",
        "A mapper makes megabytes.",
        "mapper_output_too_large",
        "local f(s, n) = if n == 0 then s else f(s + s, n - 1); { identity: { traits: { a: f('x', 20) } } }",
    ),
    mapped("mapper-list", "A mapper makes a list.", RESULT, "[1]"),
    mapped(
        "mapper-nul",
        "A mapper makes a NUL, which databases refuse.",
        RESULT,
        r'{ identity: { traits: { a: "\u0000" } } }',
    ),
    mapped(
        "mapper-error",
        "A mapper fails, with claims in its message.",
        "mapper_runtime_failed",
        "error 'nobody may read that ' + std.extVar('claims').raw_claims.diary",
        act=come_with(diary="planted in a claim"),
    ),
    Case(
        id="name-script",
        group=Group.MAPPERS,
        sentence="A person's name is a script.",
        harmless="The page shows it as text.",
        act=markup,
        lands=COMPLETE,
        signed_in=NOBODY,
        settings=WITH_EMAIL,
    ),
    hook("web-hook-500", "A web hook fails.", "web_hook_failed", hooked(says({}, 500))),
    hook(
        "web-hook-script",
        "A web hook refuses with a script for the visitor.",
        "web_hook_refused",
        hooked(says(SCRIPT, 400), **PARSE),
    ),
    hook(
        "web-hook-redirect",
        "A web hook redirects what it was told to another host.",
        "web_hook_failed",
        redirecting_hook,
    ),
    hook(
        "web-hook-private-address",
        "A web hook leads to an address inside the network.",
        "configuration_invalid",
        hook_into_the_network,
    ),
]

CASES = [*PEOPLE, *MAPPERS]
