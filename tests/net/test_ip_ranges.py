"""Which addresses are public: tables of private, embedded and unusually written ones."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ms_identity.net.ip_ranges import is_public, resolve

PRIVATE_V4 = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
)
PRIVATE_V6 = (
    "::",
    "::1",
    "::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "64:ff9b:1::7f00:1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1")


@pytest.mark.parametrize("text", PRIVATE_V4 + PRIVATE_V6)
def test_private_address_is_not_public(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_public(text):
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_embedded_ipv4_address_is_no_more_public_than_itself(address):
    carried = int(address)

    assert not is_public(IPv6Address(carried))
    assert not is_public(IPv6Address(0xFFFF << 32 | carried))
    assert not is_public(IPv6Address(0x2002 << 112 | carried << 80))
    assert is_public(IPv6Address(0x64FF9B << 96 | carried)) is is_public(address)


@given(st.ip_addresses())
def test_address_that_python_calls_private_is_not_public(address):
    assert not (is_public(address) and (address.is_private or address.is_multicast or address.is_loopback))


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1"])
def test_unusual_address_spellings_resolve_as_the_system_connects(host):
    try:
        found = resolve(host, 80)
    except OSError:
        return  # Some systems know only the usual spelling.

    assert found == (IPv4Address("127.0.0.1"),)
