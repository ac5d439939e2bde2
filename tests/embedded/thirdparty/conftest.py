"""Two XRootD servers, a proxy between them, and a file to copy by HTTP-TPC."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.embedded.transfers.jobs import Order
from tests.embedded.storage_servers import Proxy, Server
from tests.embedded.thirdparty.orders import ADLER32, DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("SITE", tmp_path_factory.mktemp("site"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("CENTRE", tmp_path_factory.mktemp("centre"))
    yield server
    server.end()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Make servers that end with the test."""
    with ExitStack() as stack:

        def make(name: str) -> Server:
            server = Server(name, tmp_path)
            stack.callback(server.end)
            return server

        yield make


@pytest.fixture
def proxy(site: Server) -> Iterator[Proxy]:
    proxy = Proxy(site.ports[1])
    yield proxy
    proxy.close()


@pytest.fixture
def order(site: Server, centre: Server, request: pytest.FixtureRequest) -> Order:
    """An order to copy a file on site to a folder that does not exist yet."""
    name = request.node.name
    path = site.folder / "ctao" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(DATA)
    return Order(
        source=f"{site.base}/ctao/{name}",
        destination=f"{centre.base}/ctao/{name}/file",
        part=".bdms-1-1.part",
        size_bytes=len(DATA),
        checksum=ADLER32,
    )
