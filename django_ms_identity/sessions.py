"""Open and end sessions: Django's login() and the SignIn rows."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import SESSION_KEY, login, logout
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from . import runtime
from .crypto import SealBroken
from .entra.authentication_context import AAL
from .models import Credential, Identity, SignIn
from .sign_in_context import SignInContext
from .transactions import retry_on_deadlock

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

BACKEND = "django_ms_identity.backends.IdentityBackend"
AUTHENTICATED_AT = "_ms_identity_authenticated_at"
"""Session key: when the person last authenticated, seconds since the epoch. For a sign-in at Microsoft only
the claim auth_time tells, because its own session may be days old."""
SIGNED_IN_AT = "_ms_identity_signed_in_at"
"""Session key: when a user last signed in to this session, seconds since the epoch."""
ASSURANCE = "_ms_identity_aal"
"""Session key: the assurance level that the sign-in reached."""
PROVIDER = "_ms_identity_provider"
"""Session key: the id of the provider that opened the session."""
LOGOUT_HINT = "_ms_identity_logout_hint"
"""Session key: the claim ``login_hint``, by which Microsoft knows whom to sign out."""
BINDING = "_ms_identity_binding"
"""Session key: a random value. A flow that a signed-in user starts holds it too, so that it cannot end in
another session."""
SIGN_IN = "_ms_identity_sign_in"
"""Session key: the primary key of the SignIn row that this session belongs to."""
_CLOCK = 10.0
"""Seconds by which a stamp may be ahead of this server's clock: clocks differ."""
_BATCH = 500
"""Rows of one statement: databases limit its parameters."""
FINISHED = "_ms_identity_finished"
"""Session key: the digest of the state that opened this session, and where it led."""


def open_session(context: SignInContext, credential: Credential) -> None:
    """Sign the identity's user in to this browser and record it.

    Another user's session ends first, and the session's key changes always (session fixation).
    """
    request, claims, identity = context.request, context.claims, credential.identity
    user = identity.user
    signed_in = request.session.get(SESSION_KEY)
    if signed_in is not None and signed_in != user_key(user):
        logout(request)
        signed_in = None
    authenticated_before = _stored_time(request, AUTHENTICATED_AT) if signed_in is not None else 0.0
    login(request, user, backend=BACKEND)
    if signed_in is not None:
        # login() keeps the key where the same user signs in again.
        request.session.cycle_key()
    aal = assurance_of(context, credential)
    sign_in = SignIn(
        identity=identity,
        credential=credential,
        provider=credential.provider,
        session=_sealed(request.session.session_key),
        sid=_printable_or_empty(claims.text("sid"))[:64],
        aal=aal.value,
        amr=[method for method in claims.amr if _printable_or_empty(method)],
    )
    _insert(sign_in, using=_database(identity))
    # Without auth_time the time is unknown: an unlocked computer is enough for Microsoft's own session.
    auth_time = claims.auth_time
    request.session.update(
        {
            SIGN_IN: sign_in.pk,
            ASSURANCE: aal.value,
            PROVIDER: context.provider.id,
            LOGOUT_HINT: claims.text("login_hint"),
            AUTHENTICATED_AT: authenticated_before if auth_time is None else min(auth_time, time.time()),
        }
    )


def assurance_of(context: SignInContext, credential: Credential) -> AAL:
    """Return the level that a sign-in by a credential reaches."""
    return context.login.aal if credential.mfa_trusted else AAL.ONE


def is_recent(request: HttpRequest, *, seconds: float) -> bool:
    """Say whether the person has authenticated within the last ``seconds``."""
    return -_CLOCK <= time.time() - _stored_time(request, AUTHENTICATED_AT) <= seconds


def signed_in_after(request: HttpRequest, moment: float) -> bool:
    """Say whether a user has signed in to this session after a moment, in seconds since the epoch."""
    return moment < _stored_time(request, SIGNED_IN_AT) <= time.time() + _CLOCK


def has_second_factor(request: HttpRequest) -> bool:
    """Say whether the sign-in of this session reached the second assurance level."""
    return request.session.get(ASSURANCE) == AAL.TWO.value


def binding(request: HttpRequest) -> str:
    """Return the random value of this session, made when it is first asked for."""
    return str(request.session.setdefault(BINDING, secrets.token_urlsafe(16)))


def is_bound(request: HttpRequest, *, user: str, binding: str) -> bool:
    """Say whether this is the session of this user in which a flow with this random value was started."""
    held, present = request.session.get(BINDING), user_of(request)
    return (
        present is not None
        and user_key(present) == user
        and isinstance(held, str)
        and hmac.compare_digest(held.encode(), binding.encode())
    )


def user_key(user: AbstractBaseUser) -> str:
    """Return a user's primary key as the session keeps it: text."""
    return str(user._meta.pk.value_to_string(user))


def user_of(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the user who is signed in, or None."""
    return request.user if request.user.is_authenticated else None


def is_of(request: HttpRequest, identity: Identity) -> bool:
    """Say whether this browser's session is the identity's."""
    return request.session.get(SESSION_KEY) == user_key(identity.user)


def remember_finished(request: HttpRequest, *, digest: str, return_to: str) -> None:
    """Note which flow opened this session, so that its callback can be repeated harmlessly."""
    request.session[FINISHED] = [digest, return_to]


def finished_return_to(request: HttpRequest, *, digest: str) -> str | None:
    """Say where the flow that opened this session led; nothing if it was another."""
    finished = request.session.get(FINISHED)
    if not request.user.is_authenticated or not isinstance(finished, list) or finished[:1] != [digest]:
        return None
    return str(finished[1])


def stamp_authentication(
    sender: type[AbstractBaseUser], request: HttpRequest | None = None, **_: object
) -> None:
    """Note when this person authenticated, by any backend (receiver of user_logged_in)."""
    if request is not None and hasattr(request, "session"):
        request.session[AUTHENTICATED_AT] = request.session[SIGNED_IN_AT] = time.time()
        # Any sign-in, by password too, ends the one through Microsoft that this session held.
        _end(request.session.pop(SIGN_IN, None))
        for key in (FINISHED, ASSURANCE, PROVIDER, LOGOUT_HINT):
            request.session.pop(key, None)


def end_sign_in(sender: type[AbstractBaseUser], request: HttpRequest | None = None, **_: object) -> None:
    """Note the known end of a session (receiver of user_logged_out)."""
    if request is not None and hasattr(request, "session"):
        _end(request.session.get(SIGN_IN))


def end_sessions(rows: QuerySet[SignIn]) -> None:
    """End the sessions that these sign-ins opened, on every engine that keeps them on the server."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    open_rows = dict(rows.filter(ended_at=None).values_list("pk", "session"))
    for sealed in filter(None, open_rows.values()):
        # What was sealed with a SECRET_KEY that is gone has no readable key any more.
        with suppress(SealBroken):
            store(runtime.keyring().open(sealed, kind="session_key").decode()).delete()
    # Not those that opened meanwhile: their sessions live.
    for keys in _batches(list(open_rows)):
        SignIn.objects.using(rows.db).filter(pk__in=keys, ended_at=None).update(ended_at=timezone.now())


def end_sessions_by_key(keys: list[int], *, using: str) -> None:
    """End the sessions of these rows, as ``end_sessions``."""
    for batch in _batches(keys):
        end_sessions(SignIn.objects.using(using).filter(pk__in=batch))


def end_other_sessions(request: HttpRequest, identity: Identity) -> None:
    """End every session of the identity that is known, but this browser's."""
    rows = SignIn.objects.using(_database(identity)).filter(identity=identity)
    if (own := request.session.get(SIGN_IN)) is not None:
        # Not this browser's own row: login() keeps the session's data and changes only its key.
        rows = rows.exclude(pk=own)
    end_sessions(rows)


def set_active(identity: Identity, active: bool) -> bool:
    """Activate or deactivate an identity; returns whether that changed anything.

    Deactivation works at once on every session engine: the backend asks for the state at each request.
    """
    state = Identity.State.ACTIVE if active else Identity.State.INACTIVE
    rows = Identity.objects.using(_database(identity)).filter(pk=identity.pk).exclude(state=state)
    changed = rows.update(state=state, state_changed_at=timezone.now(), updated_at=timezone.now()) == 1
    if changed:
        # Otherwise a stolen session, or one that was opened at the moment of the deactivation, would work
        # again once the identity is activated.
        end_sessions(SignIn.objects.using(_database(identity)).filter(identity=identity))
    return changed


def connect_receivers() -> None:
    """Connect the receivers; called once by the app registry."""
    user_logged_in.connect(stamp_authentication, dispatch_uid="ms_identity_stamp")
    user_logged_out.connect(end_sign_in, dispatch_uid="ms_identity_end")


@retry_on_deadlock
def _insert(sign_in: SignIn, *, using: str) -> None:
    sign_in.save(using=using, force_insert=True)


def _printable_or_empty(text: str) -> str:
    # Databases refuse lone surrogates, and PostgreSQL U+0000.
    return text if text.isprintable() else ""


def _batches(keys: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(keys), _BATCH):
        yield keys[first : first + _BATCH]


def _stored_time(request: HttpRequest, key: str) -> float:
    value = request.session.get(key)
    # A session that was opened before this app was installed has no stamp: long ago.
    return float(value) if isinstance(value, int | float) else 0.0


def _end(sign_in: int | None) -> None:
    if sign_in is not None:
        rows = SignIn.objects.using(router.db_for_write(SignIn))
        rows.filter(pk=sign_in, ended_at=None).update(ended_at=timezone.now())


def _sealed(session_key: str | None) -> str | None:
    if not session_key:
        return None
    return runtime.keyring().seal(session_key.encode(), kind="session_key")


def _database(identity: Identity) -> str:
    return router.db_for_write(Identity, instance=identity)
