"""The daemon under manual control, and its successors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.house import House, Reader

from ctao_bdms.daemon.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], House]]:
    houses: list[House] = []
    with ThreadPoolExecutor(2) as threads, Lease.claim(tmp_path / "lease") as lease:

        def new() -> House:
            houses.append(House(tmp_path, Reader(threads), lease))
            return houses[-1]

        yield new
        for house in houses:
            house.journal.close()


@pytest.fixture
def house(make: Callable[[], House]) -> House:
    return make()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[House]:
    """A daemon that registers files beside its loop, in another thread."""
    with ThreadPoolExecutor(2) as threads, ThreadPoolExecutor(1) as aside, Lease.claim(tmp_path / "lease") as lease:
        house = House(tmp_path, Reader(threads), lease, aside)
        yield house
        house.archive.may_answer.set()
        house.journal.close()
