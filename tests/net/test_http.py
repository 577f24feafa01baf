"""The HTTP client, against servers on the loopback interface that behave badly."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time

import pytest
import requests

from django_ms_identity.entra.clouds import Cloud
from django_ms_identity.exceptions import MicrosoftAnswerInvalid, MicrosoftUnavailable
from django_ms_identity.net import http
from django_ms_identity.net.http import MAX_BODY, HttpClient, parse_object, rewrite
from tests.entra.forge import chain_text
from tests.support.loopback import Handler, authority, serve

FORM = {"code": "planted-code", "client_secret": "planted-secret"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def client(*, connect: float = 2, read: float = 2, emulator_url: str = "") -> HttpClient:
    return HttpClient(connect=connect, read=read, emulator_url=emulator_url)


def ok(handler: Handler) -> None:
    handler.reply(b'{"a": 1}')


def status(code: int, **headers: str):
    return lambda handler: handler.reply(b"planted", status=code, **headers)


def test_http_response_is_whole_and_its_headers_match_in_any_case():
    with serve(lambda handler: handler.reply(b'{"a": 1}', status=201, X_Name="value")) as server:
        response = client().get(f"{server.url}/path?q", headers={"Accept": "application/json"})

    assert (response.status, response.body, parse_object(response.body)) == (201, b'{"a": 1}', {"a": 1})
    assert response.headers.get("x-name") == response.headers["X-NAME"] == "value"
    (received,) = server.received
    assert (received.method, received.path) == ("GET", "/path?q")
    assert received.headers["Accept"] == "application/json"


def test_post_sends_a_form():
    with serve(ok) as server:
        client().post(server.url, data={"a": "b c", "d": "é"}, headers={"X-Name": "value"})

    (received,) = server.received
    assert received.method == "POST"
    assert received.body == b"a=b+c&d=%C3%A9"
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert received.headers["X-Name"] == "value"


@pytest.mark.parametrize("text", ["", "x", b"\xff", "[" * 100_000, "NaNN", '"planted"x'])
def test_answer_that_is_no_json_object_is_refused_and_not_repeated(text):
    with pytest.raises(MicrosoftAnswerInvalid) as caught:
        parse_object(text)

    assert caught.value.__context__ is None
    assert "planted" not in chain_text(caught.value)


def sized(size: int, **headers: str):
    return lambda handler: handler.reply(b"x" * size, **headers)


def chunked(size: int):
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(size // 1000):
            handler.wfile.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")
        handler.wfile.flush()

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sized(MAX_BODY + 1), id="with a length"),
        pytest.param(chunked(MAX_BODY + 10_000), id="in chunks"),
        pytest.param(
            lambda handler: handler.reply(gzip.compress(b"x" * 64 * MAX_BODY), Content_Encoding="gzip"),
            id="compressed a thousandfold",
        ),
    ],
)
def test_http_body_over_the_limit_is_refused(answer):
    with serve(answer) as server, pytest.raises(MicrosoftAnswerInvalid, match="larger than"):
        client().get(server.url)


@pytest.mark.parametrize("limit", [MAX_BODY, 100])
def test_http_body_up_to_the_limit_is_read(limit):
    with serve(sized(limit)) as server:
        assert len(client().get(server.url, limit=limit).body) == limit
        with pytest.raises(MicrosoftAnswerInvalid):
            client().get(server.url, limit=limit - 1)


def test_compressed_http_body_is_read():
    body = gzip.compress(b'{"a": 1}')
    with serve(lambda handler: handler.reply(body, Content_Encoding="gzip")) as server:
        assert parse_object(client().get(server.url).body) == {"a": 1}


def cut_short(handler: Handler) -> None:
    handler.reply(b"planted", Content_Length="100")
    handler.hang_up()


def not_gzip(handler: Handler) -> None:
    handler.reply(b"planted", Content_Encoding="gzip")


def not_http(handler: Handler) -> None:
    handler.wfile.write(b"planted\r\n\r\n")
    handler.wfile.flush()
    handler.hang_up()


def silent(handler: Handler) -> None:
    time.sleep(8)
    handler.hang_up()


def dripping(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [cut_short, not_gzip, not_http, silent, dripping, Handler.hang_up])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_server_that_breaks_off_is_unavailable(answer, method):
    hasty = client(connect=0.3, read=0.3)
    begun = time.monotonic()

    with serve(answer) as server, pytest.raises(MicrosoftUnavailable) as caught:
        hasty.get(server.url) if method == "GET" else hasty.post(server.url, data=FORM)

    # Silence lasts for 8 seconds, dripping for 20.
    assert time.monotonic() - begun < 6
    assert caught.value.detail.startswith(f"{method} to 127.0.0.1 failed: ")
    assert "HTTPS_PROXY" in caught.value.hint
    assert caught.value.__context__ is None
    assert "planted" not in chain_text(caught.value)


def test_closed_port_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(MicrosoftUnavailable, match="ConnectionError"):
        client().post(f"http://127.0.0.1:{port}/", data=FORM)


@pytest.mark.parametrize("url", ["", "x", "http://", "ftp://127.0.0.1/", "https://\x00/", "http://é\ud800/"])
def test_broken_url_is_unavailable(url):
    with pytest.raises(MicrosoftUnavailable):
        client().get(url)


@pytest.mark.parametrize("value", ["a\r\nX: y", "☃", "\ud800", "a\nb"])
def test_header_that_cannot_be_sent_raises_our_exception(value):
    with serve(ok) as server, pytest.raises(MicrosoftUnavailable) as caught:
        client().get(server.url, headers={"Authorization": f"Bearer planted {value}"})

    assert "planted" not in chain_text(caught.value)
    assert server.received == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirect_is_not_followed(code, method):
    with serve(ok) as elsewhere, serve(status(code, Location=elsewhere.url)) as server:
        response = client().get(server.url) if method == "GET" else client().post(server.url, data=FORM)

    assert response.status == code
    assert len(server.received) == 1
    assert elsewhere.received == []


def test_cookies_are_neither_kept_nor_sent():
    with serve(status(200, Set_Cookie="fpc=planted; Path=/")) as server:
        one = client()
        for _ in range(3):
            one.get(server.url)

    assert not [received for received in server.received if "Cookie" in received.headers]


def test_netrc_is_not_read(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login planted password planted\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    with serve(ok) as server:
        assert requests.utils.get_netrc_auth(server.url)
        client().get(server.url)
        client().get(server.url, headers={"Authorization": "Bearer token"})

    assert [received.headers.get("Authorization") for received in server.received] == [None, "Bearer token"]


def test_password_in_a_url_is_not_sent():
    with serve(ok) as server:
        client().get(server.url.replace("http://", "http://planted:planted@"))

    (received,) = server.received
    assert "Authorization" not in received.headers


def test_http_connection_serves_many_requests():
    with serve(ok) as server:
        one = client()
        for _ in range(3):
            one.get(server.url)
        one.post(server.url, data=FORM)

    assert len({received.port for received in server.received}) == 1


def test_http_connections_are_not_shared_with_a_forked_child(monkeypatch):
    with serve(ok) as server:
        one = client()
        one.get(server.url)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        one.get(server.url)
        one.get(server.url)

    first, second, third = (received.port for received in server.received)
    assert first != second
    assert second == third


def test_http_client_is_shared_by_threads():
    failed = []

    def work(one: HttpClient, url: str) -> None:
        try:
            for _ in range(10):
                assert parse_object(one.get(url).body) == {"a": 1}
        except Exception as error:
            failed.append(error)

    with serve(ok) as server:
        one = client()
        threads = [threading.Thread(target=work, args=(one, server.url)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert failed == []
    assert len(server.received) == 80


@pytest.mark.parametrize("first", [status(500), status(503), Handler.hang_up])
@pytest.mark.parametrize("is_tls", [False, True])
def test_get_is_sent_once_more_after_a_failure(tmp_path, monkeypatch, first, is_tls):
    trusted, tls = authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))

    with serve(first, ok, tls=tls if is_tls else None) as server:
        assert client().get(server.url).status == 200

    assert len(server.received) == 2


@pytest.mark.parametrize("answer", [status(503), status(503, Retry_After="5")])
def test_get_is_not_sent_a_third_time_and_does_not_sleep(answer):
    begun = time.monotonic()
    with serve(answer) as server:
        assert client().get(server.url).status == 503

    assert len(server.received) == 2
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    ("method", "code"),
    [*(("GET", code) for code in (200, 400, 404, 429)), *(("POST", code) for code in (500, 502, 503, 504))],
)
def test_status_that_is_final_causes_no_second_request(method, code):
    with serve(status(code), ok) as server:
        response = client().get(server.url) if method == "GET" else client().post(server.url, data=FORM)

    assert response.status == code
    assert len(server.received) == 1


@pytest.mark.parametrize("answer", [Handler.hang_up, silent, cut_short, not_http])
def test_sent_post_is_not_repeated(answer):
    with serve(answer, ok) as server, pytest.raises(MicrosoftUnavailable):
        client(read=0.3).post(server.url, data=FORM)

    assert len(server.received) == 1


def test_sent_post_is_not_repeated_when_tls_breaks(tmp_path, monkeypatch):
    trusted, tls = authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))

    with serve(Handler.garble, ok, tls=tls) as server, pytest.raises(MicrosoftUnavailable, match="SSLError"):
        client().post(server.url, data=FORM)

    assert len(server.received) == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_bundle_of_the_environment_is_used(tmp_path, monkeypatch, variable):
    trusted, tls = authority(tmp_path)
    monkeypatch.setenv(variable, str(trusted))

    with serve(ok, tls=tls) as server:
        assert parse_object(client().get(server.url).body) == {"a": 1}


@pytest.mark.parametrize(("host", "is_known"), [("127.0.0.1", False), ("localhost", True)])
def test_certificate_of_unknown_authority_or_other_host_is_refused(tmp_path, monkeypatch, host, is_known):
    trusted, tls = authority(tmp_path)
    if is_known:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))

    with serve(ok, tls=tls) as server, pytest.raises(MicrosoftUnavailable, match="SSLError"):
        client().get(server.url.replace("127.0.0.1", host))

    assert server.received == []


def test_proxy_of_the_environment_is_used(monkeypatch):
    with serve(status(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(MicrosoftUnavailable):
            client().post("https://login.microsoftonline.com/common/oauth2/v2.0/token", data=FORM)

    assert {(received.method, received.path) for received in proxy.received} == {
        ("CONNECT", "login.microsoftonline.com:443")
    }
    assert not [received for received in proxy.received if b"planted" in received.body]


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    with serve(status(407)) as proxy, serve(ok) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert client().get(server.url).status == 407
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert client().get(server.url).status == 200


def test_emulator_is_reached_without_a_proxy(monkeypatch):
    with serve(status(407)) as proxy, serve(ok) as emulator:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        one = client(emulator_url=f"{emulator.url}/emulator")
        assert one.get("https://graph.microsoft.com/v1.0/me?x=1").status == 200

    assert [received.path for received in emulator.received] == ["/emulator/graph.microsoft.com/v1.0/me?x=1"]
    assert proxy.received == []


def test_emulated_hosts_are_those_of_all_clouds():
    hosts = {url.removeprefix("https://") for cloud in Cloud for url in (cloud.login, cloud.graph)}

    assert hosts == http.EMULATED


@pytest.mark.parametrize(
    ("url", "emulator_url", "expected"),
    [
        ("https://graph.microsoft.com/v1.0/me", "", "https://graph.microsoft.com/v1.0/me"),
        (
            "https://login.microsoftonline.us/common/x?a=https://y",
            "http://localhost:8000/emulator",
            "http://localhost:8000/emulator/login.microsoftonline.us/common/x?a=https://y",
        ),
        ("https://graph.microsoft.com/me", "http://[::1]/e/", "http://[::1]/e/graph.microsoft.com/me"),
        (
            "https://mappers.example/m.jsonnet",
            "http://localhost:8000/emulator",
            "https://mappers.example/m.jsonnet",
        ),
        (
            "https://graph.microsoft.com.evil.example/",
            "http://localhost/",
            "https://graph.microsoft.com.evil.example/",
        ),
        ("https://x@graph.microsoft.com/", "http://localhost/", "https://x@graph.microsoft.com/"),
    ],
)
def test_only_urls_of_microsoft_are_rewritten_to_the_emulator(url, emulator_url, expected):
    assert rewrite(url, emulator_url) == expected
