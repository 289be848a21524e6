"""A provider's API on this machine: answers that a test writes, to the questions that the real clients ask."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Question:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    #: The JSON that was sent, if it was JSON.
    body: Any
    #: The bytes that were sent.
    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    body: str | bytes = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: Bytes of the body that are sent before the connection is closed.
    cut_after: int | None = None
    #: Bytes of the body that are sent before nothing more comes, though the connection stays.
    silent_after: int | None = None
    #: Seconds between one byte of the body and the next.
    drips_s: float | None = None
    #: Seconds between one byte of the headers and the next.
    headers_drip_s: float | None = None
    #: Whether the connection is closed without an answer.
    hangs_up: bool = False


@dataclass
class Provider:
    url: str
    #: What it answers; replaced by tests.
    answer: Callable[[Question], Reply]
    asked: list[Question]
    ended: threading.Event
    #: How many connections were made to it.
    connections: int = 0


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


@contextmanager
def provider(tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """Run an API on a free port while the block runs; with `tls` it is one over HTTPS, called localhost."""
    here = Provider("", lambda _: Reply(status=404), [], threading.Event())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            here.connections += 1
            super().setup()

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            question = Question(
                self.command,
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                {name.lower(): value for name, value in self.headers.items()},
                _json(content),
                content,
            )
            here.asked.append(question)
            reply = here.answer(question)
            if reply.hangs_up:
                self.close_connection = True
                return
            body = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            if reply.headers_drip_s is not None:
                headers = b"".join([*self._headers_buffer, b"\r\n"])
                self._headers_buffer = []
                self._drip(headers, reply.headers_drip_s)
            else:
                self.end_headers()
            sent = next((end for end in (reply.cut_after, reply.silent_after) if end is not None), len(body))
            if reply.drips_s is None:
                self.wfile.write(body[:sent])
            else:
                self._drip(body[:sent], reply.drips_s)
            self.wfile.flush()
            if reply.silent_after is not None:
                here.ended.wait()
            self.close_connection = sent < len(body)

        def _drip(self, content: bytes, pause_s: float) -> None:
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                here.ended.wait(pause_s)

        do_GET = do_POST = do_PUT = _reply  # noqa: N815 (the names that http.server looks for)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of connections that the asker gave up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        here.url = f"https://localhost:{server.server_port}" if tls else f"http://127.0.0.1:{server.server_port}"
        try:
            yield here
        finally:
            here.ended.set()
            server.shutdown()
            thread.join()
