"""Two transactions that wait for each other, for real."""

from __future__ import annotations

from functools import partial
from threading import Barrier

import pytest
from django.db import connection, transaction

from django_ms_identity.models import Identity
from django_ms_identity.transactions import retry_on_deadlock
from tests.support.builders import make_identity

from .crowd import TIMEOUT, together

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor == "sqlite", reason="SQLite has one lock for all: nothing to deadlock"
    ),
]


def test_both_of_two_that_wait_for_each_other_are_done_in_the_end():
    one, other = make_identity(subject="one").pk, make_identity(subject="other").pk
    met, attempts = Barrier(2, timeout=TIMEOUT), []

    @retry_on_deadlock
    def write(first, second):
        attempts.append(first)
        with transaction.atomic():
            Identity.objects.filter(pk=first).lock()
            if attempts.count(first) == 1:
                met.wait()
            identity = Identity.objects.get(pk=second)
            identity.traits = {"by": str(first)}
            identity.save()

    together(partial(write, one, other), partial(write, other, one))

    assert len(attempts) == 3
    assert Identity.objects.get(pk=one).traits == {"by": str(other)}
    assert Identity.objects.get(pk=other).traits == {"by": str(one)}
