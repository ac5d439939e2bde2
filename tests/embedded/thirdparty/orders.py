"""Orders of copies between real XRootD servers, and the reasons of failed copies."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.embedded.transfers.jobs import Checksum, Order
from ctao_bdms.embedded.transfers.refusals import TransferFailedError
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover

if TYPE_CHECKING:
    from tests.embedded.storage_servers import Proxy, Server

DATA = os.urandom(3_000_000)
ADLER32 = Checksum("adler32", f"{zlib.adler32(DATA):08x}")
REASONS = json.loads((Path(__file__).parents[2] / "unit" / "data" / "transfer_reasons.json").read_text())


def never() -> bool:
    return False


def place(order: Order, server: Server) -> Path:
    """Return the path of the destination of an order."""
    return server.folder / order.destination.removeprefix(f"{server.base}/")


def through(proxy: Proxy, order: Order) -> Order:
    """Return the order with its source behind a proxy."""
    return attrs.evolve(order, source=f"http://127.0.0.1:{proxy.port}/{order.source.split('/', 3)[3]}")


def at(order: Order, end: str, url: str) -> Order:
    """Return the order with another source or destination."""
    return attrs.evolve(order, source=url) if end == "source" else attrs.evolve(order, destination=url)


def failure(cause: str, order: Order, mover: ThirdPartyMover | None = None) -> None:
    """Check that a copy fails with the reason in `transfer_reasons.json`."""
    with pytest.raises(TransferFailedError) as caught:
        (mover or ThirdPartyMover()).move(order, never)
    print(f"{cause}: {caught.value}")
    assert REASONS[cause] == str(caught.value)
