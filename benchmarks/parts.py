"""Token verification and the mapper, without the rest of a sign-in."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from django.http import HttpRequest

from django_ms_identity import conf, runtime
from django_ms_identity.entra import code_exchange, jwks
from django_ms_identity.entra import id_token as tokens
from django_ms_identity.entra.authorization_url import Authorization, authorize
from django_ms_identity.entra.code_exchange import VerifiedLogin
from django_ms_identity.entra.id_token import Claims
from django_ms_identity.jsonnet.engines import Engine, installed
from django_ms_identity.jsonnet.json_values import encode
from django_ms_identity.jsonnet.worker_pool import WorkerPool
from django_ms_identity.sign_in_context import SignInContext
from django_ms_identity.testing.emulator import Emulator
from django_ms_identity.traits.mapper_claims import mapper_claims

from .browser import HOST
from .measure import Budget, Clock, Row, Wire, measured, p95, timed

MAPPER = "mapper, as a registration calls it"
_REDIRECT_URI = f"http://{HOST}/ms/callback/microsoft/"


def rows(emulator: Emulator, wire: Wire, *, rounds: int) -> Iterator[Row]:
    """Measure the verification of an ID token, and the mapper with every engine that is installed."""
    provider = conf.get_config().provider("microsoft")
    documents = runtime.documents(conf.get_config())
    begun = authorize(provider, redirect_uri=_REDIRECT_URI, prompt="", emulator_url="")
    token = _redeemed(emulator, begun)
    verify = partial(
        tokens.verify,
        token,
        provider=provider,
        tenant=jwks.configured_tenant(provider, documents),
        nonce=begun.nonce,
        key_for=lambda kid: jwks.signing_key(provider, kid, documents),
    )
    budget = Budget(milliseconds=0.25, statements=0, requests=0)
    yield measured("ID token verification", lambda: verify, wire=wire, rounds=rounds, budget=budget)
    claims = verify()
    for engine in installed():
        yield from _mapper_rows(engine, claims, wire, rounds=rounds)
    yield measured(MAPPER, lambda: partial(_map, claims), wire=wire, rounds=rounds, clock=Clock.WALL)


def _redeemed(emulator: Emulator, begun: Authorization) -> str:
    return code_exchange.redeem(
        conf.get_config().provider("microsoft"),
        code=emulator.callback(begun.url).url.partition("code=")[2].partition("&")[0],
        verifier=begun.verifier,
        redirect_uri=_REDIRECT_URI,
        http=runtime.http_client(conf.get_config()),
    ).id_token


def _map(claims: Claims) -> None:
    config = conf.get_config()
    login = VerifiedLogin(provider=config.provider("microsoft"), claims=claims, subject=claims.sub)
    runtime.map_claims(SignInContext(request=HttpRequest(), config=config, login=login))


def _mapper_rows(engine: Engine, claims: Claims, wire: Wire, *, rounds: int) -> Iterator[Row]:
    source = runtime.sources(conf.get_config()).read("")
    known = mapper_claims(claims.payload, subject=claims.sub)
    sandbox = WorkerPool(engine)
    evaluate = partial(
        sandbox.evaluate,
        source,
        name="the mapper that ships",
        claims=known,
        identity=runtime.EMPTY_IDENTITY,
        timeout=5,
    )
    for _ in range(5):
        evaluate()
    alone: list[float] = []
    through: list[float] = []
    # Turn by turn, so that a busy machine is busy for both.
    for _ in range(4):
        alone += _alone(
            engine, source, encode(known), encode(dict(runtime.EMPTY_IDENTITY)), rounds=rounds // 4 or 1
        )
        through += [timed(evaluate, wire, Clock.WALL) for _ in range(rounds // 4 or 1)]
    sandbox.close()
    name = engine.module.lstrip("_")
    own, whole = statistics.median(alone), statistics.median(through)
    wall = partial(Row, clock=Clock.WALL)
    yield wall(step=f"mapper, {name} alone", median=own, p95=p95(alone))
    yield wall(step=f"mapper, {name} in the sandbox", median=whole, p95=p95(through))
    # The best of each: the engines' own spread is larger than the difference.
    added = min(through) - min(alone)
    yield wall(step="  what the sandbox adds", median=added, budget=Budget(milliseconds=2))


def _alone(engine: Engine, source: str, claims: str, identity: str, *, rounds: int) -> list[float]:
    """Let the engine run in a process of its own: in this one it could end all."""
    request = {
        "module": engine.module,
        "source": source,
        "claims": claims,
        "identity": identity,
        "rounds": rounds,
    }
    answer = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("engine.py"))],
        input=json.dumps(request),
        env=os.environ | dict(engine.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    times: list[float] = json.loads(answer.stdout)
    return times
