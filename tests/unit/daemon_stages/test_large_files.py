"""Large files in the inbox are scanned, and do not delay others."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.house import House, Reader

from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.stages import scan as reading
from ctao_bdms.integrity import scan
from ctao_bdms.workers import Scans, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.model import FileFacts


class _Holding(Reader):
    """Holds the scans of some files until they are released."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        super().__init__(threads)
        self.held: dict[Path, Future[FileFacts]] = {}
        self.large: set[Path] = set()

    def submit(
        self, path: str | os.PathLike[str], size_bytes: int = 0, *, algorithms: tuple[str, ...] = ("adler32", "sha256")
    ) -> Future[FileFacts]:
        if Path(path) in self.large:
            return self.held.setdefault(Path(path), Future())
        return super().submit(path, size_bytes, algorithms=algorithms)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ThreadPoolExecutor(2) as threads, Lease.claim(tmp_path / "lease") as lease:
        house = House(tmp_path, _Holding(threads), lease)
        yield house
        house.journal.close()


def _turn(house: House, times: int) -> None:
    """Turn without waiting for the scans that are held."""
    for _ in range(times):
        house.loop.turn()
        for running in list(house.scan._running.values()):
            if running.entry.path not in house.scans.large:  # type: ignore[attr-defined]
                running.future.exception(30)
        house.clock.now_s += 1.0


def test_large_files_leave_a_worker_to_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = house.scans
    assert isinstance(scans, _Holding)
    files = house.write(24)
    # The twelve of one kind stand for files of a terabyte: more than are ever handed out at once.
    monkeypatch.setattr(reading, "_LARGE_BYTES", 10**6)
    scans.large = {file.path for file in files[:12]}
    for path in scans.large:
        os.truncate(path, 2 * 10**6)
    _turn(house, 30)
    assert house.states() == {"found": 12, "registered": 12}
    assert len(scans.held) == 1, "of two workers, one"
    while scans.held:
        path, future = scans.held.popitem()
        scans.large.remove(path)
        future.set_result(scan(path))
        _turn(house, 4)
    assert house.states() == {"quarantined": 12, "registered": 12}, "each had its turn"


def test_sparse_files_are_quarantined_while_others_are_registered(tmp_path: Path) -> None:
    pool = WorkerPool(2)
    try:
        with Lease.claim(tmp_path / "lease") as lease:
            house = House(tmp_path, Scans(pool), lease)  # type: ignore[arg-type]
            files = house.write(10)
            for file, size in ((files[0], 10**12), (files[1], 3 * 10**11)):
                os.truncate(file.path, size)
            house.turn(20)
            assert house.states() == {"registered": 8, "quarantined": 2}
            assert {case.kinds for case in house.bdms.quarantine.cases()} == {("trailing-bytes",)}
            house.journal.close()
    finally:
        pool.shutdown(cancel_futures=True, grace_s=0)
