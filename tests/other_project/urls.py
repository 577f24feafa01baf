from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


urlpatterns = [
    path("home/", home),
    path("accounts/microsoft/", include("django_ms_identity.urls")),
]
