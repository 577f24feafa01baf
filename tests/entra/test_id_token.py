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
from django_ms_identity.exceptions import (
    MicrosoftAnswerInvalid,
    MSIdentityError,
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


def test_genuine_id_token_gives_its_claims(microsoft):
    claims = forge.verify(token())

    assert (claims.tid, claims.sub, claims.oid) == (TID, "pairwise-subject", forge.OID)
    assert claims.text("name") == "planted-name"
    assert claims.payload["aud"] == CLIENT_ID
    assert "planted" not in repr(claims)


@pytest.mark.kratos(3)
@pytest.mark.parametrize("name", ["aud", "exp", "iat", "iss", "nbf", "nonce", "sub", "tid", "ver"])
def test_missing_required_claim_is_named(microsoft, name):
    error = refusal_of(token(payload(**{name: LEFT_OUT})))

    assert type(error) is TokenRejected
    assert error.detail == f"the claim {name} is missing"


INVALID_ALGORITHM = "verification failed: InvalidAlgorithmError"
INVALID_SIGNATURE = "verification failed: InvalidSignatureError"
NO_KEY = "the ID token names no key"
NO_JWT = "typ is not JWT"
UNKNOWN_KEY = "signed with a key that is not in Microsoft's key set"
STRANGER = forge.rs256("stranger")


def headed(name: str, detail: str, sign: forge.Signer | None = None, **header: object) -> object:
    """Make the parameters of a token with a broken header, built when the test runs."""
    return pytest.param(lambda: token(header=header, sign=sign), detail, id=name)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        *(
            headed(f"alg {alg}", INVALID_ALGORITHM, forge.unsigned, alg=alg)
            for alg in ("none", "None", "NONE", "nOnE", "")
        ),
        headed(
            "HS256 with the public key",
            INVALID_ALGORITHM,
            lambda message: forge.hs256(forge.public_pem())(message),
            alg="HS256",
        ),
        headed(
            "HS256 with the client secret", INVALID_ALGORITHM, forge.hs256(forge.SECRET.encode()), alg="HS256"
        ),
        headed("RS384", INVALID_ALGORITHM, forge.rs384(), alg="RS384"),
        headed("PS256", INVALID_ALGORITHM, forge.ps256(), alg="PS256"),
        headed("ES256", INVALID_ALGORITHM, forge.es256(), alg="ES256"),
        headed("alg missing", INVALID_ALGORITHM, alg=LEFT_OUT),
        headed("kid missing", NO_KEY, kid=LEFT_OUT),
        headed("kid empty", NO_KEY, kid=""),
        headed("kid a number", NO_KEY, kid=7),
        headed("kid null", NO_KEY, kid=None),
        headed("kid a list", NO_KEY, kid=["microsoft"]),
        headed("kid unknown", UNKNOWN_KEY, kid="stranger"),
        headed("brings its own key", UNKNOWN_KEY, STRANGER, kid="stranger", jwk=jwk("stranger")),
        headed("own key under a known kid", INVALID_SIGNATURE, STRANGER, jwk=jwk("stranger")),
        headed("jku", UNKNOWN_KEY, STRANGER, kid="stranger", jku="https://evil.example/keys"),
        headed("x5u", UNKNOWN_KEY, STRANGER, kid="stranger", x5u="https://evil.example/cert"),
        headed("crit", "verification failed: InvalidTokenError", crit=["exp"], exp=1),
        headed("typ of an access token", NO_JWT, typ="at+jwt"),
        headed("typ logout", NO_JWT, typ="logout+jwt"),
        headed("typ a number", NO_JWT, typ=1),
    ],
)
def test_id_token_with_broken_header_is_refused(microsoft, raw, detail):
    error = refusal_of(raw())

    assert type(error) is TokenRejected
    assert error.detail == detail
    assert {call.request.url for call in microsoft.calls} <= {KEYS_URL}


@pytest.mark.parametrize("typ", [LEFT_OUT, "jwt"])
def test_id_token_typ_may_be_absent_or_in_another_case(microsoft, typ):
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
def test_text_that_is_no_id_token_is_refused(microsoft, raw, detail):
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
def test_changed_id_token_is_refused(microsoft, raw, detail):
    error = refusal_of(raw())

    assert type(error) is TokenRejected
    assert error.detail in [f"verification failed: {name}" for name in detail.split("|")]


def test_id_token_that_cannot_be_encoded_is_refused(microsoft):
    error = refusal_of(token().replace(".", ".\ud800", 1))

    assert error.detail == "cannot be read: UnicodeEncodeError"


def test_short_signing_key_is_refused():
    short = jwks.SigningKey(forge.key("short", bits=1024).public_key(), forge.issuer())

    with pytest.raises(TokenRejected, match="InvalidKeyError"):
        id_token.verify(
            token(sign=forge.rs256("short", bits=1024)),
            provider=forge.provider(),
            tenant=TID,
            nonce=NONCE,
            key_for=lambda kid: short,
        )


def test_kid_that_is_a_number_does_not_equal_its_text(wire):
    wire.get(KEYS_URL, body=key_set(jwk(kid=7), jwk("older")))

    assert refusal_of(token(header={"kid": "7"})).detail == UNKNOWN_KEY


def test_id_token_with_replaced_payload_is_refused(microsoft):
    header, _, signature = token().split(".")
    other = forge.segment(payload(sub="another-person")).decode()

    error = refusal_of(f"{header}.{other}.{signature}")

    assert error.detail == "verification failed: InvalidSignatureError"


def keys(name: str, *entries: object, detail: str = UNKNOWN_KEY, sign: forge.Signer | None = None) -> object:
    """Make the parameters of a key set with broken entries."""
    return pytest.param(key_set(*entries), sign or forge.rs256(), detail, id=name)


FOREIGN_KEY = "the signing key belongs to another issuer"
NO_JSON, NO_OBJECT = "is not JSON", "is not a JSON object"
NO_LIST, NO_USABLE_KEY = "no list of keys", "no usable key"


@pytest.mark.parametrize(
    ("keys_answer", "sign", "detail"),
    [
        keys("a stranger's key", jwk("stranger", kid="microsoft"), detail=INVALID_SIGNATURE),
        keys("use enc", jwk(use="enc"), jwk("older")),
        keys("another issuer's key", jwk(issuer=forge.issuer(OTHER_TID)), detail=FOREIGN_KEY),
        keys("other template", jwk(issuer=TEMPLATED.replace("tenantid", "TENANTID")), detail=FOREIGN_KEY),
        keys("issuer a number", jwk(issuer=7), jwk("older")),
        keys(
            "1024 bits",
            jwk("short", bits=1024, kid="microsoft"),
            jwk("older"),
            sign=forge.rs256("short", bits=1024),
        ),
        keys("EC key", forge.ec_jwk(), jwk("older"), sign=forge.es256()),
        keys(
            "symmetric key",
            {"kty": "oct", "kid": "microsoft", "k": "c2VjcmV0"},
            jwk("older"),
            sign=forge.hs256(b"secret"),
        ),
        keys("private key", forge.private_jwk(), jwk("older")),
        keys("entries without a kid", jwk(kid=""), jwk(kid=7), jwk(kid=None), jwk("older")),
        keys("kid empty", jwk(kid=""), detail=NO_USABLE_KEY),
        keys("empty numbers", jwk(n="", e=""), detail=NO_USABLE_KEY),
        keys("exponent 1", jwk(e="AQ"), detail=NO_USABLE_KEY),
        keys("number a list", jwk(n=[1]), detail=NO_USABLE_KEY),
        keys("not objects", 1, "x", None, [], detail=NO_USABLE_KEY),
        keys("empty set", detail=NO_USABLE_KEY),
        pytest.param("{}", forge.rs256(), NO_LIST, id="no set"),
        pytest.param('{"keys": {"a": 1}}', forge.rs256(), NO_LIST, id="keys an object"),
        pytest.param("planted", forge.rs256(), NO_JSON, id="not JSON"),
        pytest.param("", forge.rs256(), NO_JSON, id="empty"),
        pytest.param("[" * 100_000, forge.rs256(), NO_JSON, id="deep"),
        pytest.param("[]", forge.rs256(), NO_OBJECT, id="list"),
        pytest.param("<html>planted</html>", forge.rs256(), NO_JSON, id="HTML with 200"),
        pytest.param(b"\xff\xfe", forge.rs256(), "UTF-8", id="not UTF-8"),
    ],
)
def test_broken_key_set_verifies_no_id_token(wire, keys_answer, sign, detail):
    wire.get(KEYS_URL, body=keys_answer)

    error = refusal_of(token(sign=sign))

    unusable = detail in (NO_JSON, NO_OBJECT, NO_LIST, NO_USABLE_KEY, "UTF-8")
    assert type(error) is (MicrosoftAnswerInvalid if unusable else TokenRejected)
    assert detail in error.detail


@pytest.mark.parametrize("named", [None, forge.issuer(), TEMPLATED])
def test_key_set_of_a_single_tenant_may_name_no_issuer(wire, named):
    wire.get(KEYS_URL, body=key_set(jwk(issuer=named)))

    assert forge.verify(token()).tid == TID


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
def test_key_without_issuer_is_refused_in_the_set_of_many_tenants(wire, tenant):
    wire.get(COMMON_KEYS_URL, body=key_set(jwk(issuer=None)))

    error = refusal_of(token(), by=forge.provider(microsoft_tenant=tenant))

    assert type(error) is TokenRejected
    assert error.detail == "the signing key names no issuer"


def test_key_of_personal_accounts_signs_for_no_organisation(microsoft):
    raw = token(header={"kid": "msa"}, sign=forge.rs256("msa"))

    error = refusal_of(raw, by=forge.provider(microsoft_tenant="common"))

    assert error.detail == "the signing key belongs to another issuer"


def personal(**changes: object) -> str:
    claims = payload(tid=CONSUMERS, iss=forge.issuer(CONSUMERS), **changes)
    return token(claims, header={"kid": "msa"}, sign=forge.rs256("msa"))


def now(offset: float) -> Callable[[], float]:
    """Tell a time when the test runs, which may be long after its parameters were collected."""
    return lambda: time.time() + offset


def computed(claims: dict[str, object]) -> dict[str, object]:
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
        pytest.param({"tid": OTHER_TID}, "iss is not the issuer of tid", id="tid other than iss"),
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
def test_broken_claim_is_refused(microsoft, claims, detail):
    error = refusal_of(token(payload(**computed(claims))))

    assert type(error) is TokenRejected
    assert error.detail.startswith(detail)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": now(-60)}, id="expired a minute ago"),
        pytest.param({"nbf": now(60)}, id="valid in a minute"),
        pytest.param({"iat": now(60)}, id="issued in a minute"),
        pytest.param({"exp": now(100.5)}, id="fractions of a second"),
        pytest.param({"azp": CLIENT_ID}, id="azp of this client"),
        pytest.param({"iat": now(-86_000)}, id="issued long ago"),
    ],
)
def test_id_token_times_within_the_leeway_are_accepted(microsoft, claims):
    assert forge.verify(token(payload(**computed(claims)))).tid == TID


def test_claim_given_twice_is_the_same_for_every_check(microsoft):
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
def test_tenants_that_may_sign_in(wire, tenant, allowed, welcome, person):
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


def test_refused_tenant_hint_names_allowed_tenants(microsoft):
    by = forge.provider(microsoft_tenant="common", allowed_tenants=[OTHER_TID])

    error = refusal_of(org(), by=by)

    assert TID in error.hint
    assert "allowed_tenants" in error.hint


@pytest.mark.parametrize("cloud", Cloud)
def test_issuers_differ_by_cloud(wire, cloud):
    wire.get(f"{cloud.login}/{TID}/discovery/v2.0/keys", body=key_set(jwk(issuer=None)))
    by = forge.provider(cloud=cloud.value)

    assert forge.verify(token(payload(iss=f"{cloud.login}/{TID}/v2.0")), by=by).tid == TID
    if cloud is not Cloud.GLOBAL:
        assert refusal_of(token(), by=by).detail == "iss is not the issuer of tid"


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
def test_guest_is_recognised_by_acct_and_idp(microsoft, claims, guest):
    assert forge.verify(token(payload(**computed(claims)))).is_guest is guest


def test_text_of_a_claim_that_is_no_text_is_empty(microsoft):
    claims = forge.verify(token(payload(name=["x"])))

    assert claims.text("name") == claims.text("absent") == ""


@pytest.mark.parametrize("text", ["a\ud800", "a\0"])
def test_text_claim_is_fit_to_be_stored(microsoft, text):
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
def test_any_text_as_id_token_is_refused(raw):
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
def test_any_signed_json_that_is_no_claims_is_refused(claims):
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


def test_key_set_is_requested_once_for_many_id_tokens(microsoft):
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
def test_xms_edov_denies_an_address(payload, denied):
    assert make_claims(**payload).denies_address is denied


def test_amr_is_the_texts_of_the_claim_fit_to_be_stored():
    assert make_claims(amr=["a\ud800", "b\0", 7, None]).amr == ["a\ufffd", "b\ufffd"]


@pytest.mark.parametrize("value", [True, None, "1000", [1000], math.nan, math.inf, 10**400])
def test_auth_time_that_is_no_finite_number_is_unknown(value):
    """A boolean is an int in Python: it would be the second after the epoch."""
    assert make_claims(auth_time=value).auth_time is None


@pytest.mark.parametrize("value", [1, 1000.5, -1])
def test_auth_time_is_the_number_of_the_claim(value):
    assert make_claims(auth_time=value).auth_time == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  Ines \t\r\n Okafor ", "Ines Okafor"),
        ("Ines\x00\x1b[31m", "Ines[31m"),
        ("Ines\u202exe.knab\u200b", "Inesxe.knab"),
        ("Żółć 日本", "Żółć 日本"),
    ],
)
def test_display_text_has_no_control_characters_and_no_changes_of_direction(text, shown):
    assert id_token.display_text(text) == shown
