"""What is fuzzed: for each door, what comes in, and what must be true of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import responses
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import override_settings
from hypothesis import strategies as st

from django_ms_identity import conf
from django_ms_identity.conf.provider_settings import parse_provider
from django_ms_identity.conf.reader import DictReader
from django_ms_identity.crypto import Keyring
from django_ms_identity.exceptions import MSIdentityError
from django_ms_identity.flows.flow_cookies import FlowCookies
from django_ms_identity.importers import kratos
from django_ms_identity.net.remote_documents import RemoteDocuments
from django_ms_identity.testing.emulator import Emulator
from django_ms_identity.traits.schema import parse_schema
from tests.entra import forge
from tests.journeys.steps import asked, code_of, pick, press
from tests.journeys.test_hostile import COOKIES, FLOW, JSON, PARAMETERS, STATE, TEXT
from tests.support.builders import MICROSOFT, make_mapper, make_schema, make_settings
from tests.support.web import Browser

LANDINGS = ("/home/", "/ms/complete/", "/ms/confirm-link/", "/ms/connections/", "/accounts/login/")
PENDING = "ms_identity_pending_token"
MICROSOFTS = "https://login.microsoftonline.com/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One door: ``check`` is called with what ``begin`` prepared and with one value per strategy."""

    name: str
    check: Callable[..., None]
    inputs: Mapping[str, st.SearchStrategy[Any]]
    begin: Callable[[], AbstractContextManager[Any]] = nullcontext
    known: tuple[Mapping[str, object], ...] = ()
    """What broke such doors elsewhere: tried first. Keep it short; a fault that was mended has a test."""
    examples: int = 20
    """How many in one round; what neither renders a page nor runs a mapper can take more."""


def assert_ours(response: HttpResponse, *landings: str) -> None:
    """Hold that this is one of our pages, a refusal of ours, or a redirect that we mean."""
    assert response.status_code < 500 or code_of(response), response.status_code
    location = response.headers.get("Location", "")
    if response.status_code in (301, 302, 303):
        expected = (*LANDINGS, MICROSOFTS, *landings)
        assert location.startswith(expected), location
    if code_of(response) or response.status_code == 200:
        assert "no-store" in response.headers["Cache-Control"]
        assert response.headers["X-Frame-Options"] == "DENY"


def refused(work: Callable[[], object]) -> object:
    """Return what came out, or nothing where it was one of our refusals."""
    with suppress(MSIdentityError):
        return work()
    return None


def header(text: str) -> str:
    return re.sub(r"[\r\n\0]", "", text).encode("utf-8", "replace").decode("latin-1")


# The callback


def check_callback(_: object, parameters: list[tuple[str, str]], cookies: list[str]) -> None:
    browser = Browser()
    state = asked(press(browser).headers["Location"])["state"]
    ((name, cookie),) = browser.cookies.items()
    pairs = urlencode([(key, value.replace(STATE, state)) for key, value in parameters], errors="replace")
    sent = header("; ".join(cookies).replace(FLOW, f"{name}={cookie.value}"))
    with Emulator():
        response = browser.get(f"/ms/callback/microsoft/?{pairs}", headers={"Cookie": sent})
    assert_ours(response)
    assert not get_user_model().objects.exists()


def check_posted_callback(_: object, body: bytes, content_type: str) -> None:
    with override_settings(MS_IDENTITY=make_settings({"response_mode": "form_post"})):
        browser = Browser()
        state = asked(browser.get("/ms/start/microsoft/", secure=True).headers["Location"])["state"]
        filled = body.replace(b"STATE", state.encode())
        response = browser.generic("POST", "/ms/callback/microsoft/", filled, content_type, secure=True)
    assert_ours(response, "/ms/callback/microsoft/?state=")


CONTENT_TYPES = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-16",
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "application/json",
        "",
    ]
) | TEXT.map(header)


# The flow's cookie


def check_flow_cookie(emulator: Emulator, at: int, put: str, cut: int) -> None:
    browser = Browser()
    callback = pick(browser, emulator)
    ((name, cookie),) = browser.cookies.items()
    genuine = cookie.value
    at %= len(genuine) + 1
    spoiled = header(genuine[:at] + put + genuine[at + cut :])
    response = Browser().get(
        callback.url.removeprefix("http://testserver"), headers={"Cookie": f"{name}={spoiled}"}
    )
    assert_ours(response)
    signed_in = response.headers.get("Location") == "/home/"
    assert not signed_in or spoiled.strip(" \t").partition(";")[0].strip(" \t") == genuine


def check_flow(_: object, cookies: str, state: str) -> None:
    keyring = Keyring(["secret"])
    for secure in (True, False):
        how = {"provider": "microsoft", "secure": secure, "keyring": keyring}
        assert refused(lambda how=how: FlowCookies(state=state, **how).load_request(cookies, now=0.0)) is None
        FlowCookies(state="S" * 22, **how).names_to_evict(cookies, room_for=800)


# Tokens and claims

REGISTERED = st.sampled_from(
    [
        *("aud", "iss", "exp", "iat", "nbf", "nonce", "sub", "tid", "ver", "oid", "acct", "idp", "azp"),
        *("sid", "email", "email_verified", "name", "given_name", "preferred_username", "locale"),
        *("amr", "acrs", "auth_time", "xms_edov", "groups", "roles", "login_hint", "_claim_names"),
    ]
)
CLAIMS = st.dictionaries(REGISTERED | TEXT, JSON.filter(lambda value: value == value), min_size=1, max_size=4)


@contextmanager
def microsofts_keys() -> Iterator[RemoteDocuments]:
    """Serve Microsoft's keys; without them every token is refused before anything of it is looked at."""
    with responses.RequestsMock() as wire:
        wire.get(forge.KEYS_URL, body=forge.key_set(forge.jwk()))
        copies = forge.documents()
        assert forge.verify(forge.token(), copies=copies).tid == forge.TID
        yield copies


def check_token(copies: RemoteDocuments, raw: str) -> None:
    assert refused(lambda: forge.verify(raw, copies=copies)) is None


def check_signed_token(copies: RemoteDocuments, header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Microsoft's own key under anything."""
    raw = forge.token(forge.payload(**claims), header=header)
    read = refused(lambda: forge.verify(raw, copies=copies))
    assert read is None or (read.tid == forge.TID and isinstance(read.sub, str))


def check_claims(_: object, claims: dict[str, Any], provider: dict[str, Any]) -> None:
    with override_settings(MS_IDENTITY=make_settings(provider)), Emulator() as emulator:
        emulator.persona("work", claims=claims)
        assert_ours(emulator.sign_in(Browser()))
        assert_ours(emulator.sign_in(Browser()))


PROVIDERS_OF_CLAIMS = st.sampled_from(
    [
        {},
        {"microsoft_tenant": "common"},
        {"subject_source": "oid", "update_identity_on_login": "automatic"},
        {"account_linking_mode": "automatic", "auto_link_domains": ["contoso.example"]},
        {"aal2_amr_values": ["mfa"]},
    ]
)


# Settings

KEYS = st.sampled_from(
    [
        *MICROSOFT,
        *("mapper_url", "scope", "label", "provider", "subject_source", "requested_claims", "cloud"),
        *("allowed_tenants", "auto_link_domains", "account_linking_mode", "update_identity_on_login"),
        *("aal2_acr_values", "aal2_amr_values", "aal2_auth_contexts", "response_mode", "prompt"),
    ]
)
SETTINGS = st.sampled_from(
    [
        *("PROVIDERS", "HOOKS", "ENABLED", "BASE_REDIRECT_URI", "ALLOWED_RETURN_URLS", "FLOW_LIFESPAN"),
        *("IDENTITY_SCHEMA_URL", "HTTP_TIMEOUT", "MAPPER_TIMEOUT", "EMULATOR_URL", "CREATE_GROUPS"),
        *("REGISTRATION_ENABLED", "PRIVILEGED_SESSION_MAX_AGE"),
    ]
)


def check_provider(_: object, changes: dict[str, Any]) -> None:
    read = DictReader(MICROSOFT | changes)
    parsed = parse_provider(read)
    assert (parsed is None) == bool(read.faults)
    assert MICROSOFT["client_secret"] not in f"{parsed!r} {read.faults!r}"


def check_settings(_: object, settings: Any) -> None:
    with override_settings(MS_IDENTITY=settings):
        conf.parse()
        refused(conf.get_config)
        assert_ours(Browser().get("/ms/sign-in/"))


# Where visitors go afterwards


@contextmanager
def signed_in() -> Iterator[Browser]:
    with Emulator() as emulator:
        emulator.sign_in(browser := Browser())
        yield browser


def check_return_to(browser: Browser, url: str) -> None:
    for path in ("/ms/start/microsoft/", "/ms/step-up/"):
        # ``need=aal2`` of who has no second factor is a page of ours; the start leads straight on.
        response = browser.get(f"{path}?{urlencode({'next': url, 'need': 'aal2'}, errors='replace')}")
        location = response.headers.get("Location", "/")
        # As browsers read it (WHATWG URL): no controls, and a backslash is a slash.
        read = re.sub(r"[\0-\x20]", "", location).replace("\\", "/")
        if not read.startswith(MICROSOFTS):
            assert urlsplit(read).netloc in ("", "testserver"), location
            assert urlsplit(read).scheme in ("", "http", "https"), location
        assert "\n" not in location


RETURN_TO = st.one_of(
    TEXT,
    st.lists(
        st.sampled_from(
            [
                *(
                    "/",
                    "\\",
                    "//",
                    ":",
                    "@",
                    "%2f",
                    "%5c",
                    "\t",
                    "\n",
                    "https:",
                    "javascript:",
                    "evil.example",
                ),
                *("testserver", "home", "?", "#", ".", "\u2028", "\uff0f", "[", "]", "\ud800", " "),
            ]
        ),
        max_size=8,
    ).map("".join),
)


# Pages of a step


@contextmanager
def completing() -> Iterator[tuple[Browser, str]]:
    traits = {
        "age": {"type": "integer", "minimum": 18},
        "born": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "level": {"enum": ["a", 1, None]},
        "mail": {"type": "string", "format": "email"},
        "site": {"type": "string", "format": "uri"},
        "size": {"type": "number", "multipleOf": 0.5},
    }
    provider = {"mapper_url": make_mapper("{identity: {traits: {}}}")}
    schema = make_schema(traits, required=sorted(traits))
    settings = make_settings(provider, IDENTITY_SCHEMA_URL=schema)
    with override_settings(MS_IDENTITY=settings), Emulator() as emulator:
        pick(browser := Browser(), emulator).send(browser)
        shown = browser.get("/ms/complete/")
        yield browser, shown.context["ticket"]


TYPED = st.one_of(
    TEXT, st.integers().map(str), st.floats().map(str), st.sampled_from(["2024-02-30", "x@y", "on"])
)
FIELDS = st.sampled_from(
    [f"trait-{number}" for number in range(8)] + ["ticket", "trait-", "csrfmiddlewaretoken"]
)


def check_complete(step: tuple[Browser, str], typed: list[tuple[str, str]], ticketed: bool) -> None:
    browser, ticket = step
    kept = dict(browser.cookies)
    pairs = [("ticket", ticket)] * ticketed + typed
    body = urlencode(pairs, errors="replace")
    response = browser.post("/ms/complete/", body, content_type="application/x-www-form-urlencoded")
    assert_ours(response)
    browser.cookies.clear()
    browser.cookies.update(kept)


@contextmanager
def confirming() -> Iterator[tuple[Browser, str]]:
    get_user_model().objects.create_user("local", "ines.okafor@contoso.example", "pw")
    with Emulator() as emulator:
        pick(browser := Browser(), emulator).send(browser)
        assert browser.login(username="local", password="pw")
        yield browser, browser.get("/ms/confirm-link/").context["ticket"]


def check_confirm(step: tuple[Browser, str], ticket: str, cookie: str | None) -> None:
    browser, _ = step
    session = browser.cookies["sessionid"].value
    if cookie is None:
        cookie = browser.cookies[PENDING].value
    sent = header(f"sessionid={session}; {PENDING}={cookie}")
    body = urlencode({"ticket": ticket}, errors="replace")
    for page in ("/ms/confirm-link/", "/ms/complete/"):
        response = Browser().post(
            page, body, content_type="application/x-www-form-urlencoded", headers={"Cookie": sent}
        )
        assert_ours(response)
    assert get_user_model().objects.filter(ms_identity=None).count() == 1


# Connected accounts, proving oneself anew


def check_connections(browser: Browser, number: str, provider: str, resume: str) -> None:
    safe = quote(provider.encode("utf-8", "replace"), safe="")
    for method, path in (
        ("POST", f"/ms/connections/{quote(number.encode('utf-8', 'replace'), safe='')}/unlink/"),
        ("POST", f"/ms/connections/{safe}/link/"),
        ("GET", f"/ms/connections/?{urlencode({'resume': resume}, errors='replace')}"),
    ):
        response = browser.generic(method, path)
        assert response.status_code == 404 or assert_ours(response) is None
    assert get_user_model().objects.get().ms_identity.credentials.count() == 1


def check_step_up(browser: Browser, parameters: list[tuple[str, str]]) -> None:
    response = browser.get(f"/ms/step-up/?{urlencode(parameters, errors='replace')}")
    assert response.status_code == 404 or assert_ours(response) is None


# Documents

SCHEMA_WORDS = st.sampled_from(
    [
        *("$ref", "$id", "$schema", "$defs", "definitions", "type", "properties", "traits", "items", "enum"),
        *("const", "required", "pattern", "format", "minLength", "maximum", "multipleOf", "allOf", "anyOf"),
        *("oneOf", "not", "if", "then", "else", "dependencies", "additionalProperties", "default", "title"),
        *("ory.sh/kratos", "credentials", "verification", "via", "identifier", "email", "string", "object"),
        *("#", "#/properties/traits", "http://json-schema.org/draft-07/schema#", "date", "(", "^a+$"),
    ]
)
SCHEMAS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), SCHEMA_WORDS, TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(SCHEMA_WORDS | TEXT, inner, max_size=5)
    ),
    max_leaves=20,
)


def check_schema(_: object, traits_schema: Any, root: dict[str, Any], traits: dict[str, Any]) -> None:
    document = {"type": "object", "properties": {"traits": traits_schema}, **root}
    # Its cache would grow with every example.
    schema = refused(lambda: parse_schema.__wrapped__(json.dumps(document)))
    if schema is None:
        return
    problems = refused(lambda: schema.problems(traits))
    paths = [problem.path for problem in problems or ()]
    refused(lambda: schema.fields(paths))
    schema.addresses(traits)


def check_schema_text(_: object, text: str) -> None:
    assert refused(lambda: parse_schema.__wrapped__(text)) is None


KRATOS_WORDS = st.sampled_from(
    [
        *("id", "state", "traits", "metadata_public", "metadata_admin", "verifiable_addresses", "via"),
        *("value", "verified", "verified_at", "status", "credentials", "oidc", "config", "providers"),
        *("provider", "subject", "identifiers", "identities", "created_at", "use_auto_link", "active"),
        *("9f425a8d-7efc-4768-8f23-7647a74fdf13", "2024-01-01T00:00:00Z", "microsoft:x", "email"),
    ]
)
EXPORTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), KRATOS_WORDS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KRATOS_WORDS, inner, max_size=8)),
    max_leaves=25,
)


def check_export(_: object, text: str) -> None:
    try:
        assert kratos.count(text) == len(list(kratos.read(text)))
    except kratos.ExportUnreadable:
        return


TARGETS = (
    Target(
        name="callback",
        check=check_callback,
        inputs={"parameters": PARAMETERS, "cookies": COOKIES},
        known=(
            {"parameters": [("state", STATE), ("code", "x"), ("error", "access_denied")], "cookies": [FLOW]},
            {"parameters": [("state", "x"), ("state", STATE), ("code", "x")], "cookies": [FLOW]},
            {"parameters": [("state", STATE), ("code", "\ud800\0")], "cookies": [FLOW, FLOW]},
            {
                "parameters": [("state", STATE), ("error", "\r\nSet-Cookie: a=b")],
                "cookies": ["$Version=1", FLOW],
            },
        ),
    ),
    Target(
        name="posted callback",
        check=check_posted_callback,
        inputs={
            "body": st.binary(max_size=200)
            | PARAMETERS.map(lambda pairs: urlencode(pairs, errors="replace").encode()),
            "content_type": CONTENT_TYPES,
        },
        known=(
            {
                "body": b"state=STATE&code=x",
                "content_type": "application/x-www-form-urlencoded; charset=no-such",
            },
            {"body": b"state=STATE&code=%ff%fe", "content_type": "application/x-www-form-urlencoded"},
            {
                "body": b"state=STATE&code=x" + b"&a" * 2000,
                "content_type": "application/x-www-form-urlencoded",
            },
            {
                "body": b"--b\r\nContent-Disposition: form-data\r\n",
                "content_type": "multipart/form-data; boundary=b",
            },
        ),
    ),
    Target(
        name="flow cookie at the callback",
        check=check_flow_cookie,
        inputs={"at": st.integers(0, 2000), "put": TEXT, "cut": st.integers(0, 2000)},
        begin=Emulator,
        known=(
            # Base64 that is read too kindly: padding, another last letter, white space, the other alphabet.
            {"at": -1, "put": "=", "cut": 0},
            {"at": -2, "put": "B", "cut": 1},
            {"at": -2, "put": "\n", "cut": 0},
            {"at": 40, "put": "+/", "cut": 2},
            {"at": 0, "put": '"', "cut": 0},
            {"at": 100, "put": "", "cut": 2000},
        ),
    ),
    Target(
        name="flow cookies",
        examples=150,
        check=check_flow,
        inputs={
            "cookies": TEXT
            | st.lists(TEXT.map(lambda text: f"ms_identity_flow_{text}"), max_size=5).map("; ".join),
            "state": TEXT,
        },
        known=(
            {"cookies": "ms_identity_flow_=; ms_identity_flow_", "state": ""},
            {"cookies": "__Host-ms_identity_flow_=" + "A" * 5000, "state": ""},
            {"cookies": "ms_identity_flow_x=é; " * 200, "state": "x"},
        ),
    ),
    Target(
        name="token",
        examples=150,
        check=check_token,
        inputs={"raw": TEXT | st.lists(TEXT, max_size=4).map(".".join)},
        begin=microsofts_keys,
        known=(
            {"raw": forge.token(header={"alg": "none"}, sign=forge.unsigned)},
            {"raw": forge.token(header={"alg": "HS256"}, sign=forge.hs256(forge.public_pem()))},
            {"raw": forge.token().rpartition(".")[0] + "."},
            {"raw": forge.b64(b"[" * 90_000).decode() + ".e30."},
            {"raw": forge.b64(b'{"kid": ' + b"9" * 5000 + b"}").decode() + ".e30."},
            {"raw": "W10.W10.W10"},
        ),
    ),
    Target(
        name="signed token",
        examples=150,
        check=check_signed_token,
        inputs={
            "header": st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip", "cty"]),
                JSON.filter(lambda value: value == value),
                max_size=2,
            ),
            "claims": CLAIMS,
        },
        begin=microsofts_keys,
        known=(
            {"header": {"alg": "none"}, "claims": {}},
            {"header": {"jwk": forge.jwk("stranger"), "jku": "https://evil.example/keys"}, "claims": {}},
            {"header": {"crit": ["b64"], "b64": False}, "claims": {}},
            {"header": {}, "claims": {"exp": float("inf")}},
            {"header": {}, "claims": {"exp": 10**400, "iat": -(10**400)}},
            {"header": {}, "claims": {"tid": forge.TID.upper()}},
            {"header": {}, "claims": {"tid": f"{{{forge.TID}}}"}},
            {"header": {}, "claims": {"aud": [forge.CLIENT_ID, "another"]}},
            {"header": {}, "claims": {"sub": "\ud800"}},
        ),
    ),
    Target(
        name="claims",
        check=check_claims,
        inputs={"claims": CLAIMS, "provider": PROVIDERS_OF_CLAIMS},
        known=(
            {"claims": {"email": "\ud800@contoso.example", "name": "\0"}, "provider": {}},
            {"claims": {"email": "ines@contoso.example\n", "preferred_username": ["x"]}, "provider": {}},
            {"claims": {"sub": "x" * 300, "name": "x" * 5000}, "provider": {}},
            {"claims": {"oid": None}, "provider": {"subject_source": "oid"}},
            {"claims": {"_claim_names": {"groups": "src1"}, "xms_edov": "1"}, "provider": {}},
            {"claims": {"amr": "mfa"}, "provider": {"aal2_amr_values": ["mfa"]}},
        ),
    ),
    Target(
        name="provider",
        examples=150,
        check=check_provider,
        inputs={"changes": st.dictionaries(KEYS | TEXT, JSON, max_size=5)},
        known=(
            {"changes": {"id": "../microsoft"}},
            {"changes": {"client_secret": None, "client_id": ["x"]}},
            {"changes": {"microsoft_tenant": "common\n"}},
            {"changes": {"microsoft_tenant": "\ud800.example", "label": "\ud800"}},
            {"changes": {"mapper_url": "http://[::1"}},
            {"changes": {"mapper_url": "base64://%%%"}},
            {"changes": {"scope": "openid", "allowed_tenants": "x", "auto_link_domains": [None]}},
            {"changes": {"requested_claims": {"id_token": [{}]}}},
        ),
    ),
    Target(
        name="settings",
        check=check_settings,
        inputs={"settings": JSON | st.dictionaries(SETTINGS, JSON | st.lists(st.dictionaries(KEYS, JSON)))},
    ),
    Target(
        name="return_to",
        check=check_return_to,
        inputs={"url": RETURN_TO},
        begin=signed_in,
        known=tuple(
            {"url": url}
            for url in (
                "//evil.example",
                "///evil.example",
                "/\\evil.example",
                "\thttps://evil.example",
                "/\t/evil.example",
                "https:evil.example",
                "http:///evil.example",
                "https://testserver@evil.example/",
                "https://testserver\\@evil.example/",
                "https://[testserver",
                "javascript:alert(1)//testserver",
                "/home/\r\nSet-Cookie: a=b",
                "\ud800",
            )
        ),
    ),
    Target(
        name="complete",
        check=check_complete,
        inputs={
            "typed": st.lists(st.tuples(FIELDS | TEXT, TYPED), max_size=9),
            "ticketed": st.sampled_from([True, True, True, False]),
        },
        begin=completing,
    ),
    Target(
        name="confirm-link",
        check=check_confirm,
        inputs={"ticket": TEXT, "cookie": st.none() | TEXT},
        begin=confirming,
    ),
    Target(
        name="connections",
        check=check_connections,
        inputs={
            "number": st.one_of(TEXT, st.integers(min_value=10**6).map(str), st.just("9" * 400)),
            "provider": TEXT,
            "resume": TEXT,
        },
        begin=signed_in,
    ),
    Target(
        name="step-up",
        check=check_step_up,
        inputs={
            "parameters": st.lists(
                st.tuples(
                    st.sampled_from(["need", "next"]) | TEXT, st.sampled_from(["aal2", "recent"]) | RETURN_TO
                ),
                max_size=4,
            )
        },
        begin=signed_in,
    ),
    Target(
        name="identity schema",
        examples=150,
        check=check_schema,
        inputs={
            "traits_schema": SCHEMAS,
            "root": st.dictionaries(SCHEMA_WORDS, SCHEMAS, max_size=2),
            "traits": st.dictionaries(SCHEMA_WORDS, JSON, max_size=3),
        },
    ),
    Target(
        name="identity schema as text",
        examples=150,
        check=check_schema_text,
        inputs={"text": TEXT},
        known=({"text": "[" * 100_000}, {"text": "9" * 5000}, {"text": '{"properties": NaN}'}),
    ),
    Target(
        name="Kratos export",
        examples=150,
        check=check_export,
        inputs={
            "text": TEXT
            | EXPORTS.map(json.dumps)
            | st.lists(EXPORTS.map(json.dumps), max_size=3).map("\n".join)
            | st.tuples(EXPORTS.map(json.dumps), st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]])
        },
        known=({"text": "[" * 100_000}, {"text": "[9" + "9" * 5000}, {"text": '{"id": "\\ud800"}'}),
    ),
)
