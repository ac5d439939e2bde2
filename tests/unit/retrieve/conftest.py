"""Archives of small files and of a large one, and a web server."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from tests.unit.retrieve.archive import MB, Archive
from tests.unit.retrieve.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage", [bytes([65 + number]) * 100_000 for number in range(5)])


@pytest.fixture
def large(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "storage", [os.urandom(MB) * 40])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "storage") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
