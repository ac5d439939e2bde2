"""Storages that do not say how large their files are."""

from __future__ import annotations

import errno
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.embedded.transfers.jobs import Order
from ctao_bdms.embedded.transfers.refusals import TransferFailedError
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover
from ctao_bdms.embedded.xrootd.webdav import StorageError, WebDav

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        if "many" in self.path:
            self.send_header("Content-Length", "many")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"bytes")


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["file", "many"])
def test_a_storage_that_does_not_say_the_size_fails_the_copy_and_not_the_service(url: str, name: str) -> None:
    order = Order(source=f"{url}/{name}", destination=f"{url}/copy/{name}", part=".bdms-1-1.part")
    with pytest.raises(TransferFailedError, match="does not return the size"):
        ThirdPartyMover().move(order, lambda: False)


@pytest.mark.parametrize("name", ["file", "many"])
def test_what_comes_without_a_size_is_no_file(url: str, name: str) -> None:
    pieces: list[bytes] = []
    with pytest.raises(StorageError, match="does not return the size") as caught:
        WebDav().fetch(f"{url}/{name}", pieces.append)
    assert (caught.value.code, pieces) == (errno.EPROTO, [])
