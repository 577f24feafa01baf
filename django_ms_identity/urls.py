"""The URLs of the app, in the namespace ``ms_identity``; include them under any prefix."""

from django.urls import path

from .views.callback import callback
from .views.complete import complete
from .views.confirm_link import confirm_link
from .views.connections import connections, link, unlink
from .views.sign_in_page import sign_in_page
from .views.sign_out import sign_out
from .views.start import start
from .views.step_up import step_up

app_name = "ms_identity"

urlpatterns = [
    path("sign-in/", sign_in_page, name="sign_in"),
    path("start/<str:provider>/", start, name="start"),
    path("callback/<str:provider>/", callback, name="callback"),
    path("complete/", complete, name="complete"),
    path("confirm-link/", confirm_link, name="confirm_link"),
    path("connections/", connections, name="connections"),
    path("connections/<str:provider>/link/", link, name="link"),
    path("connections/<int:credential>/unlink/", unlink, name="unlink"),
    path("step-up/", step_up, name="step_up"),
    path("sign-out/", sign_out, name="sign_out"),
]
