"""Servers on the loopback interface that answer as a test says, byte by byte if need be."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one segment, else each answer waits for a delayed acknowledgement.
    wbufsize = 65536
    timeout = 10

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True

    def _received(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        server: Server = self.server.owner
        self.received = Received(
            method=self.command,
            path=self.path,
            headers=dict(self.headers.items()),
            body=self.rfile.read(length),
            port=self.client_address[1],
        )
        server.received.append(self.received)
        server.answer(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _received

    def reply(self, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def hang_up(self) -> None:
        """Close without a word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def garble(self) -> None:
        """Send what is no TLS record, as a machine in the middle may."""
        self.close_connection = True
        socket.socket.sendall(self.connection, b"not a record" * 10)

    def log_message(self, *args: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int


Answer = Callable[[Handler], None]


@dataclass
class Server:
    url: str
    answers: list[Answer]
    received: list[Received] = field(default_factory=list)

    def answer(self, handler: Handler) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer(handler)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None: ...


@contextmanager
def serve(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Answer each request with the next of ``answers``, and all further ones with the last."""
    http = _Quiet(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
        scheme = "https"
    server = Server(f"{scheme}://127.0.0.1:{http.server_address[1]}", list(answers))
    http.owner = server
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(10)


def authority(folder: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for hosts, or 127.0.0.1: the file to trust it by, and the server's side."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(host) for host in hosts] or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "ca.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return trusted, context
