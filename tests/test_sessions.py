from __future__ import annotations

import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from django_ms_identity import runtime, sessions
from django_ms_identity.models import Identity, SignIn
from tests.journeys.steps import pick, rows, sign_in_locally, who
from tests.support.builders import make_identity
from tests.support.web import Browser

pytestmark = pytest.mark.django_db

ENGINES = ["db", "cache", "cached_db", "file"]


@pytest.fixture(params=ENGINES)
def engine(request, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    return request.param


# The session's key


def test_the_key_of_an_anonymous_session_changes(client, ms_identity_emulator, engine):
    """Session fixation: an attacker who planted the cookie must not share the session that follows."""
    session = client.session
    session["cart"] = ["bread"]
    session.save()
    planted = session.session_key

    ms_identity_emulator.sign_in(client)

    assert client.session.session_key != planted
    assert client.session["cart"] == ["bread"]
    assert not client.session.exists(planted)


def test_the_session_key_changes_when_the_same_user_signs_in_again(client, ms_identity_emulator, engine):
    ms_identity_emulator.sign_in(client)
    before = client.session.session_key

    pick(client, ms_identity_emulator, prompt="login").send(client)

    assert client.session.session_key != before
    assert not client.session.exists(before)
    assert who(client) == "ines.okafor@contoso.example"


def test_the_session_key_changes_when_another_user_signs_in(client, ms_identity_emulator, engine):
    ms_identity_emulator.sign_in(client, "admin")
    session = client.session
    session["draft"] = "of somebody else"
    session.save()
    before = session.session_key

    pick(client, ms_identity_emulator, "work", prompt="select_account").send(client)

    assert client.session.session_key != before
    assert not client.session.exists(before)
    assert "draft" not in client.session
    assert who(client) == "ines.okafor@contoso.example"


# Whose session it is


def test_another_users_session_is_signed_out_properly(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(client, "admin")
    heard = []
    listen(user_logged_out, lambda user, request, **_: heard.append(user.get_username()))

    pick(client, ms_identity_emulator, "work", prompt="select_account").send(client)

    assert heard == ["marek.lindqvist@contoso.example"]
    ended, current = SignIn.objects.order_by("pk")
    assert ended.ended_at is not None
    assert current.ended_at is None


def test_a_password_session_of_another_user_is_signed_out_too(client, ms_identity_emulator, listen):
    sign_in_locally(client)
    heard = []
    listen(user_logged_out, lambda user, **_: heard.append(user.get_username()))

    pick(client, ms_identity_emulator, prompt="login").send(client)

    assert heard == ["local"]
    assert who(client) == "ines.okafor@contoso.example"


def test_signing_in_again_ends_the_sign_in_before(client, ms_identity_emulator, listen):
    ms_identity_emulator.sign_in(client)
    heard = []
    listen(user_logged_out, lambda **_: heard.append(1))

    pick(client, ms_identity_emulator, prompt="login").send(client)

    before, current = SignIn.objects.order_by("pk")
    assert before.ended_at is not None
    assert current.ended_at is None
    assert heard == []


def test_a_password_sign_in_over_ours_ends_ours(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    user = get_user_model().objects.get()

    client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    assert SignIn.objects.get().ended_at is not None
    assert sessions.SIGN_IN not in client.session
    assert sessions.FINISHED not in client.session


def test_signing_out_ends_the_sign_in(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)

    client.post("/ms/sign-out/")

    assert SignIn.objects.get().ended_at is not None
    assert who(client) == "nobody"


def test_the_end_of_a_sign_in_is_noted_once(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    identity = Identity.objects.get()
    sessions.set_active(identity, False)
    ended_at = SignIn.objects.get().ended_at

    client.post("/ms/sign-out/")

    assert SignIn.objects.get().ended_at == ended_at


def test_signing_in_in_one_browser_leaves_the_other_alone(ms_identity_emulator):
    first, second = Browser(), Browser()
    ms_identity_emulator.sign_in(first)
    ms_identity_emulator.sign_in(second)

    second.post("/ms/sign-out/")

    assert who(first) == "ines.okafor@contoso.example"
    assert SignIn.objects.filter(ended_at=None).count() == 1


@pytest.mark.parametrize(
    ("ago", "after"),
    [
        pytest.param(60, True, id="before"),
        pytest.param(0, False, id="at that very moment"),
        pytest.param(-60, False, id="later"),
    ],
)
def test_a_sign_in_is_after_a_moment_or_not(rf, ago, after):
    now = time.time()
    request = rf.get("/")
    request.session = {sessions.SIGNED_IN_AT: now}

    assert sessions.signed_in_after(request, now - ago) is after


def test_a_sign_in_of_the_future_is_after_no_moment(rf):
    request = rf.get("/")
    request.session = {sessions.SIGNED_IN_AT: time.time() + 3600}

    assert not sessions.signed_in_after(request, 0)


# What is recorded


def test_a_sign_in_is_recorded_with_its_sealed_session(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", claims={"sid": "microsofts-session"})

    ms_identity_emulator.sign_in(client)

    sign_in = SignIn.objects.get()
    key = client.session.session_key
    assert (sign_in.provider, sign_in.sid, sign_in.aal, sign_in.amr) == (
        "microsoft",
        "microsofts-session",
        "aal1",
        [],
    )
    assert key not in sign_in.session
    assert runtime.keyring().open(sign_in.session, kind="session_key") == key.encode()
    assert client.session[sessions.SIGN_IN] == sign_in.pk


@pytest.mark.parametrize(
    ("sid", "kept"), [("x" * 1000, "x" * 64), (7, ""), (["a"], ""), (None, ""), ("", "")]
)
def test_an_odd_sid_does_not_stop_a_sign_in(client, ms_identity_emulator, sid, kept):
    ms_identity_emulator.persona("work", claims={"sid": sid})

    ms_identity_emulator.sign_in(client)

    assert SignIn.objects.get().sid == kept


@pytest.mark.parametrize("how", ["Microsoft", "a password"])
def test_the_time_of_authentication_is_stamped(client, ms_identity_emulator, how):
    if how == "Microsoft":
        ms_identity_emulator.sign_in(client)
    else:
        sign_in_locally(client)

    assert 0 <= time.time() - client.session[sessions.AUTHENTICATED_AT] < 60


def test_a_repeated_callback_does_not_renew_the_stamp(client, ms_identity_emulator):
    callback = pick(client, ms_identity_emulator)
    callback.send(client)
    session = client.session
    session[sessions.AUTHENTICATED_AT] = 1
    session.save()

    callback.send(client)

    assert client.session[sessions.AUTHENTICATED_AT] == 1


# Deactivation


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda: sessions.set_active(Identity.objects.get(), False), id="identity deactivated"),
        pytest.param(lambda: get_user_model().objects.update(is_active=False), id="user deactivated"),
        pytest.param(lambda: Identity.objects.all().delete(), id="identity deleted"),
    ],
)
def test_deactivation_signs_out_at_the_next_request(client, ms_identity_emulator, engine, end):
    ms_identity_emulator.sign_in(client)
    assert who(client) == "ines.okafor@contoso.example"

    assert end()

    assert who(client) == "nobody"


def test_activation_does_not_revive_a_session_that_deactivation_ended(client, ms_identity_emulator, engine):
    """It may be stolen; that is why people are deactivated and activated again."""
    ms_identity_emulator.sign_in(client)
    identity = Identity.objects.get()

    sessions.set_active(identity, False)
    sessions.set_active(identity, True)

    assert who(client) == "nobody"


def test_a_session_sealed_with_a_secret_that_is_gone_stops_no_deactivation(
    client, ms_identity_emulator, settings
):
    ms_identity_emulator.sign_in(client)
    settings.SECRET_KEY = "another"

    assert sessions.set_active(Identity.objects.get(), False) is True
    assert SignIn.objects.get().ended_at is not None


def test_activation_lets_the_person_sign_in_again(client, ms_identity_emulator):
    ms_identity_emulator.sign_in(client)
    identity = Identity.objects.get()
    sessions.set_active(identity, False)

    sessions.set_active(identity, True)

    assert ms_identity_emulator.sign_in(Browser()).status_code == 302


def test_deactivation_is_dated_and_ends_the_open_sign_ins():
    identity, other = make_identity(subject="a"), make_identity(subject="b")
    for one in (identity, identity, other):
        SignIn.objects.create(identity=one, provider="microsoft")

    sessions.set_active(identity, False)

    identity.refresh_from_db()
    assert (identity.state, identity.is_active) == ("inactive", False)
    assert identity.state_changed_at is not None
    assert identity.updated_at >= identity.state_changed_at
    assert identity.sign_ins.filter(ended_at=None).count() == 0
    assert other.sign_ins.filter(ended_at=None).count() == 1


@pytest.mark.parametrize("active", [True, False])
def test_activation_of_an_active_identity_changes_nothing(active):
    identity = make_identity()
    sessions.set_active(identity, active)
    identity.refresh_from_db()
    before = identity.state_changed_at

    assert sessions.set_active(identity, active) is False

    identity.refresh_from_db()
    assert identity.state_changed_at == before


def test_a_sign_in_leaves_no_session_row_behind(client, ms_identity_emulator):
    for persona in ("work", "admin", "work"):
        pick(client, ms_identity_emulator, persona, prompt="login").send(client)

    assert rows()["Session"] == Session.objects.count() == 1


# What a session is bound to


def a_session_of(rf, user, **data):
    request = rf.get("/")
    request.session = SessionStore()
    request.session.update(data)
    request.user = user
    return request


def test_a_session_is_bound_to_its_user_and_its_random_value(rf):
    ines, other = (make_identity(subject=name, username=name).user for name in ("ines", "other"))
    key = sessions.user_key(ines)
    request = a_session_of(rf, ines, **{sessions.BINDING: "value"})

    assert sessions.is_bound(request, user=key, binding="value")
    assert not sessions.is_bound(request, user=key, binding="another")
    assert not sessions.is_bound(request, user=sessions.user_key(other), binding="value")
    assert not sessions.is_bound(a_session_of(rf, ines), user=key, binding="value")
    nobody = a_session_of(rf, AnonymousUser(), **{sessions.BINDING: "value"})
    assert not sessions.is_bound(nobody, user=key, binding="value")


def test_only_the_flow_that_opened_the_session_can_be_repeated(rf):
    ines = make_identity().user
    request = a_session_of(rf, ines)
    assert sessions.finished_return_to(request, digest="flow") is None

    sessions.remember_finished(request, digest="flow", return_to="/home/")

    assert sessions.finished_return_to(request, digest="flow") == "/home/"
    assert sessions.finished_return_to(request, digest="other") is None
    request.user = AnonymousUser()
    assert sessions.finished_return_to(request, digest="flow") is None
    request = a_session_of(rf, ines, **{sessions.FINISHED: {"flow": "/home/"}})
    assert sessions.finished_return_to(request, digest="flow") is None


def test_authentication_methods_that_say_nothing_are_left_out(client, ms_identity_emulator):
    ms_identity_emulator.persona("work", claims={"amr": ["", "pwd", "a\nb"]})

    ms_identity_emulator.sign_in(client)

    assert SignIn.objects.get().amr == ["pwd"]
