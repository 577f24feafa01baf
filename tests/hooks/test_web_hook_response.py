"""What an answer of a web hook means, and that its messages are harmless."""

from __future__ import annotations

import json
import logging
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.exceptions import WebHookFailed, WebHookRefused
from django_ms_identity.hooks.web_hook_response import MAX_MESSAGE, WebHookChanges, changes_in, plain_text
from django_ms_identity.jsonnet.worker_process import MAX_OUTPUT
from tests.support.web_hooks import make_hook

PARSES = make_hook(id="crm", response={"parse": True})
CHECKS = make_hook(id="crm")


def answered(body: object, *, status: int = 200, hook=PARSES) -> WebHookChanges:
    return changes_in(hook, status, body if isinstance(body, bytes) else json.dumps(body).encode())


def refusal(*texts: object) -> dict[str, object]:
    return {
        "messages": [
            {"instance_ptr": "#/traits/email", "messages": [{"id": 1, "text": text} for text in texts]}
        ]
    }


# Without parse


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_web_hook_answer_that_is_not_parsed_changes_nothing(status):
    assert answered({"identity": {"traits": {"a": 1}}}, status=status, hook=CHECKS) == WebHookChanges()


@pytest.mark.parametrize("status", [300, 302, 399, 400, 403, 404, 500, 599])
def test_web_hook_status_of_300_or_more_is_a_failure(status):
    with pytest.raises(WebHookFailed, match=f"web hook crm answered with status {status}") as failed:
        answered(refusal("planted"), status=status, hook=CHECKS)

    assert (failed.value.code, failed.value.status) == ("web_hook_failed", 502)
    assert "planted" not in repr(vars(failed.value))


# Changes


@pytest.mark.parametrize("name", ["traits", "metadata_public", "metadata_admin"])
@pytest.mark.parametrize("value", [{"a": "\0"}, {"\0": 1}, {"a": [{"b": "planted\0"}]}], ids=repr)
def test_web_hook_answer_with_nul_is_a_failure(name, value):
    with pytest.raises(WebHookFailed, match=f"NUL character in identity.{name}") as failed:
        answered({"identity": {name: value}})

    assert "planted" not in repr(vars(failed.value))


def test_web_hook_answer_larger_than_mapper_output_is_a_failure():
    answered({"identity": {"traits": {"a": "x" * (MAX_OUTPUT - 100)}}})

    with pytest.raises(WebHookFailed, match="larger than"):
        answered({"identity": {"traits": {"a": "x" * MAX_OUTPUT}}})


@pytest.mark.parametrize(
    ("identity", "changes"),
    [
        ({"traits": {"a": 1}}, WebHookChanges(traits={"a": 1})),
        ({"metadata_public": {"a": 1}}, WebHookChanges(metadata_public={"a": 1})),
        ({"metadata_admin": {}}, WebHookChanges(metadata_admin={})),
        ({"traits": None, "metadata_public": {"a": None}}, WebHookChanges(metadata_public={"a": None})),
        ({"unknown": 1}, WebHookChanges()),
        ({}, WebHookChanges()),
    ],
)
def test_web_hook_answer_replaces_whole_fields(identity, changes):
    assert answered({"identity": identity}) == changes


@pytest.mark.parametrize("status", [201, 204, 299])
def test_web_hook_answer_changes_identity_with_status_200_only(status):
    assert answered({"identity": {"traits": {"a": 1}}}, status=status) == WebHookChanges()


@pytest.mark.parametrize("body", [{}, {"identity": None}, {"other": 1}])
def test_web_hook_answer_without_identity_changes_nothing(body):
    assert answered(body) == WebHookChanges()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"planted", id="no JSON"),
        pytest.param(b"\xffplanted", id="no text"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"identity": {"traits": {"planted": NaN}}}', id="not a number"),
        pytest.param(b'{"identity": {"traits": {"planted": 1e999}}}', id="infinite"),
        pytest.param(b'{"identity": {"traits": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}}", id="nested"),
        pytest.param(b'{"identity": "planted"}', id="identity a text"),
        pytest.param(b'{"identity": {"traits": "planted"}}', id="traits a text"),
        pytest.param(b'{"identity": {"metadata_public": ["planted"]}}', id="metadata a list"),
        pytest.param(b'{"identity": {"traits": {}, "metadata_admin": false}}', id="metadata false"),
    ],
)
def test_unreadable_web_hook_answer_is_a_failure_that_does_not_quote_it(body):
    with pytest.raises(WebHookFailed, match="the answer of web hook crm") as failed:
        answered(body)

    assert "planted" not in repr(vars(failed.value))
    assert failed.value.__context__ is None


@pytest.mark.parametrize(
    "key",
    ["schema_id", "state", "verifiable_addresses", "verified_addresses", "recovery_addresses", "external_id"],
)
def test_what_a_web_hook_cannot_vouch_for_is_ignored_with_a_warning(key, caplog):
    changes = answered({"identity": {key: "planted", "traits": {"a": 1}}})

    assert changes == WebHookChanges(traits={"a": 1})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert key in record.getMessage()
    assert "planted" not in record.getMessage()


def test_web_hook_changes_repr_shows_no_values():
    assert "planted" not in repr(
        WebHookChanges(traits={"planted": 1}, metadata_public={"planted": 1}, metadata_admin={"planted": 1})
    )


# Refusals


@pytest.mark.parametrize("status", [400, 403, 500])
def test_web_hook_refusal_carries_messages_for_the_visitor(status):
    with pytest.raises(WebHookRefused) as refused:
        answered(refusal("Too young.", "Ask your parents."), status=status)

    assert refused.value.messages == ("Too young.", "Ask your parents.")
    assert (refused.value.code, refused.value.status) == ("web_hook_refused", 403)
    assert str(refused.value) == f"web hook crm refused with status {status}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"planted",
        b"[]",
        b'{"messages": []}',
        b'{"messages": {"planted": 1}}',
        b'{"messages": ["planted"]}',
        b'{"messages": [{"messages": "planted"}]}',
        b'{"messages": [{"messages": ["planted"]}]}',
        b'{"messages": [{"messages": [{"text": 1}]}]}',
        b'{"messages": [{"messages": [{"text": " \\u0007"}]}]}',
    ],
)
def test_web_hook_refusal_without_messages_is_a_failure(body):
    with pytest.raises(WebHookFailed, match="answered with status 403") as failed:
        answered(body, status=403)

    assert "planted" not in repr(vars(failed.value))


def test_web_hook_refusal_shows_five_messages_at_most():
    with pytest.raises(WebHookRefused) as refused:
        answered(refusal(*map(str, range(9))), status=400)

    assert refused.value.messages == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("  a \r\n\t b\u2028c ", "a b c", id="lines"),
        pytest.param("a\x00\x07\x1b[31mb", "a[31mb", id="controls"),
        pytest.param("a\u202eb\u2066c\u200bd\ufeffe", "abcde", id="direction and hidden"),
        pytest.param("a\ue000\ud800b", "ab", id="private and surrogates"),
        pytest.param("\u0646\u0645\u06cc\u200c\u062e", "\u0646\u0645\u06cc\u200c\u062e", id="joiners"),
        pytest.param("x" * 200, "x" * 200, id="long"),
        pytest.param("x" * 201, "x" * 199 + "…", id="too long"),
        pytest.param("x" * 10**6, "x" * 199 + "…", id="far too long"),
    ],
)
def test_web_hook_message_becomes_one_plain_line(text, shown):
    assert plain_text(text) == shown


@given(st.text())
def test_web_hook_message_cannot_move_hide_or_turn_text(text):
    line = plain_text(text)

    assert type(line) is str
    assert len(line) <= MAX_MESSAGE
    assert not [c for c in line if unicodedata.category(c)[0] == "C" and c not in "\u200c\u200d"]
    assert len(line.splitlines()) <= 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["identity", "traits", "metadata_public", "messages", "text"]), inner, max_size=4
        )
    ),
)


@given(
    st.binary() | JUNK.map(lambda junk: json.dumps(junk).encode()), st.sampled_from([200, 204, 302, 400, 500])
)
def test_any_web_hook_answer_is_changes_or_a_web_hook_error(body, status):
    with suppress(WebHookFailed, WebHookRefused):
        assert isinstance(changes_in(PARSES, status, body), WebHookChanges)
