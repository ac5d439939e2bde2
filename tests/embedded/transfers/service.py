"""A real transfer service for tests, and the files of its jobs."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = b"photons, photons, photons\n" * 4000
ADLER32 = f"{zlib.adler32(DATA):08x}"
POLLER_FIELDS = (
    "file_state,dest_surl,finish_time,start_time,staging_start,staging_finished,reason,source_surl,file_metadata"
)
FINAL = {"FINISHED", "FINISHEDDIRTY", "FAILED", "CANCELED"}


def wait_until(condition: Callable[[], object], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """The transfer service in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "transfers.log"
        self._arguments = ["--port", str(self.port), "--database", str(folder / "transfers.sqlite"), *options]
        self.session = requests.Session()
        self.start()

    def start(self) -> None:
        self.process = self.run(*self._arguments)
        wait_until(lambda: self.process.poll() is not None or self._answers())
        assert self.process.poll() is None, self.log.read_text()

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ctao_bdms.embedded.transfers", *arguments], stderr=log, stdin=subprocess.DEVNULL
            )

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, signum: signal.Signals = signal.SIGTERM) -> int:
        self.session.close()
        self.process.send_signal(signum)
        return self.process.wait(timeout=20)

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.session.request(method, f"{self.url}{path}", json=body, timeout=20)

    def submit(self, files: list[dict[str, Any]], **params: Any) -> str:  # noqa: ANN401
        answer = self.ask("POST", "/jobs", {"files": files, "params": params})
        assert answer.status_code == 200, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}?files={POLLER_FIELDS}").json()
        return answer

    def wait(self, job_id: str) -> dict[str, Any]:
        wait_until(lambda: self.job(job_id)["job_state"] in FINAL)
        return self.job(job_id)


def url(path: Path) -> str:
    return f"file://localhost{path}"


def entry(source: Path | list[Path], target: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "sources": [url(path) for path in (source if isinstance(source, list) else [source])],
        "destinations": [url(target)],
        "metadata": {"request_id": target.name},
        "filesize": len(DATA),
        "checksum": f"ADLER32:{ADLER32}",
        **more,
    }


def sparse(path: Path, size_bytes: int) -> Path:
    """Make a file that uses no disk space but takes long to copy."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part"))
