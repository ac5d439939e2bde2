"""Copies by HTTP-TPC while a storage is down, hangs, is killed, is full or forbids to write."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.embedded.transfers.database import Database
from ctao_bdms.embedded.transfers.jobs import JobType, NewFile, NewJob, Order
from ctao_bdms.embedded.transfers.movers import make_movers
from ctao_bdms.embedded.transfers.refusals import TransferFailedError
from ctao_bdms.embedded.transfers.store import Store
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover
from ctao_bdms.embedded.transfers.workers import Workers
from tests.debian import demand
from tests.embedded.storage_servers import Proxy, Server, is_there, may_mount, wait_until
from tests.embedded.thirdparty.orders import DATA, REASONS, at, failure, never, through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

demand("xrootd-server", there=is_there())


@pytest.mark.parametrize("end", ["source", "destination"])
def test_copy_fails_while_a_server_is_down(order: Order, end: str, another: Callable[[str], Server]) -> None:
    down = another("DOWN")
    there = f"{down.base}/ctao/file"
    down.end(signal.SIGKILL)
    failure(f"{end} down", at(order, end, there))
    down.start()
    if end == "source":
        (down.folder / "ctao").mkdir()
        (down.folder / "ctao" / "file").write_bytes(DATA)
    ThirdPartyMover().move(at(order, end, there), never)


def test_copy_fails_when_a_server_hangs(order: Order, another: Callable[[str], Server]) -> None:
    hanging = another("HANGING")
    hanging.process.send_signal(signal.SIGSTOP)
    try:
        for end in ("source", "destination"):
            mover = ThirdPartyMover(silence_s=0.5)
            failure(f"{end} hangs", at(order, end, f"{hanging.base}/x"), mover)
    finally:
        hanging.process.send_signal(signal.SIGCONT)


class Service:
    """The store and the threads of a transfer service that tidies up twice a second."""

    def __init__(self, database: Path) -> None:
        self._database = Database(database)
        self.store = Store(self._database)
        self._died: list[bool] = []
        self._workers = Workers(
            self.store,
            make_movers([]),
            count=1,
            keep_s=1e6,
            on_death=lambda: self._died.append(True),
            tidy_s=0.5,
        )
        self._workers.start()

    def submit(self, order: Order) -> str:
        """Add a job with a new identifier, as Rucio does."""
        file = NewFile(
            source=order.source,
            destination=order.destination,
            size_bytes=order.size_bytes,
            checksum=order.checksum,
            verify=order.verify,
            overwrite=order.overwrite,
            metadata="{}",
        )
        job_id = str(uuid.uuid4())
        job = NewJob(id=job_id, type=JobType.NORMAL, priority=3, metadata="{}", params="{}", files=(file,))
        self.store.add(job, time.time())
        self._workers.notice()
        return job_id

    def cancel(self, job_id: str) -> None:
        self._workers.abandon(self.store.cancel(job_id, time.time()) or ())

    def ended(self, job_id: str) -> str:
        """Wait for the end of a job and return the state of its file."""
        wait_until(lambda: self.store.files(job_id)[0]["state"] not in {"SUBMITTED", "ACTIVE"})
        return str(self.store.files(job_id)[0]["state"])

    def end(self) -> None:
        assert self._workers.stop(10)
        self._database.close()
        assert not self._died


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "jobs.sqlite")
    yield service
    service.end()


@pytest.fixture
def killed(order: Order, proxy: Proxy, another: Callable[[str], Server], service: Service) -> tuple[Server, Order]:
    """Kill the server of a destination during a copy; return the server and the order."""
    server = another("KILLED")
    order = attrs.evolve(through(proxy, order), destination=f"{server.base}/file")
    proxy.delay_s = 0.2
    job_id = service.submit(order)
    wait_until(server.parts)
    server.end(signal.SIGKILL)
    assert service.ended(job_id) == "FAILED"
    # the second reason, if the server still closed its connection
    stopped = "TRANSFER [5] COPY Result The storage stopped during the copy"
    assert service.store.files(job_id)[0]["reason"] in {REASONS["destination killed"], stopped}
    proxy.delay_s = 0
    assert len(server.parts()) == 1  # nobody was there to remove it
    assert not (server.folder / "file").exists()
    return server, order


def test_partial_copy_of_a_killed_server_is_removed_when_it_is_back(
    killed: tuple[Server, Order], service: Service
) -> None:
    server, order = killed
    server.start()
    assert service.ended(service.submit(order)) == "FINISHED"  # Rucio submits another job, whose part has another name
    assert (server.folder / "file").read_bytes() == DATA
    wait_until(lambda: not server.parts())
    wait_until(lambda: not service.store.leftovers(10))


def test_next_service_removes_the_partial_copy_of_a_killed_server(
    killed: tuple[Server, Order], service: Service, tmp_path: Path
) -> None:
    server, _ = killed
    service.end()
    server.start()
    assert len(server.parts()) == 1
    following = Service(tmp_path / "jobs.sqlite")
    wait_until(lambda: not server.parts())
    following.end()


def test_partial_copy_cancelled_while_its_server_was_down_is_removed_later(
    order: Order, proxy: Proxy, another: Callable[[str], Server], service: Service
) -> None:
    server = another("DOWN")
    order = attrs.evolve(through(proxy, order), destination=f"{server.base}/file")
    proxy.delay_s = 0.2
    job_id = service.submit(order)
    wait_until(server.parts)
    server.process.send_signal(signal.SIGSTOP)  # it hangs, so that the copy does not fail first
    service.cancel(job_id)
    server.end(signal.SIGKILL)
    assert service.ended(job_id) == "CANCELED"
    assert len(server.parts()) == 1
    server.start()
    wait_until(lambda: not server.parts())


@contextmanager
def small(server: Server) -> Iterator[str]:
    """Leave the storage of a server too little space; yield the key of the reason."""
    if may_mount():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", server.folder], check=True)
        try:
            yield "destination full"
        finally:
            subprocess.run(["umount", "--lazy", server.folder], check=True)
    else:
        server.end()
        server.start(largest_bytes=1 << 20)
        yield "destination limited"


def test_copy_to_a_full_storage_fails_and_leaves_nothing(order: Order, another: Callable[[str], Server]) -> None:
    full = another("FULL")
    order = attrs.evolve(order, destination=f"{full.base}/file")
    with small(full) as cause:
        with pytest.raises(TransferFailedError) as caught:
            ThirdPartyMover().move(order, never)
        print(caught.value)
        assert str(caught.value).startswith(REASONS[cause])
        assert list(full.folder.iterdir()) == []
    full.end()
    full.start()
    ThirdPartyMover().move(order, never)
    assert (full.folder / "file").read_bytes() == DATA


def test_copy_to_a_forbidden_place_fails(order: Order, another: Callable[[str], Server]) -> None:
    """A file in the place of a folder makes the server refuse, even if it runs as root."""
    refusing = another("REFUSING")
    (refusing.folder / "folder").write_bytes(b"")
    failure("destination refuses", attrs.evolve(order, destination=f"{refusing.base}/folder/file"))
