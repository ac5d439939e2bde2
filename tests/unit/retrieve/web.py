"""A small web server in front of the storages."""

from __future__ import annotations

import http.server
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Web(http.server.ThreadingHTTPServer):
    """A small web server that misbehaves as real ones do, by its `mood`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.sent, self.connections = folder, [], 0, 0  # type: ignore[var-annotated]
        self.mood: Callable[[Handler], bool] = lambda _: False
        self.ranges = True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(200, b"", {}, (self.server.folder / self.path[1:]).stat().st_size)

    def do_GET(self) -> None:
        span = self.headers["Range"] or ""
        self.server.asked.append((self.path, span))
        if self.server.mood(self):
            return
        path = self.server.folder / self.path[1:]
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        if not self.server.ranges:
            self.answer(200, data, {})
            return
        first, last = (int(text) for text in span.removeprefix("bytes=").split("-"))
        last = min(last, len(data) - 1)
        if first >= len(data):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            self.answer(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True
        self.server.sent += len(body)
