from django.urls import path

from .views.callback import callback
from .views.sign_in import sign_in, start
from .views.sign_out import sign_out

app_name = "ms_identity"

urlpatterns = [
    path("sign-in/", sign_in, name="sign_in"),
    path("start/<str:provider>/", start, name="start"),
    path("callback/<str:provider>/", callback, name="callback"),
    path("sign-out/", sign_out, name="sign_out"),
]
