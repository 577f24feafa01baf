"""``manage.py ms_identity import-kratos``: its arguments, its report, and its exit code."""

from __future__ import annotations

import io
import json
import sys
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from django_ms_identity.management import import_kratos
from django_ms_identity.models import Credential, Identity
from tests.importers.test_writer import ANN, BEN, EMAIL, OID, exported
from tests.journeys.steps import NOTHING, rows
from tests.support.builders import TENANT, make_settings

from .commands import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def import_kratos_file(tmp_path):
    """Import a file of these entries; return what was printed, and the error that it ended with."""

    def run_with(*entries, arguments=(), text=None):
        path = tmp_path / "identities.json"
        path.write_text(json.dumps(entries) if text is None else text, encoding="utf-8")
        return run("import-kratos", str(path), *arguments)

    return run_with


def test_import_command_counts_imported_identities(import_kratos_file):
    shown, error = import_kratos_file(exported(), exported("microsoft:ben", id=BEN, verifiable_addresses=[]))

    assert not error
    assert shown == "Imported: 2\nAlready here: 0\nSkipped: 0\nFailed: 0\n"
    assert Identity.objects.count() == 2
    assert import_kratos_file(exported())[0].startswith("Imported: 0\nAlready here: 1\n")


def test_import_command_reports_skipped_identities_by_id_and_reason(import_kratos_file):
    get_user_model().objects.create_user("somebody", EMAIL)

    shown, error = import_kratos_file(exported(), exported("google:s", id=BEN, verifiable_addresses=[]))

    assert not error
    assert f"identity {ANN}: skipped: a verified address belongs to an existing user\n" in shown
    assert f"identity {BEN}: skipped: no credential is left to sign in with\n" in shown
    assert f"identity {BEN}: a credential is left out: provider 'google' is not configured here\n" in shown
    assert "Skipped: 2\n  1: a verified address belongs to an existing user\n  1: no credential" in shown


def test_import_command_goes_on_after_a_failure_and_exits_with_an_error(import_kratos_file):
    shown, error = import_kratos_file({"id": BEN, "traits": 1}, exported())

    assert f"identity {BEN}: failed: traits is an integer" in shown
    assert "Imported: 1\n" in shown
    assert "Failed: 1\n" in shown
    assert error.startswith("1 of 2 failed")


def test_import_command_dry_run_writes_nothing(import_kratos_file):
    shown, error = import_kratos_file(exported(), arguments=["--dry-run"])

    assert not error
    assert shown.startswith("Would be imported: 1\n")
    assert rows() == NOTHING


def test_import_command_prints_no_personal_data(import_kratos_file):
    planted = {"email": "planted@contoso.example", "name": {"first": "Planted"}, "username": "planted"}
    address = [{"via": "email", "value": "planted@contoso.example", "verified": True}]
    get_user_model().objects.create_user("planted", "planted@contoso.example")

    shown, error = import_kratos_file(
        exported("microsoft:planted", traits=planted, verifiable_addresses=address),
        exported("microsoft:planted", "planted planted:x", id=BEN, traits=planted, verifiable_addresses=[]),
        {"id": "planted", "traits": planted},
        {"id": OID, "traits": planted, "verifiable_addresses": ["planted"]},
    )

    assert error
    assert "lanted" not in shown + error


def test_import_command_stores_tenant_in_lower_case(import_kratos_file):
    import_kratos_file(exported(), arguments=["--tenant", TENANT.upper()])

    assert Credential.objects.get().tenant == TENANT


def test_import_command_renames_provider(import_kratos_file):
    import_kratos_file(exported("azure:s"), arguments=["--provider", "azure=microsoft"])

    assert Credential.objects.get().provider == "microsoft"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--tenant", "contoso.example"], "no tenant id", id="tenant"),
        pytest.param(["--tenant", f"{TENANT}0"], "no tenant id", id="longer than a tenant"),
        pytest.param(["--provider", "azure=mikrosoft"], "the providers here are 'microsoft'", id="provider"),
        pytest.param(["--provider", "azure"], "not KRATOS_ID=OUR_ID", id="no pair"),
        pytest.param(["--provider", "=microsoft"], "not KRATOS_ID=OUR_ID", id="half a pair"),
        pytest.param(
            ["--provider", "a=microsoft", "--provider", "a=microsoft"], "names 'a' twice", id="twice"
        ),
    ],
)
def test_import_command_refuses_invalid_argument(import_kratos_file, arguments, reason):
    _, error = import_kratos_file(exported(), arguments=arguments)

    assert reason in error
    assert rows() == NOTHING


def test_import_command_refuses_truncated_file_whole(import_kratos_file):
    _, error = import_kratos_file(text=json.dumps([exported(), exported(id=BEN)])[:-5])

    assert "is no export of Kratos" in error
    assert "line 1" in error
    assert rows() == NOTHING


def test_import_command_names_missing_file():
    _, error = run("import-kratos", "/nowhere/identities.json")

    assert error == "/nowhere/identities.json cannot be read: No such file or directory."


def test_import_command_refuses_other_encoding(tmp_path):
    path = tmp_path / "identities.json"
    path.write_bytes("[]".encode("utf-16"))

    _, error = run("import-kratos", str(path))

    assert error.endswith("is not in UTF-8.")


def test_import_command_reads_standard_input_with_byte_order_mark(monkeypatch):
    content = io.BytesIO(json.dumps([exported()]).encode("utf-8-sig"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))

    shown, error = run("import-kratos", "-")

    assert not error
    assert shown.startswith("Imported: 1\n")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param({"FLOW_LIFESPAN": 0}, "configuration_invalid", id="settings"),
        pytest.param({"IDENTITY_SCHEMA_URL": "file:///nowhere"}, "schema_unavailable", id="schema"),
    ],
)
def test_import_command_refuses_invalid_configuration(import_kratos_file, settings, broken, code):
    settings.MS_IDENTITY = make_settings(**broken)

    _, error = import_kratos_file(exported())

    assert error.startswith(f"{code}: ")
    assert rows() == NOTHING


def test_import_command_warns_of_traits_that_the_schema_refuses(import_kratos_file, settings, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"properties": {"traits": {"type": "object", "required": ["phone"]}}}))
    settings.MS_IDENTITY = make_settings(IDENTITY_SCHEMA_URL=schema.as_uri())

    shown, error = import_kratos_file(exported())

    assert not error
    assert "1 have traits that the identity schema refuses" in shown
    assert Identity.objects.count() == 1


def test_import_command_warns_of_object_ids_as_userinfo_subjects(import_kratos_file):
    skipped = exported("microsoft:00000000-0000-4000-8000-000000000002", id=BEN)

    shown, _ = import_kratos_file(exported(f"microsoft:{OID}"), skipped)

    assert "Skipped: 1" in shown
    assert "1 have an object id as their subject" in shown


@pytest.mark.parametrize(("number", "lines"), [(3, ["2 of 3"]), (2, []), (5, ["2 of 5", "4 of 5"])])
def test_import_command_reports_progress(tmp_path, monkeypatch, number, lines):
    monkeypatch.setattr(import_kratos, "PROGRESS_EVERY", 2)
    path = tmp_path / "identities.json"
    path.write_text(json.dumps([exported()] * number), encoding="utf-8")
    err = StringIO()

    call_command("ms_identity", "import-kratos", str(path), stdout=StringIO(), stderr=err, no_color=True)

    assert [line.partition(",")[0] for line in err.getvalue().splitlines()] == lines
    assert err.getvalue().count(" a second") == len(lines)
