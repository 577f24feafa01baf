"""Fails unless the installed wheel brings every kind of file, and only its own package."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path

import django
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.template.loader import get_template

import django_ms_identity

django.setup()
package = Path(django_ms_identity.__file__).parent
assert "site-packages" in package.parts, f"{package} is not the installed wheel"
for name in ("py.typed", "jsonnet/default.jsonnet", "migrations/0001_initial.py"):
    assert (package / name).is_file(), f"the wheel has no {name}"
for name in ("base.html", "sign_in.html", "error.html", "admin_login.html"):
    get_template(f"ms_identity/{name}")
for name in ("pages.css", "button.css"):
    assert finders.find(f"ms_identity/{name}"), f"the wheel has no {name}"
tops = {Path(file).parts[0] for file in files("django-ms-identity") or ()}
stray = {top for top in tops if top != "django_ms_identity" and not top.endswith(".dist-info")}
assert not stray, f"the wheel also brings {stray}"
call_command("migrate", verbosity=0)
print(f"The wheel of django-ms-identity {django_ms_identity.__version__} is complete.")
