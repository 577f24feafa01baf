"""Find the credential of a subject, with its identity and user, by a statement that is composed once.

Every sign-in of a known person makes this look-up. Django composes the joined SELECT each time, which takes
several times as long as running it. The statement has one parameter, so its text can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression

from django_ms_identity.models import Credential, Identity, credential_key
from django_ms_identity.sign_in_context import SignInContext

_KEY = "the key of the credential"
"""Takes the place of the parameter while the statement is composed."""

_Model = TypeVar("_Model", bound=models.Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of one model in a row."""

    model: type[models.Model]
    names: tuple[str, ...]
    start: int

    def instance(self, row: list[Any], *, using: str) -> Any:
        return self.model.from_db(using, self.names, row[self.start : self.start + len(self.names)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    sql: str
    parameters: tuple[Any, ...]
    selected: tuple[Expression, ...]
    """The columns of a row, which know the converters of their fields."""
    models: tuple[_Columns, _Columns, _Columns]
    """Which columns are of the credential, its identity and its user."""


def credential_of(context: SignInContext) -> Credential | None:
    """Return the credential of a verified login with identity and user, if it is known here."""
    using = router.db_for_write(Credential)
    return find_credential(context.provider.id, context.subject, using=using)


def find_credential(provider: str, subject: str, *, using: str) -> Credential | None:
    """Return the credential of a subject with ``identity`` and ``identity.user`` loaded, or None.

    The result is that of ``Credential.objects.using(using).for_subject(provider, subject)`` with
    ``select_related("identity__user")``.
    """
    connection = connections[using]
    statement = _compose(using, connection.settings_dict["ENGINE"])
    key = credential_key(provider, subject)
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, [key if given == _KEY else given for given in statement.parameters])
        found = cursor.fetchone()
    if found is None:
        return None
    row = [
        _converted(value, column, connection) for value, column in zip(found, statement.selected, strict=True)
    ]
    credential: Credential
    credential, identity, user = (columns.instance(row, using=using) for columns in statement.models)
    identity.user = user
    credential.identity = identity
    return credential


@cache
def _compose(using: str, engine: str) -> _Statement:
    """Let Django compose the statement for a database; ``engine`` only tells apart what is kept.

    The columns are in the order that ``Model.from_db`` expects. A user model that inherits from another is
    joined to its parents' tables.
    """
    user_model = Identity._meta.get_field("user").remote_field.model
    columns: list[_Columns] = []
    paths: list[str] = []
    for model, prefix in ((Credential, ""), (Identity, "identity__"), (user_model, "identity__user__")):
        names = tuple(field.attname for field in model._meta.concrete_fields)
        columns.append(_Columns(model=model, names=names, start=len(paths)))
        paths += [prefix + name for name in names]
    query = Credential._base_manager.using(using).filter(key=_KEY).values_list(*paths).query
    compiler = query.get_compiler(using)
    sql, parameters = compiler.as_sql()
    return _Statement(
        sql=sql,
        parameters=tuple(parameters),
        selected=tuple(column for column, *_ in compiler.select),
        models=(columns[0], columns[1], columns[2]),
    )


def _converted(value: Any, column: Expression, connection: BaseDatabaseWrapper) -> Any:
    # The converters are not kept: those of a database hold its connection, which belongs to one thread.
    for convert in connection.ops.get_db_converters(column) + column.get_db_converters(connection):
        value = convert(value, column, connection)
    return value
