"""The admin of identities: read-only except for their state. It shows no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from . import conf, sessions
from .models import Credential, Identity, SignIn, VerifiableAddress

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Identity]
    _Inline = admin.TabularInline[Any, Identity]
    _Paginator = Paginator[Identity]
else:
    _ModelAdmin = admin.ModelAdmin
    _Inline = admin.TabularInline
    _Paginator = Paginator


class UncountedPaginator(_Paginator):
    """Paginate without counting all rows, which takes a database as long as reading them."""

    pages = 20

    @cached_property
    def count(self) -> int:
        """Count the rows of at most ``pages`` pages; the search finds the rest."""
        rows = cast("QuerySet[Identity]", self.object_list)
        # In the order of the list, which has an index for every filter. Without an order a database may read
        # the whole table to find a few rows.
        return len(rows.values_list("pk")[: self.per_page * self.pages])


class ProviderFilter(admin.SimpleListFilter):
    """Filter by the configured providers; the database is not asked which ones occur."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(provider.id, provider.id) for provider in conf.parse().config.providers]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Identity]) -> QuerySet[Identity]:
        if not self.value():
            return queryset
        # Exists, so that a database can stop at the rows of one page.
        return queryset.filter(
            Exists(Credential.objects.filter(identity=OuterRef("pk"), provider=self.value()))
        )


class _ReadOnlyInline(_Inline):
    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class CredentialInline(_ReadOnlyInline):
    model = Credential
    fields = (
        "provider",
        "account",
        "subject",
        "subject_source",
        "tenant",
        "object_id",
        "mfa_trusted",
        "created_at",
    )
    readonly_fields = fields


class AddressInline(_ReadOnlyInline):
    model = VerifiableAddress
    fields = ("via", "value", "verified_at")
    readonly_fields = fields


class SignInInline(_ReadOnlyInline):
    model = SignIn
    fields = ("provider", "aal", "amr", "created_at", "ended_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    verbose_name_plural = _("latest sign-ins")
    shown = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignIn]:
        """Return the latest sign-ins of the identity; some people have thousands."""
        match = request.resolver_match
        identity = match.kwargs.get("object_id") if match else None
        latest = super().get_queryset(request).filter(identity=identity).values_list("pk", flat=True)
        return super().get_queryset(request).filter(pk__in=list(latest[: self.shown]))


class IdentityAdmin(_ModelAdmin):
    """Show identities; activate and deactivate them. A project may register it on its own admin site."""

    list_display = ("user", "providers", "last_sign_in", "state", "tenants")
    # Newest first only: no other order has an index.
    sortable_by = ()
    list_filter = ("state", ProviderFilter)
    search_help_text = _(
        "Exact identity id, subject, object id, user name, Microsoft account or verified address"
    )
    # Any value shows the search box; get_search_results() decides what is searched.
    search_fields = ("pk__exact",)
    ordering = ("-created_at",)
    list_per_page = 50
    list_select_related = ("user",)
    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("activate", "deactivate", "trust_second_factors")
    inlines = (CredentialInline, AddressInline, SignInInline)
    fields = (
        "id",
        "user",
        "state",
        "state_changed_at",
        "pretty_traits",
        "typed_traits",
        "pretty_metadata_public",
        "pretty_metadata_admin",
        "created_at",
        "updated_at",
    )
    readonly_fields: ClassVar = fields

    class Media:
        css: ClassVar = {"all": ("ms_identity/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: identities come from Microsoft."""
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Hide the Save button if no field is editable; a subclass may make some editable."""
        editable = bool(set(self.get_fields(request)) - set(self.get_readonly_fields(request)))
        context = {"show_save": editable, "show_save_and_continue": editable} | context
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Identity]:
        latest = (
            SignIn.objects.filter(identity=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
        )
        queryset = super().get_queryset(request).prefetch_related("credentials")
        return queryset.annotate(latest_sign_in=Subquery(latest))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Identity], search_term: str
    ) -> tuple[QuerySet[Identity], bool]:
        """Search for exact values, each by its own index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        credentials = Credential.objects.filter(Q(subject=term) | Q(object_id=term.lower()) | Q(account=term))
        addresses = VerifiableAddress.objects.matching("email", term)
        found = {
            *credentials.values_list("identity", flat=True)[: self.list_per_page],
            *addresses.values_list("identity", flat=True)[: self.list_per_page],
            *_keys(pk=term),
            *_keys(**{f"user__{get_user_model().USERNAME_FIELD}": term}),
        }
        return queryset.filter(pk__in=found), False

    @admin.display(description=_("provider"))
    def providers(self, identity: Identity) -> str:
        return ", ".join(sorted({credential.provider for credential in identity.credentials.all()}))

    @admin.display(description=_("tenant"))
    def tenants(self, identity: Identity) -> str:
        return ", ".join(sorted({credential.tenant for credential in identity.credentials.all()}))

    @admin.display(description=_("last sign-in"), empty_value="-")
    def last_sign_in(self, identity: Identity) -> object:
        return getattr(identity, "latest_sign_in", None)

    @admin.display(description=_("traits"))
    def pretty_traits(self, identity: Identity) -> SafeString:
        return _pretty(identity.traits)

    @admin.display(description=_("typed by the visitor"), empty_value="-")
    def typed_traits(self, identity: Identity) -> str | None:
        return ", ".join(identity.self_asserted) or None

    @admin.display(description=_("public metadata"))
    def pretty_metadata_public(self, identity: Identity) -> SafeString:
        return _pretty(identity.metadata_public)

    @admin.display(description=_("admin metadata"))
    def pretty_metadata_admin(self, identity: Identity) -> SafeString:
        return _pretty(identity.metadata_admin)

    @admin.action(description=_("Activate selected identities"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Identity]) -> None:
        self._change(request, queryset, lambda it: sessions.set_active(it, True), "state: active")

    @admin.action(
        description=_("Deactivate selected identities (signs them out at once)"), permissions=["change"]
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Identity]) -> None:
        self._change(request, queryset, lambda it: sessions.set_active(it, False), "state: inactive")

    @admin.action(
        description=_("Let all accounts of selected identities show a second factor"), permissions=["change"]
    )
    def trust_second_factors(self, request: HttpRequest, queryset: QuerySet[Identity]) -> None:
        self._change(request, queryset, _trust_second_factors, "accounts: shows a second factor")

    def _change(
        self,
        request: HttpRequest,
        queryset: QuerySet[Identity],
        change: Callable[[Identity], bool],
        logged: str,
    ) -> None:
        changed = [identity for identity in queryset if change(identity)]
        for identity in changed:
            self.log_change(request, identity, logged)
        text = ngettext("%d identity changed.", "%d identities changed.", len(changed)) % len(changed)
        self.message_user(request, text, messages.SUCCESS)


def _trust_second_factors(identity: Identity) -> bool:
    return bool(identity.credentials.filter(mfa_trusted=False).update(mfa_trusted=True))


def _keys(**exactly: str) -> list[UUID]:
    try:
        return list(Identity.objects.filter(**exactly).values_list("pk", flat=True)[:1])
    except (ValidationError, ValueError):
        # The text is not a UUID, or not a value that the user name can have.
        return []


def _pretty(value: object) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    # A lone surrogate cannot be encoded.
    return format_html('<pre class="ms-identity-json">{}</pre>', text.encode("utf-8", "replace").decode())


admin.site.register(Identity, IdentityAdmin)
