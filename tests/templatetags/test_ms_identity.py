"""The buttons that a project puts on its own pages, and on the admin's login page."""

import logging
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.template import Context, Template, TemplateSyntaxError
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import MICROSOFT
from tests.support.pages import HOSTILE, Page


def render(source: str, **context: object) -> Page:
    return Page(Template("{% load ms_identity %}" + source).render(Context(context)))


def next_of(page: Page) -> list[str]:
    (link,) = page.named("a")
    return parse_qs(urlsplit(link["href"] or "").query, keep_blank_values=True).get("next", [])


def test_a_button_is_a_link_to_the_start_with_its_own_stylesheet():
    rendered = render('{% sign_in_button "microsoft" %}')

    assert [name for name, _ in rendered.elements if name in ("link", "a", "form")] == ["link", "a"]
    assert rendered.named("link")[0]["href"] == "/static/ms_identity/button.css"
    assert rendered.named("a")[0]["href"] == "/ms/start/microsoft/"
    assert rendered.named("svg")[0]["aria-hidden"] == "true"
    assert rendered.text.strip() == "Sign in with Microsoft"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_button_carries_any_next_unchanged(target):
    rendered = render('{% sign_in_button "microsoft" next=target %}', target=target)

    assert next_of(rendered) == [target]


@pytest.mark.parametrize("target", ["", None], ids=["empty", "none"])
def test_a_button_without_next_has_no_query(target):
    rendered = render('{% sign_in_button "microsoft" next=target %}', target=target)

    assert rendered.named("a")[0]["href"] == "/ms/start/microsoft/"


def test_a_button_brings_the_visitor_back_to_the_same_page(rf):
    request = rf.get("/shop/", {"q": "tea & milk", "page": "2"})

    rendered = render('{% sign_in_button "microsoft" next=request.get_full_path %}', request=request)

    assert next_of(rendered) == ["/shop/?q=tea+%26+milk&page=2"]


def test_a_buttons_label_is_the_providers_and_escaped(settings):
    settings.MS_IDENTITY = {"PROVIDERS": [MICROSOFT | {"label": HOSTILE}]}

    rendered = render('{% sign_in_button "microsoft" %}')

    assert rendered.named("img") == []
    assert rendered.text.strip() == f"Sign in with {HOSTILE}"


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_a_theme_can_be_forced(theme):
    rendered = render('{% sign_in_button "microsoft" theme=theme %}', theme=theme)

    assert rendered.named("a")[0]["class"] == f"ms-identity-button ms-identity-button-{theme}"


def test_the_buttons_of_all_providers_share_one_stylesheet(settings):
    settings.MS_IDENTITY = {"PROVIDERS": [MICROSOFT, MICROSOFT | {"id": "contoso", "label": "Contoso"}]}

    rendered = render('{% sign_in_buttons next="/home/" theme="dark" %}')

    assert [link["href"] for link in rendered.named("a")] == [
        "/ms/start/microsoft/?next=%2Fhome%2F",
        "/ms/start/contoso/?next=%2Fhome%2F",
    ]
    assert {link["class"] for link in rendered.named("a")} == {"ms-identity-button ms-identity-button-dark"}
    assert len(rendered.named("link")) == 1


@pytest.mark.parametrize("tag", ['{% sign_in_button "microsoft" %}', "{% sign_in_buttons %}"])
def test_a_button_of_ours_carries_the_nonce(tag):
    assert render(tag, csp_nonce="r4nd0m").named("link")[0]["nonce"] == "r4nd0m"


@pytest.mark.parametrize("tag", ['{% sign_in_button "microsoft" %}', "{% sign_in_buttons %}"])
def test_no_button_is_shown_while_sign_in_is_off(settings, tag):
    settings.MS_IDENTITY = {"ENABLED": False, "PROVIDERS": [MICROSOFT]}

    assert render(tag).elements == []


def test_no_buttons_are_shown_without_a_provider(settings):
    settings.MS_IDENTITY = {"PROVIDERS": []}

    assert render("{% sign_in_buttons %}").elements == []


MISTAKES = [
    pytest.param(
        '{% sign_in_button "github" %}', "'github'; the known ones: microsoft", id="unknown provider"
    ),
    pytest.param(
        '{% sign_in_button "microsoft" theme="drak" %}',
        "'drak'; the known ones: auto, light, dark",
        id="unknown theme",
    ),
]


@pytest.mark.parametrize(("tag", "words"), MISTAKES)
def test_a_mistake_in_a_template_is_raised_in_debug(settings, tag, words):
    settings.DEBUG = True

    with pytest.raises(TemplateSyntaxError, match=words):
        render(tag)


@pytest.mark.parametrize(("tag", "words"), MISTAKES)
def test_a_mistake_in_a_template_is_logged_outside_debug(caplog, tag, words):
    with caplog.at_level(logging.ERROR, "django_ms_identity"):
        render(tag)

    assert words in caplog.text


def test_an_unknown_provider_leaves_the_page_standing():
    rendered = render('before{% sign_in_button "github" %}after')

    assert rendered.elements == []
    assert rendered.text.split() == ["before", "after"]


@pytest.mark.parametrize("tag", ['{% sign_in_button "microsoft" %}', "{% sign_in_buttons %}"])
def test_broken_settings_leave_the_page_standing(settings, caplog, tag):
    settings.MS_IDENTITY = {"PROVIDERS": [{"id": "microsoft", "client_secret": "planted-client-secret"}]}

    with caplog.at_level(logging.ERROR, "django_ms_identity"):
        rendered = render(tag)

    assert rendered.elements == []
    assert "client_id" in caplog.text
    assert "planted-client-secret" not in caplog.text


def test_the_admins_login_page_shows_the_buttons_below_its_form(client, monkeypatch):
    monkeypatch.setattr(admin.site, "login_template", "ms_identity/admin_login.html")

    response = client.get("/admin/login/", {"next": "/admin/auth/user/?q=a&p=1"})

    rendered = Page(response.content.decode())
    (button,) = [each for each in rendered.named("a") if "ms-identity-button" in (each.get("class") or "")]
    assert button["href"] == "/ms/start/microsoft/?next=%2Fadmin%2Fauth%2Fuser%2F%3Fq%3Da%26p%3D1"
    assert rendered.elements.index(("a", button)) > [name for name, _ in rendered.elements].index("form")


def test_the_admins_login_page_works_while_sign_in_is_off(client, monkeypatch, settings):
    monkeypatch.setattr(admin.site, "login_template", "ms_identity/admin_login.html")
    settings.MS_IDENTITY = {"ENABLED": False}

    response = client.get("/admin/login/")

    assert response.status_code == 200
    assert b"ms-identity" not in response.content
