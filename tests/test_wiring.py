"""The process's long-lived objects: kept while the settings stay, replaced when they change."""

import json
import os

import pytest
import responses
from django.core.cache import cache
from django.test import override_settings

from django_ms_identity import wiring
from django_ms_identity.crypto import SealBroken
from django_ms_identity.entra.documents import parse_object
from django_ms_identity.exceptions import ConfigurationInvalid

URL = "https://login.microsoftonline.com/common/discovery/v2.0/keys"


def test_the_same_settings_share_connections_and_documents():
    assert wiring.transport() is wiring.transport()
    assert wiring.documents() is wiring.documents()
    assert wiring.keyring() is wiring.keyring()


@pytest.mark.parametrize("made", [wiring.transport, wiring.documents], ids=["transport", "documents"])
def test_changed_settings_are_other_connections_and_documents(made):
    before = made()

    with override_settings(MS_IDENTITY={"HTTP_TIMEOUT": 1}):
        assert made() is not before
    with override_settings(DEBUG=True, MS_IDENTITY={"EMULATOR_URL": "http://localhost/emulator"}):
        assert made() is not before
    assert made() is before


def test_another_secret_key_is_another_keyring_and_other_documents():
    before = wiring.keyring(), wiring.documents()

    with override_settings(SECRET_KEY="another"):
        assert wiring.keyring() is not before[0]
        assert wiring.documents() is not before[1]


def test_what_the_old_secret_key_sealed_opens_while_it_is_a_fallback():
    with override_settings(SECRET_KEY="old"):
        sealed = wiring.keyring().seal(b"text", kind="test")

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        assert wiring.keyring().open(sealed, kind="test") == b"text"
    with override_settings(SECRET_KEY="new"), pytest.raises(SealBroken):
        wiring.keyring().open(sealed, kind="test")


def test_nothing_is_made_of_broken_settings():
    with override_settings(MS_IDENTITY={"HTTP_TIMEOUT": "soon"}):
        for made in (wiring.transport, wiring.documents):
            with pytest.raises(ConfigurationInvalid):
                made()


@pytest.mark.parametrize("debug", [True, False])
def test_mappers_come_over_http_in_debug_only(debug):
    with override_settings(DEBUG=debug):
        assert wiring.allows_http() is debug


@responses.activate
def test_nodes_share_documents_by_djangos_cache_and_only_signed():
    responses.get(URL, body=json.dumps({"from": "Microsoft"}))
    assert wiring.documents().read(URL, parse_object) == {"from": "Microsoft"}

    wiring.forget()
    assert wiring.documents().read(URL, parse_object) == {"from": "Microsoft"}
    assert len(responses.calls) == 1

    wiring.forget()
    with override_settings(SECRET_KEY="of another project"):
        wiring.documents().read(URL, parse_object)
    assert len(responses.calls) == 2


@responses.activate
def test_a_process_forgets_what_it_kept():
    responses.get(URL, body="{}")
    wiring.documents().read(URL, parse_object)

    wiring.forget()
    cache.clear()
    wiring.documents().read(URL, parse_object)

    assert len(responses.calls) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_anew():
    before = wiring.transport()
    child = os.fork()
    if child == 0:
        os._exit(0 if wiring.transport() is not before else 1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert wiring.transport() is before
