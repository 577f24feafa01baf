from django.contrib import admin
from django.urls import include, path

from .settings import WITH_ADFS

urlpatterns = [
    path("admin/", admin.site.urls),
    path("emulator/", include("django_ms_identity.emulator.urls")),
    path("ms/", include("django_ms_identity.urls")),
]
if WITH_ADFS:
    urlpatterns.append(path("adfs/", include("django_auth_adfs.urls")))
