"""Lies about who somebody is: other people's accounts, links, mappers and web hooks."""

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

from .about_tokens import FABRIKAM, ORGANIZATIONS
from .scene import NOBODY, Case, Group, Scene, who

EMAIL = "ines.okafor@contoso.example"
CONFIRM, COMPLETE = "/ms/confirm-link/", "/ms/complete/"
BELIEVES = make_mapper("""
    local email = std.extVar('claims').email;
    {identity: {traits: {}, verified_addresses: [{via: 'email', value: email}]}}
""")
AUTOMATIC = {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]}


def ticket_of(scene: Scene) -> str:
    """Return what the form would hold that is not shown."""
    cookie = scene.browser.cookies["ms_identity_pending_token"].value
    return pending_step.form_token(
        RequestFactory().get("/", headers={"Cookie": f"ms_identity_pending_token={cookie}"}),
        conf.get_config(),
    )


def meet(scene: Scene, persona: str = "work") -> None:
    """Come with the address of a user who is here already."""
    response = scene.sign_in(persona=persona)
    assert response.headers["Location"] == CONFIRM, page(response)
    assert who(scene.browser) == NOBODY


def takeover_by_email(scene: Scene) -> HttpResponse:
    """Come with the victim's address, and confirm as oneself."""
    scene.local_user("victim", email=EMAIL)
    scene.local_user("attacker")
    meet(scene)
    scene.sign_in_locally(scene.browser, "attacker")
    scene.watch()
    return scene.browser.post(CONFIRM, {"ticket": ticket_of(scene)})


def takeover_without_sign_in(scene: Scene) -> HttpResponse:
    """Come with the victim's address, and confirm without being anybody."""
    scene.local_user("victim", email=EMAIL)
    meet(scene)
    scene.watch()
    response = scene.browser.post(CONFIRM, {"ticket": ticket_of(scene)})
    scene.assert_untouched()
    assert "victim" not in page(response)
    return response


def takeover_by_older_session(scene: Scene) -> HttpResponse:
    """Confirm in a session of the victim's that was open before."""
    scene.local_user("victim", email=EMAIL)
    scene.sign_in_locally(scene.browser, "victim")
    scene.sign_in(prompt="select_account")
    scene.watch()
    response = scene.browser.post(CONFIRM, {"ticket": ticket_of(scene)})
    scene.assert_untouched()
    return response


def takeover_by_planted_link(scene: Scene) -> HttpResponse:
    """Leave the attacker's waiting link in the victim's browser, and wait for them to sign in."""
    scene.local_user("victim", email=EMAIL)
    attacker = scene.open_browser()
    scene.sign_in(attacker)
    scene.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    scene.sign_in_locally(scene.browser, "victim")
    scene.watch()
    return scene.browser.get(CONFIRM)


def takeover_by_other_tenant(**claims: object):
    """Make the act of nOAuth: any tenant's administrators can write any address into it."""

    def act(scene: Scene) -> HttpResponse:
        victim = scene.local_user("victim", email=EMAIL)
        scene.microsoft.persona("work", id="attacker", tenant="Fabrikam", email=EMAIL, claims=claims)
        response = scene.sign_in(persona="attacker")
        newcomer = Credential.objects.get().identity.user
        assert (newcomer != victim, newcomer.email) == (True, "")
        return response

    return act


def takeover_by_guest(scene: Scene) -> HttpResponse:
    scene.local_user("victim", email="tuva.reyes@fabrikam.example")
    return scene.sign_in(persona="guest")


def takeover_by_recycled_upn(scene: Scene) -> HttpResponse:
    """Be the new colleague who is given the user name of one who left."""
    scene.microsoft.persona("work", id="before", email=None)
    scene.sign_in(scene.open_browser(), "before")
    scene.microsoft.persona("work", id="after", email=None)
    response = scene.sign_in(persona="after")
    assert Identity.objects.count() == 2
    return response


def takeover_by_recycled_address(scene: Scene) -> HttpResponse:
    """Be the new colleague who is given the address of one who left, where links are automatic."""
    make_identity(username="colleague before", subject="before", verified=(EMAIL,))
    meet(scene)
    assert Credential.objects.count() == 1
    return scene.browser.get(CONFIRM)


def squatter(scene: Scene) -> HttpResponse:
    """Register the victim's address with a password, and wait for their Microsoft account to be linked."""
    scene.local_user("squatter", email=EMAIL)
    meet(scene)
    assert Credential.objects.count() == 0
    return scene.browser.get(CONFIRM)


def squatter_by_another_provider(scene: Scene) -> HttpResponse:
    """Come by the app for every tenant, whose mapper believes any address, and wait for its owner."""
    second = {"id": "second", "client_id": "99999999-2222-3333-4444-555555555555", "mapper_url": BELIEVES}
    scene.configure(AUTOMATIC, second | {"microsoft_tenant": "organizations"})
    scene.microsoft.persona("admin", email=EMAIL)
    scene.sign_in(scene.open_browser(), "admin", provider="second")
    assert VerifiableAddress.objects.get().value == EMAIL
    meet(scene)
    assert Credential.objects.get().provider == "second"
    return scene.browser.get(CONFIRM)


def staff_by_automatic_link(scene: Scene) -> HttpResponse:
    get_user_model().objects.create_superuser("root", email=EMAIL)
    meet(scene)
    assert Credential.objects.count() == 0
    return scene.browser.get(CONFIRM)


def look_alike(scene: Scene) -> HttpResponse:
    scene.local_user("victim", email="ines.okafоr@contoso.example")  # noqa: RUF001  # Cyrillic o
    return scene.sign_in()


def typed_address(scene: Scene) -> HttpResponse:
    """Type the victim's address where the page asks for one."""
    scene.local_user("victim", email="victim@contoso.example")
    scene.microsoft.persona("no-email")
    assert scene.sign_in(persona="no-email").headers["Location"] == COMPLETE
    shown = scene.browser.get(COMPLETE)
    response = scene.browser.post(
        COMPLETE, {"ticket": shown.context["ticket"], "trait-0": "victim@contoso.example"}
    )
    identity = Identity.objects.get()
    assert (identity.user.email, identity.verifiable_addresses.filter(verified_at__isnull=False).count()) == (
        "",
        0,
    )
    return response


def known_from_other_tenant(scene: Scene) -> HttpResponse:
    scene.sign_in(scene.open_browser())
    Credential.objects.update(tenant=FABRIKAM)
    scene.watch()
    return scene.sign_in()


def inactive(scene: Scene) -> HttpResponse:
    scene.sign_in(scene.open_browser())
    Identity.objects.update(state=Identity.State.INACTIVE)
    scene.browsers.clear()
    scene.watch()
    return scene.sign_in()


def inactive_user(scene: Scene) -> HttpResponse:
    scene.sign_in(scene.open_browser())
    get_user_model().objects.update(is_active=False)
    scene.watch()
    return scene.sign_in()


def closed(scene: Scene) -> HttpResponse:
    scene.sign_in(scene.open_browser())
    scene.configure(REGISTRATION_ENABLED=False)
    scene.watch()
    return scene.sign_in(persona="admin")


def taken_account(scene: Scene) -> HttpResponse:
    """Connect a Microsoft account that is somebody else's."""
    scene.sign_in(scene.open_browser())
    scene.local_user("local")
    scene.sign_in_locally(scene.browser, "local")
    location = scene.browser.post("/ms/connections/microsoft/link/").headers["Location"]
    callback = scene.microsoft.callback(location)
    scene.watch()
    return callback.send(scene.browser)


def others_credential(scene: Scene) -> HttpResponse:
    """Disconnect an account of somebody else, by its number."""
    scene.sign_in(scene.open_browser())
    credential = Credential.objects.get()
    scene.sign_in(persona="admin")
    scene.watch()
    return scene.browser.post(f"/ms/connections/{credential.pk}/unlink/")


def planted_completion(scene: Scene) -> HttpResponse:
    """Leave the attacker's half-finished registration in the victim's browser."""
    attacker = scene.open_browser()
    assert scene.sign_in(attacker, "no-email").headers["Location"] == COMPLETE
    scene.browser.cookies["sessionid"] = attacker.cookies["sessionid"].value
    scene.watch()
    return scene.browser.get(COMPLETE)


def people(id: str, sentence: str, code: str, act, **more) -> Case:
    return Case(id=id, group=Group.PEOPLE, sentence=sentence, code=code, act=act, **more)


def safe(id: str, sentence: str, harmless: str, act, **more) -> Case:
    return Case(id=id, group=Group.PEOPLE, sentence=sentence, harmless=harmless, act=act, **more)


APART = "They become somebody new; the account that has the address is not touched."
ASKS = "Nothing is linked: they have to sign in to that account first."
WITH_EMAIL = {
    "IDENTITY_SCHEMA_URL": make_schema({"email": {"type": "string", "format": "email"}}, required=["email"])
}
PEOPLE = [
    people(
        "takeover-by-email",
        "Somebody with a victim's address confirms the link as another user.",
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
        "The same, where Microsoft says that nobody vouches for it.",
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
        "Somebody has registered the victim's address before them; links are automatic.",
        ASKS,
        squatter,
        lands=CONFIRM,
        signed_in=NOBODY,
        provider=AUTOMATIC,
        next_visitor="mfa",
    ),
    safe(
        "squatter-by-another-provider",
        "Somebody has come with the victim's address by a provider for all tenants; links are automatic.",
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
        "Somebody types a victim's address where the page asks for one.",
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
        "Somebody comes whose identity was deactivated.",
        "identity_inactive",
        inactive,
        next_visitor="mfa",
    ),
    people(
        "user-inactive",
        "Somebody comes whose user was deactivated.",
        "user_inactive",
        inactive_user,
        next_visitor="mfa",
    ),
    people(
        "registration-closed",
        "Somebody new comes where nobody may register.",
        "registration_disabled",
        closed,
    ),
    people(
        "link-taken-account",
        "Somebody connects a Microsoft account of somebody else.",
        "credential_taken",
        taken_account,
    ),
    people(
        "unlink-of-another",
        "Somebody disconnects an account of somebody else.",
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
    """Make a provider whose mapper does this for whoever has the claim ``evil``, and else what it should."""
    honest = "{ identity: { traits: { name: std.extVar('claims').name } } }"
    return {"mapper_url": make_mapper(f"if {EVIL} then ({program}) else {honest}")}


def come_with(**claims: object):
    def act(scene: Scene) -> HttpResponse:
        scene.microsoft.persona("work", id="evil", claims={"evil": True, **claims})
        return scene.sign_in(persona="evil")

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


def privileges_of_a_stranger(scene: Scene) -> HttpResponse:
    scene.microsoft.persona("work", id="evil", tenant="Fabrikam", claims={"evil": True})
    response = scene.sign_in(persona="evil")
    user = Identity.objects.get().user
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (False, False, 0)
    return response


def guarded_fields(scene: Scene) -> HttpResponse:
    response = come_with()(scene)
    user = Identity.objects.get().user
    assert (user.password[:1], user.has_usable_password(), user.is_active) == ("!", False, True)
    assert user.pk != 424242
    assert (user.date_joined.year, user.last_login.year) != (2020, 2020)
    return response


def markup(scene: Scene) -> HttpResponse:
    """Have a name that is a script, on the page that shows it."""
    scene.microsoft.persona("no-email", given_name="<script>alert(1)</script>")
    assert scene.sign_in(persona="no-email").headers["Location"] == COMPLETE
    response = scene.browser.get(COMPLETE)
    assert "&lt;script&gt;" in page(response)
    return response


def hooked(answer, *, stage: str = "after_login", **config: object):
    """Make the act of a known person whose sign-in asks a web hook that answers like this."""

    def act(scene: Scene) -> HttpResponse:
        scene.sign_in(scene.open_browser())
        scene.settings.DEBUG = True
        before = scene.settings.MS_IDENTITY
        with serve(answer) as server:
            call = {
                "hook": "web_hook",
                "config": {"url": server.url, "method": "POST", "allow_private": True, **config},
            }
            scene.configure(HOOKS={stage: [call]})
            scene.watch()
            response = scene.sign_in()
        scene.settings.MS_IDENTITY, scene.settings.DEBUG = before, False
        return response

    return act


def hook_into_the_network(scene: Scene) -> HttpResponse:
    """Have a web hook lead to where clouds keep the secrets of their machines."""
    before = scene.settings.MS_IDENTITY
    call = {"hook": "web_hook", "config": {"url": "https://169.254.169.254/latest/", "method": "POST"}}
    scene.configure(HOOKS={"after_login": [call]})
    response = scene.browser.get("/ms/start/microsoft/")
    scene.settings.MS_IDENTITY = before
    return response


def redirecting_hook(scene: Scene) -> HttpResponse:
    with serve(says({})) as other:
        response = hooked(says({}, 307, Location=other.url))(scene)
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
        sentence="Somebody's name is a script.",
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
