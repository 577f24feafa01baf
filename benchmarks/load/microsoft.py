"""The emulator in a process of its own, where everyone has an account: ``persona=new-17`` is one.

A project of one app, with nothing of the site in it. Codes and keys are in memory, so it is one process.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET

settings.configure(
    DEBUG=True,
    SECRET_KEY="of no value anywhere else",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_ms_identity.emulator"],
    MIDDLEWARE=[],
    USE_TZ=True,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": "CRITICAL"},
        "loggers": {"django": {"level": "CRITICAL"}},
    },
)
urlpatterns = [path("emulator/", include("django_ms_identity.emulator.urls"))]
_site = get_wsgi_application()

# These ask for settings when they are imported.
from django_ms_identity.emulator.grants import Grants  # noqa: E402
from django_ms_identity.emulator.microsoft import ENVIRON_KEY, Microsoft  # noqa: E402
from django_ms_identity.emulator.personas import PERSONAS, Persona, oid_for  # noqa: E402

_clients = {CLIENT_ID: CLIENT_SECRET}
_grants = Grants()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as a Microsoft that knows the person whom the request names."""
    who = parse_qs(environ.get("QUERY_STRING", "")).get("persona", [])
    personas = tuple(map(_persona, who[:1])) or PERSONAS
    microsoft = Microsoft(clients=_clients, personas=personas, grants=_grants)
    return _site(environ | {ENVIRON_KEY: microsoft}, start_response)


def _persona(name: str) -> Persona:
    email = f"{name}@contoso.example"
    return Persona(
        id=name,
        description="Work account",
        given_name=name.title(),
        family_name="Okafor",
        username=email,
        email=email,
        oid=oid_for(name),
        xms_edov=True,
    )
