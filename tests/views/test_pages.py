import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.template import Context, Template, TemplateSyntaxError
from django.template.loader import render_to_string
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

import django_ms_identity

ROOT = Path(django_ms_identity.__file__).parent
TEMPLATES = sorted((ROOT / "templates" / "ms_identity").glob("*.html"))
STYLESHEETS = sorted((ROOT / "static" / "ms_identity").glob("*.css"))
HOSTILE = "\"'><img src=x onerror=alert(1)>&amp;{{ 7 }}"
MICROSOFT = {
    "id": "microsoft",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": "planted-client-secret",
    "microsoft_tenant": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
}
PAGES = {
    "sign_in": {"providers": [{"id": "microsoft", "label": "Microsoft", "url": "/start/"}], "next": "/home/"},
    "error": {
        "title": "Microsoft is not answering right now.",
        "advice": "Please wait a minute and try again.",
        "reasons": ("You are not on the list.",),
        "code": "microsoft_unavailable",
        "reference": "k7m2q9xd",
        "trace_id": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
        "retry_url": "/sign-in/",
        "detail": "connect timed out",
        "hint": "Open port 443.",
    },
    "registered": {"sign_in_url": "/sign-in/"},
}


class Page(HTMLParser):
    """The elements of a rendered page, in order: name, attributes and the text right inside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(name: str, **changes: object) -> Page:
    return Page(render_to_string(f"ms_identity/{name}.html", PAGES[name] | changes))


def render(source: str, **context: object) -> Page:
    return Page(Template("{% load ms_identity %}" + source).render(Context(context)))


def next_of(page: Page) -> list[str]:
    (link,) = page.named("a")
    return parse_qs(urlsplit(link["href"] or "").query, keep_blank_values=True).get("next", [])


# Every page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_found_and_read_by_everybody(name):
    rendered = page(name)

    assert len(rendered.named("main")) == 1
    assert len(rendered.named("h1")) == 1
    assert rendered.named("html") == [{"lang": "en-us", "dir": "ltr"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in rendered.named("meta")
    assert {"name": "color-scheme", "content": "light dark"} in rendered.named("meta")
    assert {"name": "robots", "content": "noindex"} in rendered.named("meta")
    ids = {attributes["id"] for _, attributes in rendered.elements if "id" in attributes}
    assert {each["aria-labelledby"] for _, each in rendered.elements if "aria-labelledby" in each} <= ids


@pytest.mark.parametrize("name", PAGES)
def test_a_page_follows_the_active_language(name):
    with translation.override("ar"):
        rendered = page(name)

    assert rendered.named("html") == [{"lang": "ar", "dir": "rtl"}]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_that_a_strict_policy_blocks(path):
    source = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")

    assert not re.search(r"<(style|script|iframe|object|embed|base)\b", source, re.IGNORECASE)
    assert not re.search(r"\sstyle\s*=|\son\w+\s*=|javascript:|data:", source, re.IGNORECASE)
    assert not re.search(r"https?://|=['\"]//", source)
    assert not re.search(r"\|\s*safe\b|autoescape\s+off|mark_safe", source)


@pytest.mark.parametrize("path", STYLESHEETS, ids=lambda path: path.name)
def test_a_stylesheet_loads_nothing(path):
    assert not re.search(r"url\(|@import|@font-face|https?:", path.read_text())


@pytest.mark.parametrize("name", PAGES)
def test_stylesheets_carry_the_nonce_of_the_projects_policy(name):
    without, with_nonce = page(name), page(name, csp_nonce="r4nd0m")

    assert without.named("link")
    assert all("nonce" not in link for link in without.named("link"))
    assert all(link["nonce"] == "r4nd0m" for link in with_nonce.named("link"))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it; ``colour`` is #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("text", "card"),
        ("quiet", "card"),
        ("accent", "card"),
        ("error", "card"),
        ("text", "well"),
        ("on-accent", "accent"),
        ("on-accent", "accent-hover"),
        ("text", "warn-well"),
        ("quiet", "warn-well"),
        ("warn", "warn-well"),
    ],
)
def test_text_stands_out_from_what_is_behind_it(theme, text, back):
    css = (ROOT / "static/ms_identity/pages.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", blocks[theme]))

    assert contrast(colours[text], colours[back]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "dark by preference"])
@pytest.mark.parametrize("state", ["", "-hover"], ids=["at rest", "hovered"])
def test_the_buttons_text_stands_out(theme, state):
    css = (ROOT / "static/ms_identity/button.css").read_text()
    blocks = [dict(re.findall(r"--ms-identity-([\w-]+): (#\w+);", block)) for block in css.split("}")]
    colours = [block for block in blocks if block][theme]

    assert contrast(colours[f"text{state}"], colours[f"back{state}"]) >= 4.5


# Single pages


def test_the_sign_in_page_has_a_button_for_each_provider():
    providers = [
        {"id": "microsoft", "label": "Microsoft", "url": "/start/microsoft/"},
        {"id": "contoso", "label": "Contoso", "url": "/start/contoso/?next=%2Fhome%2F"},
    ]

    rendered = page("sign_in", providers=providers)

    assert [link["href"] for link in rendered.named("a")] == [each["url"] for each in providers]
    assert "Sign in with Microsoft" in rendered.text
    assert "Sign in with Contoso" in rendered.text
    assert [link["href"] for link in rendered.named("link")].count("/static/ms_identity/button.css") == 1


def test_the_sign_in_page_says_when_there_is_no_way_to_sign_in():
    rendered = page("sign_in", providers=[])

    assert "There is no way to sign in here yet." in rendered.text
    assert "For the developer" not in rendered.text


def test_the_sign_in_page_gives_a_developer_the_hint():
    rendered = page("sign_in", providers=[], debug_hint="Set MS_IDENTITY_CLIENT_ID.")

    assert "Set MS_IDENTITY_CLIENT_ID." in rendered.text


def test_the_error_page_says_what_to_do_and_what_to_report():
    rendered = page("error", detail="", hint="")

    for shown in ("title", "advice", "code", "reference", "trace_id"):
        assert PAGES["error"][shown] in rendered.text
    assert rendered.named("a") == [{"class": "action", "href": "/sign-in/"}]
    assert len([1 for _, each in rendered.elements if each.get("role") == "alert"]) == 1
    assert "For the operator" not in rendered.text


def test_the_error_page_leaves_out_what_is_not_known():
    rendered = page("error", trace_id="", retry_url="", detail="", hint="")

    assert "trace" not in rendered.text
    assert rendered.named("a") == []


@pytest.mark.parametrize("known", ["detail", "hint"])
def test_the_error_page_shows_the_operator_what_is_known(known):
    rendered = page("error", **({"detail": "", "hint": ""} | {known: "issuer mismatch"}))

    assert "For the operator" in rendered.text
    assert "issuer mismatch" in rendered.text


def test_the_registered_page_leads_to_the_sign_in():
    rendered = page("registered")

    assert "Your account has been created." in rendered.text
    assert [link["href"] for link in rendered.named("a")] == ["/sign-in/"]


@pytest.mark.parametrize(
    ("name", "key"),
    [("error", key) for key in PAGES["error"]]
    + [("registered", "sign_in_url"), ("sign_in", "providers"), ("sign_in", "debug_hint")],
)
def test_whatever_a_page_is_given_is_escaped(name, key):
    values = {"providers": [{"id": "x", "label": HOSTILE, "url": HOSTILE}], "reasons": (HOSTILE,)}
    changes = {"providers": []} if key == "debug_hint" else {}

    rendered = page(name, **changes, **{key: values.get(key, HOSTILE)})

    assert rendered.named("img") == []
    assert HOSTILE in rendered.text + "".join(link["href"] or "" for link in rendered.named("a"))


def test_a_template_of_the_project_takes_the_place_of_ours(settings, tmp_path):
    (tmp_path / "ms_identity").mkdir()
    (tmp_path / "ms_identity" / "base.html").write_text("Ours: {% block content %}{% endblock %}")
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]

    html = render_to_string("ms_identity/registered.html", PAGES["registered"])

    assert html.startswith("Ours: ")
    assert "Your account has been created." in html
    assert "<html" not in html


def test_a_project_adds_its_own_form_to_the_sign_in_page():
    child = '{% extends "ms_identity/sign_in.html" %}{% block extra %}<form id="own"></form>{% endblock %}'

    rendered = Page(Template(child).render(Context(PAGES["sign_in"])))

    assert rendered.named("form") == [{"id": "own"}]
    assert "Sign in with Microsoft" in rendered.text


# Template tags


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


# Django's admin


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
