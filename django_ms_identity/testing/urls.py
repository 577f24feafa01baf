"""The emulator at the root, for requests that never leave the process."""

from django.urls import include, path

urlpatterns = [path("", include("django_ms_identity.emulator.urls"))]
