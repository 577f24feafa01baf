"""The configuration of a web hook: Kratos' keys, every fault, no secret repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.conf.reader import DictReader
from django_ms_identity.conf.web_hook_settings import KEYS, ResponseUse, parse_web_hook
from tests.support.web_hooks import URL, faults_of, make_hook, template


def faults(**config: object) -> list[str]:
    return [str(fault) for fault in faults_of({"url": URL, "method": "POST"} | config)]


def test_kratos_web_hook_is_read_unchanged():
    body = template("function(ctx) {}")
    hook = make_hook(
        id="crm",
        url="https://hook.example.com/identities?key=1",
        method="PUT",
        headers={"X-Name": "value"},
        body=body,
        response={"ignore": False, "parse": True},
        auth={"type": "api_key", "config": {"name": "X-API-Key", "value": "secret", "in": "header"}},
    )

    assert (hook.id, hook.url, hook.method, hook.body) == (
        "crm",
        "https://hook.example.com/identities?key=1",
        "PUT",
        body,
    )
    assert hook.response is ResponseUse.PARSE
    assert hook.allow_private is False
    assert dict(hook.headers) == {
        "X-Name": "value",
        "X-API-Key": "secret",
        "User-Agent": "django-ms-identity",
        "Content-Type": "application/json",
    }
    assert hash(hook) == hash(hook)


def test_web_hook_needs_only_url_and_method():
    hook = make_hook()

    assert hook.response is ResponseUse.CHECK
    assert dict(hook.headers) == {"User-Agent": "django-ms-identity"}
    assert hook.name == "web hook hook.example.com"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"url": None}, "url is missing."),
        ({"method": None}, "method is missing."),
        ({"method": 1}, "method must be text, not int."),
        ({"method": "TRACE"}, "method cannot be 'TRACE'."),
        ({"allow_private": 1}, "allow_private must be True or False, not int."),
        ({"id": "a\nb"}, "id holds line breaks"),
        ({"headers": "x"}, "headers must be a dict"),
        ({"headers": {1: "x"}}, "headers must be a dict"),
        ({"headers": {"X": 1}}, "headers.X must be text, not int."),
        ({"response": True}, "response must be a dict"),
        ({"response": {"parse": "yes"}}, "response.parse must be True"),
        ({"body": "./body.jsonnet"}, "body has no scheme"),
        ({"body": "http://127.0.0.1/b"}, "body uses http://"),
        ({"auth": {"config": {}}}, "auth.type is missing."),
        ({"auth": {"type": "oauth"}}, "auth.type is not a kind"),
    ],
)
def test_web_hook_fault_is_named_once_with_its_path(config, problem):
    (fault,) = faults(**config)

    assert fault.startswith(f"HOOK.{problem}")


BASIC = {"user": "u", "password": "p"}
API_KEY = {"name": "n", "value": "v", "in": "header"}


@pytest.mark.parametrize(
    ("config", "where", "near"),
    [
        ({"ulr": URL}, "ulr", "url"),
        ({"response": {"ingore": True}}, "response.ingore", "ignore"),
        ({"auth": {"type": "basic_auth", "typ": "", "config": BASIC}}, "auth.typ", "type"),
        ({"auth": {"type": "basic_auth", "config": BASIC | {"usr": ""}}}, "auth.config.usr", "user"),
        ({"auth": {"type": "api_key", "config": API_KEY | {"nme": ""}}}, "auth.config.nme", "name"),
    ],
)
def test_unknown_web_hook_key_is_a_fault_that_names_the_nearest(config, where, near):
    (fault,) = faults_of({"url": URL, "method": "POST"} | config)

    assert (fault.path, fault.hint) == (f"HOOK.{where}", f"Did you mean {near!r}?")


# Where to


@pytest.mark.parametrize(
    "url",
    [
        "https://hook.example.com",
        "https://hook.example.com:8443/a/b?c=d&e=%C3%A9",
        "https://xn--bcher-kva.example/",
        "https://web_hook/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "HTTPS://HOOK.EXAMPLE.COM/",
    ],
)
def test_public_web_hook_url_is_accepted(url):
    assert faults(url=url) == []


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("hook.example.com", id="no scheme"),
        pytest.param("//hook.example.com/", id="no scheme but slashes"),
        pytest.param("ftp://hook.example.com/", id="another scheme"),
        pytest.param("https:///path", id="no host"),
        pytest.param("https://hook.example.com:0/", id="port 0"),
        pytest.param("https://hook.example.com:99999/", id="port too high"),
        pytest.param("https://hook.example.com:x/", id="port no number"),
        pytest.param("https://[::1/", id="bracket open"),
        pytest.param("https://[2606:4700::1111%25lo]/", id="zone"),
        pytest.param("https://hook.example.com/\r\nX: y", id="line break"),
        pytest.param("https://hook.example.com/a b", id="space"),
        pytest.param("https://hook.example.com/a\tb", id="tab"),
        pytest.param("https://hook.example.com\\@127.0.0.1/", id="backslash"),
        pytest.param("https://bücher.example/", id="host beyond ASCII"),
        pytest.param("https://hook.example.com/ü", id="path beyond ASCII"),
        pytest.param("https://hook.example.com/#fragment", id="fragment"),
        pytest.param("https://user:planted@hook.example.com/", id="password"),
        pytest.param("https://@hook.example.com/", id="empty user"),
        pytest.param("https://hook.example.com./", id="trailing dot"),
        pytest.param("https://hook..example.com/", id="empty label"),
        pytest.param("https://2130706433/", id="decimal"),
        pytest.param("https://0177.0.0.1/", id="octal"),
        pytest.param("https://0x7f.0.0.1/", id="hexadecimal"),
        pytest.param("https://0x7f000001/", id="hexadecimal whole"),
        pytest.param("https://127.1/", id="short"),
        pytest.param("https://1.1.1/", id="short and public"),
        pytest.param("https://%31%32%37.0.0.1/", id="encoded"),
        pytest.param("https://127.0.0.1/", id="this machine"),
        pytest.param("https://localhost/", id="this machine by name"),
        pytest.param("https://10.0.0.1/", id="private"),
        pytest.param("https://169.254.169.254/latest/", id="metadata"),
        pytest.param("https://[::1]/", id="this machine, version 6"),
        pytest.param("https://[::]/", id="any address"),
        pytest.param("https://[::ffff:127.0.0.1]/", id="mapped"),
        pytest.param("https://[fd00:ec2::254]/", id="metadata, version 6"),
        pytest.param("http://hook.example.com/", id="http"),
        pytest.param("http://127.0.0.1/", id="http to this machine"),
    ],
)
def test_other_web_hook_url_is_refused_without_repeating_it(url):
    (fault,) = faults_of({"url": url, "method": "POST"})

    assert fault.path == "HOOK.url"
    assert url not in f"{fault} {fault.hint}"
    assert "planted" not in f"{fault} {fault.hint}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_web_hook_by_http_is_for_this_machine_in_debug(host):
    config = {"url": f"http://{host}:8000/", "method": "POST", "allow_private": True}

    assert faults_of(config, allow_http=True) == []
    assert faults_of(config)
    assert faults_of(config | {"url": "http://10.0.0.1/"}, allow_http=True)


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "[fd00::1]"])
def test_web_hook_to_private_address_can_be_allowed(host):
    assert faults(url=f"https://{host}/", allow_private=True) == []


# What is sent along


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"host": "x"},
        {"Content-Length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Accept-Encoding": "gzip"},
        {"Cookie": "planted"},
        {"Ory-Webhook-Request-ID": "x"},
        {"X-Name": "planted\r\nX-Other: y"},
        {"X-Name": "planted\nX-Other: y"},
        {"X-Name": "planted\0"},
        {"X-Name": "plantedé"},
        {"X-Name:": "x"},
        {"X Name": "x"},
        {"X-Name\r\n": "x"},
        {"": "x"},
        {"Content-Type": "text/plain"},
        {"X-Name": "x", "x-name": "planted"},
    ],
)
def test_web_hook_header_that_could_break_the_request_is_a_fault(headers):
    (fault,) = faults(headers=headers)

    assert fault.startswith("HOOK.headers")
    assert "planted" not in fault


def test_configured_web_hook_header_replaces_the_default():
    hook = make_hook(
        headers={"user-agent": "mine", "content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=template("function(ctx) {}"),
    )

    assert [name for name, _ in hook.headers] == ["user-agent", "content-type"]
    assert hook.sends_form
    assert not make_hook().sends_form


def auth(kind: str, **config: object) -> dict[str, object]:
    return {"type": kind, "config": config}


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (
            auth("basic_auth", user="Aladdin", password="open sesame"),
            ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        (auth("basic_auth", user="ü", password="p:q"), ("Authorization", "Basic w7w6cDpx")),
        (auth("api_key", name="X-Key", value="a b", **{"in": "header"}), ("X-Key", "a b")),
        (auth("api_key", name="key", value="abc", **{"in": "cookie"}), ("Cookie", "key=abc")),
    ],
)
def test_web_hook_auth_becomes_a_header(given, header):
    assert header in make_hook(auth=given).headers


@pytest.mark.parametrize(
    "given",
    [
        auth("basic_auth", user="planted"),
        auth("basic_auth", password="planted"),
        auth("basic_auth", user="plan:ted", password="planted"),
        auth("basic_auth", user="planted", password="planted\r" + "x"),
        auth("basic_auth", user="planted", password="planted\ud800"),
        auth("api_key", name="Host", value="planted", **{"in": "header"}),
        auth("api_key", name="Cookie", value="planted", **{"in": "header"}),
        auth("api_key", name="X Key", value="planted", **{"in": "header"}),
        auth("api_key", name="X-Key", value="planted\r\nx", **{"in": "header"}),
        auth("api_key", name="X-Key", value="planted", **{"in": "query"}),
        auth("api_key", name="X-Key", value="planted"),
        auth("api_key", name="k;x", value="planted", **{"in": "cookie"}),
        auth("api_key", name="key", value="planted; other=1", **{"in": "cookie"}),
        auth("api_key", name="key", value='plan"ted', **{"in": "cookie"}),
        auth("api_key", name="key", value="plan,ted", **{"in": "cookie"}),
        auth("api_key", name="key", value="plan\\ted", **{"in": "cookie"}),
        auth("api_key", value="planted", **{"in": "header"}),
        auth("api_key", name="X-Key", **{"in": "header"}),
        auth("api_key", name="authorization", value="x", **{"in": "header"}) | {"config": 1},
    ],
)
def test_web_hook_auth_that_cannot_be_sent_is_a_fault_without_it(given):
    found = faults(auth=given)

    assert found
    assert all(fault.startswith("HOOK.auth") for fault in found)
    assert "planted" not in "".join(found)


def test_web_hook_with_two_kinds_of_auth_is_a_fault():
    (fault,) = faults(headers={"authorization": "x"}, auth=auth("basic_auth", user="u", password="p"))

    assert "'authorization' more than once" in fault


# The answer


@pytest.mark.parametrize(
    ("config", "use"),
    [
        ({"response": {}}, ResponseUse.CHECK),
        ({"response": {"ignore": True}}, ResponseUse.IGNORE),
        ({"response": {"parse": True}}, ResponseUse.PARSE),
        ({"can_interrupt": True}, ResponseUse.PARSE),
        ({"can_interrupt": False}, ResponseUse.CHECK),
        ({"response": {"ignore": True}, "can_interrupt": False}, ResponseUse.IGNORE),
    ],
)
def test_web_hook_response_use(config, use):
    assert make_hook(**config).response is use


@pytest.mark.parametrize(
    "config",
    [{"response": {"ignore": True, "parse": True}}, {"response": {"ignore": True}, "can_interrupt": True}],
)
def test_web_hook_response_is_not_both_ignored_and_parsed(config):
    assert faults(**config) == ["HOOK.response cannot be both ignored and parsed."]


def test_kratos_web_hook_key_without_use_is_a_warning():
    config = {"url": URL, "method": "POST", "can_interrupt": True, "emit_analytics_event": False}
    read = DictReader(config, path="HOOK")

    assert parse_web_hook(read)
    assert [warning.path for warning in read.warnings] == ["HOOK.can_interrupt", "HOOK.emit_analytics_event"]


# Secrets and hostile input


def test_web_hook_repr_shows_no_secrets():
    hook = make_hook(
        url="https://hook.example.com/planted?key=planted",
        headers={"X-Name": "planted"},
        body=template("function(ctx) {planted: 1}"),
        auth=auth("basic_auth", user="planted", password="planted"),
    )

    shown = f"{hook} {hook!r} {hook.name}"
    assert "planted" not in shown
    assert "base64" not in shown
    assert "Basic" not in shown


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([URL, "POST", "api_key", "basic_auth"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*KEYS, "type", "config", "name", "value", "in", "user", "password", "parse"])
            | st.text(max_size=8),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(JUNK)
def test_any_web_hook_config_is_a_hook_or_faults(config):
    faults_of(config)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JUNK)))
def test_any_value_of_a_web_hook_key_is_a_hook_or_faults(config):
    faults_of({"url": URL, "method": "POST"} | config)
