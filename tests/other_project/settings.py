"""A project with its own user model, several databases, and a transaction and a login for every request."""

from tests.settings import *  # noqa: F403  # but for what follows, the same project
from tests.settings import MIDDLEWARE
from tests.support import servers

DATABASES = {
    alias: servers.make_database(f"other_project_{alias}") | {"ATOMIC_REQUESTS": True}
    for alias in ("default", "people")
}
DATABASES["replica"] = DATABASES["people"] | {"TEST": {"MIRROR": "people"}}
# Sessions are in "default", people are not.
DATABASE_ROUTERS = ["tests.other_project.routers.PeopleRouter"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_ms_identity",
    "tests.other_project",
]
MIDDLEWARE = [name for name in MIDDLEWARE if "messages" not in name] + [
    "django.contrib.auth.middleware.LoginRequiredMiddleware"
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
AUTH_USER_MODEL = "other_project.Member"
AUTHENTICATION_BACKENDS = ["django_ms_identity.backends.IdentityBackend"]
LOGIN_URL = "ms_identity:sign_in"
ROOT_URLCONF = "tests.other_project.urls"
