"""The project that the tests run in: SQLite, nothing to install, unless the environment names servers."""

from tests.support import servers

SECRET_KEY = "tests only, of no value anywhere else"
ALLOWED_HOSTS = ["testserver", "localhost"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": servers.make_database("ms_identity")}
CACHES = {"default": servers.make_cache()}
SESSION_ENGINE = servers.SESSION_ENGINE
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_ms_identity",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
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
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "django_ms_identity.backends.IdentityBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
LOGIN_REDIRECT_URL = "/home/"
MS_IDENTITY = {
    "PROVIDERS": [
        {
            "id": "microsoft",
            "client_id": "11111111-2222-3333-4444-555555555555",
            "client_secret": "planted-client-secret",
            "microsoft_tenant": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
        }
    ]
}
