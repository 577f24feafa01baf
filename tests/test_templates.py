import re
from pathlib import Path

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.utils import translation

import django_ms_identity
from tests.support.pages import HOSTILE, Page

ROOT = Path(django_ms_identity.__file__).parent
TEMPLATES = sorted((ROOT / "templates" / "ms_identity").glob("*.html"))
STYLESHEETS = sorted((ROOT / "static" / "ms_identity").glob("*.css"))
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


def page(name: str, **changes: object) -> Page:
    return Page(render_to_string(f"ms_identity/{name}.html", PAGES[name] | changes))


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
