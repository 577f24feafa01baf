"""Fetched documents (here keys and metadata): fetched rarely, shared between nodes, served stale."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.cache import SharedCache
from django_ms_identity.crypto import Keyring
from django_ms_identity.entra import jwks
from django_ms_identity.entra.clouds import CONSUMER_TENANT
from django_ms_identity.exceptions import (
    MicrosoftAnswerInvalid,
    MicrosoftUnavailable,
    MSIdentityError,
    TokenRejected,
)
from django_ms_identity.net import remote_documents
from django_ms_identity.net.http import HttpClient
from django_ms_identity.net.remote_documents import FRESH, REFETCH, USABLE, RemoteDocuments
from tests.entra import forge
from tests.entra.forge import KEYS_URL, LOGIN, OTHER_TID, TID, Clock, Store, jwk, key_set

DOMAIN = "contoso.example"
METADATA_URL = f"{LOGIN}/{DOMAIN}/v2.0/.well-known/openid-configuration"
GOOD = key_set(jwk())
HOUR = 3600


@pytest.fixture
def clock():
    return Clock()


def kids(copies):
    return sorted(copies.read(KEYS_URL, jwks.parse_keys))


def answers(wire, body=GOOD, **how):
    """Replace Microsoft's answer."""
    wire.reset()
    wire.get(KEYS_URL, body=body, **how)


def filled(wire, clock, store=None):
    """Make what a process has after it read Microsoft's good answer."""
    answers(wire)
    copies = forge.documents(store, clock)
    kids(copies)
    return copies


def test_document_copy_is_fresh_for_an_hour(wire, clock):
    answers(wire)
    copies = forge.documents(clock=clock)

    kids(copies)
    clock.now += FRESH - 1
    kids(copies)

    assert len(wire.calls) == 1


def test_document_is_fetched_again_after_an_hour(wire, clock):
    copies = filled(wire, clock)

    answers(wire, key_set(jwk("newer")))
    clock.now += FRESH

    assert kids(copies) == ["newer"]


DOWN = [
    pytest.param({"status": 500}, id="500"),
    pytest.param({"status": 429}, id="429"),
    pytest.param({"status": 404}, id="404"),
    pytest.param({"status": 302, "headers": {"Location": "https://evil.example/"}}, id="redirect"),
    pytest.param({"body": ConnectionError()}, id="no connection"),
    pytest.param({"body": "<html>captive portal</html>"}, id="HTML with 200"),
    pytest.param({"body": "[]"}, id="a list"),
    pytest.param({"body": '{"keys": []}'}, id="an empty set"),
    pytest.param({"body": key_set(forge.private_jwk())}, id="a private key"),
    pytest.param({"body": "x" * (1024 * 1024 + 1)}, id="too large"),
]


@pytest.mark.parametrize("answer", DOWN)
def test_older_document_copy_serves_for_a_day_and_no_longer_while_fetches_fail(wire, clock, answer):
    copies = filled(wire, clock)

    answers(wire, **answer)
    clock.now += USABLE - 1
    assert kids(copies) == ["microsoft"]

    clock.now += FRESH
    with pytest.raises((MicrosoftUnavailable, MicrosoftAnswerInvalid)):
        kids(copies)


@pytest.mark.parametrize("answer", DOWN)
def test_unusable_document_is_not_kept(wire, clock, answer):
    store = Store()
    answers(wire, **answer)
    copies = forge.documents(store, clock)
    with pytest.raises((MicrosoftUnavailable, MicrosoftAnswerInvalid)):
        kids(copies)

    answers(wire)

    assert store.kept == {}
    assert kids(copies) == ["microsoft"]


def test_failed_document_fetch_pauses_for_a_minute(wire, clock):
    copies = filled(wire, clock)
    answers(wire, status=404)
    clock.now += FRESH
    kids(copies)

    clock.now += 59
    kids(copies)
    assert len(wire.calls) == 1
    clock.now += 2
    kids(copies)
    assert len(wire.calls) == 2


def assert_waits(copies, wire, clock, seconds):
    """Assert that the next request comes after so many seconds, and no sooner."""
    clock.now += seconds - 1
    kids(copies)
    assert len(wire.calls) == 1
    clock.now += 2
    kids(copies)
    assert len(wire.calls) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("600", 600),
        ("\u00b2", 60),
        ("999999999", 60),
        ("90000", HOUR),
        ("soon", 60),
        ("-1", 60),
        ("٣٠٠", 60),
        ("", 60),
    ],
)
def test_retry_after_seconds_pause_fetches_for_at_most_an_hour(wire, clock, header, seconds):
    copies = filled(wire, clock)
    answers(wire, status=429, headers={"retry-after": header})
    clock.now += FRESH
    kids(copies)

    assert_waits(copies, wire, clock, seconds)


DATE = 784_111_777
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 section 5.6.7."""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 600, id="as it is written today"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", 600, id="RFC 850"),
        pytest.param("Sun Nov  6 08:49:37 1994", 600, id="asctime"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 -0000", 600, id="in no zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 -0030", 40 * 60, id="in another zone"),
        pytest.param("Mon, 07 Nov 1994 08:49:37 GMT", HOUR, id="tomorrow"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 -2359", HOUR, id="the end of all dates"),
        pytest.param("Sun, 06 Nov 1994 08:39:37 GMT", 60, id="now"),
        pytest.param("Sat, 05 Nov 1994 08:49:37 GMT", 60, id="yesterday"),
        pytest.param("Fri, 01 Jan 0100 00:00:00 +2359", 60, id="the beginning of all dates"),
        pytest.param("Sun, 31 Feb 1994 08:49:37 GMT", 60, id="no date"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +99999999999999", 60, id="no zone there is"),
        pytest.param(f"Sun, 06 Nov {'9' * 5000} 08:49:37 GMT", 60, id="no number there is"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
def test_retry_after_date_pauses_fetches(wire, clock, header, seconds, zone, in_zone):
    in_zone(zone)
    clock.now = DATE - 600 - FRESH
    copies = filled(wire, clock)
    answers(wire, status=429, headers={"Retry-After": header})
    clock.now += FRESH
    kids(copies)

    assert_waits(copies, wire, clock, seconds)


@pytest.fixture
def in_zone(monkeypatch):
    """Set the time zone of this process."""

    def move(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


DATES = st.sampled_from(
    [
        *("Sun,", "Sunday,", "06", "31", "Nov", "06-Nov-94", "Feb", "1994", "0001", "9999", "99999999999"),
        *("08:49:37", "23:59:60", "99:99:99", "GMT", "-0000", "+2359", "-2359", "+99999999999999", "-1"),
    ]
)
LATIN = st.characters(codec="latin-1", exclude_characters="\r\n\0")


@given(header=st.lists(DATES | st.text(LATIN, max_size=4), max_size=8).map(" ".join))
def test_retry_after_never_pauses_longer_than_an_hour(header):
    clock = Clock()
    copies = forge.documents(clock=clock)
    with responses.RequestsMock() as wire:
        wire.get(KEYS_URL, status=429, headers={"Retry-After": header})
        with pytest.raises(MicrosoftUnavailable):
            kids(copies)
        clock.now += HOUR
        answers(wire)

        assert kids(copies) == ["microsoft"]


def test_retry_after_pauses_fetches_without_a_copy(wire, clock):
    answers(wire, status=429, headers={"Retry-After": "30"})
    copies = forge.documents(clock=clock)
    for _ in range(3):
        with pytest.raises(MicrosoftUnavailable):
            kids(copies)
    assert len(wire.calls) == 1

    answers(wire)
    clock.now += 31

    assert kids(copies) == ["microsoft"]


def test_keys_without_a_copy_are_fetched_again_at_once(wire, clock):
    answers(wire, status=404)
    copies = forge.documents(clock=clock)
    with pytest.raises(MicrosoftAnswerInvalid) as caught:
        kids(copies)
    assert "microsoft_tenant" in caught.value.hint

    answers(wire)

    assert kids(copies) == ["microsoft"]


def test_shared_copy_serves_another_process(wire, clock):
    store = Store()
    filled(wire, clock, store)

    clock.now += HOUR / 2
    kids(forge.documents(store, clock))

    assert len(wire.calls) == 1


def test_newer_shared_copy_replaces_an_old_one(wire, clock):
    store = Store()
    first, second = forge.documents(store, clock), forge.documents(store, clock)
    answers(wire)
    kids(first)
    kids(second)
    clock.now += FRESH
    answers(wire, key_set(jwk("newer")))
    kids(first)

    assert kids(second) == ["newer"]
    assert len(wire.calls) == 1


def test_shared_copies_of_emulator_and_microsoft_are_separate(wire, clock):
    store = Store()
    wire.get(f"http://localhost:8000/emulator/{KEYS_URL[8:]}", body=key_set(jwk("emulated")))
    emulated = forge.documents(store, clock, origin="http://localhost:8000/emulator")
    assert kids(emulated) == ["emulated"]

    wire.get(KEYS_URL, body=GOOD)

    assert kids(forge.documents(store, clock)) == ["microsoft"]


def planted(value: object):
    def plant(store: Store) -> None:
        (key,) = store.kept
        store.kept[key] = value

    return plant


def tampered(store: Store) -> None:
    ((key, kept),) = store.kept.items()
    signature, text = json.loads(kept)
    store.kept[key] = json.dumps([signature, text.replace(r"\"kid\"", r"\"kit\"")])


def signed_for_another_name(store: Store) -> None:
    ((key, kept),) = store.kept.items()
    other = Store()
    SharedCache(other, Keyring(["secret"])).set("another name", json.loads(kept)[1], seconds=1)
    store.kept[key] = next(iter(other.kept.values()))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(tampered, id="tampered"),
        pytest.param(signed_for_another_name, id="signed for another name"),
        pytest.param(planted(json.dumps(["0" * 64, json.dumps([key_set(jwk("evil")), 9e9])])), id="unsigned"),
        pytest.param(planted(json.dumps([key_set(jwk("evil")), 9e9])), id="bare"),
        pytest.param(planted("not JSON"), id="not JSON"),
        pytest.param(planted("[" * 100_000), id="deep"),
        pytest.param(planted("[1]"), id="short"),
        pytest.param(planted("[1, 2]"), id="numbers"),
        pytest.param(planted('["é", "x"]'), id="signature not ASCII"),
        pytest.param(planted("{}"), id="object"),
        pytest.param(planted("7"), id="number"),
        pytest.param(planted(b"bytes"), id="bytes"),
        pytest.param(planted({"a": 1}), id="pickled"),
    ],
)
def test_shared_copy_without_valid_signature_is_ignored(wire, clock, spoil):
    store = Store()
    filled(wire, clock, store)

    spoil(store)

    assert kids(forge.documents(store, clock)) == ["microsoft"]
    assert len(wire.calls) == 2


def test_shared_copy_signed_with_another_secret_is_ignored(wire, clock):
    store = Store()
    answers(wire)
    kids(forge.documents(store, clock, secret="evil"))

    kids(forge.documents(store, clock))

    assert len(wire.calls) == 2


def test_shared_copy_is_not_used_after_a_day(wire, clock):
    store = Store()
    filled(wire, clock, store)
    clock.now += USABLE

    answers(wire, status=500)

    with pytest.raises(MicrosoftUnavailable):
        kids(forge.documents(store, clock))


def test_process_keeps_its_own_copy_while_the_cache_is_down(wire, clock, caplog):
    store = Store()
    store.down = True
    answers(wire)
    copies = forge.documents(store, clock)

    kids(copies)
    kids(copies)

    assert len(wire.calls) == 1
    assert "ConnectionError" in caplog.text
    assert "planted-cache-password" not in caplog.text


def signing_key(copies, kid="newer", **changes):
    return jwks.signing_key(forge.provider(**changes), kid, copies)


def test_unknown_key_id_refetches_the_key_set(wire, clock):
    copies = filled(wire, clock)

    answers(wire, key_set(jwk(), jwk("newer")))

    assert signing_key(copies)
    assert len(wire.calls) == 1


def test_unknown_key_id_refetches_once_in_five_minutes(wire, clock):
    store = Store()
    copies = filled(wire, clock, store)

    for kid in ("a", "b", "c"):
        with pytest.raises(TokenRejected):
            signing_key(copies, kid)
    assert len(wire.calls) == 2
    clock.now += REFETCH + 1
    store.kept.clear()  # what the cache's own clock would have done
    with pytest.raises(TokenRejected):
        signing_key(copies, "d")
    assert len(wire.calls) == 3


@pytest.mark.parametrize("is_shared", [True, False], ids=["cache down", "no cache"])
def test_refetches_without_a_shared_cache_are_limited_per_process(wire, clock, is_shared):
    store = Store()
    store.down = True
    answers(wire)
    copies = RemoteDocuments(transport=HttpClient(connect=1, read=1), now=clock)
    if is_shared:
        copies = forge.documents(store, clock)
    kids(copies)

    for _ in range(3):
        with pytest.raises(TokenRejected):
            signing_key(copies)

    assert len(wire.calls) == 2


def test_refetches_are_limited_per_provider(wire, clock):
    copies = filled(wire, clock)

    for provider in ("one", "one", "two"):
        with pytest.raises(TokenRejected):
            signing_key(copies, id=provider)

    assert len(wire.calls) == 3


def test_refetches_are_limited_across_nodes(wire, clock):
    store = Store()
    nodes = [filled(wire, clock, store) for _ in range(3)]

    for node in nodes:
        with pytest.raises(TokenRejected):
            signing_key(node)

    assert len(wire.calls) == 1


def test_node_uses_new_key_that_another_node_refetched(wire, clock):
    store = Store()
    first, second = filled(wire, clock, store), filled(wire, clock, store)
    answers(wire, key_set(jwk(), jwk("newer")))

    assert signing_key(first)
    assert signing_key(second)
    assert len(wire.calls) == 1


def test_node_that_refetched_too_early_uses_new_key_of_another_node(wire, clock):
    store = Store()
    first, second = filled(wire, clock, store), filled(wire, clock, store)
    with pytest.raises(TokenRejected):
        signing_key(second, "unknown")

    clock.now += 1
    answers(wire, key_set(jwk(), jwk("newer")))
    assert signing_key(first, id="other-provider")

    assert signing_key(second)
    assert len(wire.calls) == 1


def test_failed_refetch_keeps_the_document_copy(wire, clock):
    copies = filled(wire, clock)
    answers(wire, status=500)

    with pytest.raises(TokenRejected):
        signing_key(copies)

    assert kids(copies) == ["microsoft"]


def test_unknown_key_id_does_not_override_retry_after(wire, clock):
    copies = filled(wire, clock)
    answers(wire, status=429, headers={"Retry-After": "600"})
    clock.now += FRESH
    kids(copies)

    with pytest.raises(TokenRejected):
        signing_key(copies)

    assert len(wire.calls) == 1


class Gate:
    """An answer that waits until the test lets it through."""

    def __init__(self, wire: responses.RequestsMock, *, status: int = 200) -> None:
        self.asked, self.open = threading.Event(), threading.Event()
        self._answer = (status, {}, GOOD)
        wire.reset()
        wire.add_callback(responses.GET, KEYS_URL, callback=self._wait)

    def _wait(self, request):
        self.asked.set()
        assert self.open.wait(10)
        return self._answer


def started(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_threads_use_the_document_copy_while_one_fetches(wire, clock):
    copies = filled(wire, clock)
    clock.now += FRESH
    gate = Gate(wire)
    fetching = started(lambda: kids(copies))
    assert gate.asked.wait(10)

    assert kids(copies) == ["microsoft"]

    gate.open.set()
    fetching.join(10)
    assert not fetching.is_alive()
    assert len(wire.calls) == 1


def test_threads_without_a_document_copy_wait_for_one_fetch(wire, clock):
    copies = forge.documents(clock=clock)
    gate = Gate(wire)
    read = []
    threads = [started(lambda: read.append(kids(copies))) for _ in range(8)]
    assert gate.asked.wait(10)

    gate.open.set()
    for thread in threads:
        thread.join(10)

    assert read == [["microsoft"]] * 8
    assert len(wire.calls) == 1


def test_waiting_for_another_thread_s_fetch_ends_with_lock_timeout(wire, clock, monkeypatch):
    monkeypatch.setattr(remote_documents, "LOCK_TIMEOUT", 0.05)
    copies = forge.documents(clock=clock)
    gate = Gate(wire)
    fetching = started(lambda: kids(copies))
    assert gate.asked.wait(10)

    with pytest.raises(MicrosoftUnavailable, match="for too long"):
        kids(copies)

    gate.open.set()
    fetching.join(10)
    assert kids(copies) == ["microsoft"]


def test_threads_that_waited_for_a_failed_fetch_fail_with_it(wire, clock):
    copies = forge.documents(clock=clock)
    gate = Gate(wire, status=404)
    refused = []

    def ask():
        try:
            kids(copies)
        except MSIdentityError as error:
            refused.append(type(error))

    first = started(ask)
    assert gate.asked.wait(10)
    others = [started(ask) for _ in range(5)]
    # Give them time to wait: the lock shows no queue to look at.
    for thread in others:
        thread.join(0.1)
    gate.open.set()
    for thread in [first, *others]:
        thread.join(10)

    assert len(wire.calls) == 1
    assert refused.count(MicrosoftUnavailable) == 5


def test_threads_with_the_same_unknown_key_id_refetch_once(wire, clock):
    answers(wire, key_set(jwk("older")))
    copies = forge.documents(clock=clock)
    kids(copies)
    gate = Gate(wire)
    found = []
    threads = [started(lambda: found.append(signing_key(copies, "microsoft"))) for _ in range(4)]
    assert gate.asked.wait(10)

    gate.open.set()
    for thread in threads:
        thread.join(10)

    assert len(found) == 4
    assert len(wire.calls) == 1


def domain_provider():
    return forge.provider(microsoft_tenant=DOMAIN)


def test_tenant_domain_of_personal_accounts_is_refused(wire, clock):
    wire.get(METADATA_URL, json={"issuer": forge.issuer(CONSUMER_TENANT)})

    with pytest.raises(MicrosoftAnswerInvalid, match="personal accounts"):
        jwks.configured_tenant(domain_provider(), forge.documents(Store(), clock))


def test_tenant_domain_is_resolved_once(wire, clock):
    store = Store()
    wire.get(METADATA_URL, json={"issuer": forge.issuer()})
    copies = forge.documents(store, clock)

    for _ in range(3):
        assert jwks.configured_tenant(domain_provider(), copies) == TID
    assert jwks.configured_tenant(domain_provider(), forge.documents(store, clock)) == TID

    assert len(wire.calls) == 1


@pytest.mark.parametrize("tenant", [TID, "common", "organizations", "consumers"])
def test_only_tenant_domains_are_resolved(wire, clock, tenant):
    jwks.configured_tenant(forge.provider(microsoft_tenant=tenant), forge.documents(clock=clock))

    assert len(wire.calls) == 0


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"issuer": f"https://login.microsoftonline.us/{TID}/v2.0"}, id="another cloud"),
        pytest.param({"issuer": f"https://evil.example/{TID}/v2.0"}, id="another host"),
        pytest.param({"issuer": f"{LOGIN}/{{tenantid}}/v2.0"}, id="templated"),
        pytest.param({"issuer": f"https://sts.windows.net/{TID}/"}, id="v1"),
        pytest.param({"issuer": f"{LOGIN}/{TID}/v2.0/"}, id="trailing slash"),
        pytest.param({"issuer": f"{LOGIN}/{TID.upper()}/v2.0"}, id="upper case"),
        pytest.param({"issuer": f"{LOGIN}/{TID}"}, id="no version"),
        pytest.param({"issuer": TID}, id="bare"),
        pytest.param({"issuer": [forge.issuer()]}, id="a list"),
        pytest.param({"issuer": None}, id="null"),
        pytest.param({}, id="none"),
        pytest.param([], id="no object"),
    ],
)
def test_tenant_metadata_with_foreign_issuer_is_refused_and_not_kept(wire, clock, metadata):
    store = Store()
    wire.get(METADATA_URL, json=metadata)
    copies = forge.documents(store, clock)

    with pytest.raises(MicrosoftAnswerInvalid):
        jwks.configured_tenant(domain_provider(), copies)

    assert store.kept == {}
    wire.replace(responses.GET, METADATA_URL, json={"issuer": forge.issuer()})
    assert jwks.configured_tenant(domain_provider(), copies) == TID


def test_hostile_tenant_metadata_changes_no_endpoint(wire, clock):
    evil = dict.fromkeys(
        ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"), "https://evil.example/"
    )
    wire.get(METADATA_URL, json={"issuer": forge.issuer(OTHER_TID), **evil})
    wire.get(f"{LOGIN}/{DOMAIN}/discovery/v2.0/keys", body=key_set(jwk(issuer=None)))
    copies = forge.documents(clock=clock)

    with pytest.raises(MSIdentityError, match=TID):
        forge.verify(forge.token(), by=domain_provider(), copies=copies)

    assert {urllib.parse.urlsplit(call.request.url).netloc for call in wire.calls} == {LOGIN[8:]}
