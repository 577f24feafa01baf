from django.apps import apps
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from . import views

admin.site.login_template = "ms_identity/admin_login.html"

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("profile/", views.profile, name="profile"),
    path("vault/", views.vault, name="vault"),
    path("favicon.ico", RedirectView.as_view(url=static("example_project/icon.svg"))),
    path("admin/", admin.site.urls),
    path("ms/", include("django_ms_identity.urls")),
]
if apps.is_installed("django_ms_identity.emulator"):
    urlpatterns.append(path("emulator/", include("django_ms_identity.emulator.urls")))
