"""Run a mapper that is a Python function of the project, in this process.

Its result goes through JSON, so that it passes the same checks as the output of a Jsonnet mapper and shares
nothing with the mapper.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from pkgutil import resolve_name
from typing import TypeAlias

from django_ms_identity.exceptions import (
    MapperOutputTooLarge,
    MapperResultInvalid,
    MapperUnavailable,
    PythonMapperFailed,
    RegistrationRefused,
    SignInRefused,
)
from django_ms_identity.jsonnet.json_values import JSON, JSONObject, NotJSON, clean, encode
from django_ms_identity.jsonnet.worker_process import MAX_OUTPUT

PythonMapper: TypeAlias = Callable[[JSONObject, JSONObject], object]


@lru_cache(maxsize=32)
def import_mapper(path: str) -> PythonMapper:
    """Return the function at a dotted path; raise ``MapperUnavailable`` if it cannot be used."""
    try:
        mapper: object = resolve_name(path)
    except Exception as error:  # A project's own module: anything can come out of its import.
        problem = f"cannot be imported: {type(error).__name__}"
    else:
        if callable(mapper) and not _is_async(mapper):
            return mapper
        problem = "is asynchronous" if callable(mapper) else "cannot be called"
    raise MapperUnavailable(
        f"the mapper {path} {problem}",
        hint='Use the dotted path of a function (claims, identity) that returns a dict; not "async def".',
    )


def evaluate(path: str, *, claims: JSONObject, identity: Mapping[str, JSON], explain: bool = False) -> str:
    """Return the JSON text of what a mapper makes of ``claims`` and of a copy of ``identity``.

    ``claims`` must belong to this call alone, as ``mapper_claims`` makes them: the mapper may change them.
    ``explain`` puts the mapper's exception with its traceback, which may hold claims, into the hint. Raises
    ``RegistrationRefused`` and ``SignInRefused`` as the mapper does, ``PythonMapperFailed`` for any other
    exception, ``MapperUnavailable``, ``MapperResultInvalid`` and ``MapperOutputTooLarge``.
    """
    mapper = import_mapper(path)
    try:
        output = encode(clean(mapper(claims, deepcopy(dict(identity)))))
    except (RegistrationRefused, SignInRefused):
        raise
    except NotJSON as error:
        failure: Exception = MapperResultInvalid(f"the output holds {error}")
    except Exception as error:
        failure = _failed(path, error, explain=explain)
    else:
        if (size := len(output.encode())) <= MAX_OUTPUT:
            return output
        failure = MapperOutputTooLarge(
            f"the mapper {path} produced {size} bytes; at most {MAX_OUTPUT} are accepted",
            hint="Map only what you need; leave raw_claims out.",
        )
    # Outside the except block, so that ``__context__`` carries no claims.
    raise failure


def _failed(path: str, error: Exception, *, explain: bool) -> PythonMapperFailed:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    # The mapper's own line says more than one of a library that it calls.
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    place = f" at {own[-1].filename}, line {own[-1].lineno}" if own else ""
    return PythonMapperFailed(
        f"the mapper {path} raised {type(error).__name__}{place}",
        hint="".join(traceback.format_exception(error))
        if explain
        else "Try it with `manage.py ms_identity map`. Empty claims are absent: use claims.get('email').",
    )


def _is_async(mapper: Callable[..., object]) -> bool:
    call = getattr(type(mapper), "__call__", None)  # noqa: B004  # the method itself, not whether there is one
    return any(map(inspect.iscoroutinefunction, (mapper, call)))
