from __future__ import annotations

PEOPLE = {"other_project", "ms_identity"}


class PeopleRouter:
    """Keep people and their identities in a database of their own."""

    def db_for_read(self, model, **hints):
        return "people" if model._meta.app_label in PEOPLE else "default"

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return one._state.db == other._state.db

    def allow_migrate(self, db, app_label, **hints):
        return (app_label in PEOPLE) is (db == "people")
