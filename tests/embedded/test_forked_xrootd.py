"""A file that is read from a real XRootD server by a process and by the children of its forks."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.storage import Sources
from tests.debian import demand
from tests.embedded.storage_servers import Server, is_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctao_bdms.storage.sources import Source

demand("xrootd-server", there=is_there())

# From Python 3.12 on a fork of a process with threads is warned of, rightly; users do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
PIECE_BYTES, PIECES = 50_000, 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server("DATA", tmp_path)
    yield server
    server.end()


def is_read_right(source: Source, content: bytes, step: int) -> bool:
    buffer = memoryview(bytearray(PIECE_BYTES))
    places = range(0, PIECES * step, step)
    return all(bytes(buffer[: source.read_at(buffer, at)]) == content[at : at + PIECE_BYTES] for at in places)


@pytest.mark.parametrize("scheme", ["root", "http"])
def test_parent_and_children_read_on(server: Server, scheme: str) -> None:
    content = os.urandom(5_000_000)
    path = server.folder / "x"
    path.write_bytes(content)
    path.chmod(0o644)
    with Sources() as sources:
        source = sources.open(f"root://127.0.0.1:{server.ports[0]}//DATA/x" if scheme == "root" else f"{server.base}/x")
        assert is_read_right(source, content, 1000)
        for _ in range(5):
            answers = FORK.SimpleQueue()
            child = FORK.Process(target=lambda answers=answers: answers.put(is_read_right(source, content, 90_000)))
            child.start()
            assert is_read_right(source, content, 80_000)
            child.join(60)
            assert child.exitcode == 0
            assert answers.get()
        source.close()
