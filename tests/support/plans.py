"""The statements that must not become slower as identities become many, and what databases make of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from django_ms_identity.backends import IdentityBackend
from django_ms_identity.identities import registration
from django_ms_identity.identities.credential_lookup import find_credential
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress

GROWING = tuple(model._meta.db_table for model in (Identity, Credential, VerifiableAddress, SignIn))
"""Tables with a row for each person, or more; the user model's is the project's own matter."""
LIST = reverse("admin:ms_identity_identity_changelist")
CLEAR = "clear-sign-ins, a batch"
READ = ("SELECT", "DELETE", "UPDATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    sql: str
    parameters: tuple[object, ...]


class _Undone(Exception):
    """Ends a transaction that is to leave nothing."""


def hot(credential: Credential, admin: Client, *, days: int = 36500) -> Mapping[str, Callable[[], object]]:
    """Name what happens often, or while somebody waits, about the person of ``credential``.

    ``days`` is the age of the sign-ins that are to be deleted.
    """
    identity = credential.identity
    address = identity.verifiable_addresses.all()[0].value
    terms = {
        "subject": credential.subject,
        "object id": credential.object_id,
        "Microsoft account": credential.account,
        "user name": identity.user.get_username(),
        "verified address": address,
        "identity id": str(identity.pk),
    }
    return {
        "who has this subject": lambda: find_credential(
            credential.provider, credential.subject, using="default"
        ),
        "whose session it is": lambda: IdentityBackend().get_user(identity.user_id),
        "whose verified address it is": lambda: list(
            VerifiableAddress.objects.matching("email", address).select_related("identity__user")
        ),
        "who of all has one of these addresses": lambda: registration.users_with_any([address]),
        "the list": lambda: page(admin, LIST),
        "the list by state": lambda: page(admin, LIST, state__exact="inactive"),
        "the list by provider": lambda: page(admin, LIST, provider="microsoft"),
        **{f"search by {name}": partial(page, admin, LIST, q=term) for name, term in terms.items()},
        "a person's page": lambda: page(
            admin, reverse("admin:ms_identity_identity_change", args=[identity.pk])
        ),
        "the latest sign-in": lambda: identity.sign_ins.order_by("-created_at").first(),
        "when accounts were used last": lambda: list(identity.credentials.with_last_use()),
        CLEAR: lambda: _clear_sign_ins(days),
    }


def page(admin: Client, url: str, **query: str) -> None:
    """Open a page of the admin, which must be there."""
    if (response := admin.get(url, query)).status_code != HTTPStatus.OK:
        raise AssertionError(f"{url} answered {response.status_code}")


def _clear_sign_ins(days: int) -> None:
    """Delete what is old, and take it back."""
    try:
        with transaction.atomic():
            call_command("ms_identity", "clear-sign-ins", "--older-than", str(days), stdout=StringIO())
            raise _Undone
    except _Undone:
        pass


def administrator() -> Client:
    user, _ = get_user_model().objects.get_or_create(
        username="administrator of plans", is_staff=True, is_superuser=True
    )
    client = Client(SERVER_NAME="localhost")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Note every statement about the tables that grow."""
    statements: list[Statement] = []

    def note(
        execute: Callable[..., object], sql: str, parameters: tuple[object, ...] | None, *rest: object
    ) -> object:
        if sql.startswith(READ) and any(f'"{table}"' in sql for table in GROWING):
            statements.append(Statement(sql=sql, parameters=tuple(parameters or ())))
        return execute(sql, parameters, *rest)

    with connection.execute_wrapper(note):
        yield statements


def scans(statement: Statement) -> list[str]:
    """Describe the steps of a statement's plan that look at every row of a table that grows."""
    return (_scans_of_sqlite if connection.vendor == "sqlite" else _scans_of_postgresql)(statement)


def _explained(prefix: str, statement: Statement) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"{prefix} {statement.sql}", statement.parameters)
        return list(cursor.fetchall())


def _scans_of_sqlite(statement: Statement) -> list[str]:
    steps = [str(row[-1]) for row in _explained("EXPLAIN QUERY PLAN", statement)]
    # An index in the order of the list is scanned no further than LIMIT says; sorting reads everything first.
    sorts = any(step == "USE TEMP B-TREE FOR ORDER BY" for step in steps)
    return [
        step
        for step in steps
        if step.startswith("SCAN")
        and any(f" {table}" in step for table in GROWING)
        and ("INDEX" not in step or "LIMIT" not in statement.sql or sorts)
    ]


def _scans_of_postgresql(statement: Statement) -> list[str]:
    (plan,) = _explained("EXPLAIN (FORMAT JSON)", statement)[0]
    document = json.loads(plan) if isinstance(plan, str) else plan
    return list(_full_scans(document[0]["Plan"], limited=False))


def _full_scans(node: Mapping[str, object], *, limited: bool) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name")
    if kind == "Seq Scan" and table in GROWING and not (limited and "Filter" not in node):
        yield f"{kind} on {table} {node.get('Filter', '')}"
    # Only what stands directly below a LIMIT stops with it.
    for child in node.get("Plans", ()):
        yield from _full_scans(child, limited=kind == "Limit")
