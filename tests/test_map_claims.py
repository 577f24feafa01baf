from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from django_ms_identity import conf
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.exceptions import MapperRuntimeFailed
from django_ms_identity.jsonnet.json_values import JSONObject
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.runtime import EMPTY_IDENTITY, map_claims
from django_ms_identity.traits.mapping_result import Address, MappingResult
from tests.jsonnet.conftest import engine as engine
from tests.jsonnet.conftest import sandbox as sandbox
from tests.support.builders import TENANT, make_context, make_mapper, make_provider

PERSON = {
    "tid": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
    "sub": "pairwise",
    "email": "Bob@Contoso.example",
    "preferred_username": "bob@contoso.example",
    "name": "Bob Builder",
    "given_name": "Bob",
    "family_name": "Builder",
}


def mapped(mapper: str = "", payload: dict[str, Any] | None = None, **options: Any) -> MappingResult:
    provider = make_provider(mapper_url=mapper and make_mapper(mapper))
    claims = Claims(tid=TENANT, sub="pairwise", oid="", payload=PERSON if payload is None else payload)
    config = replace(conf.get_config(), mapper_timeout=20)
    return map_claims(make_context(provider, claims, subject="s", config=config), **options)


# The mapper that ships


def test_the_default_mapper_keeps_what_microsoft_sent() -> None:
    assert mapped() == MappingResult(
        traits={
            "email": "Bob@Contoso.example",
            "username": "bob@contoso.example",
            "name": "Bob Builder",
            "first_name": "Bob",
            "last_name": "Builder",
        }
    )


@pytest.mark.parametrize(
    "payload", [{}, {"email": "", "name": None}, {"tid": "t"}, {"xms_edov": True}], ids=json.dumps
)
def test_the_default_mapper_leaves_out_what_microsoft_did_not_send(payload: dict[str, Any]) -> None:
    assert mapped(payload=payload) == MappingResult(traits={})


@pytest.mark.parametrize("vouched", [True, 1, "1", "true"])
def test_the_default_mapper_trusts_an_e_mail_whose_domain_is_verified(vouched: object) -> None:
    result = mapped(payload=PERSON | {"xms_edov": vouched})

    assert result.verified_addresses == (Address(via="email", value="bob@contoso.example"),)


@pytest.mark.parametrize("vouched", [False, 0, "0", "false", "True", "", None, [True], 2, {}])
def test_the_default_mapper_trusts_no_other_e_mail(vouched: object) -> None:
    payload = PERSON | {"xms_edov": vouched, "email_verified": True}

    assert mapped(payload=payload).verified_addresses == ()


def test_the_default_mapper_gives_the_same_with_every_engine(sandbox: WorkerPool) -> None:
    source = files("django_ms_identity.jsonnet").joinpath("default.jsonnet").read_text(encoding="utf-8")
    claims: JSONObject = {"email": "a@b", "raw_claims": {"xms_edov": "1"}}
    output = sandbox.evaluate(source, name="m", claims=claims, identity={}, timeout=20)

    assert json.loads(output) == {
        "identity": {"traits": {"email": "a@b"}, "verified_addresses": [{"via": "email", "value": "a@b"}]}
    }


# The whole way


def test_the_mapper_sees_the_subject_and_the_stored_identity() -> None:
    result = mapped(
        """{ identity: { traits: { sub: std.extVar('claims').sub, raw: std.extVar('claims').raw_claims.sub },
                         metadata_admin: std.extVar('identity') } }"""
    )

    assert result.traits == {"sub": "s", "raw": "pairwise"}
    assert result.metadata_admin == EMPTY_IDENTITY


def test_an_operator_sees_the_engines_words_on_demand() -> None:
    with pytest.raises(MapperRuntimeFailed) as failure:
        mapped("error 'reason'", explain=True)

    assert "reason" in failure.value.hint
