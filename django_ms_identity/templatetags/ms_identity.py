"""Template tags for the sign-in buttons. They build the context; templates render it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import template
from django.conf import settings
from django.utils.html import format_html

from django_ms_identity import conf
from django_ms_identity.exceptions import MSIdentityError, ProviderUnknown
from django_ms_identity.flows import return_urls

if TYPE_CHECKING:
    from django.template.context import Context
    from django.utils.functional import _StrOrPromise

    from django_ms_identity.conf import Config

logger = logging.getLogger(__name__)
register = template.Library()

THEMES = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """The URL and the label of a provider's button."""

    url: str
    label: _StrOrPromise


@register.inclusion_tag("ms_identity/button.html", takes_context=True)
def sign_in_button(
    context: Context, provider: str, next: str | None = "", theme: str = "auto"
) -> dict[str, object]:
    """Render the button of one provider, or nothing while sign-in is off.

    ``next`` is a path of this site; ``theme`` is ``auto`` (the visitor's own), ``light`` or ``dark``.
    Under DEBUG a mistake in the template or the settings raises ``TemplateSyntaxError``. Otherwise it is
    logged and the button is left out, because it may be on every page of a site.
    """
    config = _config()
    if config is None:
        return {"url": ""}
    try:
        found = config.provider(provider)
    except ProviderUnknown:
        known = ", ".join(each.id for each in config.providers) or "none"
        _report_template_fault(f"sign_in_button: there is no provider {provider!r}; the known ones: {known}")
        return {"url": ""}
    shown = {"url": _start_url(context, found.id, next), "label": found.label, "styled": False}
    return shown | _theme_context(context, theme)


@register.inclusion_tag("ms_identity/buttons.html", takes_context=True)
def sign_in_buttons(context: Context, next: str | None = "", theme: str = "auto") -> dict[str, object]:
    """Render the buttons of all providers, as ``sign_in_button`` does."""
    config = _config()
    if config is None:
        return {"buttons": []}
    buttons = [Button(url=_start_url(context, each.id, next), label=each.label) for each in config.providers]
    return {"buttons": buttons, **_theme_context(context, theme)}


@register.simple_tag(takes_context=True)
def style_nonce(context: Context) -> str:
    """Render the attribute ``nonce`` for a stylesheet if the site's Content-Security-Policy has one.

    A tag, because Django logs the whole context at DEBUG, names and addresses included, when a template looks
    up a variable that is missing.
    """
    nonce = context.get("csp_nonce")
    return "" if nonce is None else format_html(' nonce="{}"', nonce)


def _config() -> Config | None:
    try:
        config = conf.get_config()
    except MSIdentityError as error:
        _report_template_fault(f"sign_in_button: {error}")
        return None
    return config if config.enabled else None


def _start_url(context: Context, provider_id: str, next: str | None) -> str:
    # Signed-in people see a button where they lack a permission, as on the admin's login page: let them
    # choose another account.
    user = getattr(context.get("request"), "user", None)
    prompt = "select_account" if user is not None and user.is_authenticated else ""
    return return_urls.start_url(provider_id, next_url=next or "", prompt=prompt)


def _theme_context(context: Context, theme: str) -> dict[str, object]:
    if theme not in THEMES:
        _report_template_fault(
            f"sign_in_button: there is no theme {theme!r}; the known ones: {', '.join(THEMES)}"
        )
        theme = "auto"
    # Without the nonce, a policy that names one blocks the button's stylesheet.
    return {"theme": theme, "csp_nonce": context.get("csp_nonce")}


def _report_template_fault(fault: str) -> None:
    if settings.DEBUG:
        raise template.TemplateSyntaxError(fault)
    logger.error("%s", fault)
