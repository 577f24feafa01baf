"""The process's long-lived objects: kept for the same settings, rebuilt for others."""

import json
import os

import pytest
import responses
from django.core.cache import cache
from django.test import override_settings

from django_ms_identity import conf, runtime
from django_ms_identity.crypto import SealBroken
from django_ms_identity.exceptions import ConfigurationInvalid
from django_ms_identity.net.http import parse_object

URL = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
MAPPER_URL = "https://mappers.example/m.jsonnet"


def http_client():
    return runtime.http_client(conf.get_config())


def documents():
    return runtime.documents(conf.get_config())


def test_same_settings_share_connections_and_documents():
    assert http_client() is http_client()
    assert documents() is documents()
    assert runtime.sources(conf.get_config()).documents is runtime.sources(conf.get_config()).documents
    assert runtime.keyring() is runtime.keyring()


@pytest.mark.parametrize("made", [http_client, documents], ids=["transport", "documents"])
def test_changed_settings_get_other_connections_and_documents(made):
    before = made()

    with override_settings(MS_IDENTITY={"HTTP_TIMEOUT": 1}):
        assert made() is not before
    with override_settings(DEBUG=True, MS_IDENTITY={"EMULATOR_URL": "http://localhost/emulator"}):
        assert made() is not before
    assert made() is before


def test_another_secret_key_gets_another_keyring_and_documents():
    before = runtime.keyring(), documents()

    with override_settings(SECRET_KEY="another"):
        assert runtime.keyring() is not before[0]
        assert documents() is not before[1]


def test_keyring_opens_seals_of_fallback_secret_keys():
    with override_settings(SECRET_KEY="old"):
        sealed = runtime.keyring().seal(b"text", kind="test")

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        assert runtime.keyring().open(sealed, kind="test") == b"text"
    with override_settings(SECRET_KEY="new"), pytest.raises(SealBroken):
        runtime.keyring().open(sealed, kind="test")


def test_runtime_builds_nothing_from_broken_settings():
    with override_settings(MS_IDENTITY={"HTTP_TIMEOUT": "soon"}):
        for made in (http_client, documents):
            with pytest.raises(ConfigurationInvalid):
                made()


@pytest.mark.parametrize("debug", [True, False])
def test_sources_allow_http_in_debug_only(debug):
    with override_settings(DEBUG=debug):
        assert runtime.sources(conf.get_config()).allow_http is debug


@responses.activate
def test_nodes_share_signed_documents_by_djangos_cache():
    responses.get(URL, body=json.dumps({"from": "Microsoft"}))
    assert documents().read(URL, parse_object) == {"from": "Microsoft"}

    runtime.reset()
    assert documents().read(URL, parse_object) == {"from": "Microsoft"}
    assert len(responses.calls) == 1

    runtime.reset()
    with override_settings(SECRET_KEY="of another project"):
        documents().read(URL, parse_object)
    assert len(responses.calls) == 2


@responses.activate
def test_fetched_sources_are_not_shared_by_djangos_cache():
    responses.get(MAPPER_URL, body="{}")
    runtime.sources(conf.get_config()).read(MAPPER_URL)

    runtime.reset()
    runtime.sources(conf.get_config()).read(MAPPER_URL)

    assert len(responses.calls) == 2


@responses.activate
def test_runtime_reset_drops_documents_and_sources():
    responses.get(URL, body="{}")
    documents().read(URL, parse_object)
    before = runtime.sources(conf.get_config()).documents

    runtime.reset()
    cache.clear()
    documents().read(URL, parse_object)

    assert len(responses.calls) == 2
    assert runtime.sources(conf.get_config()).documents is not before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_has_its_own_runtime():
    before = http_client()
    child = os.fork()
    if child == 0:
        os._exit(0 if http_client() is not before else 1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert http_client() is before
