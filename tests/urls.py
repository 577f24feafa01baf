from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("home/", home),
    path("ms/", include("django_ms_identity.urls")),
]
