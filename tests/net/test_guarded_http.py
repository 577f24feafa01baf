"""Requests to configured hosts, against loopback servers and hostile look-ups."""

from __future__ import annotations

import os
import socket
import threading
import time
from ipaddress import ip_address

import pytest

from django_ms_identity.exceptions import MSIdentityError, WebHookFailed, WebHookUnreachable
from django_ms_identity.net import guarded_http
from django_ms_identity.net.guarded_http import Limits
from tests.entra.forge import chain_text
from tests.support.loopback import Handler, authority, serve

from .test_ip_ranges import PRIVATE_V4, PRIVATE_V6

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SECRET = {"Authorization": "planted-key"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in (*PROXIES, *BUNDLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def dialled(monkeypatch):
    """Connect to the loopback interface instead of any address; list the addresses asked for."""
    addresses: list[str] = []
    dial = socket.create_connection

    def divert(address, *args):
        addresses.append(address[0])
        return dial(("127.0.0.1", address[1]), *args)

    monkeypatch.setattr(socket, "create_connection", divert)
    return addresses


def knows(*answers):
    """Make a look-up that gives these answers in turn and lists the hosts asked for."""
    left = list(answers)

    def resolve(host, port):
        resolve.asked.append(host)
        return [ip_address(text) for text in (left.pop(0) if len(left) > 1 else left[0])]

    resolve.asked = []
    return resolve


def send(url, *, method="POST", resolve=None, body=b"{}", **options):
    options = {"headers": SECRET, "allow_private": True, "limits": Limits(connect=2, total=5)} | options
    return guarded_http.send_guarded(
        method, url, body=body, resolve=resolve or knows(["127.0.0.1"]), **options
    )


def ok(handler: Handler) -> None:
    handler.reply(b"answer")


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_guarded_request_arrives_as_given(method):
    with serve(lambda handler: handler.reply(b"answer", status=201)) as server:
        answer = send(f"http://hook.test:{port_of(server.url)}/path?q=1", method=method, body=b'{"a": 1}')

    assert (answer.status, answer.body) == (201, b"answer")
    (received,) = server.received
    assert (received.method, received.path, received.body) == (method, "/path?q=1", b'{"a": 1}')
    assert received.headers["Host"] == f"hook.test:{port_of(server.url)}"
    assert received.headers["Authorization"] == "planted-key"
    assert "Cookie" not in received.headers


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", "0")])
def test_guarded_request_without_body_has_content_length_zero(method, length):
    with serve(ok) as server:
        send(server.url, method=method, body=None)

    assert server.received[0].headers.get("Content-Length") == length
    assert server.received[0].path == "/"


def test_ipv6_host_header_has_brackets():
    with serve(ok) as server:
        send(f"http://[fd00::abcd]:{port_of(server.url)}/")

    assert server.received[0].headers["Host"] == f"[fd00::abcd]:{port_of(server.url)}"


@pytest.mark.parametrize(("url", "asked"), [("http://hook.test/", 80), ("https://hook.test/", 443)])
def test_default_port_is_used_and_not_in_host_header(monkeypatch, tmp_path, url, asked):
    trusted, tls = authority(tmp_path, "hook.test")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    dial, ports = socket.create_connection, []

    def divert(address, *args):
        ports.append(address[1])
        return dial(("127.0.0.1", int(port_of(server.url))), *args)

    with serve(ok, tls=tls if asked == 443 else None) as server:
        monkeypatch.setattr(socket, "create_connection", divert)
        send(url)

    assert ports == [asked]
    assert server.received[0].headers["Host"] == "hook.test"


# Addresses


@pytest.mark.parametrize(
    "answers",
    [
        *((address,) for address in PRIVATE_V4 + PRIVATE_V6 + ("::ffff:127.0.0.1", "64:ff9b::7f00:1")),
        ("1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1"),
        ("2606:4700::1", "::1"),
    ],
)
def test_host_with_any_private_address_is_refused_before_connecting(answers, dialled):
    with pytest.raises(WebHookUnreachable, match="not public"):
        send("https://hook.test/", resolve=knows(answers), allow_private=False)

    assert dialled == []


def test_dns_rebinding_host_is_looked_up_once(dialled):
    resolve = knows(["1.1.1.1"], ["127.0.0.1"])

    with serve(ok) as server:
        answer = send(f"http://hook.test:{port_of(server.url)}/", resolve=resolve, allow_private=False)

    assert answer.body == b"answer"
    assert resolve.asked == ["hook.test"]
    assert dialled == ["1.1.1.1"]


def test_connection_does_not_look_the_host_up_again(monkeypatch):
    asked = []
    look_up = socket.getaddrinfo

    def record(host, *args, **options):
        asked.append(host)
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    with serve(ok) as server:
        send(f"http://hook.test:{port_of(server.url)}/")

    assert set(asked) == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0177.0.0.1", "[::1]", "0"])
def test_system_look_up_of_this_machine_is_refused(host):
    with serve(ok) as server, pytest.raises(WebHookUnreachable):
        guarded_http.send_guarded("POST", f"http://{host}:{port_of(server.url)}/", headers={}, body=None)

    assert server.received == []


def test_next_address_is_tried_when_one_refuses_connections():
    with serve(ok) as server:
        answer = send(server.url, resolve=knows(["127.0.0.2", "127.0.0.1"]))

    assert answer.body == b"answer"


def test_host_without_address_is_unreachable():
    with pytest.raises(WebHookUnreachable, match="ConnectionError"):
        send("http://hook.test/", resolve=knows([]))


@pytest.mark.parametrize("fault", [socket.gaierror("no such host"), UnicodeError("label too long")])
def test_host_that_cannot_be_looked_up_is_unreachable(fault):
    def resolve(host, port):
        raise fault

    with pytest.raises(WebHookUnreachable, match="gaierror"):
        send("http://hook.test/", resolve=resolve)


def test_look_up_that_never_ends_stops_at_the_deadline():
    over = threading.Event()

    def resolve(host, port):
        over.wait(30)
        return []

    began = time.monotonic()
    try:
        with pytest.raises(WebHookUnreachable, match="TimeoutError"):
            send("http://hook.test/", resolve=resolve, limits=Limits(total=0.2))
    finally:
        over.set()

    assert time.monotonic() - began < 10


# TLS


@pytest.mark.parametrize("bundle", BUNDLES)
def test_tls_certificate_is_verified_against_the_host_name(monkeypatch, tmp_path, bundle):
    trusted, tls = authority(tmp_path, "hook.test")
    named = []
    tls.sni_callback = lambda sock, name, context: named.append(name)
    monkeypatch.setenv(bundle, str(trusted))

    with serve(ok, tls=tls) as server:
        answer = send(f"https://hook.test:{port_of(server.url)}/")

    assert answer.body == b"answer"
    assert named == ["hook.test"]


@pytest.mark.parametrize(
    ("hosts", "host", "bundle"),
    [
        pytest.param(("other.test",), "hook.test", "REQUESTS_CA_BUNDLE", id="another name"),
        pytest.param((), "hook.test", "REQUESTS_CA_BUNDLE", id="only the address"),
        pytest.param(("hook.test",), "127.0.0.1", "REQUESTS_CA_BUNDLE", id="only the name"),
        pytest.param(("hook.test",), "hook.test", "UNUSED", id="unknown authority"),
    ],
)
def test_wrong_tls_certificate_gets_no_request(monkeypatch, tmp_path, hosts, host, bundle):
    trusted, tls = authority(tmp_path, *hosts)
    monkeypatch.setenv(bundle, str(trusted))

    with serve(ok, tls=tls) as server, pytest.raises(WebHookUnreachable, match="CertVerification") as refused:
        send(f"https://{host}:{port_of(server.url)}/")

    assert server.received == []
    assert "REQUESTS_CA_BUNDLE" in refused.value.hint


def test_ca_bundle_may_be_a_folder(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    _, tls = authority(tmp_path, "hook.test")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "empty"))

    with serve(ok, tls=tls) as server, pytest.raises(WebHookUnreachable, match="CertVerification"):
        send(f"https://hook.test:{port_of(server.url)}/")


def test_server_without_tls_is_unreachable():
    with serve(ok) as server, pytest.raises(WebHookUnreachable):
        send(f"https://hook.test:{port_of(server.url)}/")

    assert server.received == []


# Environment and server


def test_guarded_request_follows_no_redirect():
    with serve(ok) as other, serve(lambda handler: handler.reply(status=307, Location=other.url)) as server:
        answer = send(server.url)

    assert answer.status == 307
    assert other.received == []


def test_guarded_request_uses_no_proxy(monkeypatch):
    with serve(ok) as proxy, serve(ok) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        send(f"http://hook.test:{port_of(server.url)}/")

    assert proxy.received == []
    assert len(server.received) == 1


def test_guarded_request_reads_no_netrc(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login planted password planted\n")
    os.chmod(netrc, 0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    with serve(ok) as server:
        send(server.url, headers={})

    assert "Authorization" not in server.received[0].headers


def test_guarded_request_keeps_no_cookies():
    with serve(lambda handler: handler.reply(Set_Cookie="a=b")) as server:
        send(server.url)
        send(server.url)

    assert all("Cookie" not in received.headers for received in server.received)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_guarded_request_is_not_retried(method):
    with serve(Handler.hang_up, ok) as server, pytest.raises(WebHookUnreachable):
        send(server.url, method=method)

    assert len(server.received) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_error_status_is_a_response(status):
    with serve(lambda handler: handler.reply(b"broken", status=status), ok) as server:
        answer = send(server.url)

    assert (answer.status, answer.body) == (status, b"broken")


# Limits


def chunked(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(32):
        handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


@pytest.mark.parametrize("answer", [lambda handler: handler.reply(b"x" * 2 * 1024 * 1024), chunked])
def test_response_over_the_size_limit_is_refused(answer):
    with serve(answer) as server, pytest.raises(WebHookFailed, match="TooLarge"):
        send(server.url)


def test_response_of_exactly_the_size_limit_is_read():
    with serve(lambda handler: handler.reply(b"x" * 1000)) as server:
        assert len(send(server.url, limits=Limits(body=1000)).body) == 1000


def short(handler: Handler) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")


def cut(handler: Handler) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf")


@pytest.mark.parametrize("answer", [short, cut])
def test_response_that_ends_early_is_refused(answer):
    with serve(answer) as server, pytest.raises(WebHookFailed, match="IncompleteRead"):
        send(server.url)


def drip(*parts: bytes):
    """Send the parts, and then a byte at a time while the client reads."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        for part in parts:
            handler.wfile.write(part)
        for _ in range(600):
            handler.wfile.write(b"1")
            handler.wfile.flush()
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(drip(b"HTTP/1.1 200 O"), id="status line"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"X-Name: "), id="header"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), id="body"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n\r\n"), id="body without length"),
    ],
)
def test_dripping_response_stops_at_the_deadline(answer):
    began = time.monotonic()

    with serve(answer) as server, pytest.raises(WebHookUnreachable, match="TimeoutError"):
        send(server.url, limits=Limits(total=0.5))

    assert time.monotonic() - began < 15


def test_server_that_reads_nothing_stops_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://hook.test:{server.getsockname()[1]}/"

        with pytest.raises(WebHookUnreachable, match="TimeoutError"):
            send(url, body=b"x" * 32 * 1024 * 1024, limits=Limits(total=0.5))


def test_server_that_reads_slowly_stops_at_the_deadline():
    over = threading.Event()

    def sip(server):
        connection = server.accept()[0]
        while not over.wait(0.05) and connection.recv(256 * 1024):
            pass
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        # A small buffer: each read lets the sender continue.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        threading.Thread(target=sip, args=(server,), daemon=True).start()
        url = f"http://hook.test:{server.getsockname()[1]}/"
        began = time.monotonic()
        try:
            with pytest.raises(WebHookUnreachable, match="TimeoutError"):
                send(url, body=b"x" * 64 * 1024 * 1024, limits=Limits(total=2))
        finally:
            over.set()

    assert time.monotonic() - began < 15


def test_tls_handshake_that_never_begins_stops_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://hook.test:{server.getsockname()[1]}/"

        with pytest.raises(WebHookUnreachable, match="TimeoutError"):
            send(url, limits=Limits(total=0.5))


def test_request_without_time_left_is_not_sent():
    with serve(ok) as server, pytest.raises(WebHookUnreachable, match="TimeoutError"):
        send(server.url, limits=Limits(total=0))

    assert server.received == []


@pytest.mark.parametrize(
    "text", [b"not http\r\n\r\n", b"HTTP/1.1 99999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nx" * 999]
)
def test_response_that_is_not_http_is_refused(text):
    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(text)

    with serve(answer) as server, pytest.raises(WebHookFailed):
        send(server.url)


# Secrets


def test_url_with_a_password_is_refused_and_not_repeated():
    with serve(ok) as server, pytest.raises(WebHookFailed, match="InvalidURL") as refused:
        send(server.url.replace("://", "://user:planted@"))

    assert "planted" not in chain_text(refused.value)
    assert server.received == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/", {"X-Key": "planted\r\nX: y"}, id="header"),
        pytest.param("/", {"X-Key": "planted\u0100"}, id="header beyond Latin-1"),
        pytest.param("/planted path", {}, id="path"),
        pytest.param("/?planted\u0100", {}, id="path beyond ASCII"),
        pytest.param("/?planted", SECRET, id="hang-up"),
    ],
)
def test_request_errors_hold_nothing_of_the_request(path, headers, caplog):
    with serve(Handler.hang_up) as server, pytest.raises(MSIdentityError) as refused:
        send(server.url + path, headers=headers, body=b"planted")

    assert "planted" not in chain_text(refused.value)
    assert refused.value.__context__ is None
    assert "planted" not in caplog.text
