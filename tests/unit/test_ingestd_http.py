"""The HTTP server of the daemon, with a real client."""

from __future__ import annotations

import json
import logging
import socket
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.daemon.config.settings import Http
from ctao_bdms.daemon.face.http import StatusServer
from ctao_bdms.daemon.face.metrics import CONTENT_TYPE, Metrics
from ctao_bdms.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@attrs.define
class Owner:
    """What a server asks."""

    age_s: float = 0.5
    conditions: dict[str, str] = attrs.field(factory=lambda: {"lease": "", "catalogue": "", "storage": ""})
    failure: BaseException | None = None
    metrics: Metrics = attrs.field(factory=Metrics)

    def status(self) -> dict[str, object]:
        if self.failure:
            raise self.failure
        return {"files": {"found": 3}, "folder": Ellipsis}

    def serve(self, address: str = "127.0.0.1", port: int = 0, address_file: Path | None = None) -> StatusServer:
        return StatusServer(
            lambda: Http(address=address, port=port),
            metrics=lambda: (self.metrics.exposition(), CONTENT_TYPE),
            heartbeat_age_s=lambda: self.age_s,
            ready=lambda: self.conditions,
            status=self.status,
            address_file=address_file,
        )


def ask(url: str, method: str = "GET") -> tuple[int, Any, dict[str, str]]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(), dict(refused.headers)


def test_metrics() -> None:
    owner = Owner()
    owner.metrics.batch(7)
    with owner.serve() as server:
        status, body, headers = ask(f"{server.url}/metrics?x=1")
    assert status == 200
    assert headers["Content-Type"] == CONTENT_TYPE
    assert b"bdms_ingestd_batch_files_sum 7.0" in body


def test_health_is_the_heartbeat() -> None:
    owner = Owner()
    with owner.serve() as server:
        status, body, _ = ask(f"{server.url}/healthz")
        assert (status, json.loads(body)) == (200, {"alive": True, "heartbeat_age_s": 0.5, "heartbeat_limit_s": 60.0})
        owner.age_s = 60.5
        status, body, _ = ask(f"{server.url}/healthz")
        assert (status, json.loads(body)["alive"]) == (503, False)


def test_readiness_names_the_failed_condition() -> None:
    owner = Owner()
    with owner.serve() as server:
        status, body, _ = ask(f"{server.url}/readyz")
        assert (status, json.loads(body)["ready"]) == (200, True)
        owner.conditions["catalogue"] = "the server does not answer"
        status, body, _ = ask(f"{server.url}/readyz")
    assert status == 503
    assert json.loads(body) == {
        "ready": False,
        "checks": {
            "lease": {"ok": True, "said": ""},
            "catalogue": {"ok": False, "said": "the server does not answer"},
            "storage": {"ok": True, "said": ""},
        },
    }


def test_status_is_json() -> None:
    with Owner().serve() as server:
        status, body, headers = ask(f"{server.url}/status")
    assert (status, json.loads(body)) == (200, {"files": {"found": 3}, "folder": "Ellipsis"})
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"


def test_an_error_of_ours_is_an_answer() -> None:
    owner = Owner(failure=UnreachableError("the journal is on a dead disk"))
    with owner.serve() as server:
        status, body, _ = ask(f"{server.url}/status")
    assert (status, json.loads(body)) == (503, {"error": "the journal is on a dead disk"})


def test_any_other_error_is_logged_and_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner(failure=ZeroDivisionError("a defect"))
    with owner.serve() as server, caplog.at_level(logging.ERROR):
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            ask(f"{server.url}/status")
        assert ask(f"{server.url}/healthz")[0] == 200
    assert "ZeroDivisionError: a defect" in caplog.text


def test_only_get_and_head() -> None:
    with Owner().serve() as server:
        status, body, headers = ask(f"{server.url}/healthz", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 10
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, _, headers = ask(f"{server.url}/status", method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert ask(f"{server.url}/elsewhere")[0] == 404


def test_the_address_file_is_there_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "address"
    with Owner().serve(address_file=path) as server:
        assert path.read_text() == server.url + "\n"
        assert ask(f"{server.url}/healthz")[0] == 200
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(urllib.error.URLError):
        ask(f"{server.url}/healthz")


def test_the_address_file_of_another_daemon_stays(tmp_path: Path) -> None:
    path = tmp_path / "address"
    with Owner().serve(address_file=path):
        path.write_text("http://127.0.0.1:1\n")
    assert path.read_text() == "http://127.0.0.1:1\n"


def test_a_port_that_is_taken() -> None:
    with Owner().serve() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=rf"cannot listen on 127.0.0.1 port {port}: .*set http.address"):
            Owner().serve(port=port)


def test_listening_everywhere_is_reached_here() -> None:
    with Owner().serve("0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert ask(f"{server.url}/healthz")[0] == 200


def test_a_client_that_says_nothing_delays_neither_others_nor_the_end() -> None:
    with Owner().serve() as server:
        silent = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        assert ask(f"{server.url}/healthz")[0] == 200
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    silent.close()
