"""Copies between real XRootD servers by HTTP-TPC, and all that can go wrong with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.embedded.transfers.database import Database
from ctao_bdms.embedded.transfers.jobs import Checksum, JobType, NewFile, NewJob, Order, Verify
from ctao_bdms.embedded.transfers.movers import make_movers, mover_for
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError, TransferAbandonedError, TransferFailedError
from ctao_bdms.embedded.transfers.store import Store
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover
from ctao_bdms.embedded.transfers.workers import Workers
from ctao_bdms.embedded.xrootd.webdav import StorageError, WebDav
from tests.debian import demand
from tests.embedded.storage_servers import Proxy, Server, is_there, may_mount, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

demand("xrootd-server", there=is_there())

DATA = os.urandom(3_000_000)
ADLER32 = Checksum("adler32", f"{zlib.adler32(DATA):08x}")
REASONS = json.loads((Path(__file__).parents[1] / "unit" / "data" / "transfer_reasons.json").read_text())


def never() -> bool:
    return False


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
    """A file on site, which is to be copied to a folder that does not exist."""
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


def place(order: Order, server: Server) -> Path:
    """Return where the destination of an order lies."""
    return server.folder / order.destination.removeprefix(f"{server.base}/")


def through(proxy: Proxy, order: Order) -> Order:
    """Return an order whose source is read through a proxy."""
    return attrs.evolve(order, source=f"http://127.0.0.1:{proxy.port}/{order.source.split('/', 3)[3]}")


def at(order: Order, end: str, url: str) -> Order:
    """Return an order with another source or destination."""
    return attrs.evolve(order, source=url) if end == "source" else attrs.evolve(order, destination=url)


def failure(cause: str, order: Order, mover: ThirdPartyMover | None = None) -> None:
    """Check that a copy fails, for the reason that is written down."""
    with pytest.raises(TransferFailedError) as caught:
        (mover or ThirdPartyMover()).move(order, never)
    print(f"{cause}: {caught.value}")
    assert REASONS[cause] == str(caught.value)


def test_a_copy_is_made_and_verified(order: Order, centre: Server, proxy: Proxy) -> None:
    assert ThirdPartyMover().move(through(proxy, order), never) == len(DATA)
    assert place(order, centre).read_bytes() == DATA
    assert centre.parts() == []
    assert len(proxy.read) == 1
    assert len(DATA) < proxy.returned < len(DATA) + 5000


@pytest.mark.parametrize("verify", [Verify.NONE, Verify.SOURCE, Verify.TARGET, Verify.BOTH])
def test_without_a_known_digest(order: Order, centre: Server, verify: Verify) -> None:
    ThirdPartyMover().move(attrs.evolve(order, checksum=None, size_bytes=None, verify=verify), never)
    assert place(order, centre).read_bytes() == DATA


def test_no_source(order: Order, centre: Server) -> None:
    failure("source missing", attrs.evolve(order, source=f"{order.source}.none"))
    assert not place(order, centre).parent.exists()


def test_bytes_that_changed_at_the_source(order: Order, site: Server, centre: Server) -> None:
    path = site.folder / order.source.removeprefix(f"{site.base}/")
    path.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    found = f"{zlib.adler32(path.read_bytes()):08x}"
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(order, never)
    text = REASONS["source changed"].replace("1a982599", found).replace("deadbeef", ADLER32.value)
    assert str(caught.value) == text
    assert not place(order, centre).parent.exists()


def test_bytes_that_rotted_under_a_digest_that_the_storage_remembers(
    order: Order, site: Server, centre: Server
) -> None:
    """A storage that asks its own memory for the digest does not notice; the destination does."""
    path = site.folder / order.source.removeprefix(f"{site.base}/")
    assert WebDav().adler32(order.source, len(DATA)) == ADLER32.value
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    with path.open("r+b") as stream:
        stream.write(bytes([DATA[0] ^ 1]))
    os.utime(path, ns=times)
    with pytest.raises(TransferFailedError, match="CHECKSUM MISMATCH"):
        ThirdPartyMover().move(order, never)
    assert not place(order, centre).exists()
    assert centre.parts() == []


def test_a_size_that_is_not_the_known_one(order: Order) -> None:
    failure("source size", attrs.evolve(order, size_bytes=2_999_999))


def test_bits_turned_over_on_the_way(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.flips = 1
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(through(proxy, order), never)
    text = str(caught.value)
    assert text.startswith(REASONS["corrupted in flight"].partition("(")[0])
    assert text.endswith(f"!= {ADLER32.value})")
    assert not place(order, centre).exists()
    assert centre.parts() == []
    ThirdPartyMover().move(through(proxy, order), never)  # the next try
    assert place(order, centre).read_bytes() == DATA


def test_a_line_that_is_cut(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.cut_after = 1_000_000
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(through(proxy, order), never)
    assert str(caught.value).startswith(REASONS["line cut"])
    assert not place(order, centre).exists()
    assert centre.parts() == []


@pytest.mark.parametrize("end", ["source", "destination"])
def test_a_server_that_is_down(order: Order, end: str, another: Callable[[str], Server]) -> None:
    down = another("DOWN")
    there = f"{down.base}/ctao/file"
    down.end(signal.SIGKILL)
    failure(f"{end} down", at(order, end, there))
    down.start()
    if end == "source":
        (down.folder / "ctao").mkdir()
        (down.folder / "ctao" / "file").write_bytes(DATA)
    ThirdPartyMover().move(at(order, end, there), never)


def test_a_server_that_hangs(order: Order, another: Callable[[str], Server]) -> None:
    hanging = another("HANGING")
    hanging.process.send_signal(signal.SIGSTOP)
    try:
        for end in ("source", "destination"):
            mover = ThirdPartyMover(silence_s=0.5)
            failure(f"{end} hangs", at(order, end, f"{hanging.base}/x"), mover)
    finally:
        hanging.process.send_signal(signal.SIGCONT)


class Service:
    """The store and the threads of a transfer service, which tidies twice a second."""

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
        """Add a job as Rucio does it, of a new identifier."""
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
        """Wait for the end of a job and return how its file ended."""
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
    """Kill the server of a destination in the middle of a copy; return it, and what was to be copied."""
    server = another("KILLED")
    order = attrs.evolve(through(proxy, order), destination=f"{server.base}/file")
    proxy.delay_s = 0.2
    job_id = service.submit(order)
    wait_until(server.parts)
    server.end(signal.SIGKILL)
    assert service.ended(job_id) == "FAILED"
    stopped = "TRANSFER [5] COPY Result The storage stopped during the copy"  # its line was closed in order
    assert service.store.files(job_id)[0]["reason"] in {REASONS["destination killed"], stopped}
    proxy.delay_s = 0
    assert len(server.parts()) == 1  # nobody was there to remove it
    assert not (server.folder / "file").exists()
    return server, order


def test_what_a_server_killed_in_the_middle_kept_is_removed_when_it_is_back(
    killed: tuple[Server, Order], service: Service
) -> None:
    server, order = killed
    server.start()
    assert service.ended(service.submit(order)) == "FINISHED"  # Rucio submits another job, whose part has another name
    assert (server.folder / "file").read_bytes() == DATA
    wait_until(lambda: not server.parts())
    wait_until(lambda: not service.store.leftovers(10))


def test_the_next_service_removes_it_as_well(killed: tuple[Server, Order], service: Service, tmp_path: Path) -> None:
    server, _ = killed
    service.end()
    server.start()
    assert len(server.parts()) == 1
    following = Service(tmp_path / "jobs.sqlite")
    wait_until(lambda: not server.parts())
    following.end()


def test_what_is_cancelled_while_its_server_is_down_is_removed_later(
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
    """Leave the storage of a server too little space; yield what that is called."""
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


def test_a_storage_that_is_full(order: Order, another: Callable[[str], Server]) -> None:
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


def test_a_storage_that_forbids(order: Order, another: Callable[[str], Server]) -> None:
    """A file where a folder must be is the refusal that root gets, too."""
    refusing = another("REFUSING")
    (refusing.folder / "folder").write_bytes(b"")
    failure("destination refuses", attrs.evolve(order, destination=f"{refusing.base}/folder/file"))


def test_a_stale_file_at_the_destination(order: Order, centre: Server) -> None:
    stale = place(order, centre)
    stale.parent.mkdir(parents=True)
    stale.write_bytes(DATA[:1000])
    failure("destination exists", order)
    assert stale.read_bytes() == DATA[:1000]
    ThirdPartyMover().move(attrs.evolve(order, overwrite=True), never)
    assert stale.read_bytes() == DATA


def test_a_failed_copy_leaves_what_was_there(order: Order, centre: Server, proxy: Proxy) -> None:
    place(order, centre).parent.mkdir(parents=True)
    place(order, centre).write_bytes(b"what was there")
    proxy.flips = 1
    with pytest.raises(TransferFailedError, match="MISMATCH"):
        ThirdPartyMover().move(attrs.evolve(through(proxy, order), overwrite=True), never)
    assert place(order, centre).read_bytes() == b"what was there"


def test_a_stale_part_is_begun_anew(order: Order, centre: Server) -> None:
    part = place(order, centre).with_name(order.part)
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:1000])
    assert WebDav().adler32(f"{order.destination.rpartition('/')[0]}/{order.part}", 1000)  # remembered by the storage
    ThirdPartyMover().move(attrs.evolve(order, resumed=True), never)
    assert place(order, centre).read_bytes() == DATA
    assert not part.exists()


def test_a_copy_that_was_made_just_before_the_end(order: Order, centre: Server, proxy: Proxy) -> None:
    ThirdPartyMover().move(order, never)
    assert ThirdPartyMover().move(attrs.evolve(through(proxy, order), resumed=True), never) == len(DATA)
    assert proxy.read == []
    place(order, centre).write_bytes(b"x" * len(DATA))
    os.utime(place(order, centre), (1e9, 1e9))  # within the second of the copy, the storage would remember its digest
    failure("destination exists", attrs.evolve(order, resumed=True))


def test_a_copy_that_is_given_up(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.delay_s = 0.2
    begun = threading.Event()

    def given_up() -> bool:
        if centre.parts():
            begun.set()
        return begun.is_set()

    with pytest.raises(TransferAbandonedError):
        ThirdPartyMover().move(through(proxy, order), given_up)
    assert not place(order, centre).exists()
    assert centre.parts() == []


def test_other_digests_are_not_given(order: Order) -> None:
    failure("other digest", attrs.evolve(order, checksum=Checksum("sha256", "0" * 64)))


@pytest.mark.parametrize(
    "url",
    [
        "http://cern.ch/a",
        "http:///a",
        "http://127.0.0.1:x/a",
        "http://me@127.0.0.1/a",
        "http://127.0.0.1",
        "http://127.0.0.1/",
        "http://127.0.0.1/a/",
        "http://127.0.0.1/a//b",
        "http://127.0.0.1/a/../b",
        "http://127.0.0.1/a?b",
        "http://127.0.0.1/a#b",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nb",
        "http://127.0.0.1/é",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        ThirdPartyMover().check(url)


def test_schemes_do_not_mix() -> None:
    movers = make_movers([])
    assert isinstance(mover_for(movers, "http://127.0.0.1:1/a", "http://localhost:2/b"), ThirdPartyMover)
    with pytest.raises(InvalidRequestError, match="do not match"):
        mover_for(movers, "file:///a", "http://127.0.0.1/b")


def test_a_file_is_stored_fetched_and_moved(site: Server, tmp_path: Path) -> None:
    path, url, pieces = tmp_path / "file", f"{site.base}/stored/a+b", list[bytes]()
    path.write_bytes(DATA)
    storage = WebDav()
    with path.open("rb") as stream:
        storage.store(url, stream, len(DATA))
    storage.move(url, f"{url}.2")
    assert not storage.exists(url)
    assert storage.fetch(f"{url}.2", pieces.append) == storage.size(f"{url}.2") == len(DATA)
    assert b"".join(pieces) == DATA
    storage.delete(f"{url}.2")
    with pytest.raises(StorageError, match="HTTP 404"):
        storage.delete(f"{url}.2")


def test_what_comes_short_is_no_file(site: Server, proxy: Proxy) -> None:
    (site.folder / "short").write_bytes(DATA)
    proxy.cut_after = 1_000_000
    with pytest.raises(StorageError, match=r"of 3000000 bytes were received|closed"):
        WebDav().fetch(f"http://127.0.0.1:{proxy.port}/SITE/short", lambda _: None)


def test_servers_listen_on_loopback_only(site: Server) -> None:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A"}
    for port in site.ports:
        assert f"0100007F:{port:04X}" in listening
        assert f"00000000:{port:04X}" not in listening
    six = Path("/proc/net/tcp6").read_text() if Path("/proc/net/tcp6").exists() else ""
    assert not any(f":{port:04X} " in six for port in site.ports)


def test_nothing_beside_the_files_is_served(site: Server) -> None:
    """The quarantine of a storage element lies beside it, and the homes of others."""
    beside = site.folder.with_name("SITE.quarantine")
    beside.mkdir()
    (beside / "file").write_bytes(DATA)
    base = site.base.removesuffix("/SITE")
    for path in ("SITE.quarantine/file", "SITE/../SITE.quarantine/file", "SITE.work/key.pem", "etc/passwd"):
        with pytest.raises(StorageError, match=r"HTTP [45]"):
            WebDav().size(f"{base}/{path}")
