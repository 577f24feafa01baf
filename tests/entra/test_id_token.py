"""The forged-token table: a genuine ID token, and each thing in it broken alone."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_ms_identity.entra import id_token, jwks
from django_ms_identity.entra.clouds import Cloud
from django_ms_identity.entra.providers import SubjectSource
from django_ms_identity.exceptions import (
    MicrosoftAnswerInvalid,
    MSIdentityError,
    SubjectMissing,
    TenantNotAllowed,
    TokenRejected,
)
from tests.support.builders import make_claims

from . import forge
from .forge import (
    CLIENT_ID,
    COMMON_KEYS_URL,
    CONSUMERS,
    KEYS_URL,
    LEFT_OUT,
    LOGIN,
    NONCE,
    OTHER_TID,
    TEMPLATED,
    TID,
    jwk,
    key_set,
    payload,
    token,
)


def refusal_of(raw: str, **how: object) -> MSIdentityError:
    with pytest.raises(MSIdentityError) as caught:
        forge.verify(raw, **how)
    assert "planted" not in forge.chain_text(caught.value)
    return caught.value


@pytest.fixture
def microsoft(wire):
    """Microsoft with the tenant's own key set, and the one that all tenants share."""
    wire.get(KEYS_URL, body=key_set(jwk(), jwk("older")))
    wire.get(COMMON_KEYS_URL, body=key_set(jwk(issuer=TEMPLATED), jwk("msa", issuer=forge.issuer(CONSUMERS))))
    return wire


def test_a_genuine_token_gives_its_claims(microsoft):
    claims = forge.verify(token())

    assert (claims.tid, claims.sub, claims.oid) == (TID, "pairwise-subject", forge.OID)
    assert claims.text("name") == "planted-name"
    assert claims.payload["aud"] == CLIENT_ID
    assert "planted" not in repr(claims)


@pytest.mark.kratos(3)
@pytest.mark.parametrize("name", ["aud", "exp", "iat", "iss", "nbf", "nonce", "sub", "tid", "ver"])
def test_a_claim_that_is_missing_is_named(microsoft, name):
    error = refusal_of(token(payload(**{name: LEFT_OUT})))

    assert type(error) is TokenRejected
    assert error.detail == f"the claim {name} is missing"


INVALID_ALGORITHM = "verification failed: InvalidAlgorithmError"
UNKNOWN_KEY = "signed with a key that is not in Microsoft's key set"


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        *(
            pytest.param(
                lambda alg=alg: token(header={"alg": alg}, sign=forge.unsigned),
                INVALID_ALGORITHM,
                id=f"alg {alg}",
            )
            for alg in ("none", "None", "NONE", "nOnE", "")
        ),
        pytest.param(
            lambda: token(header={"alg": "HS256"}, sign=forge.hs256(forge.public_pem())),
            INVALID_ALGORITHM,
            id="HS256 with the public key",
        ),
        pytest.param(
            lambda: token(header={"alg": "HS256"}, sign=forge.hs256(forge.SECRET.encode())),
            INVALID_ALGORITHM,
            id="HS256 with the client secret",
        ),
        pytest.param(
            lambda: token(header={"alg": "RS384"}, sign=forge.rs384()), INVALID_ALGORITHM, id="RS384"
        ),
        pytest.param(
            lambda: token(header={"alg": "PS256"}, sign=forge.ps256()), INVALID_ALGORITHM, id="PS256"
        ),
        pytest.param(
            lambda: token(header={"alg": "ES256"}, sign=forge.es256()), INVALID_ALGORITHM, id="ES256"
        ),
        pytest.param(
            lambda: token(header={"alg": LEFT_OUT}),
            "verification failed: InvalidAlgorithmError",
            id="alg missing",
        ),
        pytest.param(lambda: token(header={"kid": LEFT_OUT}), "the ID token names no key", id="kid missing"),
        pytest.param(lambda: token(header={"kid": ""}), "the ID token names no key", id="kid empty"),
        pytest.param(lambda: token(header={"kid": 7}), "the ID token names no key", id="kid a number"),
        pytest.param(lambda: token(header={"kid": None}), "the ID token names no key", id="kid null"),
        pytest.param(
            lambda: token(header={"kid": ["microsoft"]}), "the ID token names no key", id="kid a list"
        ),
        pytest.param(lambda: token(header={"kid": "stranger"}), UNKNOWN_KEY, id="kid unknown"),
        pytest.param(
            lambda: token(header={"kid": "stranger", "jwk": jwk("stranger")}, sign=forge.rs256("stranger")),
            UNKNOWN_KEY,
            id="brings its own key",
        ),
        pytest.param(
            lambda: token(header={"jwk": jwk("stranger")}, sign=forge.rs256("stranger")),
            "verification failed: InvalidSignatureError",
            id="brings its own key under a known kid",
        ),
        pytest.param(
            lambda: token(
                header={"kid": "stranger", "jku": "https://evil.example/keys"}, sign=forge.rs256("stranger")
            ),
            UNKNOWN_KEY,
            id="jku",
        ),
        pytest.param(
            lambda: token(
                header={"kid": "stranger", "x5u": "https://evil.example/cert"}, sign=forge.rs256("stranger")
            ),
            UNKNOWN_KEY,
            id="x5u",
        ),
        pytest.param(
            lambda: token(header={"crit": ["exp"], "exp": 1}),
            "verification failed: InvalidTokenError",
            id="crit",
        ),
        pytest.param(lambda: token(header={"typ": "at+jwt"}), "typ is not JWT", id="typ of an access token"),
        pytest.param(lambda: token(header={"typ": "logout+jwt"}), "typ is not JWT", id="typ logout"),
        pytest.param(lambda: token(header={"typ": 1}), "typ is not JWT", id="typ a number"),
    ],
)
def test_a_broken_header_is_refused(microsoft, raw, detail):
    error = refusal_of(raw())

    assert type(error) is TokenRejected
    assert error.detail == detail
    assert {call.request.url for call in microsoft.calls} <= {KEYS_URL}


@pytest.mark.parametrize("typ", [LEFT_OUT, "jwt"])
def test_typ_may_be_absent_or_in_another_case(microsoft, typ):
    assert forge.verify(token(header={"typ": typ})).tid == TID


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        pytest.param("", "the ID token's header cannot be read", id="empty"),
        pytest.param("abc", "the ID token's header cannot be read", id="not JSON"),
        pytest.param("é.é.é", "the ID token's header cannot be read", id="not ASCII"),
        pytest.param("W10.W10.W10", "the ID token's header cannot be read", id="header a list"),
        pytest.param(
            base64.urlsafe_b64encode(b"[" * 50_000).decode(),
            "the ID token's header cannot be read",
            id="header deep",
        ),
        pytest.param("a" * (128 * 1024 + 1), "the ID token is too large", id="too large"),
    ],
)
def test_what_is_not_a_token_is_refused(microsoft, raw, detail):
    error = refusal_of(raw)

    assert type(error) is TokenRejected
    assert error.detail == detail


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        pytest.param(lambda: token().rpartition(".")[0], "DecodeError", id="two segments"),
        pytest.param(lambda: token() + ".x", "InvalidSignatureError|DecodeError", id="four segments"),
        pytest.param(lambda: token(["planted"]), "DecodeError", id="payload a list"),
        pytest.param(lambda: token("planted"), "DecodeError", id="payload a text"),
        pytest.param(lambda: token()[:-8] + "AAAAAAAA", "InvalidSignatureError", id="signature changed"),
        pytest.param(
            lambda: token(sign=lambda m: forge.rs256()(m)[:-1]), "InvalidSignatureError", id="signature cut"
        ),
        pytest.param(lambda: token(sign=forge.unsigned), "InvalidSignatureError", id="signature empty"),
    ],
)
def test_a_mangled_token_is_refused(microsoft, raw, detail):
    error = refusal_of(raw())

    assert type(error) is TokenRejected
    assert error.detail in [f"verification failed: {name}" for name in detail.split("|")]


def test_a_token_that_cannot_be_encoded_is_refused(microsoft):
    error = refusal_of(token().replace(".", ".\ud800", 1))

    assert error.detail == "cannot be read: UnicodeEncodeError"


def test_a_short_key_is_refused_wherever_it_comes_from():
    short = jwks.SigningKey(forge.key("short", bits=1024).public_key(), forge.issuer())

    with pytest.raises(TokenRejected, match="InvalidKeyError"):
        id_token.verify(
            token(sign=forge.rs256("short", bits=1024)),
            provider=forge.provider(),
            tenant=TID,
            nonce=NONCE,
            key_for=lambda kid: short,
        )


def test_a_kid_that_is_a_number_is_not_its_text(wire):
    wire.get(KEYS_URL, body=key_set(jwk(kid=7), jwk("older")))

    assert refusal_of(token(header={"kid": "7"})).detail == UNKNOWN_KEY


def test_a_payload_that_was_exchanged_is_refused(microsoft):
    header, _, signature = token().split(".")
    other = forge.segment(payload(sub="somebody-else")).decode()

    error = refusal_of(f"{header}.{other}.{signature}")

    assert error.detail == "verification failed: InvalidSignatureError"


@pytest.mark.parametrize(
    ("keys_answer", "sign", "error_type", "detail"),
    [
        pytest.param(
            key_set(jwk("stranger", kid="microsoft")),
            forge.rs256(),
            TokenRejected,
            "verification failed: InvalidSignatureError",
            id="a stranger's key under the kid",
        ),
        pytest.param(
            key_set(jwk(use="enc"), jwk("older")),
            forge.rs256(),
            TokenRejected,
            UNKNOWN_KEY,
            id="use enc",
        ),
        pytest.param(
            key_set(jwk(issuer=forge.issuer(OTHER_TID))),
            forge.rs256(),
            TokenRejected,
            "the signing key belongs to another issuer",
            id="another issuer's key",
        ),
        pytest.param(
            key_set(jwk(issuer=TEMPLATED.replace("tenantid", "TENANTID"))),
            forge.rs256(),
            TokenRejected,
            "the signing key belongs to another issuer",
            id="issuer templated otherwise",
        ),
        pytest.param(
            key_set(jwk(issuer=7), jwk("older")),
            forge.rs256(),
            TokenRejected,
            UNKNOWN_KEY,
            id="issuer a number",
        ),
        pytest.param(
            key_set(jwk("short", bits=1024, kid="microsoft"), jwk("older")),
            forge.rs256("short", bits=1024),
            TokenRejected,
            UNKNOWN_KEY,
            id="1024 bits",
        ),
        pytest.param(
            key_set(forge.ec_jwk(), jwk("older")), forge.es256(), TokenRejected, UNKNOWN_KEY, id="EC key"
        ),
        pytest.param(
            key_set({"kty": "oct", "kid": "microsoft", "k": "c2VjcmV0"}, jwk("older")),
            forge.hs256(b"secret"),
            TokenRejected,
            UNKNOWN_KEY,
            id="symmetric key",
        ),
        pytest.param(
            key_set(forge.private_jwk(), jwk("older")),
            forge.rs256(),
            TokenRejected,
            UNKNOWN_KEY,
            id="private key",
        ),
        pytest.param(
            key_set(jwk(kid=""), jwk(kid=7), jwk(kid=None), jwk("older")),
            forge.rs256(),
            TokenRejected,
            UNKNOWN_KEY,
            id="entries without a kid",
        ),
        pytest.param(
            key_set(jwk(kid="")), forge.rs256(), MicrosoftAnswerInvalid, "no usable key", id="kid empty"
        ),
        pytest.param(
            key_set(jwk(n="", e="")),
            forge.rs256(),
            MicrosoftAnswerInvalid,
            "no usable key",
            id="empty numbers",
        ),
        pytest.param(
            key_set(jwk(e="AQ")), forge.rs256(), MicrosoftAnswerInvalid, "no usable key", id="exponent 1"
        ),
        pytest.param(
            key_set(jwk(n=[1])), forge.rs256(), MicrosoftAnswerInvalid, "no usable key", id="number a list"
        ),
        pytest.param(
            key_set(1, "x", None, []),
            forge.rs256(),
            MicrosoftAnswerInvalid,
            "no usable key",
            id="not objects",
        ),
        pytest.param(key_set(), forge.rs256(), MicrosoftAnswerInvalid, "no usable key", id="empty set"),
        pytest.param("{}", forge.rs256(), MicrosoftAnswerInvalid, "no list of keys", id="no set"),
        pytest.param(
            '{"keys": {"a": 1}}',
            forge.rs256(),
            MicrosoftAnswerInvalid,
            "no list of keys",
            id="keys an object",
        ),
        pytest.param("planted", forge.rs256(), MicrosoftAnswerInvalid, "is not JSON", id="not JSON"),
        pytest.param("", forge.rs256(), MicrosoftAnswerInvalid, "is not JSON", id="empty"),
        pytest.param("[" * 100_000, forge.rs256(), MicrosoftAnswerInvalid, "is not JSON", id="deep"),
        pytest.param("[]", forge.rs256(), MicrosoftAnswerInvalid, "is not a JSON object", id="list"),
        pytest.param(
            "<html>planted</html>", forge.rs256(), MicrosoftAnswerInvalid, "is not JSON", id="HTML with 200"
        ),
        pytest.param(b"\xff\xfe", forge.rs256(), MicrosoftAnswerInvalid, "UTF-8", id="not UTF-8"),
    ],
)
def test_a_broken_key_set_lets_nobody_in(wire, keys_answer, sign, error_type, detail):
    wire.get(KEYS_URL, body=keys_answer)

    error = refusal_of(token(sign=sign))

    assert type(error) is error_type
    assert detail in error.detail


@pytest.mark.parametrize("named", [None, forge.issuer(), TEMPLATED])
def test_a_single_tenants_own_key_set_may_name_no_issuer(wire, named):
    wire.get(KEYS_URL, body=key_set(jwk(issuer=named)))

    assert forge.verify(token()).tid == TID


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
def test_a_key_without_issuer_is_refused_where_many_tenants_share_the_set(wire, tenant):
    wire.get(COMMON_KEYS_URL, body=key_set(jwk(issuer=None)))

    error = refusal_of(token(), by=forge.provider(microsoft_tenant=tenant))

    assert type(error) is TokenRejected
    assert error.detail == "the signing key names no issuer"


def test_the_key_of_personal_accounts_signs_for_no_organisation(microsoft):
    raw = token(header={"kid": "msa"}, sign=forge.rs256("msa"))

    error = refusal_of(raw, by=forge.provider(microsoft_tenant="common"))

    assert error.detail == "the signing key belongs to another issuer"


def personal(**changes: object) -> str:
    claims = payload(tid=CONSUMERS, iss=forge.issuer(CONSUMERS), **changes)
    return token(claims, header={"kid": "msa"}, sign=forge.rs256("msa"))


def now(offset: float) -> Callable[[], float]:
    """Tell a time when the test runs, which may be long after its parameters were collected."""
    return lambda: time.time() + offset


def told(claims: dict[str, object]) -> dict[str, object]:
    return {name: value() if callable(value) else value for name, value in claims.items()}


def with_tid(tid: object) -> dict[str, object]:
    return payload(tid=tid, iss=f"{LOGIN}/{tid}/v2.0")


@pytest.mark.kratos(3, 19)
@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        pytest.param({"aud": "other"}, "verification failed: InvalidAudienceError", id="aud other"),
        pytest.param(
            {"aud": CLIENT_ID.upper() + "x"}, "verification failed: InvalidAudienceError", id="aud longer"
        ),
        pytest.param({"aud": [CLIENT_ID]}, "verification failed: InvalidAudienceError", id="aud a list"),
        pytest.param({"aud": ""}, "the claim aud is missing", id="aud empty"),
        pytest.param({"aud": 7}, "verification failed: InvalidAudienceError", id="aud a number"),
        pytest.param({"iss": forge.issuer(OTHER_TID)}, "iss is not the issuer of tid", id="iss other tenant"),
        pytest.param(
            {"iss": f"https://login.microsoftonline.us/{TID}/v2.0"},
            "iss is not the issuer of tid",
            id="iss other cloud",
        ),
        pytest.param({"iss": f"https://sts.windows.net/{TID}/"}, "iss is not the issuer of tid", id="iss v1"),
        pytest.param({"iss": forge.issuer() + "/"}, "iss is not the issuer of tid", id="iss trailing slash"),
        pytest.param({"iss": forge.issuer().upper()}, "iss is not the issuer of tid", id="iss upper case"),
        pytest.param({"iss": TEMPLATED}, "iss is not the issuer of tid", id="iss templated"),
        pytest.param({"iss": f"http://{forge.issuer()[8:]}"}, "iss is not the issuer of tid", id="iss http"),
        pytest.param({"iss": [forge.issuer()]}, "iss is not text or is empty", id="iss a list"),
        pytest.param({"iss": ""}, "iss is not text or is empty", id="iss empty"),
        pytest.param({"tid": OTHER_TID}, "iss is not the issuer of tid", id="tid other, iss ours"),
        pytest.param(with_tid(TID.upper()), "tid is not a lower-case GUID", id="tid upper case"),
        pytest.param(with_tid(TID.replace("-", "")), "tid is not a lower-case GUID", id="tid unhyphenated"),
        pytest.param(with_tid(f"{{{TID}}}"), "tid is not a lower-case GUID", id="tid in braces"),
        pytest.param(with_tid(f"{TID}\n"), "tid is not a lower-case GUID", id="tid with a newline"),
        pytest.param(with_tid("common"), "tid is not a lower-case GUID", id="tid common"),
        pytest.param(with_tid("contoso.example"), "tid is not a lower-case GUID", id="tid a domain"),
        pytest.param(with_tid(f"../{TID}"), "tid is not a lower-case GUID", id="tid a path"),
        pytest.param(
            with_tid(TID.translate({0x30: 0x0660})), "tid is not a lower-case GUID", id="tid other digits"
        ),
        pytest.param(with_tid(7), "tid is not text or is empty", id="tid a number"),
        pytest.param(with_tid(""), "tid is not text or is empty", id="tid empty"),
        pytest.param({"ver": "1.0"}, "ver is not 2.0", id="ver 1.0"),
        pytest.param({"ver": 2.0}, "ver is not text or is empty", id="ver a number"),
        *(
            pytest.param(
                {name: lambda: str(int(time.time()) + 60)}, f"{name} is not a number", id=f"{name} text"
            )
            for name in ("exp", "iat", "nbf")
        ),
        *(
            pytest.param({name: True}, f"{name} is not a number", id=f"{name} a boolean")
            for name in ("iat", "nbf")
        ),
        pytest.param({"exp": True}, "verification failed: ExpiredSignatureError", id="exp a boolean"),
        *(
            pytest.param({name: value}, ("cannot be read: ", "verification failed: "), id=f"{name} {value}")
            for name in ("exp", "iat", "nbf")
            for value in (math.inf, math.nan, [1], {})
        ),
        pytest.param({"exp": now(-150)}, "verification failed: ExpiredSignatureError", id="exp past"),
        pytest.param({"exp": 0}, "verification failed: ExpiredSignatureError", id="exp zero"),
        pytest.param({"nbf": now(300)}, "verification failed: ImmatureSignatureError", id="nbf future"),
        pytest.param({"iat": now(300)}, "verification failed: ImmatureSignatureError", id="iat future"),
        pytest.param({"nonce": "f" * 64}, "nonce does not belong to this sign-in", id="nonce other"),
        pytest.param(
            {"nonce": NONCE.upper()}, "nonce does not belong to this sign-in", id="nonce in upper case"
        ),
        pytest.param({"nonce": NONCE[:-1]}, "nonce does not belong to this sign-in", id="nonce cut short"),
        pytest.param({"nonce": "\ud800"}, "nonce does not belong to this sign-in", id="nonce a surrogate"),
        pytest.param({"nonce": ""}, "nonce is not text or is empty", id="nonce empty"),
        pytest.param({"nonce": 7}, "nonce is not text or is empty", id="nonce a number"),
        pytest.param({"sub": ""}, "sub is not text or is empty", id="sub empty"),
        pytest.param({"sub": 7}, "verification failed: InvalidSubjectError", id="sub a number"),
        pytest.param({"sub": "x" * 256}, "sub is not ASCII", id="sub too long"),
        pytest.param({"sub": "\ud800"}, "sub is not ASCII", id="sub a surrogate"),
        pytest.param({"sub": "\u00e9"}, "sub is not ASCII", id="sub with an accent"),
        pytest.param({"sub": "a\0b"}, "sub is not ASCII", id="sub with a NUL"),
        pytest.param({"azp": "other"}, "azp is another client", id="azp other"),
        pytest.param({"azp": None}, "azp is another client", id="azp null"),
    ],
)
def test_a_broken_claim_is_refused(microsoft, claims, detail):
    error = refusal_of(token(payload(**told(claims))))

    assert type(error) is TokenRejected
    assert error.detail.startswith(detail)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": now(-60)}, id="expired a minute ago"),
        pytest.param({"nbf": now(60)}, id="valid in a minute"),
        pytest.param({"iat": now(60)}, id="issued in a minute"),
        pytest.param({"exp": now(100.5)}, id="fractions of a second"),
        pytest.param({"azp": CLIENT_ID}, id="azp ours"),
        pytest.param({"iat": now(-86_000)}, id="issued long ago"),
    ],
)
def test_what_is_within_the_leeway_is_accepted(microsoft, claims):
    assert forge.verify(token(payload(**told(claims)))).tid == TID


def test_a_claim_that_comes_twice_counts_once_for_every_check(microsoft):
    twice = json.dumps(payload())[:-1] + f', "tid": "{OTHER_TID}"}}'
    message = forge.segment({"alg": "RS256", "kid": "microsoft"}) + b"." + forge.b64(twice.encode())
    raw = (message + b"." + forge.b64(forge.rs256()(message))).decode()

    assert refusal_of(raw).detail == "iss is not the issuer of tid"


def org(tid: str = TID) -> str:
    return token(payload(tid=tid, iss=forge.issuer(tid)))


ORG, OTHER_ORG, PERSONAL = "an organisation", "another organisation", "a personal account"
PEOPLE = {ORG: org, OTHER_ORG: lambda: org(OTHER_TID), PERSONAL: personal}


@pytest.mark.parametrize(
    ("tenant", "allowed", "welcome"),
    [
        pytest.param(TID, LEFT_OUT, {ORG}, id="GUID"),
        pytest.param(TID.upper(), LEFT_OUT, {ORG}, id="GUID in upper case"),
        pytest.param(TID, [TID], {ORG}, id="GUID, allowed"),
        pytest.param("contoso.example", LEFT_OUT, {ORG}, id="domain"),
        pytest.param("contoso.example", [TID], {ORG}, id="domain, allowed"),
        pytest.param("contoso.example", [OTHER_TID], set(), id="domain, other allowed"),
        pytest.param("organizations", LEFT_OUT, {ORG, OTHER_ORG}, id="organizations"),
        pytest.param("organizations", [TID.upper()], {ORG}, id="organizations, one allowed"),
        pytest.param("consumers", LEFT_OUT, {PERSONAL}, id="consumers"),
        pytest.param("consumers", [CONSUMERS], {PERSONAL}, id="consumers, allowed"),
        pytest.param(CONSUMERS, LEFT_OUT, {PERSONAL}, id="consumers by GUID"),
        pytest.param("common", LEFT_OUT, {ORG, OTHER_ORG, PERSONAL}, id="common"),
        pytest.param("common", [OTHER_TID], {OTHER_ORG}, id="common, one allowed"),
        pytest.param("common", [TID, CONSUMERS], {ORG, PERSONAL}, id="common, two allowed"),
    ],
)
@pytest.mark.parametrize("person", PEOPLE)
def test_who_may_come_in(wire, tenant, allowed, welcome, person):
    # Every set has every key, so that nothing but the rule for tenants can refuse.
    every_key = key_set(jwk(issuer=TEMPLATED), jwk("msa", issuer=forge.issuer(CONSUMERS)))
    for segment in (TID, "contoso.example", "common"):
        wire.get(f"{LOGIN}/{segment}/discovery/v2.0/keys", body=every_key)
    wire.get(
        f"{LOGIN}/contoso.example/v2.0/.well-known/openid-configuration", json={"issuer": forge.issuer()}
    )
    by = forge.provider(microsoft_tenant=tenant, allowed_tenants=allowed)

    if person in welcome:
        assert forge.verify(PEOPLE[person](), by=by).sub
    else:
        assert type(refusal_of(PEOPLE[person](), by=by)) is TenantNotAllowed


def test_the_operator_learns_what_to_add_to_allowed_tenants(microsoft):
    by = forge.provider(microsoft_tenant="common", allowed_tenants=[OTHER_TID])

    error = refusal_of(org(), by=by)

    assert TID in error.hint
    assert "allowed_tenants" in error.hint


@pytest.mark.parametrize("cloud", Cloud)
def test_each_cloud_has_issuers_of_its_own(wire, cloud):
    wire.get(f"{cloud.login}/{TID}/discovery/v2.0/keys", body=key_set(jwk(issuer=None)))
    by = forge.provider(cloud=cloud.value)

    assert forge.verify(token(payload(iss=f"{cloud.login}/{TID}/v2.0")), by=by).tid == TID
    if cloud is not Cloud.GLOBAL:
        assert refusal_of(token(), by=by).detail == "iss is not the issuer of tid"


@pytest.mark.parametrize(
    ("claims", "source", "subject"),
    [
        pytest.param({}, SubjectSource.USERINFO, "pairwise-subject", id="userinfo"),
        pytest.param({}, SubjectSource.OID, forge.OID, id="oid"),
        pytest.param({"oid": LEFT_OUT}, SubjectSource.OID, None, id="oid missing"),
        pytest.param({"oid": 7}, SubjectSource.OID, None, id="oid a number"),
        pytest.param({"oid": "not-a-guid"}, SubjectSource.OID, None, id="oid no GUID"),
        pytest.param({"oid": LEFT_OUT}, SubjectSource.USERINFO, "pairwise-subject", id="oid not needed"),
    ],
)
def test_the_subject_comes_from_where_the_provider_says(microsoft, claims, source, subject):
    verified = forge.verify(token(payload(**told(claims))))

    if subject:
        assert id_token.subject_of(verified, source) == subject
    else:
        with pytest.raises(SubjectMissing, match="the ID token has no oid"):
            id_token.subject_of(verified, source)


@pytest.mark.parametrize(
    ("claims", "guest"),
    [
        pytest.param({}, False, id="member"),
        pytest.param({"acct": 0}, False, id="acct 0"),
        pytest.param({"acct": 1}, True, id="acct 1"),
        pytest.param({"acct": "1"}, True, id="acct 1 as text"),
        pytest.param({"idp": f"https://sts.windows.net/{TID}/"}, False, id="own idp"),
        pytest.param({"idp": f"https://sts.windows.net/{OTHER_TID}/"}, True, id="foreign idp"),
        pytest.param({"idp": "live.com"}, True, id="personal account as guest"),
        pytest.param({"idp": forge.issuer()}, False, id="own idp, v2.0"),
        pytest.param({"idp": f"https://evil.example/{TID}/"}, True, id="look-alike idp"),
    ],
)
def test_a_guest_is_known_as_one(microsoft, claims, guest):
    assert forge.verify(token(payload(**told(claims)))).is_guest is guest


def test_a_claim_that_is_not_text_reads_as_empty(microsoft):
    claims = forge.verify(token(payload(name=["x"])))

    assert claims.text("name") == claims.text("absent") == ""


@pytest.mark.parametrize("text", ["a\ud800", "a\0"])
def test_a_text_that_no_database_stores_is_mended(microsoft, text):
    assert forge.verify(token(payload(sid=text))).text("sid") == "a\ufffd"


KEY = jwks.parse_keys(key_set(jwk()))["microsoft"]


def verified_or_refused(raw: str) -> None:
    try:
        claims = id_token.verify(
            raw, provider=forge.provider(), tenant=TID, nonce=NONCE, key_for=lambda kid: KEY
        )
    except MSIdentityError:
        return
    assert claims.sub


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    raw=st.text() | st.binary().map(lambda raw: forge.b64(raw).decode() + "." + forge.b64(raw).decode() + ".")
)
def test_any_text_is_refused(raw):
    with pytest.raises(TokenRejected):
        id_token.verify(raw, provider=forge.provider(), tenant=TID, nonce=NONCE, key_for=lambda kid: KEY)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.dictionaries(st.sampled_from([*payload(), "azp", "idp", "acct"]), json_values, max_size=3))
def test_any_signed_claims_are_verified_or_refused(changes):
    verified_or_refused(token(payload(**changes)))


@settings(max_examples=100, deadline=None)
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), json_values))
def test_any_signed_header_is_verified_or_refused(header):
    verified_or_refused(token(header=header))


@settings(max_examples=100, deadline=None)
@given(claims=json_values)
def test_any_signed_json_is_refused(claims):
    if claims is None:
        return
    with pytest.raises(TokenRejected):
        id_token.verify(
            token(claims), provider=forge.provider(), tenant=TID, nonce=NONCE, key_for=lambda kid: KEY
        )


@settings(max_examples=100)
@given(
    entries=st.lists(st.dictionaries(st.sampled_from([*jwk(), "d"]), json_values) | json_values, max_size=4)
)
def test_any_key_set_is_parsed_or_refused(entries):
    try:
        parsed = jwks.parse_keys(key_set(jwk("older"), *entries))
    except MicrosoftAnswerInvalid:
        return
    assert "older" in parsed


def test_one_request_for_the_key_set_serves_every_token(microsoft):
    copies = forge.documents()

    for _ in range(3):
        forge.verify(token(), copies=copies)

    assert len(microsoft.calls) == 1


@pytest.mark.parametrize(
    ("payload", "denied"),
    [
        *(({"xms_edov": value}, True) for value in (False, "false", "False", 0, "0")),
        *(({"xms_edov": value}, False) for value in (True, "true", 1, "1", None)),
        ({}, False),
    ],
)
def test_microsoft_denies_an_address_in_so_many_words(payload, denied):
    assert make_claims(**payload).denies_address is denied
