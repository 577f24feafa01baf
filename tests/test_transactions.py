"""Transactions that lose a deadlock or wait too long for a lock."""

from __future__ import annotations

import sqlite3

import pytest
from django.db import OperationalError, connection

from django_ms_identity.transactions import ATTEMPTS, busy_error
from tests.journeys.steps import NOTHING, code_of, pick, rows, unquoted
from tests.support.builders import make_identity, make_settings
from tests.support.web import Browser

pytestmark = pytest.mark.django_db(transaction=True)


def mariadb(number):
    return OperationalError(number, "planted")


def postgresql(state):
    error = OperationalError("planted")
    error.__cause__ = type("Planted", (Exception,), {"sqlstate": state})()
    return error


def sqlite(code):
    error = OperationalError("database is locked")
    error.__cause__ = sqlite3.OperationalError("database is locked")
    error.__cause__.sqlite_errorcode = code
    return error


DEADLOCKS = [
    pytest.param(mariadb(1213), id="MariaDB: deadlock"),
    pytest.param(mariadb(1020), id="MariaDB: record changed"),
    pytest.param(postgresql("40P01"), id="PostgreSQL: deadlock"),
    pytest.param(postgresql("40001"), id="PostgreSQL: serialization failure"),
]
LOCK_WAITS = [
    pytest.param(mariadb(1205), id="MariaDB: lock wait"),
    pytest.param(postgresql("55P03"), id="PostgreSQL: lock not available"),
    pytest.param(sqlite(5), id="SQLite: busy"),
    pytest.param(sqlite(517), id="SQLite: busy with another snapshot"),
]
OTHERS = [
    pytest.param(mariadb(2006), id="MariaDB: gone away"),
    pytest.param(postgresql("57P01"), id="PostgreSQL: shutting down"),
    pytest.param(sqlite(13), id="SQLite: full"),
    pytest.param(OperationalError(), id="says nothing"),
]


class Failing:
    """Fail the first ``times`` statements that begin like this."""

    def __init__(self, beginning, error, times=1000):
        self._beginning, self._error, self._times = beginning, error, times
        self.failed = 0

    def __call__(self, execute, sql, params, many, context):
        if self.failed < self._times and unquoted(sql).startswith(self._beginning):
            self.failed += 1
            raise self._error
        return execute(sql, params, many, context)


@pytest.mark.parametrize("error", DEADLOCKS)
@pytest.mark.parametrize(
    "beginning",
    [
        "INSERT INTO auth_user ",
        "INSERT INTO ms_identity_identity",
        "INSERT INTO ms_identity_credential",
        "INSERT INTO ms_identity_signin",
    ],
)
def test_registration_is_retried_after_a_deadlock(client, ms_identity_emulator, beginning, error):
    failing = Failing(beginning, error, times=ATTEMPTS - 1)

    with connection.execute_wrapper(failing):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("", 302)
    assert failing.failed == ATTEMPTS - 1
    assert rows()["Identity"] == rows()["Credential"] == rows()["SignIn"] == rows()["User"] == 1


@pytest.mark.parametrize("error", DEADLOCKS + LOCK_WAITS)
def test_lost_deadlocks_and_lock_waits_are_refused_and_leave_no_rows(client, ms_identity_emulator, error):
    failing = Failing("INSERT INTO ms_identity_credential", error)

    with connection.execute_wrapper(failing):
        response = ms_identity_emulator.sign_in(client)

    assert (code_of(response), response.status_code) == ("database_busy", 503)
    # A lock that was not released in time is not waited for again.
    assert failing.failed == (ATTEMPTS if error in [one.values[0] for one in DEADLOCKS] else 1)
    assert rows() == NOTHING


@pytest.mark.parametrize("error", OTHERS)
def test_other_database_error_is_not_busy(error):
    assert busy_error(error) is None


def test_database_that_is_gone_is_not_busy(client, ms_identity_emulator):
    with (
        connection.execute_wrapper(Failing("INSERT INTO ms_identity_credential", mariadb(2006))),
        pytest.raises(OperationalError),
    ):
        ms_identity_emulator.sign_in(client)

    assert rows() == NOTHING


def test_update_and_unlink_are_retried_after_a_deadlock(client, ms_identity_emulator, settings):
    settings.MS_IDENTITY = make_settings({"update_identity_on_login": "automatic"})
    ms_identity_emulator.sign_in(Browser())
    ms_identity_emulator.persona("work", family_name="Changed")
    callback = pick(client, ms_identity_emulator)
    updating = Failing("UPDATE ms_identity_identity", mariadb(1213), times=2)
    with connection.execute_wrapper(updating):
        assert callback.send(client).status_code == 302
    assert updating.failed == 2

    identity = make_identity(subject="other", username="other", password="pw")
    browser = Browser()
    browser.login(username="other", password="pw")
    unlinking = Failing("DELETE FROM ms_identity_credential", mariadb(1213), times=2)
    with connection.execute_wrapper(unlinking):
        response = browser.post(f"/ms/connections/{identity.credentials.get().pk}/unlink/")
    assert response.status_code == 302
    assert unlinking.failed == 2
    assert not identity.credentials.exists()
