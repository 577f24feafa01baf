"""Mount at any prefix: ``path("emulator/", include("django_ms_identity.emulator.urls"))``."""

import re

from django.urls import path, re_path

from . import authorize, pages, token, views
from .tenants import GRAPH_HOSTS, LOGIN_HOSTS

app_name = "ms_identity_emulator"

LOGIN = rf"^(?P<host>{'|'.join(map(re.escape, GRAPH_HOSTS))})/(?P<tenant>[^/]+)/"
GRAPH = rf"^(?P<host>{'|'.join(map(re.escape, LOGIN_HOSTS))})/"

urlpatterns = [
    re_path(rf"{LOGIN}v2\.0/\.well-known/openid-configuration$", views.metadata, name="metadata"),
    re_path(rf"{LOGIN}discovery/v2\.0/keys$", views.keys, name="keys"),
    re_path(rf"{LOGIN}oauth2/v2\.0/authorize$", authorize.authorize, name="authorize"),
    re_path(rf"{LOGIN}oauth2/v2\.0/token$", token.token, name="token"),
    re_path(rf"{LOGIN}oauth2/v2\.0/logout$", views.logout, name="logout"),
    re_path(rf"{GRAPH}v1\.0/me$", views.me, name="me"),
    re_path(rf"{GRAPH}oidc/userinfo$", views.userinfo, name="userinfo"),
    path("assets/<str:name>", pages.asset, name="asset"),
]
