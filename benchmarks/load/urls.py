from django.urls import include, path

from tests.urls import home

urlpatterns = [
    path("home/", home),
    path("ms/", include("django_ms_identity.urls")),
]
