"""Settings of the example project.

Sign-in goes to the local emulator until the environment (or `.env`) names a client id of real Microsoft;
then the app is configured from the environment and the emulator is not installed.
"""

from __future__ import annotations

from pathlib import Path

import django
import environ

from django_ms_identity.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DJANGO_DEBUG", default=True)
# The key in this file is public: it is for the demo, and not used without DEBUG.
SECRET_KEY = env.str("DJANGO_SECRET_KEY", default="example-project-only" if DEBUG else environ.Env.NOTSET)
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
PORT = env.int("PORT", default=8000)

# The emulator checks no password, so it is never installed without DEBUG.
EMULATED = DEBUG and not (
    env.str("MS_IDENTITY_CLIENT_ID", default="")
    or env.str("SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS", default="")
)

INSTALLED_APPS = [
    "example_project",
    "django_ms_identity",
    *(["django_ms_identity.emulator"] if EMULATED else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    *(["django.middleware.csp.ContentSecurityPolicyMiddleware"] if django.VERSION >= (6, 0) else []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"
STATIC_URL = "static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# Sign-in

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "django_ms_identity.backends.IdentityBackend",
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "profile"
LOGOUT_REDIRECT_URL = "home"

if EMULATED:
    MS_IDENTITY = {
        "PROVIDERS": [
            {
                "id": "microsoft",
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "microsoft_tenant": TENANT_ID,
                "mapper_url": (BASE_DIR / "example_project" / "mapper.jsonnet").as_uri(),
                # The mapper grants rights, so a user who loses the role at Microsoft must lose them here too.
                "update_identity_on_login": "automatic",
                "aal2_auth_contexts": ["c1"],
            }
        ],
        "IDENTITY_SCHEMA_URL": (BASE_DIR / "example_project" / "identity.schema.json").as_uri(),
        "EMULATOR_URL": f"http://localhost:{PORT}/emulator",
    }

# Security

# Without DEBUG this project expects to be served over https.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG

# From Django 6.0; older versions have no setting of this name and ignore it.
SECURE_CSP = {
    "default-src": ["'none'"],
    "base-uri": ["'none'"],
    "connect-src": ["'self'"],
    "font-src": ["'self'"],
    # Browsers apply form-action to the redirect that follows, and linking an account starts with a form.
    "form-action": ["'self'", "https://login.microsoftonline.com"],
    "frame-ancestors": ["'none'"],
    "img-src": ["'self'", "data:"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "[{asctime}] {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"django_ms_identity": {"handlers": ["console"], "level": "INFO"}},
}
