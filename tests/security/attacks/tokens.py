"""Tampering with the ID token and the key set: one change each, all else as from Microsoft."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.core.cache import cache
from django.http import HttpResponse

from django_ms_identity import runtime
from django_ms_identity.emulator import TENANT_ID as CONTOSO
from django_ms_identity.emulator.keys import NEXT, PERSONAL, WORK, SigningKey, signing_key
from django_ms_identity.models import Credential, SignIn
from django_ms_identity.net.remote_documents import FRESH
from django_ms_identity.testing.emulator import Endpoint
from tests.entra import forge
from tests.journeys.steps import asked
from tests.security.malicious_provider import (
    OMIT,
    IDToken,
    Signer,
    Tampering,
    respond_with,
    tamper_id_token,
    tamper_keys,
)
from tests.support.builders import CLIENT_SECRET, MICROSOFT, TENANT

from . import wire
from .harness import INVALID, UNAVAILABLE, Case, Group, Harness, later, statuses

LOGIN = "https://login.microsoftonline.com"
FABRIKAM = "3cd30985-3b6d-4c4e-8cfa-3ae2b2a31f8c"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
STRANGER = "0a5f2c11-93be-4a3e-8a52-0f2f4f0c9d01"
OTHER_CLIENT = "99999999-2222-3333-4444-555555555555"
ORGANIZATIONS = {"microsoft_tenant": "organizations"}
COMMON = {"microsoft_tenant": "common"}


def token(group: Group, id: str, sentence: str, change, code: str = "token_rejected", **more) -> Case:
    """Make the case of an ID token that is changed like this."""
    return Case(id=id, group=group, sentence=sentence, tampering=tamper_id_token(change), code=code, **more)


def header(id: str, sentence: str, sign: Signer | None = None, **changes: object) -> Case:
    def change(genuine: IDToken) -> IDToken:
        changed = genuine.with_header(**changes)
        return changed.signed_by(sign) if sign else changed

    return token(Group.ALGORITHMS, id, sentence, change)


def with_microsofts_key(algorithm: hashes.HashAlgorithm, *, pss: bool = False) -> Signer:
    scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size) if pss else padding.PKCS1v15()
    return lambda message: signing_key(WORK).private.sign(message, scheme, algorithm)


def sign_with_public_key(message: bytes) -> bytes:
    """Sign by HMAC with what everybody can read: the public key, as text."""
    public = signing_key(WORK).private.public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return forge.hs256(pem)(message)


def sign_with_certificate(message: bytes) -> bytes:
    return forge.hs256(signing_key(WORK).certificate)(message)


def changed_after_signing(genuine: IDToken) -> str:
    head, _claims, signature = str(genuine).split(".")
    claims = str(genuine.with_claims(oid=STRANGER, sub="somebody-else")).split(".")[1]
    return f"{head}.{claims}.{signature}"


def encrypted(genuine: IDToken) -> str:
    """Make five segments, as of a JWE; nothing in them matters."""
    head = str(genuine.with_header(alg="RSA-OAEP", enc="A256GCM")).split(".")[0]
    return ".".join((head, "AAAA", "AAAA", "AAAA", "AAAA"))


ALGORITHMS = [
    *(
        header(id, f"`alg` is `{alg}` and the signature is empty.", forge.unsigned, alg=alg)
        for id, alg in (
            ("alg-none", "none"),
            ("alg-none-capitalised", "None"),
            ("alg-none-upper-case", "NONE"),
            ("alg-none-mixed-case", "nOnE"),
            ("alg-none-with-space", "none "),
        )
    ),
    header("alg-none-signed", "`alg` is `none`, with a genuine signature all the same.", alg="none"),
    header("alg-empty", "`alg` is empty.", alg=""),
    header("alg-missing", "There is no `alg`.", alg=OMIT),
    header("alg-list", "`alg` is a list that begins with RS256.", alg=["RS256", "none"]),
    header(
        "alg-hs256-public-key",
        "`alg` is HS256, keyed with the public key that everybody can read.",
        sign_with_public_key,
        alg="HS256",
    ),
    header(
        "alg-hs256-certificate",
        "`alg` is HS256, keyed with the certificate of the key set.",
        sign_with_certificate,
        alg="HS256",
    ),
    header(
        "alg-hs256-client-secret",
        "`alg` is HS256, keyed with the client secret.",
        forge.hs256(CLIENT_SECRET.encode()),
        alg="HS256",
    ),
    header("alg-hs256-empty-key", "`alg` is HS256 with an empty key.", forge.hs256(b""), alg="HS256"),
    header(
        "alg-rs384",
        "`alg` is RS384, by Microsoft's own key.",
        with_microsofts_key(hashes.SHA384()),
        alg="RS384",
    ),
    header(
        "alg-ps256",
        "`alg` is PS256, by Microsoft's own key.",
        with_microsofts_key(hashes.SHA256(), pss=True),
        alg="PS256",
    ),
    header("alg-es256", "`alg` is ES256, by a key of a stranger.", forge.es256(), alg="ES256"),
    header("alg-lower-case", "`alg` is `rs256`, with a genuine signature.", alg="rs256"),
    header(
        "header-jwk",
        "The token brings the stranger's key along (`jwk`) under Microsoft's `kid`.",
        forge.rs256("stranger"),
        jwk=forge.jwk("stranger"),
    ),
    header(
        "header-jwk-unknown-kid",
        "The token brings the stranger's key along (`jwk`) under a `kid` of its own.",
        forge.rs256("stranger"),
        jwk=forge.jwk("stranger"),
        kid="stranger",
    ),
    header(
        "header-jku",
        "The token names an address to fetch its key from (`jku`).",
        forge.rs256("stranger"),
        jku="https://evil.example/keys",
    ),
    header(
        "header-x5u",
        "The token names an address to fetch its certificate from (`x5u`).",
        forge.rs256("stranger"),
        x5u="https://evil.example/certificate",
    ),
    header(
        "header-x5c",
        "The token brings a certificate along (`x5c`).",
        forge.rs256("stranger"),
        x5c=[base64.b64encode(b"certificate").decode()],
    ),
    header("header-crit", "The token demands an unknown extension (`crit`).", crit=["x"], x=1),
    header("header-typ-access-token", "A genuine access token is sent as ID token (`typ`).", typ="at+jwt"),
    header("header-typ-logout-token", "A logout token is sent as ID token (`typ`).", typ="logout+jwt"),
    token(
        Group.ALGORITHMS,
        "signature-left-out",
        "The token has no third part.",
        lambda genuine: str(genuine).rpartition(".")[0],
    ),
    header("signature-empty", "The signature is empty.", forge.unsigned),
    header("signature-random", "The signature is noise of the right length.", lambda _: b"\x01" * 256),
    token(
        Group.ALGORITHMS,
        "signature-of-other-claims",
        "The claims are changed after Microsoft has signed them.",
        changed_after_signing,
    ),
    token(Group.ALGORITHMS, "token-encrypted", "The token is an encrypted one (JWE).", encrypted),
    token(
        Group.ALGORITHMS,
        "token-no-token",
        "The ID token is some text.",
        lambda _: "planted",
    ),
    token(
        Group.ALGORITHMS,
        "token-deep-header",
        "The header is JSON of fifty thousand levels.",
        lambda genuine: str(genuine).replace(
            str(genuine).split(".")[0], forge.b64(b"[" * 50_000).decode(), 1
        ),
    ),
    token(
        Group.ALGORITHMS,
        "token-too-large",
        "The token is larger than 128 KiB.",
        lambda genuine: genuine.with_claims(filler="x" * 130_000),
    ),
]


# Keys

OF_NEXT_YEAR = SigningKey(private=forge.key("fresh"), certificate=b"the certificate of the next year")


def by(key: SigningKey) -> Tampering:
    """Have another key sign, under its own name."""
    return tamper_id_token(
        lambda genuine: genuine.with_header(kid=key.kid).signed_by(
            lambda message: key.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        )
    )


def key_set(**changes: object) -> Tampering:
    """Change the members of each entry; ``OMIT`` takes one away."""

    def change(entries: list[dict[str, object]]) -> list[dict[str, object]]:
        changed = [{**entry, **changes} for entry in entries]
        return [{name: value for name, value in each.items() if value is not OMIT} for each in changed]

    return tamper_keys(change)


def only_work_key(**changes: object) -> Tampering:
    """Change the entry of the key that signs, and leave the others as they are."""
    return tamper_keys(
        lambda entries: [
            {**entry, **changes} if entry["kid"] == signing_key(WORK).kid else entry for entry in entries
        ]
    )


def short_key() -> Tampering:
    entry = forge.jwk("short", bits=1024, issuer=forge.issuer(TENANT))
    return tamper_keys(lambda entries: [*entries, entry]).combined_with(
        tamper_id_token(
            lambda genuine: genuine.with_header(kid="short").signed_by(forge.rs256("short", bits=1024))
        )
    )


def rotate(harness: Harness) -> HttpResponse:
    """Let Microsoft change its key at once while the app has the old ones."""
    harness.sign_in(harness.open_browser(), "admin")
    entry = OF_NEXT_YEAR.jwk(forge.issuer(TENANT))
    harness.microsoft.tampering = tamper_keys(lambda entries: [entry]).combined_with(by(OF_NEXT_YEAR))
    response = harness.sign_in()
    assert statuses(harness, "/keys") == [200, 200]
    return response


def outage_of_known_keys(harness: Harness) -> HttpResponse:
    """Let the key endpoint fail when the copy of the keys is an hour old."""
    harness.sign_in(harness.open_browser(), "admin")
    harness.microsoft.tampering = respond_with(Endpoint.KEYS, status=500)
    with later(FRESH + 1):
        runtime.reset()  # The process's copies read the clock by themselves.
        response = harness.sign_in()
    runtime.reset()
    # What is only read is asked for once more.
    assert statuses(harness, "/keys") == [200, 500, 500]
    return response


def plant_keys_in_the_cache(harness: Harness) -> HttpResponse:
    """Write a stranger's key under Microsoft's ``kid`` into the cache, as anyone with its password can."""
    harness.sign_in(harness.open_browser(), "admin")
    url = f"{LOGIN}/{TENANT}/discovery/v2.0/keys"
    name = f"ms_identity:{hashlib.sha256(f'|{url}'.encode()).hexdigest()}"
    signature, _genuine = json.loads(cache.get(name))
    kid = signing_key(WORK).kid
    planted = json.dumps([forge.key_set(forge.jwk("stranger", kid=kid)), time.time()])
    cache.set(name, json.dumps([signature, planted]))
    runtime.reset()
    harness.microsoft.tampering = tamper_id_token(lambda genuine: genuine.signed_by(forge.rs256("stranger")))
    harness.watch()
    return harness.sign_in()


def keys(id: str, sentence: str, tampering: Tampering, code: str = "token_rejected", **more) -> Case:
    return Case(id=id, group=Group.KEYS, sentence=sentence, tampering=tampering, code=code, **more)


KEYS = [
    keys(
        "key-stranger",
        "A stranger's key signs under the `kid` of Microsoft's.",
        tamper_id_token(lambda genuine: genuine.signed_by(forge.rs256("stranger"))),
    ),
    keys(
        "key-next",
        "Another key of Microsoft's signs than the one that `kid` names.",
        tamper_id_token(
            lambda genuine: genuine.signed_by(
                lambda message: signing_key(NEXT).private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            )
        ),
    ),
    keys("key-unknown", "The token names a key that Microsoft never had.", by(OF_NEXT_YEAR)),
    *(
        keys(
            f"kid-{id}",
            f"The `kid` is {what}.",
            tamper_id_token(lambda genuine, kid=kid: genuine.with_header(kid=kid)),
        )
        for id, what, kid in (
            ("missing", "not there", OMIT),
            ("empty", "empty", ""),
            ("number", "a number", 7),
            ("list", "a list", [1]),
            ("path", "a path that leads elsewhere", "../../../etc/passwd"),
        )
    ),
    keys("keys-for-encryption", "All keys are for encryption (`use: enc`).", key_set(use="enc"), INVALID),
    keys(
        "key-for-encryption",
        "The key that signs is for encryption (`use: enc`).",
        only_work_key(use="enc"),
        remembered=True,
    ),
    keys(
        "key-of-another-issuer",
        "The key of personal accounts signs for an organisation.",
        by(signing_key(PERSONAL)),
        provider=COMMON,
    ),
    keys(
        "key-of-another-tenant",
        "The key that signs may sign for another tenant only.",
        only_work_key(issuer=forge.issuer(FABRIKAM)),
        remembered=True,
    ),
    keys(
        "key-without-issuer",
        "The keys that many tenants share do not say whose they are.",
        key_set(issuer=OMIT),
        provider=ORGANIZATIONS,
        remembered=True,
    ),
    keys(
        "key-issuer-number",
        "The issuer of the keys is a number.",
        key_set(issuer=1),
        INVALID,
    ),
    keys("key-short", "The key has 1,024 bits.", short_key(), remembered=True),
    keys("key-symmetric", "The keys are symmetric.", key_set(kty="oct", k="c2VjcmV0"), INVALID),
    keys(
        "key-private",
        "The key set holds a private key.",
        tamper_keys(lambda entries: [forge.private_jwk("leaked")]).combined_with(
            tamper_id_token(
                lambda genuine: genuine.with_header(kid="leaked").signed_by(forge.rs256("leaked"))
            )
        ),
        INVALID,
    ),
    keys(
        "key-withdrawn",
        "Microsoft has withdrawn the key that signs.",
        tamper_keys(lambda entries: [entry for entry in entries if entry["kid"] != signing_key(WORK).kid]),
        remembered=True,
    ),
    Case(
        id="key-rotated",
        group=Group.KEYS,
        sentence="Microsoft changes its key without warning.",
        act=rotate,
        harmless="The keys are fetched once more, and the visitor is signed in.",
    ),
    Case(
        id="keys-out-of-reach",
        group=Group.KEYS,
        sentence="The key endpoint fails when the app's copy of the keys is an hour old.",
        act=outage_of_known_keys,
        harmless="The copy serves, and the visitor is signed in.",
    ),
    Case(
        id="keys-planted-in-cache",
        group=Group.KEYS,
        sentence="A person who can write to the cache puts a key of their own into the key set there.",
        act=plant_keys_in_the_cache,
        code="token_rejected",
    ),
    *(
        keys(f"keys-{id}", sentence, respond_with(Endpoint.KEYS, **answer), code)
        for id, sentence, answer, code in (
            ("none", "The key set is empty.", {"body": '{"keys": []}'}, INVALID),
            ("no-list", "The key set holds a text.", {"body": '{"keys": "all"}'}, INVALID),
            (
                "of-nothing",
                "The key set holds no keys but numbers.",
                {"body": '{"keys": [1, null]}'},
                INVALID,
            ),
            ("not-json", "The key set is not JSON.", {"body": "planted"}, INVALID),
            ("html", "An HTML page comes instead of the keys.", {"body": "<html><script>"}, INVALID),
            ("json-list", "A JSON list comes instead of the keys.", {"body": "[]"}, INVALID),
            ("not-utf8", "The key set is not UTF-8.", {"body": b"\xff\xfe"}, INVALID),
            ("deep", "The key set is JSON of a hundred thousand levels.", {"body": "[" * 100_000}, INVALID),
            ("empty-body", "The answer is empty.", {}, INVALID),
            ("404", "The key endpoint answers 404.", {"status": 404}, INVALID),
            ("429", "The key endpoint answers 429.", {"status": 429}, UNAVAILABLE),
            ("500", "The key endpoint answers 500.", {"status": 500}, UNAVAILABLE),
            (
                "redirect",
                "The key endpoint redirects to another host.",
                {"status": 302, "headers": {"Location": "https://evil.example/keys"}},
                INVALID,
            ),
        )
    ),
    *wire.broken_at(Endpoint.KEYS, f"{LOGIN}/{TENANT}/discovery/v2.0/keys"),
]


# Claims

TEXTS, TIMES = ("aud", "iss", "nonce", "sub", "tid", "ver"), ("exp", "iat", "nbf")


def claims(
    id: str,
    sentence: str,
    /,
    *,
    group: Group = Group.CLAIMS,
    code: str = "token_rejected",
    provider: dict[str, object] | None = None,
    next_visitor: str = "work",
    persona: str = "work",
    **changes: object,
) -> Case:
    """Make the case of a token that Microsoft signs with these claims."""
    return token(
        group,
        id,
        sentence,
        lambda genuine: genuine.with_claims(**changes),
        code,
        provider=provider or {},
        next_visitor=next_visitor,
        act=lambda harness: harness.sign_in(persona=persona),
    )


def broken(name: str) -> list[Case]:
    """Break a claim that every ID token has, in each way that JSON knows."""
    other_type, what = (7, "a number") if name in TEXTS else ("1893456000", "text")
    forms = (
        ("missing", "is missing", OMIT),
        ("empty", "is empty", ""),
        ("null", "is null", None),
        ("other-type", f"is {what}", other_type),
        ("boolean", "is true", True),
        ("list", "is a list", [MICROSOFT["client_id"]] if name == "aud" else [1]),
    )
    return [
        claims(f"{name}-{id}", f"The claim `{name}` {form}.", **{name: value}) for id, form, value in forms
    ]


def from_now(seconds: int):
    """Set a time when the token is made, not when the catalogue is."""
    return lambda: int(time.time()) + seconds


def times(id: str, sentence: str, **changes) -> Case:
    return token(
        Group.CLAIMS,
        id,
        sentence,
        lambda genuine: genuine.with_claims(**{name: when() for name, when in changes.items()}),
    )


def unstorable(harness: Harness) -> HttpResponse:
    """Have everything that is stored of a token hold what no database stores."""
    harness.microsoft.tampering = tamper_id_token(
        lambda genuine: genuine.with_claims(
            preferred_username="a\ud800", sid="b\ud800\0", login_hint="c\ud800\0", amr=["d\ud800\0"]
        )
    )
    response = harness.sign_in()
    sign_in = SignIn.objects.get()
    assert (sign_in.sid, sign_in.amr) == ("b\ufffd\ufffd", ["d\ufffd\ufffd"])
    assert Credential.objects.get().account == "a\ufffd"
    return response


def known_with(**changes: object):
    """Make the act of a known person, for whom no mapper runs, who comes with these claims."""

    def act(harness: Harness) -> HttpResponse:
        harness.sign_in(harness.open_browser())
        harness.microsoft.tampering = tamper_id_token(lambda genuine: genuine.with_claims(**changes))
        return harness.sign_in()

    return act


CLAIMS = [
    Case(
        id="claims-unstorable",
        group=Group.CLAIMS,
        sentence="What is stored of a token holds NULs and half characters.",
        harmless="They are replaced, and the visitor is signed in.",
        act=unstorable,
    ),
    *(
        Case(
            id=f"auth-time-{id}",
            group=Group.CLAIMS,
            sentence=f"`auth_time` {what}.",
            harmless="It is not believed, and the visitor is signed in.",
            act=known_with(auth_time=value),
        )
        for id, what, value in (
            ("huge", "has four hundred digits", 10**400),
            ("text", "is text", "1893456000"),
            ("infinite", "is Infinity", float("inf")),
        )
    ),
    *(case for name in (*TEXTS, *TIMES) if name != "nonce" for case in broken(name)),
    times("expired", "The token expired three minutes ago.", exp=from_now(-180)),
    times("expired-long-ago", "The token is of last year.", exp=from_now(-366 * 86400)),
    times("not-yet-valid", "The token is valid in an hour (`nbf`).", nbf=from_now(3600)),
    times("issued-in-the-future", "The token was issued in an hour (`iat`).", iat=from_now(3600)),
    claims("exp-infinite", "The token is valid for ever: `exp` is Infinity.", exp=float("inf")),
    claims("exp-not-a-number", "`exp` is NaN.", exp=float("nan")),
    claims("exp-huge", "`exp` has four hundred digits.", code="claims_invalid", exp=10**400),
    claims("aud-other-client", "The token was made for another app.", aud=OTHER_CLIENT),
    claims(
        "aud-list-with-others",
        "The token was made for another app and for us.",
        aud=[OTHER_CLIENT, MICROSOFT["client_id"]],
    ),
    claims(
        "aud-resource", "The token was made for Microsoft Graph.", aud="00000003-0000-0000-c000-000000000000"
    ),
    claims("azp-other-client", "Another app asked for the token (`azp`).", azp=OTHER_CLIENT),
    claims("ver-1", "The token is of the v1.0 endpoint.", ver="1.0"),
    claims("sub-too-long", "`sub` has 256 characters.", sub="x" * 256),
    claims("sub-not-ascii", "`sub` has a letter that looks like another.", sub="pairwіse"),  # noqa: RUF001  # on purpose
    claims("sub-line-break", "`sub` has a line break.", sub="a\nb"),
    claims("sub-nul", "`sub` has a NUL, which databases cut or refuse.", sub="a\0b"),
    claims("sub-lone-surrogate", "`sub` has half a character.", sub="\ud800"),
    *(
        claims(
            f"oid-{id}",
            f"{what} where it names people.",
            provider={"subject_source": "oid"},
            code="subject_missing",
            oid=oid,
        )
        for id, what, oid in (
            ("missing", "There is no `oid`", OMIT),
            ("empty", "`oid` is empty", ""),
            ("null", "`oid` is null", None),
            ("number", "`oid` is a number", 7),
            ("list", "`oid` is a list", [STRANGER]),
            ("not-a-guid", "`oid` is no GUID", "../../admin"),
            ("line-break", "A line break follows the `oid`", f"{STRANGER}\n"),
        )
    ),
    claims("email-list", "The claim `email` is a list.", code="claims_invalid", email=["a@contoso.example"]),
    claims("name-object", "The claim `name` is an object.", code="claims_invalid", name={"a": 1}),
    claims("email-verified-null", "`email_verified` is null.", code="claims_invalid", email_verified=None),
]


def tenant(id: str, sentence: str, /, *, code: str = "token_rejected", **more) -> Case:
    return claims(id, sentence, group=Group.TENANTS, code=code, **more)


TENANTS = [
    tenant("iss-other-tenant", "`iss` is another tenant's.", iss=forge.issuer(FABRIKAM)),
    tenant("tid-other-tenant", "`tid` is another tenant's.", tid=FABRIKAM),
    tenant(
        "iss-and-tid-other-tenant",
        "`iss` and `tid` are another tenant's.",
        iss=forge.issuer(FABRIKAM),
        tid=FABRIKAM,
    ),
    tenant(
        "foreign-tenant",
        "An administrator of another tenant sends a token of theirs that Microsoft signed.",
        code="tenant_not_allowed",
        provider=COMMON | {"allowed_tenants": [CONTOSO]},
        persona="guest",
    ),
    tenant(
        "tid-not-a-guid", "`tid` is a domain.", tid="contoso.example", iss=forge.issuer("contoso.example")
    ),
    tenant("tid-upper-case", "`tid` is in upper case.", tid=TENANT.upper(), iss=forge.issuer(TENANT.upper())),
    tenant(
        "tid-path",
        "`tid` holds a path.",
        tid=f"{TENANT}/../{FABRIKAM}",
        iss=forge.issuer(f"{TENANT}/../{FABRIKAM}"),
    ),
    tenant(
        "tid-line-break",
        "A line break follows the `tid`.",
        tid=f"{TENANT}\n",
        iss=forge.issuer(f"{TENANT}\n"),
    ),
    tenant(
        "tid-template",
        "`tid` is `{tenantid}`.",
        provider=ORGANIZATIONS,
        tid="{tenantid}",
        iss=forge.issuer("{tenantid}"),
    ),
    tenant("iss-trailing-slash", "A slash follows the issuer.", iss=f"{forge.issuer(TENANT)}/"),
    tenant("iss-http", "The issuer is plain http.", iss=forge.issuer(TENANT).replace("https", "http")),
    tenant("iss-upper-case", "The issuer is in upper case.", iss=forge.issuer(TENANT).upper()),
    tenant("iss-v1", "The issuer is that of v1.0.", iss=f"https://sts.windows.net/{TENANT}/"),
    tenant(
        "iss-other-cloud", "The issuer is of another cloud.", iss=forge.issuer(TENANT).replace(".com", ".us")
    ),
    tenant(
        "iss-evil", "The issuer is a stranger with our tenant.", iss=f"https://evil.example/{TENANT}/v2.0"
    ),
    tenant(
        "personal-where-organizations",
        "A personal account comes where organisations are asked.",
        code="tenant_not_allowed",
        provider=ORGANIZATIONS,
        tid=CONSUMERS,
        iss=forge.issuer(CONSUMERS),
    ),
    tenant(
        "personal-where-one-tenant",
        "A personal account comes where one tenant is asked.",
        tid=CONSUMERS,
        iss=forge.issuer(CONSUMERS),
    ),
    token(
        Group.TENANTS,
        "organization-where-consumers",
        "A work account comes where personal ones are asked.",
        lambda genuine: genuine.with_claims(tid=TENANT, iss=forge.issuer(TENANT)),
        provider={"microsoft_tenant": "consumers"},
        act=lambda harness: harness.sign_in(persona="personal"),
        next_visitor="personal",
    ),
    tenant(
        "personal-not-listed",
        "A personal account comes where `allowed_tenants` does not list them.",
        code="tenant_not_allowed",
        provider=COMMON | {"allowed_tenants": [CONTOSO]},
        persona="personal",
    ),
]


# Nonce


def nonce_of_another_flow(harness: Harness) -> HttpResponse:
    """Answer with the token of a flow that the attacker started."""
    theirs = asked(harness.press(harness.open_browser()))["nonce"]
    harness.microsoft.tampering = tamper_id_token(lambda genuine: genuine.with_claims(nonce=theirs))
    return harness.sign_in()


NONCE = [
    *(dataclasses.replace(case, group=Group.NONCE) for case in broken("nonce")),
    Case(
        id="nonce-of-another-flow",
        group=Group.NONCE,
        sentence="The token belongs to a flow that another person started.",
        act=nonce_of_another_flow,
        code="token_rejected",
    ),
    token(
        Group.NONCE,
        "nonce-upper-case",
        "The nonce is in upper case.",
        lambda genuine: genuine.with_claims(nonce=str(genuine.claims["nonce"]).upper()),
    ),
    token(
        Group.NONCE,
        "nonce-prefix",
        "The nonce is cut short.",
        lambda genuine: genuine.with_claims(nonce=str(genuine.claims["nonce"])[:-1]),
    ),
]

CASES = [*ALGORITHMS, *KEYS, *CLAIMS, *TENANTS, *NONCE]
