from django.urls import include, path

urlpatterns = [path("ms/", include("django_ms_identity.urls"))]
