"""Scans on a real Dask scheduler with real worker processes, one of which is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import distributed
import pytest

from ctao_bdms.daemon.config.settings import Workers
from ctao_bdms.daemon.open_scans import open_scans
from ctao_bdms.errors import UnreachableError
from ctao_bdms.integrity import scan
from ctao_bdms.model import DefectKind, Verdict
from ctao_bdms.workers import Scans, TimeLimit, scans_on_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as made:
        yield made


@pytest.fixture
def scans(cluster: distributed.LocalCluster) -> Iterator[Scans]:
    with scans_on_nodes(cluster.scheduler_address) as made:
        yield made


def readers(cluster: distributed.LocalCluster, path: Path) -> list[tuple[int, int]]:
    """Return the Dask workers that have a file read, each with the process that has it open."""
    found = []
    for nanny in list(cluster.workers.values()):
        for pid in children(nanny.pid):
            with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
                if any(os.readlink(entry.path) == f"{path}" for entry in entries):  # noqa: PTH115
                    found.append((nanny.pid, pid))
    return found


def children(pid: int) -> list[int]:
    """Return the processes that a process has made."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return found


def reader(cluster: distributed.LocalCluster, path: Path) -> tuple[int, int]:
    """Wait until a file is being read; return the Dask worker and its process."""
    end = time.monotonic() + WAIT_S
    while not (found := readers(cluster, path)):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found[0]


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come true elsewhere."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_facts_come_from_the_nodes_and_never_from_the_last_time(scans: Scans, tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(b"first")
    first = scans.submit(path)
    assert first.result(WAIT_S) == scan(path)
    path.write_bytes(b"second")
    assert scans.submit(path).result(WAIT_S) == scan(path)


def test_the_daemon_reads_where_its_settings_say(cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(b"content")
    for workers in (Workers(number=1), Workers(dask_scheduler=cluster.scheduler_address)):
        with open_scans(workers) as scans:
            assert scans.submit(path).result(WAIT_S) == scan(path)
            assert scans.lost == 0


def test_a_killed_worker_costs_nothing_but_time(
    cluster: distributed.LocalCluster, scans: Scans, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    small.write_bytes(b"small")
    large.touch()
    os.truncate(large, 1 << 28)
    future = scans.submit(large, 1 << 28)
    os.kill(reader(cluster, large)[0], signal.SIGKILL)
    others = [scans.submit(small) for _ in range(5)]
    assert all(other.result(WAIT_S) == scan(small) for other in others)
    assert future.result(WAIT_S).size_bytes == 1 << 28
    until(lambda: scans.lost == 1)


def test_a_scan_that_hangs_is_ended_and_done_again(cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.touch()
    os.truncate(path, 1 << 28)
    limit = TimeLimit(base_s=1.0, minimum_rate_bytes_per_s=1 << 27)
    with scans_on_nodes(cluster.scheduler_address, limit, attempts=2) as scans:
        future = scans.submit(path, 1 << 28)
        _, process = reader(cluster, path)
        os.kill(process, signal.SIGSTOP)
        assert future.result(WAIT_S).size_bytes == 1 << 28
        until(lambda: scans.lost == 1)


def test_a_file_that_hangs_everywhere_is_a_defect(cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    endless = tmp_path / "endless.txt"
    endless.touch()
    os.truncate(endless, 1 << 40)
    with scans_on_nodes(cluster.scheduler_address, TimeLimit(base_s=0.3), attempts=2) as scans:
        facts = scans.submit(endless).result(WAIT_S)
        assert facts.verdict is Verdict.ERROR
        assert [defect.kind for defect in facts.defects] == [DefectKind.WORKER]
        assert scans.lost == 2


def test_a_file_that_costs_every_worker_is_a_defect(cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    endless = tmp_path / "endless.txt"
    endless.touch()
    os.truncate(endless, 1 << 40)
    cluster.scheduler.allowed_failures = 0
    with scans_on_nodes(cluster.scheduler_address) as scans:
        future = scans.submit(endless)
        os.kill(reader(cluster, endless)[0], signal.SIGKILL)
        lost = future.result(WAIT_S)
    assert lost.verdict is Verdict.ERROR
    assert [defect.kind for defect in lost.defects] == [DefectKind.WORKER]


def test_no_scheduler() -> None:
    with (
        pytest.raises(UnreachableError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:9 does not answer"),
        scans_on_nodes("tcp://127.0.0.1:9", timeout_s=0.5),
    ):
        pass
