"""Hosts of the clouds, tenants read from text, and the URL of their keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.entra.clouds import CONSUMER_TENANT, Cloud, Tenant, TenantKind

from . import forge
from .forge import TID


@pytest.mark.parametrize(
    ("cloud", "login", "graph"),
    [
        ("global", "login.microsoftonline.com", "graph.microsoft.com"),
        ("usgov", "login.microsoftonline.us", "graph.microsoft.us"),
        ("usgov_dod", "login.microsoftonline.us", "dod-graph.microsoft.us"),
        ("china", "login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_each_cloud_has_its_hosts(cloud, login, graph):
    assert Cloud(cloud).login == f"https://{login}"
    assert Cloud(cloud).graph == f"https://{graph}"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (TID, TenantKind.GUID, TID),
        (TID.upper(), TenantKind.GUID, TID),
        ("Contoso.onmicrosoft.com", TenantKind.DOMAIN, "contoso.onmicrosoft.com"),
        ("xn--bcher-kva.example", TenantKind.DOMAIN, "xn--bcher-kva.example"),
        ("common", TenantKind.COMMON, "common"),
        ("Organizations", TenantKind.ORGANIZATIONS, "organizations"),
        ("CONSUMERS", TenantKind.CONSUMERS, "consumers"),
        (CONSUMER_TENANT, TenantKind.CONSUMERS, CONSUMER_TENANT),
    ],
)
def test_tenant_is_parsed_from_text(text, kind, value):
    tenant = Tenant.parse(text)

    assert tenant == Tenant(value, kind)
    assert tenant.single is (kind in (TenantKind.GUID, TenantKind.DOMAIN))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (TID, f"https://login.microsoftonline.com/{TID}/discovery/v2.0/keys"),
        ("contoso.example", "https://login.microsoftonline.com/contoso.example/discovery/v2.0/keys"),
        ("common", "https://login.microsoftonline.com/common/discovery/v2.0/keys"),
        ("organizations", "https://login.microsoftonline.com/common/discovery/v2.0/keys"),
        ("consumers", "https://login.microsoftonline.com/common/discovery/v2.0/keys"),
        (CONSUMER_TENANT, "https://login.microsoftonline.com/common/discovery/v2.0/keys"),
    ],
)
def test_keys_url_is_the_tenants_own_or_that_of_all(text, url):
    assert forge.provider(microsoft_tenant=text).keys_url == url


@given(text=st.text() | st.from_regex(r"[a-z0-9.:/?#@%\\-]{1,40}", fullmatch=True))
def test_tenant_changes_no_more_of_a_url_than_its_segment(text):
    tenant = Tenant.parse(text)

    if tenant:
        assert set(tenant.value) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert ".." not in tenant.value
