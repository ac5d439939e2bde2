"""Uploads over HTTP to slow storages."""

from __future__ import annotations

import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import UploadError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn
from ctao_bdms.storage import Patience
from ctao_bdms.storage.webdav import WebDavSink
from ctao_bdms.upload.deliver import deliver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LFN = Lfn("/ctao/dpps/DL3/x.fits")
SIZE_BYTES = 1_000_000


class Slow(ThreadingHTTPServer):
    """A slow storage on loopback: it gives a checksum only when it has read the whole file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        #: How fast it reads, in bytes per second.
        self.speed = 1e9
        #: How long it says nothing before each other answer, in seconds.
        self.silence_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Slow

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, size_bytes: int = 0, **headers: str) -> None:
        time.sleep(self.server.silence_s)
        try:
            self.send_response(status)
            for key, value in {"Content-Length": str(size_bytes), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
        except OSError:
            self.close_connection = True  # the client has lost its patience

    def do_HEAD(self) -> None:
        content = self.server.files.get(self.path)
        if content is None:
            self._answer(404)
            return
        headers = {}
        if "Want-Digest" in self.headers:
            time.sleep(len(content) / self.server.speed)
            headers["Digest"] = f"adler32={zlib.adler32(content):08x}"
        self._answer(200, len(content), **headers)

    def do_PUT(self) -> None:
        self.server.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def do_MOVE(self) -> None:
        target = self.headers["Destination"].removeprefix(self.server.url)
        self.server.files[target] = self.server.files.pop(self.path)
        self._answer(201)

    def do_DELETE(self) -> None:
        self._answer(204 if self.server.files.pop(self.path, None) is not None else 404)

    def do_PROPFIND(self) -> None:
        self._answer(404)


@pytest.fixture
def storage() -> Iterator[Slow]:
    with Slow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.fits"
    path.write_bytes(bytes(SIZE_BYTES))
    return path


def _deliver(storage: Slow, source: Path, patience: Patience) -> None:
    size, digests = digest_file(source)
    deliver(WebDavSink(storage.url, patience), source, LFN, size_bytes=size, adler32=digests["adler32"])


def test_upload_waits_while_the_storage_computes_a_checksum(storage: Slow, source: Path) -> None:
    storage.speed = SIZE_BYTES / 0.8
    _deliver(storage, source, Patience(silence_s=0.3, slowest_bytes_per_s=SIZE_BYTES / 2))
    assert storage.files == {LFN.text: bytes(SIZE_BYTES)}
    _deliver(storage, source, Patience(silence_s=0.3, slowest_bytes_per_s=SIZE_BYTES / 2))  # it is there already
    assert storage.files == {LFN.text: bytes(SIZE_BYTES)}


def test_upload_times_out_if_the_storage_is_too_slow(storage: Slow, source: Path) -> None:
    storage.speed = SIZE_BYTES / 2
    with pytest.raises(UploadError, match="does not answer a HEAD: timed out"):
        _deliver(storage, source, Patience(silence_s=0.3, slowest_bytes_per_s=SIZE_BYTES / 0.2))
    assert storage.files == {}


def test_small_file_has_a_short_timeout(storage: Slow, source: Path) -> None:
    storage.silence_s = 1
    with pytest.raises(UploadError, match="does not answer a PROPFIND: timed out"):
        _deliver(storage, source, Patience(silence_s=0.3, slowest_bytes_per_s=1))
