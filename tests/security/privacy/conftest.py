"""Visitors in every state that a page can meet them in."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from django_ms_identity import conf
from django_ms_identity.flows import pending_step
from django_ms_identity.models import Identity
from django_ms_identity.testing.emulator import Emulator
from tests.journeys.steps import pick
from tests.support.builders import make_mapper, make_schema, make_settings
from tests.support.web import Browser

EMAIL = "ines.okafor@contoso.example"
TEAM = make_schema({"team": {"type": "string", "title": "Team"}}, required=["team"])


class World:
    """A site, Microsoft, and one visitor; a class because every state changes all three."""

    def __init__(self, microsoft: Emulator, settings, monkeypatch) -> None:
        self.microsoft = microsoft
        self.settings = settings
        self.monkeypatch = monkeypatch
        self.browser = Browser()

    def configure(self, provider=None, **top):
        self.settings.MS_IDENTITY = make_settings(provider or {}, **top)

    def arrive(self, persona="work"):
        return pick(self.browser, self.microsoft, persona, prompt="select_account").send(self.browser)

    def log_in(self, username, **fields):
        user, _ = get_user_model().objects.get_or_create(username=username, defaults=fields)
        user.set_password("pw")
        user.save()
        assert self.browser.login(username=username, password="pw")
        return user

    def ticket(self):
        """Return what a form must name to finish what waits in this browser, shown on a page or not."""
        cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in self.browser.cookies.items())
        return pending_step.form_token(
            RequestFactory().get("/", headers={"Cookie": cookies}), conf.get_config()
        )

    def pass_time(self, seconds):
        now = time.time()
        self.monkeypatch.setattr(time, "time", lambda: now + seconds)


def anonymous(world):
    pass


def signed_in_by_microsoft(world):
    world.arrive()


def signed_in_by_password(world):
    world.log_in("local")


def user_inactive(world):
    world.arrive()
    get_user_model().objects.update(is_active=False)


def identity_inactive(world):
    world.arrive()
    Identity.objects.update(state=Identity.State.INACTIVE)


def identity_inactive_with_a_password(world):
    world.arrive()
    world.log_in(get_user_model().objects.get().username)
    Identity.objects.update(state=Identity.State.INACTIVE)


def off(world):
    world.arrive()
    world.configure(ENABLED=False)


def login_required_everywhere(world):
    name = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    world.settings.MIDDLEWARE = [*world.settings.MIDDLEWARE, name]


def waits_for_traits(world):
    world.configure({"mapper_url": make_mapper("{identity: {traits: {}}}")}, IDENTITY_SCHEMA_URL=TEAM)
    assert world.arrive().headers["Location"] == "/ms/complete/"


def another_signed_in_meanwhile(world):
    waits_for_traits(world)
    world.log_in("other")


def waits_for_a_link(world):
    get_user_model().objects.create_user("local", email=EMAIL, password="pw")
    assert world.arrive().headers["Location"] == "/ms/confirm-link/"


def proved_to_be_the_owner(world):
    waits_for_a_link(world)
    world.log_in("local")


def proved_to_be_another(world):
    waits_for_a_link(world)
    world.log_in("other")


def waited_too_long(world):
    waits_for_traits(world)
    world.pass_time(pending_step.LIFESPAN + 5)


def proved_too_late(world):
    proved_to_be_the_owner(world)
    world.pass_time(pending_step.LIFESPAN + 5)


STATES: dict[str, Callable[[World], None]] = {
    state.__name__: state
    for state in (
        anonymous,
        signed_in_by_microsoft,
        signed_in_by_password,
        user_inactive,
        identity_inactive,
        identity_inactive_with_a_password,
        off,
        login_required_everywhere,
        waits_for_traits,
        another_signed_in_meanwhile,
        waits_for_a_link,
        proved_to_be_the_owner,
        proved_to_be_another,
        waited_too_long,
        proved_too_late,
    )
}


@pytest.fixture
def world(ms_identity_emulator, settings, monkeypatch):
    return World(ms_identity_emulator, settings, monkeypatch)
