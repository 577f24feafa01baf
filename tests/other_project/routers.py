from __future__ import annotations

PEOPLE = {"other_project", "ms_identity"}


class PeopleRouter:
    """Keep people and their identities in a database of their own, which is read from a replica."""

    def db_for_read(self, model, **hints):
        return "replica" if model._meta.app_label in PEOPLE else "default"

    def db_for_write(self, model, **hints):
        return "people" if model._meta.app_label in PEOPLE else "default"

    def allow_relation(self, one, other, **hints):
        return (one._state.db == "default") is (other._state.db == "default")

    def allow_migrate(self, db, app_label, **hints):
        return (app_label in PEOPLE) is (db == "people")
