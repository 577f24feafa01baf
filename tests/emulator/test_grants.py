"""Issued codes and tokens: their number is bounded, and a code is redeemed by one thread only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from django_ms_identity.emulator.errors import Refused
from django_ms_identity.emulator.grants import LIMIT, Authorization, Grants
from django_ms_identity.emulator.keys import WORK, signing_key
from django_ms_identity.emulator.personas import PERSONAS
from django_ms_identity.emulator.tenants import CONTOSO, Authority


@pytest.fixture
def authorization() -> Authorization:
    return Authorization(
        client_id="client",
        redirect_uri="https://app.example/cb",
        scope=("openid",),
        nonce="nonce",
        challenge="challenge",
        authority=Authority(host="login.microsoftonline.com", segment="common", tenant=None),
        persona=PERSONAS[0],
        home=CONTOSO,
        tenant=CONTOSO,
        auth_time=0,
        auth_contexts=(),
        sid="microsofts-session",
    )


def test_oldest_grant_is_dropped_for_the_newest(authorization):
    grants = Grants()
    codes = [grants.issue_code(authorization, 0) for _number in range(LIMIT + 1)]
    tokens = [grants.issue_token(authorization, 0) for _number in range(LIMIT + 1)]

    with pytest.raises(Refused) as refused:
        grants.redeem_code(codes[0], 0)

    assert refused.value.refusal.code == 70000
    assert grants.redeem_code(codes[1], 0) == authorization
    assert grants.authorization_for(tokens[0], 0) is None
    assert grants.authorization_for(tokens[1], 0) == authorization


def test_code_is_redeemed_once_by_many_threads(authorization):
    grants = Grants()
    code = grants.issue_code(authorization, 0)

    def redeem(_number: int) -> bool:
        try:
            grants.redeem_code(code, 0)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(redeem, range(64))) == 1


def test_signing_key_is_made_once_by_many_threads():
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _number: signing_key(WORK), range(16)))

    assert all(key is keys[0] for key in keys)


def test_repr_has_no_secrets(authorization, microsoft):
    grants = Grants()
    code, token = grants.issue_code(authorization, 0), grants.issue_token(authorization, 0)

    shown = repr((grants, microsoft, signing_key(WORK)))

    assert code not in shown
    assert "microsofts-session" not in repr(authorization)
    assert token not in shown
    assert "other-secret" not in shown
