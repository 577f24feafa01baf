"""The families of refusals."""

import inspect

import pytest

from django_ms_identity import exceptions
from django_ms_identity.exceptions import (
    AccessRefused,
    AccountConflict,
    MSIdentityError,
    SetupFault,
    SignInInterrupted,
    TemporaryFailure,
)

FAMILIES = (SignInInterrupted, AccessRefused, AccountConflict, TemporaryFailure, SetupFault)
CAUSES = [
    kind
    for _, kind in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(kind, MSIdentityError) and "code" in vars(kind) and kind is not MSIdentityError
]


@pytest.mark.parametrize("cause", CAUSES)
def test_an_exception_belongs_to_one_family(cause):
    assert len([family for family in FAMILIES if issubclass(cause, family)]) == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_an_exception_says_when_it_is_raised(cause):
    assert cause.__doc__.startswith(("Raise", "Base of"))


@pytest.mark.parametrize(
    "error", [exceptions.ConfigurationInvalid, exceptions.MapperResultInvalid, exceptions.SchemaInvalid]
)
def test_an_exception_lists_every_fault(error):
    raised = error("one", "two")

    assert raised.faults == ("one", "two")
    assert str(raised) == raised.detail == "one; two"
    assert raised.hint
