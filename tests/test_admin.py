"""The admin of identities: list, search, page, actions and permissions; no secret on any page."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from django_ms_identity.admin import IdentityAdmin, UncountedPaginator
from django_ms_identity.models import Credential, Identity, SignIn, VerifiableAddress, credential_key
from django_ms_identity.sessions import BACKEND
from tests.support.builders import TENANT, make_identity

pytestmark = pytest.mark.django_db

LIST = reverse("admin:ms_identity_identity_changelist")

own_site = admin.AdminSite(name="own")
own_site.register(Identity, IdentityAdmin)
urlpatterns = [path("own/", own_site.urls)]


@pytest.fixture
def make():
    """Make an identity with a credential, an address and a sign-in."""

    def make_with_sign_in(username, *, provider="microsoft", traits=None, state="active", **user):
        identity = make_identity(
            username=username,
            subject=f"Subject-{username}",
            provider=provider,
            verified=(f"{username}@Contoso.Example",),
            **user,
        )
        identity.traits, identity.state = traits or {}, state
        identity.save()
        identity.credentials.update(object_id=str(uuid4()))
        secrets = {"session": "planted-sealed-session-key", "sid": "planted-sid"}
        SignIn.objects.create(
            identity=identity, credential=identity.credentials.get(), provider=provider, **secrets
        )
        return identity

    return make_with_sign_in


@pytest.fixture
def staff(client, django_user_model):
    """Sign in a member of staff who may do these things with identities; returns the client."""

    def sign_in(*permissions):
        user = django_user_model.objects.create(username="staff", is_staff=True)
        wanted = Permission.objects.filter(codename__in=permissions, content_type__app_label="ms_identity")
        user.user_permissions.add(*wanted)
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


def detail_of(identity):
    return reverse("admin:ms_identity_identity_change", args=[identity.pk])


def listed(response):
    assert response.status_code == 200
    return [identity.user.username for identity in response.context["cl"].result_list]


def plain(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


# The list


def test_admin_list_shows_user_provider_tenant_state_and_last_sign_in(admin_client, make):
    identity = make("ann")
    SignIn.objects.update(created_at=timezone.now() - timedelta(days=400))
    latest = SignIn.objects.create(identity=identity, provider="microsoft")
    SignIn.objects.filter(pk=latest.pk).update(created_at="2031-05-06T07:08:00Z")

    response = admin_client.get(LIST)

    row = plain(response).partition("Last sign-in")[2]
    assert [text for text in ("ann", "microsoft", TENANT, "active") if text not in row] == []
    assert detail_of(identity) in response.content.decode()
    assert "May 6, 2031" in row
    # Another order has no index.
    assert "?o=" not in response.content.decode()


def test_admin_list_shows_each_provider_and_tenant_once(admin_client, make):
    identity = make("ann")
    for subject in ("two", "three"):
        Credential.objects.create(
            identity=identity,
            provider="partner",
            subject=subject,
            subject_source="oid",
            tenant=TENANT,
            key=credential_key("partner", subject),
        )

    row = plain(admin_client.get(LIST))

    assert "microsoft, partner" in row
    assert "partner, partner" not in row


def test_admin_list_shows_newest_identity_first_even_without_sign_in(admin_client, make):
    for days, name in enumerate(["new", "old", "older"]):
        identity = make(name)
        Identity.objects.filter(pk=identity.pk).update(created_at=timezone.now() - timedelta(days=days))
    SignIn.objects.all().delete()

    assert listed(admin_client.get(LIST)) == ["new", "old", "older"]


@pytest.mark.parametrize(
    "term",
    [
        pytest.param(lambda one: one.credentials.get().subject, id="subject"),
        pytest.param(lambda one: one.credentials.get().object_id, id="object id"),
        pytest.param(lambda one: one.credentials.get().object_id.upper(), id="object id in capitals"),
        pytest.param(lambda one: one.user.username, id="user name"),
        pytest.param(lambda one: one.credentials.get().account, id="Microsoft account"),
        pytest.param(lambda one: "ANN@contoso.example", id="verified address in any case"),
        pytest.param(lambda one: "  ann@CONTOSO.example ", id="verified address with spaces"),
        pytest.param(lambda one: str(one.pk), id="identity id, as in the log"),
    ],
)
def test_admin_search_finds_exactly_one_identity(admin_client, make, term):
    ann = make("ann")
    make("anna")
    ann.credentials.update(account="ann@home.example")

    assert listed(admin_client.get(LIST, {"q": term(ann)})) == ["ann"]


@pytest.mark.parametrize("term", ["an", "contoso.example", "subject-an", "%", "nobody", "ann ann", "9" * 400])
def test_admin_search_finds_no_partial_match(admin_client, make, term):
    make("ann")

    assert listed(admin_client.get(LIST, {"q": term})) == []


def test_admin_search_survives_hostile_terms(admin_client, make):
    make("ann")

    assert listed(admin_client.get(LIST, {"q": "  "})) == ["ann"]
    for term in ("\x00", "'; DROP TABLE", "<script>", "\ufffe", "a" * 10_000):
        assert admin_client.get(LIST, {"q": term}).status_code == 200


def test_admin_search_uses_username_field_of_user_model(admin_client, make, django_user_model, monkeypatch):
    monkeypatch.setattr(django_user_model, "USERNAME_FIELD", "email")
    make("ann", email="private@contoso.example")

    assert listed(admin_client.get(LIST, {"q": "private@contoso.example"})) == ["ann"]
    assert listed(admin_client.get(LIST, {"q": "ann"})) == []


def test_admin_search_accepts_numeric_username_field(rf, make, django_user_model, monkeypatch):
    monkeypatch.setattr(django_user_model, "USERNAME_FIELD", "id")
    ann = make("ann")

    def search(term):
        return IdentityAdmin(Identity, admin.site).get_search_results(
            rf.get("/"), Identity.objects.all(), term
        )[0]

    assert search(str(ann.user.pk)).get() == ann
    assert not search("no number").exists()
    assert not search("9" * 30).exists()


def test_admin_list_filters_by_state_and_provider(admin_client, make):
    partner = {"id": "partner", "client_id": "x", "client_secret": "x", "microsoft_tenant": TENANT}
    make("ann")
    make("bob", state="inactive")
    make("cyd", provider="partner")

    with override_settings(MS_IDENTITY={"PROVIDERS": [partner, {**partner, "id": "microsoft"}]}):
        assert listed(admin_client.get(LIST, {"state__exact": "inactive"})) == ["bob"]
        assert listed(admin_client.get(LIST, {"provider": "partner"})) == ["cyd"]
        assert sorted(listed(admin_client.get(LIST, {"provider": "microsoft"}))) == ["ann", "bob"]
        assert listed(admin_client.get(LIST, {"provider": "microsoft", "state__exact": "active"})) == ["ann"]


# Many identities


def plant(django_user_model, count):
    users = django_user_model.objects.bulk_create(
        django_user_model(username=f"user-{number}", password="!") for number in range(count)
    )
    identities = Identity.objects.bulk_create(Identity(user=user) for user in users)
    credentials = Credential.objects.bulk_create(
        Credential(
            identity=identity,
            provider="microsoft",
            subject=f"subject-{number}",
            subject_source="userinfo",
            tenant=TENANT,
            object_id=str(uuid4()),
            key=credential_key("microsoft", f"subject-{number}"),
        )
        for number, identity in enumerate(identities)
    )
    VerifiableAddress.objects.bulk_create(
        VerifiableAddress(identity=identity, via="email", value=f"{n}@a.example", normalised=f"{n}@a.example")
        for n, identity in enumerate(identities)
    )
    SignIn.objects.bulk_create(
        SignIn(identity=it.identity, credential=it, provider="microsoft") for it in credentials
    )


def queries_of(client, **query):
    with CaptureQueriesContext(connection) as captured:
        response = client.get(LIST, query)
    assert response.status_code == 200
    return [query["sql"] for query in captured.captured_queries]


def test_admin_list_paginates_three_thousand_identities(admin_client, django_user_model):
    plant(django_user_model, 3000)

    first = admin_client.get(LIST).context["cl"]
    last = admin_client.get(LIST, {"p": UncountedPaginator.pages}).context["cl"]

    assert len(first.result_list) == IdentityAdmin.list_per_page
    assert first.paginator.num_pages == UncountedPaginator.pages
    assert len(last.result_list) == IdentityAdmin.list_per_page
    assert not {it.pk for it in first.result_list} & {it.pk for it in last.result_list}
    assert listed(admin_client.get(LIST, {"q": "user-2999"})) == ["user-2999"]


def test_admin_list_needs_no_more_queries_for_more_rows(admin_client, make):
    make("ann")
    few = len(queries_of(admin_client))
    for number in range(10):
        make(f"user-{number}")

    assert len(queries_of(admin_client)) == few


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"_facets": "True"},
        {"q": "ann"},
        {"state__exact": "active"},
        {"provider": "microsoft"},
        {"p": "2"},
    ],
    ids=str,
)
def test_admin_list_counts_no_rows(admin_client, django_user_model, query):
    plant(django_user_model, IdentityAdmin.list_per_page + 1)

    counting = [sql for sql in queries_of(admin_client, **query) if "COUNT(" in sql]

    assert counting == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's query plans")
@pytest.mark.parametrize(
    "query",
    [
        pytest.param({}, id="list"),
        pytest.param({"state__exact": "inactive"}, id="state"),
        pytest.param({"provider": "microsoft"}, id="provider"),
        pytest.param({"q": "user-7"}, id="search"),
    ],
)
def test_admin_list_queries_use_an_index(admin_client, django_user_model, query):
    plant(django_user_model, IdentityAdmin.list_per_page + 1)
    statements = [sql for sql in queries_of(admin_client, **query) if '"ms_identity_' in sql]

    plans = []
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plans += [(step[-1], sql) for step in cursor.fetchall()]

    assert plans
    assert [plan for plan in plans if plan[0].startswith("SCAN") and "INDEX" not in plan[0]] == []
    # An index in the order of the list saves sorting all rows; only equal times are sorted.
    assert [plan for plan in plans if plan[0] == "USE TEMP B-TREE FOR ORDER BY"] == []


def test_admin_list_offers_no_selection_across_pages(admin_client, django_user_model):
    plant(django_user_model, IdentityAdmin.list_per_page + 1)

    page = admin_client.get(LIST).content.decode()

    assert 'name="action"' in page
    assert not re.search(r"Select all \d", page)


# The page of an identity


def test_admin_page_shows_traits_and_metadata_as_escaped_json(admin_client, make):
    hostile = {"name": "</pre><script>alert(1)</script>", "nested": {"list": [1, "ä"]}}
    if connection.vendor == "sqlite":  # The others store no half of a character.
        hostile["lone"] = "\ud800"
    identity = make("ann", traits=hostile)
    Identity.objects.update(metadata_public={"<b>": 1}, metadata_admin={"a": '"><img src=x>'})

    page = admin_client.get(detail_of(identity)).content.decode()

    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in page
    assert "&quot;nested&quot;: {\n    &quot;list&quot;: [\n      1,\n      &quot;ä&quot;" in page
    for planted in ("<script>alert", "<b>", "<img src=x>"):
        assert planted not in page


def test_admin_page_shows_credentials_addresses_and_sign_ins_read_only(admin_client, make):
    identity = make("ann")
    identity.credentials.update(account="ann@home.example")
    credential = identity.credentials.get()

    response = admin_client.get(detail_of(identity))

    expected = (credential.subject, credential.object_id, credential.account, TENANT, "ann@Contoso.Example")
    assert [text for text in (*expected, "aal1", "active") if text not in plain(response)] == []
    inlines = response.context["inline_admin_formsets"]
    assert len(inlines) == 3
    assert [it for it in inlines if it.has_add_permission or it.has_change_permission] == []


def test_admin_page_shows_latest_sign_ins_only(admin_client, make):
    identity, other = make("ann"), make("bob")
    SignIn.objects.bulk_create(
        SignIn(identity=who, provider="p") for who in (identity, other) for _ in range(40)
    )
    SignIn.objects.filter(identity=other).update(provider="of-another")

    response = admin_client.get(detail_of(identity))

    shown = [
        form.instance
        for formset in response.context["inline_admin_formsets"]
        for form in formset.formset
        if isinstance(form.instance, SignIn)
    ]
    assert len(shown) == 20
    assert shown == list(identity.sign_ins.order_by("-created_at", "-pk")[:20])


def test_admin_pages_show_no_secret(admin_client, make):
    identity = make("ann")
    delete = reverse("admin:ms_identity_identity_delete", args=[identity.pk])
    history = reverse("admin:ms_identity_identity_history", args=[identity.pk])

    for url in (LIST, detail_of(identity), delete, history):
        page = admin_client.get(url).content.decode()
        for secret in ("planted-sealed-session-key", "planted-sid", "planted-client-secret"):
            assert secret not in page


def test_admin_page_changes_nothing(admin_client, make):
    identity = make("ann", traits={"email": "ann@contoso.example"})
    credential = identity.credentials.get()
    page = admin_client.get(detail_of(identity)).content.decode()
    names = re.findall(
        r'<(?:input|select|textarea)[^>]+name="([^"]+)"', page.partition('id="identity_form"')[2]
    )
    prefix = "credentials"

    admin_client.post(
        detail_of(identity),
        {
            "state": "inactive",
            "traits": "{}",
            f"{prefix}-TOTAL_FORMS": "1",
            f"{prefix}-INITIAL_FORMS": "1",
            f"{prefix}-0-id": credential.pk,
            f"{prefix}-0-identity": identity.pk,
            f"{prefix}-0-subject": "another",
            f"{prefix}-0-DELETE": "on",
        },
    )

    assert [name for name in names if not re.search(r"csrf|_FORMS$|-id$|-identity$", name)] == []
    assert "_save" not in page
    identity.refresh_from_db()
    credential.refresh_from_db()
    assert (identity.state, identity.traits) == ("active", {"email": "ann@contoso.example"})
    assert credential.subject == "Subject-ann"


def test_admin_subclass_with_editable_field_has_save_button(rf, admin_user, make):
    class Editable(IdentityAdmin):
        fields = ("id", "traits")
        readonly_fields = ("id",)

    identity = make("ann")
    request = rf.get("/")
    request.user = admin_user

    response = Editable(Identity, admin.site).change_view(request, str(identity.pk)).render()

    assert b'name="_save"' in response.content


def test_admin_cannot_add_identity(admin_client):
    assert admin_client.get(reverse("admin:ms_identity_identity_add")).status_code == 403
    assert reverse("admin:ms_identity_identity_add") not in admin_client.get(LIST).content.decode()


# Actions


def act(client, action, *identities, **more):
    chosen = {"action": action, "_selected_action": [identity.pk for identity in identities]}
    return client.post(LIST, chosen | more, follow=True)


def test_admin_deactivation_ends_sessions_and_is_logged(admin_client, admin_user, client, make):
    ann, bob = make("ann"), make("bob", state="inactive")
    theirs = client.__class__()
    theirs.force_login(ann.user, backend=BACKEND)
    assert theirs.get("/home/").content == b"ann"

    response = act(admin_client, "deactivate", ann, bob)

    assert "1 identity changed." in plain(response)
    ann.refresh_from_db()
    assert (ann.state, ann.state_changed_at is not None) == ("inactive", True)
    assert SignIn.objects.get(identity=ann).ended_at
    assert theirs.get("/home/").content == b"nobody"
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (admin_user, str(ann.pk))
    assert "inactive" in entry.get_change_message()

    act(admin_client, "activate", ann)
    ann.refresh_from_db()
    assert ann.is_active
    assert LogEntry.objects.count() == 2


def test_admin_trusts_second_factors_and_logs_it(admin_client, admin_user, make):
    ann, bob = make("ann"), make("bob")
    ann.credentials.update(mfa_trusted=False)

    response = act(admin_client, "trust_second_factors", ann, bob)

    assert "1 identity changed." in plain(response)
    assert ann.credentials.get().mfa_trusted
    assert (LogEntry.objects.get().user, LogEntry.objects.get().object_id) == (admin_user, str(ann.pk))


def test_admin_view_permission_allows_no_action(make, staff):
    ann = make("ann")
    client = staff("view_identity", "view_credential", "view_signin", "view_verifiableaddress")

    assert 'name="action"' not in client.get(LIST).content.decode()
    assert "Subject-ann" in client.get(detail_of(ann)).content.decode()
    act(client, "deactivate", ann)

    ann.refresh_from_db()
    assert ann.is_active


def test_admin_change_permission_does_not_allow_deletion(make, staff):
    ann = make("ann")
    client = staff("view_identity", "change_identity")

    page = client.get(LIST).content.decode()

    assert 'value="deactivate"' in page
    assert 'value="delete_selected"' not in page
    act(client, "deactivate", ann)
    ann.refresh_from_db()
    assert not ann.is_active


def test_admin_refuses_staff_without_permission(make, staff):
    ann = make("ann")
    client = staff()

    assert client.get(LIST).status_code == 403
    assert client.get(detail_of(ann)).status_code == 403


@pytest.mark.parametrize("way", ["page", "action"])
def test_admin_deletion_keeps_user_and_ends_sessions(admin_client, client, make, way, django_user_model):
    ann = make("ann")
    theirs = client.__class__()
    theirs.force_login(ann.user, backend=BACKEND)

    if way == "page":
        admin_client.post(reverse("admin:ms_identity_identity_delete", args=[ann.pk]), {"post": "yes"})
    else:
        act(admin_client, "delete_selected", ann, post="yes")

    assert not Identity.objects.exists()
    assert not Credential.objects.exists()
    assert not VerifiableAddress.objects.exists()
    assert not SignIn.objects.exists()
    assert django_user_model.objects.filter(username="ann").exists()
    assert theirs.get("/home/").content == b"nobody"


# A site of one's own


@override_settings(ROOT_URLCONF=__name__)
def test_own_admin_site_has_the_same_pages(admin_client, make):
    ann = make("ann")

    assert "ann" in plain(admin_client.get("/own/ms_identity/identity/"))
    assert "Subject-ann" in plain(admin_client.get(f"/own/ms_identity/identity/{ann.pk}/change/"))
