"""An S3 server that fails on demand: a proxy before the real one, with a list of faults to come."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from s3_server import S3Server


class Waiting:
    """A clock without waiting: sleeping moves its time, and the jitter is always the longest."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def uniform(self, low: float, high: float) -> float:
        return high


Fault = Callable[["_Handler"], None]


def error(status: int, code: str) -> Fault:
    """S3's way to say no."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>what it says</Message></Error>"
    return says(status, "application/xml", body)


def says(status: int, kind: str, body: str) -> Fault:
    """An answer of any kind, in place of the real one."""

    def fault(handler: _Handler) -> None:
        handler.read_body()
        handler.answer(status, {"Content-Type": kind}, body.encode())

    return fault


def no_fault(handler: _Handler) -> None:
    """The server does and answers as always."""
    handler.answer(*handler.forward())


def pretended(handler: _Handler) -> None:
    """The answer of a server that has stored an object."""
    handler.read_body()
    handler.answer(200, {"ETag": '"0123456789abcdef0123456789abcdef"'}, b"")


def redirects_to(address: str) -> Fault:
    """Sends whoever asks somewhere else, signature and all."""

    def fault(handler: _Handler) -> None:
        handler.read_body()
        handler.answer(307, {"Location": address, "Content-Type": "application/xml"}, b"")

    return fault


def cut_before(handler: _Handler) -> None:
    """The connection is lost before the server has seen the request."""
    handler.read_body()
    handler.close_connection = True


def cut_after(handler: _Handler) -> None:
    """The server does as it is asked, and its answer is lost."""
    handler.forward()
    handler.close_connection = True


def cut_within(handler: _Handler) -> None:
    """Half of the answer's body arrives."""
    status, headers, body = handler.forward()
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


@dataclass
class FaultyS3:
    """A real server behind a proxy; ``faults`` are used up, one for each request."""

    real: S3Server
    endpoint: str
    faults: list[Fault] = field(default_factory=list)
    #: Method and path of each request that came.
    requests: list[str] = field(default_factory=list)

    @property
    def server(self) -> S3Server:
        """The server as those see it who go through the proxy."""
        return replace(self.real, endpoint=self.endpoint)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyS3

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(65537)
        except ConnectionError:
            self.raw_requestline = b""
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.proxy.requests.append(f"{self.command} {self.path}")
        (self.proxy.faults.pop(0) if self.proxy.faults else no_fault)(self)

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self) -> tuple[int, dict[str, str], bytes]:
        """Ask the real server the very same, the signed Host included."""
        body, url = self.read_body(), urlsplit(self.proxy.real.endpoint)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.netloc, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            found = connection.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length", "date", "server"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def faulty_s3(real: S3Server) -> Iterator[FaultyS3]:
    """A proxy before ``real``, in a thread."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    proxy = FaultyS3(real, f"http://127.0.0.1:{server.server_address[1]}")
    handler.proxy = proxy  # type: ignore[attr-defined]  # made two lines above
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
