"""The pages: sign-in, the user's identity, and a page that needs a second factor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django import forms
from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.contrib.auth.views import LoginView
from django.shortcuts import render

from django_ms_identity.decorators import aal2_required
from django_ms_identity.models import Identity

if TYPE_CHECKING:
    from typing import Any

    from django.http import HttpRequest, HttpResponse

RECENT = 5


def home(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "example_project/home.html",
        {"emulated": apps.is_installed("django_ms_identity.emulator")},
    )


class PasswordForm(AuthenticationForm):
    """Django's form without its autofocus, which would skip the button of Microsoft."""

    username = UsernameField(widget=forms.TextInput)


class Login(LoginView):
    template_name = "example_project/login.html"
    authentication_form = PasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"label_suffix": ""}


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    # A user who only ever signed in with a password has no identity.
    identity = Identity.objects.filter(user=request.user.pk).first()
    if identity is None:
        return render(request, "example_project/profile.html")
    return render(
        request,
        "example_project/profile.html",
        {
            "identity": identity,
            "traits": _pretty(identity.traits),
            "metadata_public": _pretty(identity.metadata_public) if identity.metadata_public else "",
            "credentials": identity.credentials.order_by("created_at"),
            "addresses": identity.verifiable_addresses.order_by("via", "value"),
            "sign_ins": identity.sign_ins.order_by("-created_at")[:RECENT],
        },
    )


@aal2_required
def vault(request: HttpRequest) -> HttpResponse:
    """Show a page that needs a second factor."""
    return render(request, "example_project/vault.html")


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
