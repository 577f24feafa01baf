"""Each case of the catalogue through a whole sign-in: refused, nothing written, and the next one gets in."""

from __future__ import annotations

import logging
import re
from collections import Counter
from urllib.parse import urlsplit

import pytest

from django_ms_identity import runtime
from django_ms_identity.models import SignIn
from django_ms_identity.net.http import EMULATED
from tests.journeys.steps import code_of, page
from tests.security.malicious_provider import UNTAMPERED, MaliciousProvider
from tests.support.builders import CLIENT_SECRET, make_settings
from tests.support.web import Browser

from .cases import CASES
from .harness import Group, Harness, end_of

NEVER_LOGGED = (CLIENT_SECRET, "<script", "evil.example", "planted")
NEVER_SHOWN = (*NEVER_LOGGED, "AADSTS", "Traceback")


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_attack_has_its_outcome_and_the_next_sign_in_works(case, settings, caplog):
    settings.MS_IDENTITY = make_settings(case.provider, **case.settings)
    caplog.set_level(logging.DEBUG, "django_ms_identity")
    with MaliciousProvider(case.tampering) as microsoft:
        harness = Harness(microsoft, settings)

        response = case.act(harness)

        if case.harmless:
            assert (response.status_code < 400, end_of(response)) == (True, case.lands), page(response)
            assert harness.person(harness.browser) == case.signed_in
        else:
            assert (code_of(response), response.status_code) == case.expected
            harness.assert_untouched()
            microsoft.tampering = UNTAMPERED
        shown = page(response)
        assert [text for text in (*NEVER_SHOWN, *microsoft.issued_secrets) if text in shown] == []
        if case.remembered:
            forget_what_was_told()
        for browser in (Browser(), harness.browser):
            before = SignIn.objects.count()
            # Without a prompt, a visitor who is signed in would not be sent to Microsoft at all.
            following = harness.sign_in(browser, case.next_visitor, prompt="select_account")
            assert following.headers.get("Location") == "/home/", page(following)
            assert harness.person(browser) == case.next_visitor
            assert SignIn.objects.count() == before + 1
        never_logged = (*NEVER_LOGGED, *microsoft.issued_secrets, *personal_details(microsoft), "\n")
        assert [(text, line) for line in our_lines(caplog) for text in never_logged if text in line] == []
        assert {urlsplit(url).netloc for url in asked_of(microsoft)} <= EMULATED


def our_lines(caplog):
    """Render what we log at any level, with the tracebacks."""
    records = [record for record in caplog.records if record.name.startswith("django_ms_identity")]
    return [caplog.handler.format(record) for record in records]


def personal_details(microsoft):
    people = microsoft.personas.values()
    return {text for person in people for text in (person.family_name, person.username, person.email) if text}


def asked_of(microsoft):
    """List every address that the app asked or tried to ask, but for the machines of the tests."""
    urls = [call.request.url for call in microsoft.wire.calls]
    return [url for url in urls if not url.startswith("http://127.0.0.1")]


def forget_what_was_told():
    from django.core.cache import cache

    runtime.reset()
    cache.clear()


def test_the_ids_are_unique_and_in_kebab_case():
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert [case.id for case in CASES if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", case.id)] == []


def test_every_group_has_cases():
    assert {case.group for case in CASES} == set(Group)


def test_every_case_is_described_by_sentences():
    described = [text for case in CASES for text in (case.sentence, case.harmless) if text]

    assert [text for text in described if not re.fullmatch(r"[A-Z`][^\n|]*\.", text)] == []
