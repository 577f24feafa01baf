"""The configuration of the app; connects receivers and registers system checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MSIdentityConfig(AppConfig):
    name = "django_ms_identity"
    label = "ms_identity"
    verbose_name = _("Sign in with Microsoft")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, sessions
        from .views import error_reports

        checks.register_checks()
        sessions.connect_receivers()
        error_reports.connect_receivers()
