"""Decide which groups a user joins and leaves because a mapper named them, and write it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, Group, PermissionsMixin
from django.db.models import Exists, OuterRef

from django_ms_identity.models import Identity

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChanges:
    """What is to change; a group without a primary key is still to be made."""

    joined: tuple[Group, ...] = ()
    left: tuple[Group, ...] = ()
    granted: tuple[str, ...] = ()
    """Names of the groups that are then held because a mapper named them: it may take them away again."""


def group_changes(
    identity: Identity, names: Iterable[str] | None, database: str, *, create: bool
) -> GroupChanges:
    """Compare the groups of the identity's user with those that a mapper names; None leaves all as they are.

    ``create`` says whether missing groups are created. A project may have no groups, or a group model of its
    own: nothing changes there.
    """
    user: AbstractBaseUser = identity.user
    granted = set(identity.granted_groups)
    if names is None or not isinstance(user, PermissionsMixin):
        return GroupChanges(granted=tuple(identity.granted_groups))
    wanted = set(names)
    if not wanted and not granted:
        return GroupChanges()
    joined: list[Group] = []
    left: list[Group] = []
    held: list[str] = []
    membership = user.groups.using(database).filter(pk=OuterRef("pk")) if user.pk else Group.objects.none()
    rows = Group.objects.using(database).filter(name__in=wanted | granted)
    found = list(rows.annotate(is_member=Exists(membership)))
    for group in found:
        if group.name in wanted:
            if not group.is_member:
                joined.append(group)
            if not group.is_member or group.name in granted:
                held.append(group.name)
        # Some collations find more than they should.
        elif group.name in granted and group.is_member:
            left.append(group)
    missing = _makeable(wanted - {group.name for group in found}) if create else []
    return GroupChanges(
        joined=(*joined, *missing),
        left=tuple(left),
        granted=tuple(sorted([*held, *(group.name for group in missing)])),
    )


def write(user: AbstractBaseUser, changes: GroupChanges, database: str) -> None:
    """Let the user join and leave; makes the groups that are still to be made."""
    if not isinstance(user, PermissionsMixin):
        return
    if changes.joined:
        user.groups.add(*_made(changes.joined, database))
    if changes.left:
        user.groups.remove(*changes.left)


def _made(groups: Iterable[Group], database: str) -> Iterator[Group]:
    for group in groups:
        if group.pk:
            yield group
            continue
        # Another request may make the same group at the same moment.
        made, _ = Group.objects.using(database).get_or_create(name=group.name)
        if made.name == group.name:
            yield made
        else:
            # Some collations find more than they should; who holds that group was not decided here.
            logger.warning("A group was not made: the database takes its name for that of %r", made.name)


def _makeable(names: Iterable[str]) -> list[Group]:
    longest = Group._meta.get_field("name").max_length or 0
    return [Group(name=name) for name in sorted(names) if name.strip() and len(name) <= longest]
