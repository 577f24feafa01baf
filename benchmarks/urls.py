from django.urls import include, path

from .settings import WITH_ADFS

urlpatterns = [
    path("emulator/", include("django_ms_identity.emulator.urls")),
    path("ms/", include("django_ms_identity.urls")),
]
if WITH_ADFS:
    urlpatterns.append(path("adfs/", include("django_auth_adfs.urls")))
