"""The HTTP server of the daemon: metrics, health, readiness and status."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

from ctao_bdms.durable import replace_text
from ctao_bdms.errors import BdmsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from ctao_bdms.daemon.config import Http

__all__ = ["StatusServer"]

_LOG = logging.getLogger(__name__)
_JSON = "application/json"


class StatusServer:
    """Serve ``/metrics``, ``/healthz``, ``/readyz`` and ``/status``.

    The callables run in the threads of the server. A `BdmsError` or `OSError` in one of them becomes a response 503.

    Parameters
    ----------
    metrics
        Returns the metrics, and their content type.
    heartbeat_age_s
        Returns the time since the last turn of the main loop, in seconds.
    ready
        Returns the problem of each readiness condition; empty if it is met.
    status
        Returns the status, which is sent as JSON.
    address_file
        A file that contains the URL while the server runs.

    Raises
    ------
    UsageError
        If it cannot listen on the address.

    Examples
    --------
    >>> from ctao_bdms.daemon.face.http import StatusServer
    >>> from ctao_bdms.daemon.config.settings import Http
    >>> from urllib.request import urlopen
    >>> with StatusServer(
    ...     lambda: Http(port=0),
    ...     metrics=lambda: (b"", "text/plain"),
    ...     heartbeat_age_s=lambda: 0.5,
    ...     ready=lambda: {"lease": ""},
    ...     status=dict,
    ... ) as server:
    ...     with urlopen(f"{server.url}/healthz") as answer:
    ...         answer.status
    200
    """

    def __init__(
        self,
        http: Callable[[], Http],
        *,
        metrics: Callable[[], tuple[bytes, str]],
        heartbeat_age_s: Callable[[], float],
        ready: Callable[[], Mapping[str, str]],
        status: Callable[[], Mapping[str, object]],
        address_file: Path | None = None,
    ) -> None:
        self._http, self._metrics, self._age_s = http, metrics, heartbeat_age_s
        self._ready, self._status = ready, status
        self._address_file = address_file
        address, port = http().address, http().port
        try:
            self._server = _server(address, port, self)
        except OSError as error:
            said = f"cannot listen on {address} port {port}: {error.strerror or error}; set http.address and http.port"
            raise UsageError(said) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="status-server", daemon=True
        )

    @property
    def url(self) -> str:
        """The URL of the server."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def __enter__(self) -> Self:
        """Start the server, and write the address file."""
        self._thread.start()
        if self._address_file is not None:
            replace_text(self._address_file, f"{self.url}\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and remove the address file, unless another daemon has replaced it."""
        url = self.url
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._address_file is not None:
            with contextlib.suppress(OSError):
                if self._address_file.read_text(encoding="ascii") == f"{url}\n":
                    self._address_file.unlink()

    def answer(self, path: str) -> tuple[HTTPStatus, bytes, str]:
        """Return status, body and content type of the response to a path."""
        routes = {
            "/metrics": self._of_metrics,
            "/healthz": self._of_health,
            "/readyz": self._of_readiness,
            "/status": self._of_status,
        }
        if path not in routes:
            return _json(HTTPStatus.NOT_FOUND, {"error": f"there are {', '.join(routes)}"})
        try:
            return routes[path]()
        except (BdmsError, OSError) as error:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})

    def _of_metrics(self) -> tuple[HTTPStatus, bytes, str]:
        return HTTPStatus.OK, *self._metrics()

    def _of_health(self) -> tuple[HTTPStatus, bytes, str]:
        age_s, limit_s = self._age_s(), self._http().heartbeat_s
        alive = age_s <= limit_s
        said = {"alive": alive, "heartbeat_age_s": round(age_s, 3), "heartbeat_limit_s": limit_s}
        return _json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, said)

    def _of_readiness(self) -> tuple[HTTPStatus, bytes, str]:
        checks = {name: {"ok": not said, "said": said} for name, said in self._ready().items()}
        ready = all(check["ok"] for check in checks.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(status, {"ready": ready, "checks": checks})

    def _of_status(self) -> tuple[HTTPStatus, bytes, str]:
        return _json(HTTPStatus.OK, self._status())


def _json(status: HTTPStatus, value: object) -> tuple[HTTPStatus, bytes, str]:
    return status, json.dumps(value, default=str).encode() + b"\n", _JSON


def _server(address: str, port: int, owner: StatusServer) -> ThreadingHTTPServer:
    """Return an HTTP server that passes its requests to `owner`."""

    class Handler(_Handler):
        status_server = owner

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    return Server((address, port), Handler)


class _Server(ThreadingHTTPServer):
    """An HTTP server that never waits for a client when it stops."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Log the error of one request."""
        _LOG.exception("no answer to %s", client_address)


class _Handler(BaseHTTPRequestHandler):
    """The HTTP handler of a `StatusServer`."""

    status_server: ClassVar[StatusServer]
    timeout = 10  # seconds that a client may take over its request
    server_version = "bdms-ingestd"
    sys_version = ""

    def do_GET(self) -> None:
        self._send(*self.status_server.answer(self.path.partition("?")[0]))

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def _refuse(self) -> None:
        self._send(*_json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET and HEAD are answered"}))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815

    def _send(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log a request."""
        _LOG.debug("%s %s", self.address_string(), format % args)
