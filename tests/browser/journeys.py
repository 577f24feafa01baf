"""The example project in Chromium; saves the pictures of docs/images.

Run by `make e2e` in a process of its own, with the example project's settings.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from django_ms_identity.emulator import TENANT_ID
from django_ms_identity.models import Identity
from example_project.management.commands.demo import PASSWORD, make_local_user

IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1000, "height": 620}
WIDE = {"width": 1600, "height": 620}
PHONE = {"width": 360, "height": 740}
BUTTON = "Sign in with Microsoft"
TIMEOUT_MS = 30_000

Visit = Callable[..., Page]
Respond = Callable[[HttpRequest], HttpResponse]


def strict_policy(get_response: Respond) -> Respond:
    """Send the example's Content-Security-Policy where Django has no middleware for it yet.

    The setting ``POLICY_OF_OUR_PAGES`` replaces it for the pages of the app.
    """
    policy = "; ".join(f"{name} {' '.join(values)}" for name, values in settings.SECURE_CSP.items())

    def respond(request: HttpRequest) -> HttpResponse:
        request.META["journeys.nonce"] = secrets.token_urlsafe(16)
        response = get_response(request)
        stricter = getattr(settings, "POLICY_OF_OUR_PAGES", "")
        if stricter and _is_page(request.path):
            response.headers["Content-Security-Policy"] = stricter.format(**nonce(request))
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return respond


def nonce(request: HttpRequest) -> dict[str, str]:
    """Give templates the nonce, as the context processors of Django 6.0 and django-csp do."""
    return {"csp_nonce": request.META["journeys.nonce"]}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the test database in a file.

    In memory, all threads share one connection, and threads that still serve a kept-alive connection
    after the server stopped may not close it.
    """
    folder = tmp_path_factory.mktemp("database")
    connections["default"].settings_dict["TEST"]["NAME"] = str(folder / "journeys.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def before_the_server_starts(django_db_setup: None) -> Iterator[None]:
    """Set up the test database and the middleware, which `live_server` reads when it starts."""
    with override_settings(MIDDLEWARE=[f"{__name__}.strict_policy", *settings.MIDDLEWARE]):
        yield


@pytest.fixture(scope="session")
def browser(live_server: LiveServer) -> Iterator[Browser]:
    """Start Chromium; needs the server, to be closed before it: otherwise sockets stay open."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.exit(
            "Chromium is missing: install it (Debian, Ubuntu: `apt-get install chromium`) "
            "or name one, as in `CHROMIUM=/path/to/chrome make e2e`.",
            returncode=1,
        )
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def site(live_server: LiveServer) -> Iterator[str]:
    emulated = settings.MS_IDENTITY | {"EMULATOR_URL": f"{live_server.url}/emulator"}
    # The emulator is 404 without DEBUG, which a test run switches off.
    with override_settings(DEBUG=True, MS_IDENTITY=emulated):
        yield live_server.url


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    """Return a function that opens a path in a fresh browser; fail on any error or warning of its console."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def listen(message: ConsoleMessage) -> None:
        # The console reports the status of refusal pages; each test checks the page itself.
        refusal = message.text.startswith("Failed to load resource") and _is_page(message.location["url"])
        if message.type in ("error", "warning") and not refusal:
            complaints.append(f"{message.text} ({message.location['url']})")

    def open_path(path: str = "/", **options: object) -> Page:
        context = browser.new_context(base_url=site, **{"viewport": DESKTOP, "locale": "en-GB"} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_path
    for context in contexts:
        context.close()
    assert complaints == []


def _is_page(url: str) -> bool:
    return urlsplit(url).path.startswith("/ms/")


def sign_in(page: Page, persona: str) -> None:
    page.get_by_role("link", name=BUTTON).click()
    pick(page, persona)


def pick(page: Page, persona: str) -> None:
    """Choose a persona of the emulator by its id, or "cancel"."""
    page.locator(f'[data-persona="{persona}"]').click()


def take_picture(page: Page, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True, animations="disabled")


def expect_to_fit(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def press_until_focused(page: Page, target: Locator, *, at_most: int = 20) -> None:
    for _ in range(at_most):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"Tab does not reach {target}")


def test_visitor_signs_in_sees_their_identity_and_signs_out(visit: Visit) -> None:
    page = visit()
    take_picture(page, "home")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.get_by_role("heading", name="Pick an account")).to_be_visible()
    take_picture(page, "emulator-picker")
    pick(page, "work")

    expect(page).to_have_url(re.compile(r"/profile/$"))
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    expect(page.locator("pre").first).to_contain_text('"ines.okafor@contoso.example"')
    expect(page.locator("dl.card")).to_contain_text(TENANT_ID)
    take_picture(page, "profile")

    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()
    page.goto("/profile/")
    expect(page).to_have_url(re.compile(r"/login/\?next=/profile/$"))


def test_registration_without_the_session_hook_asks_to_sign_in(visit: Visit, site: str) -> None:
    with override_settings(MS_IDENTITY=settings.MS_IDENTITY | {"HOOKS": {"after_registration": []}}):
        page = visit()
        sign_in(page, "work")

        expect(page.get_by_role("heading", name="Your account has been created.")).to_be_visible()
        take_picture(page, "registered")
        page.get_by_role("link", name="Sign in").click()
        pick(page, "work")

        expect(page).to_have_url(re.compile(r"/profile/$"))


def test_a_second_sign_in_finds_the_same_identity(visit: Visit) -> None:
    sign_in(visit(), "work")
    page = visit()
    sign_in(page, "work")

    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    assert Identity.objects.count() == 1


def test_sign_in_returns_to_the_page_that_needed_it(visit: Visit) -> None:
    page = visit("/profile/")
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    sign_in(page, "guest")

    expect(page).to_have_url(re.compile(r"/profile/$"))
    expect(page.get_by_role("heading", name="Tuva Reyes")).to_be_visible()


def test_local_user_signs_in_with_a_password(visit: Visit) -> None:
    make_local_user()
    page = visit("/profile/")
    page.get_by_label("Username").fill("lena")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_to_fit(page)

    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/profile/$"))
    expect(page.get_by_role("heading", name="Lena Farrow")).to_be_visible()


def test_admin_persona_sees_identities_in_the_admin(visit: Visit) -> None:
    sign_in(visit(), "work")
    page = visit("/admin/", viewport=WIDE)
    expect(page.get_by_label("Username")).to_be_visible()
    take_picture(page, "admin-login")
    sign_in(page, "admin")

    expect(page).to_have_url(re.compile(r"/admin/$"))
    page.get_by_role("link", name="Identities", exact=True).click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    take_picture(page, "admin-list")
    page.locator("#result_list tbody th a").last.click()
    expect(page.locator("#content")).to_contain_text(TENANT_ID)
    take_picture(page, "admin-detail")


def test_admin_refuses_a_user_without_the_role(visit: Visit) -> None:
    page = visit()
    sign_in(page, "work")
    expect(page).to_have_url(re.compile(r"/profile/$"))
    page.goto("/admin/")

    expect(page.locator("#content")).to_contain_text("not authorized to access this page")


@pytest.mark.parametrize(
    ("persona", "code", "picture"),
    [
        pytest.param("cancel", "sign_in_cancelled", "error", id="cancelled"),
        pytest.param("disabled", "account_blocked", None, id="disabled"),
        pytest.param("admin-consent", "consent_required", None, id="not approved"),
    ],
)
def test_error_page_says_what_to_do_and_leads_back(
    visit: Visit, persona: str, code: str, picture: str | None
) -> None:
    page = visit()
    sign_in(page, persona)
    if persona != "cancel":
        page.get_by_role("link", name="Return to the app without signing in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".support")).to_contain_text(code)
    assert re.fullmatch(r"[0-9a-f]{8}", page.locator(".reference").inner_text())
    if picture:
        take_picture(page, picture)

    page.get_by_role("link", name="Try again").click()
    pick(page, "work")
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()


def test_callback_without_a_sign_in_is_refused(visit: Visit) -> None:
    page = visit("/ms/callback/microsoft/?code=code&state=of-another-browser")

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".support")).to_contain_text("flow_missing")
    expect(page.get_by_role("link", name="Try again")).to_be_visible()


def test_pages_work_with_the_narrowest_content_security_policy(visit: Visit) -> None:
    """The narrowest policy: no origin for styles, only a nonce; anything that it blocks fails the test."""
    policy = "default-src 'none'; style-src 'nonce-{csp_nonce}'; form-action 'self'"
    (engine,) = settings.TEMPLATES
    processors = [*engine["OPTIONS"]["context_processors"], f"{__name__}.nonce"]
    templates = [engine | {"OPTIONS": {"context_processors": processors}}]
    make_local_user()
    with override_settings(POLICY_OF_OUR_PAGES=policy, TEMPLATES=templates):
        page = visit("/ms/sign-in/")
        answer = page.reload()
        assert answer
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'nonce-")
        sign_in(page, "cancel")
        expect(page.locator(".support")).to_contain_text("sign_in_cancelled")
        page.get_by_role("link", name="Try again").click()
        pick(page, "no-email")
        page.get_by_label("E-mail").fill("tomasz@example.com")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading", name="Tomasz Adeyemi")).to_be_visible()
        page.goto("/ms/connections/")
        page.get_by_role("button", name=re.compile("^Connect another")).click()
        pick(page, "guest")
        expect(page.get_by_role("listitem")).to_have_count(2)

        page = visit()
        sign_in(page, "collides")
        page.get_by_role("link", name="Sign in to connect").click()
        page.get_by_label("Username").fill("lena")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_role("heading", name="Lena Farrow")).to_be_visible()


def test_missing_required_trait_is_asked_for(visit: Visit) -> None:
    page = visit()
    sign_in(page, "no-email")

    expect(page.get_by_role("heading", name="Complete your account")).to_be_visible()
    expect(page.get_by_text("Tomasz Adeyemi")).to_be_visible()
    take_picture(page, "complete")
    page.get_by_label("E-mail").fill("nobody")
    # Without the browser's own check of the form, as in an old browser.
    page.locator("form").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Please enter an e-mail address")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_attribute("aria-invalid", "true")
    take_picture(page, "complete-error")
    page.get_by_label("E-mail").fill("tomasz@example.com")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Tomasz Adeyemi")).to_be_visible()
    expect(page.locator("pre").first).to_contain_text('"tomasz@example.com"')


def test_existing_account_is_connected_after_a_sign_in_to_it(visit: Visit) -> None:
    make_local_user()
    page = visit()
    sign_in(page, "collides")

    expect(page.get_by_role("heading", name="Connect your accounts")).to_be_visible()
    take_picture(page, "confirm-link-before")
    page.get_by_role("link", name="Sign in to connect").click()
    page.get_by_label("Username").fill("lena")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Connect")).to_be_visible()
    assert Identity.objects.count() == 0
    take_picture(page, "confirm-link")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", name="Lena Farrow")).to_be_visible()
    expect(page.locator("dl.card")).to_contain_text(TENANT_ID)

    again = visit()
    sign_in(again, "collides")
    expect(again.get_by_role("heading", name="Lena Farrow")).to_be_visible()


def test_accounts_are_connected_and_disconnected(visit: Visit) -> None:
    make_local_user()
    page = visit("/login/?next=/ms/connections/")
    page.get_by_label("Username").fill("lena")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("No Microsoft account is connected yet.")).to_be_visible()
    for persona in ("work", "guest"):
        page.get_by_role("button", name=re.compile("^Connect a")).click()
        pick(page, persona)
        expect(page.get_by_role("status")).to_have_text("The Microsoft account is connected.")
    take_picture(page, "connections")

    page.get_by_role("button", name="Disconnect ines.okafor@contoso.example").click()
    expect(page.get_by_role("status")).to_have_text("The Microsoft account is disconnected.")
    expect(page.get_by_text("tuva.reyes@fabrikam.example")).to_be_visible()
    expect(page.get_by_text("ines.okafor@contoso.example")).to_have_count(0)


def test_connecting_with_an_old_session_asks_for_a_new_sign_in(visit: Visit) -> None:
    page = visit()
    sign_in(page, "work")
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    old = settings.MS_IDENTITY | {"PRIVILEGED_SESSION_MAX_AGE": 0.001}
    page.goto("/ms/connections/")
    with override_settings(MS_IDENTITY=old):
        page.get_by_role("button", name=re.compile("^Connect another")).click()
        expect(page.get_by_role("heading", name="Pick an account")).to_be_visible()
    pick(page, "work")
    expect(page.get_by_role("heading", name="Pick an account")).to_be_visible()
    pick(page, "admin")

    expect(page.get_by_role("status")).to_have_text("The Microsoft account is connected.")
    expect(page.get_by_role("listitem")).to_have_count(2)


def test_vault_opens_with_a_second_factor(visit: Visit) -> None:
    page = visit()
    sign_in(page, "mfa")
    page.get_by_role("link", name="Vault").click()
    pick(page, "mfa")

    expect(page.get_by_role("heading", name="Vault")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/vault/$"))
    take_picture(page, "vault")


def test_vault_stays_closed_without_a_second_factor(visit: Visit) -> None:
    page = visit()
    sign_in(page, "work")
    page.get_by_role("link", name="Vault").click()
    pick(page, "work")

    expect(page.get_by_role("alert")).to_contain_text("needs a sign-in with a second factor")
    expect(page.locator(".support")).to_contain_text("step_up_failed")
    take_picture(page, "step-up-failed")


def test_sign_out_at_microsoft_returns_to_the_site(visit: Visit) -> None:
    page = visit()
    sign_in(page, "work")
    page.get_by_role("button", name="Sign out here and at Microsoft").click()

    expect(page).to_have_url(re.compile(r":\d+/$"))
    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()


def test_sign_in_and_sign_out_by_keyboard(visit: Visit) -> None:
    page = visit("/ms/sign-in/")
    press_until_focused(page, page.get_by_role("link", name=BUTTON))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pick an account")).to_be_visible()
    press_until_focused(page, page.locator('[data-persona="work"]'))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    press_until_focused(page, page.get_by_role("button", name="Sign out", exact=True))
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()


def test_sign_in_and_sign_out_without_javascript(visit: Visit) -> None:
    page = visit(java_script_enabled=False)
    sign_in(page, "work")
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()

    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()


def test_pages_of_a_step_fit_a_phone_in_dark_mode(visit: Visit) -> None:
    make_local_user()
    page = visit(viewport=PHONE, is_mobile=True, device_scale_factor=2, color_scheme="dark")
    sign_in(page, "no-email")
    expect(page.get_by_role("heading", name="Complete your account")).to_be_visible()
    expect_to_fit(page)
    take_picture(page, "complete-phone-dark")
    page.goto("/")
    sign_in(page, "collides")
    expect(page.get_by_role("heading", name="Connect your accounts")).to_be_visible()
    expect_to_fit(page)


def test_every_page_fits_a_phone(visit: Visit) -> None:
    page = visit(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    expect_to_fit(page)
    page.get_by_role("link", name=BUTTON).tap()
    expect(page.get_by_role("heading", name="Pick an account")).to_be_visible()
    expect_to_fit(page)
    page.locator('[data-persona="work"]').tap()
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    expect_to_fit(page)
    take_picture(page, "profile-phone")
    page.goto("/login/")
    expect_to_fit(page)
    page.goto("/ms/connections/")
    expect(page.get_by_role("heading", name="Connected accounts")).to_be_visible()
    expect_to_fit(page)
    take_picture(page, "connections-phone")
    page.goto("/ms/callback/microsoft/")
    expect(page.get_by_role("alert")).to_be_visible()

    expect_to_fit(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "picture"),
    [
        pytest.param("/ms/sign-in/", "sign-in", id="of the app"),
        pytest.param("/login/", None, id="of the example"),
    ],
)
def test_sign_in_page_follows_the_colour_scheme(
    visit: Visit, path: str, picture: str | None, scheme: str
) -> None:
    page = visit(path, color_scheme=scheme, viewport={"width": 640, "height": 400})

    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
    assert (brightness > 128) is (scheme == "light")
    if picture:
        take_picture(page, f"{picture}-{scheme}")
