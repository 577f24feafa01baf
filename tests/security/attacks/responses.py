"""Tampering with what the app requests itself: token, metadata, Graph."""

from __future__ import annotations

import json

from django.http import HttpResponse

from django_ms_identity.testing.emulator import Endpoint
from tests.entra import forge
from tests.security.malicious_provider import Tampering, respond_with, tamper_json
from tests.support.builders import TENANT

from . import wire
from .harness import INVALID, UNAVAILABLE, Case, Group, Harness
from .tokens import CONSUMERS, FABRIKAM, LOGIN, STRANGER

ME = {"subject_source": "me"}
DOMAIN = {"microsoft_tenant": "contoso.example"}
HTML = "<html><script>alert(1)</script>https://evil.example/</html>"


def oauth_error(error: object, description: object = "", **more: object) -> str:
    return json.dumps({"error": error, "error_description": description, **more})


# The token endpoint


def tokens(id: str, sentence: str, code: str, tampering: Tampering) -> Case:
    return Case(id=id, group=Group.TOKEN, sentence=sentence, code=code, tampering=tampering)


def answer(
    id: str, sentence: str, code: str, body: bytes | str = b"", status: int = 200, **headers: str
) -> Case:
    return tokens(id, sentence, code, respond_with(Endpoint.TOKEN, status=status, body=body, headers=headers))


def changed(id: str, sentence: str, code: str, **members: object) -> Case:
    return tokens(id, sentence, code, tamper_json(Endpoint.TOKEN, lambda genuine: genuine | members))


def noisy_client_info(harness: Harness) -> HttpResponse:
    harness.microsoft.tampering = tamper_json(
        Endpoint.TOKEN, lambda members: members | {"client_info": "MQ", "refresh_token": ["x"], "foci": {}}
    )
    return harness.sign_in()


TOKEN = [
    answer("token-not-json", "The answer is not JSON.", INVALID, "planted"),
    answer("token-html", "An HTML page comes with status 200.", INVALID, HTML),
    answer("token-json-list", "The answer is a JSON list.", INVALID, "[]"),
    answer("token-json-null", "The answer is `null`.", INVALID, "null"),
    answer("token-json-deep", "The answer is JSON of a hundred thousand levels.", INVALID, "[" * 100_000),
    answer("token-empty", "The answer is empty.", INVALID),
    answer("token-empty-object", "The answer is an empty object.", INVALID, "{}"),
    answer("token-204", "The answer has status 204.", INVALID, status=204),
    answer("token-not-utf8", "The answer is no text.", INVALID, b"\xff\xfe\x00"),
    tokens(
        "token-no-id-token",
        "There is no ID token in the answer.",
        INVALID,
        tamper_json(Endpoint.TOKEN, lambda members: {"access_token": members["access_token"]}),
    ),
    changed("token-id-token-list", "The ID token is a list.", INVALID, id_token=["a.b.c"]),
    changed("token-id-token-null", "The ID token is null.", INVALID, id_token=None),
    changed("token-id-token-empty", "The ID token is empty.", INVALID, id_token=""),
    changed("token-access-token-object", "The access token is an object.", INVALID, access_token={"a": 1}),
    changed(
        "token-and-error",
        "An error comes together with genuine tokens.",
        UNAVAILABLE,
        error="server_error",
    ),
    answer(
        "token-error-200", "An error comes with status 200.", "code_expired", oauth_error("invalid_grant")
    ),
    answer("token-400", "Status 400 comes without an error.", INVALID, "{}", status=400),
    answer(
        "token-code-used",
        "The code was redeemed before.",
        "code_expired",
        oauth_error("invalid_grant", "AADSTS54005: planted"),
        status=400,
    ),
    answer(
        "token-401",
        "Microsoft does not take the client secret.",
        "client_misconfigured",
        oauth_error("invalid_client", "AADSTS7000215: planted"),
        status=401,
    ),
    answer("token-401-empty", "Status 401 comes without a word.", INVALID, status=401),
    answer("token-429", "The token endpoint answers 429.", UNAVAILABLE, status=429),
    answer("token-500", "The token endpoint answers 500.", UNAVAILABLE, HTML, status=500),
    answer(
        "token-script",
        "The error is a script, and its description too.",
        "microsoft_refused",
        oauth_error("<script>alert(1)</script>", "AADSTS99999: <script>alert(1)</script>"),
        status=400,
    ),
    answer(
        "token-error-object",
        "The error is an object, its description a list.",
        "microsoft_refused",
        oauth_error({"a": 1}, ["x"], error_codes={"a": "b"}),
        status=400,
    ),
    answer(
        "token-error-lines",
        "The error has line breaks, to write lines of its own into the log.",
        "microsoft_refused",
        oauth_error("x\r\nEvil: 1", "AADSTS1\nplanted\n", suberror="x\r\nEvil: 1"),
        status=400,
    ),
    answer(
        "token-redirect",
        "The token endpoint redirects code and client secret to another host.",
        INVALID,
        status=307,
        Location="https://evil.example/token",
    ),
    Case(
        id="token-noise",
        group=Group.TOKEN,
        sentence="What is not needed in the answer has the wrong type.",
        act=noisy_client_info,
        harmless="It is not read, and the visitor is signed in.",
    ),
    *wire.broken_at(Endpoint.TOKEN, f"{LOGIN}/{TENANT}/oauth2/v2.0/token"),
]


# Metadata


def metadata(id: str, sentence: str, code: str, tampering: Tampering) -> Case:
    return Case(
        id=id, group=Group.METADATA, sentence=sentence, code=code, tampering=tampering, provider=DOMAIN
    )


def tamper_metadata(**members: object) -> Tampering:
    return tamper_json(Endpoint.METADATA, lambda genuine: genuine | members)


def endpoints_of_a_stranger(harness: Harness) -> HttpResponse:
    """Name a stranger's endpoints; the test of every case sees that no other host is asked."""
    names = ("token_endpoint", "jwks_uri", "authorization_endpoint", "userinfo_endpoint")
    harness.microsoft.tampering = tamper_metadata(**dict.fromkeys(names, "https://evil.example/"))
    assert harness.press(harness.browser).startswith(f"{LOGIN}/contoso.example/")
    return harness.sign_in()


METADATA = [
    metadata(
        "metadata-other-cloud",
        "The issuer of the domain is of another cloud.",
        INVALID,
        tamper_metadata(issuer=f"https://login.microsoftonline.us/{STRANGER}/v2.0"),
    ),
    metadata(
        "metadata-evil-issuer",
        "The issuer of the domain is a stranger.",
        INVALID,
        tamper_metadata(issuer=f"https://evil.example/{STRANGER}/v2.0"),
    ),
    metadata(
        "metadata-consumers",
        "The domain is said to be that of personal accounts.",
        INVALID,
        tamper_metadata(issuer=forge.issuer(CONSUMERS)),
    ),
    metadata(
        "metadata-template",
        "The domain is said to be everybody's.",
        INVALID,
        tamper_metadata(issuer=forge.issuer("{tenantid}")),
    ),
    metadata("metadata-issuer-list", "The issuer is a list.", INVALID, tamper_metadata(issuer=[1])),
    *(
        metadata(f"metadata-{id}", f"{what} instead.", INVALID, respond_with(Endpoint.METADATA, body=body))
        for id, what, body in (
            ("html", "An HTML page comes", HTML),
            ("not-json", "Some text comes", "planted"),
            ("json-list", "A JSON list comes", "[]"),
            ("not-utf8", "What is no UTF-8 comes", b"\xff\xfe"),
            ("deep", "JSON of a hundred thousand levels comes", "[" * 100_000),
            ("empty", "Nothing comes", ""),
        )
    ),
    *(
        metadata(
            f"metadata-{status}",
            f"The metadata endpoint answers {status}.",
            code,
            respond_with(Endpoint.METADATA, status=status),
        )
        for status, code in ((404, INVALID), (429, UNAVAILABLE), (500, UNAVAILABLE))
    ),
    metadata(
        "metadata-redirect",
        "The metadata endpoint redirects to another host.",
        INVALID,
        respond_with(Endpoint.METADATA, status=302, headers={"Location": "https://evil.example/"}),
    ),
    Case(
        id="metadata-endpoints",
        group=Group.METADATA,
        sentence="The metadata names a stranger's endpoints and keys.",
        act=endpoints_of_a_stranger,
        harmless="Only the tenant is read from it: the endpoints are derived, and the visitor is signed in.",
        provider=DOMAIN,
    ),
    *wire.broken_at(
        Endpoint.METADATA, f"{LOGIN}/contoso.example/v2.0/.well-known/openid-configuration", DOMAIN
    ),
]


# Graph


def graph(
    id: str, sentence: str, code: str, body: bytes | str = b"", status: int = 200, **headers: str
) -> Case:
    tampering = respond_with(Endpoint.ME, status=status, body=body, headers=headers)
    return Case(id=id, group=Group.GRAPH, sentence=sentence, code=code, tampering=tampering, provider=ME)


MISSING, MISMATCH = "subject_missing", "subject_mismatch"
GRAPH = [
    graph("graph-another-person", "Graph names another person.", MISMATCH, json.dumps({"id": STRANGER})),
    graph("graph-another-tenant", "Graph names a tenant.", MISMATCH, json.dumps({"id": FABRIKAM})),
    Case(
        id="graph-personal-another-person",
        group=Group.GRAPH,
        sentence="Graph names another personal account.",
        code=MISMATCH,
        tampering=respond_with(Endpoint.ME, body=json.dumps({"id": "4a3f19c0d27be866"})),
        provider=ME | {"microsoft_tenant": "consumers"},
        act=lambda harness: harness.sign_in(persona="personal"),
        next_visitor="personal",
    ),
    graph("graph-no-id", "Graph names no person.", MISSING, "{}"),
    graph("graph-id-empty", "The id is empty.", MISSING, '{"id": ""}'),
    graph("graph-id-null", "The id is null.", MISSING, '{"id": null}'),
    graph("graph-id-number", "The id is a number.", MISSING, '{"id": 7}'),
    graph("graph-id-list", "The id is a list.", MISSING, '{"id": ["x"]}'),
    graph("graph-json-list", "The answer is a JSON list.", MISSING, "[]"),
    graph("graph-not-json", "The answer is not JSON.", INVALID, "planted"),
    graph("graph-html", "An HTML page comes with status 200.", INVALID, HTML),
    graph("graph-empty", "The answer is empty.", INVALID),
    graph("graph-401", "Graph answers 401.", "client_misconfigured", status=401),
    graph("graph-403", "Graph answers 403.", "client_misconfigured", HTML, status=403),
    graph("graph-404", "Graph answers 404.", INVALID, "{}", status=404),
    graph("graph-429", "Graph answers 429.", UNAVAILABLE, status=429),
    graph("graph-500", "Graph answers 500.", UNAVAILABLE, HTML, status=500),
    graph(
        "graph-redirect",
        "Graph redirects the access token to another host.",
        INVALID,
        status=302,
        Location="https://evil.example/me",
    ),
    Case(
        id="graph-no-access-token",
        group=Group.GRAPH,
        sentence="No access token comes where Graph is to be asked.",
        code=INVALID,
        tampering=tamper_json(
            Endpoint.TOKEN,
            lambda members: {name: value for name, value in members.items() if name != "access_token"},
        ),
        provider=ME,
    ),
    Case(
        id="graph-access-token-lines",
        group=Group.GRAPH,
        sentence="The access token has line breaks, to add headers to the request to Graph.",
        code=UNAVAILABLE,
        tampering=tamper_json(Endpoint.TOKEN, lambda members: members | {"access_token": "x\r\nEvil: 1"}),
        provider=ME,
    ),
    *wire.broken_at(Endpoint.ME, "https://graph.microsoft.com/v1.0/me", ME),
]

CASES = [*TOKEN, *METADATA, *GRAPH]
