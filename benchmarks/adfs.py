"""Start and callback of django-auth-adfs on the same database, turn by turn with this app's."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Callable, Iterator
from functools import partial

from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from django_ms_identity.testing.emulator import Emulator

from . import microsoft
from .browser import HOST, Browser
from .journeys import HOME, Journeys
from .measure import Budget, Prepare, Row, Wire, compared, measured, p95

_LOGIN = f"http://{HOST}/adfs/login?next={HOME}"


def rows(emulator: Emulator, wire: Wire, *, rounds: int) -> Iterator[Row]:
    """Measure start and callback of a known person in a fresh browser with both apps, turn by turn."""
    site = WSGIHandler()
    ours = Journeys(emulator, WSGIHandler())
    compare = partial(_compared, wire=wire, rounds=rounds)
    yield from compare("start", ours.start, partial(_start, site))
    yield from compare("callback", ours.callback, partial(_callback, emulator, site))


def _compared(step: str, ours: Prepare, its: Prepare, *, wire: Wire, rounds: int) -> Iterator[Row]:
    # Each project has its own backend only: Django asks them one by one.
    its_backends = override_settings(
        AUTHENTICATION_BACKENDS=[
            "django.contrib.auth.backends.ModelBackend",
            "django_auth_adfs.backend.AdfsAuthCodeBackend",
        ]
    )
    with its_backends:
        counted = measured(f"{step} of django-auth-adfs", its, wire=wire, rounds=2)
    our_times, its_times, ratio = compared(ours, its, other_under=its_backends, wire=wire, rounds=rounds)
    yield Row(
        step=counted.step,
        median=statistics.median(its_times),
        p95=p95(its_times),
        statements=counted.statements,
        requests=counted.requests,
    )
    yield Row(
        step=f"{step} of this app, turn by turn with it",
        median=statistics.median(our_times),
        p95=p95(our_times),
        ratio=ratio,
        budget=Budget(ratio=1),
    )


def _start(site: WSGIHandler) -> Callable[[], object]:
    return partial(Browser(site=site).redirected, _LOGIN)


def _callback(emulator: Emulator, site: WSGIHandler) -> Callable[[], object]:
    browser = Browser(site=site)
    browser.redirected(_LOGIN)
    microsoft.access_token(emulator, "adfs")
    state = base64.urlsafe_b64encode(HOME.encode()).decode()
    return partial(browser.redirected, f"http://{HOST}/adfs/callback?code={microsoft.CODE}&state={state}")
