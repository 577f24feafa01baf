from django.apps import AppConfig


class EmulatorConfig(AppConfig):
    name = "django_ms_identity.emulator"
    label = "ms_identity_emulator"
    verbose_name = "Microsoft emulator"
