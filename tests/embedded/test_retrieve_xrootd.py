"""Fetching from a real XRootD server, by its own protocol and by HTTP."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.access import Fault, Fetching, Progress, open_file, retrieve
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import UnreachableError
from ctao_bdms.model import Rse
from ctao_bdms.storage import Sources
from ctao_bdms.testing.contract import ONSITE, block_of, registration
from tests.debian import demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctao_bdms.model import ArchivedFile, Lfn

demand("xrootd-server", there=shutil.which("xrootd") is not None)

MB = 1_000_000
CONFIG = """
all.role server
all.export /data
oss.localroot {root}
all.adminpath {root}/admin
all.pidpath {root}/run
xrd.port {root_port}
xrd.protocol http:{http_port} libXrdHttp.so
xrootd.chksum max 4 adler32
ofs.persist off
xrd.network nodnr
"""
# Sockets are bound here, on this machine only, and passed on: the server itself would listen everywhere.
LAUNCH = ["sh", "-c", 'LISTEN_FDS=2 LISTEN_PID=$$ exec "$@"', "sh"]


@attrs.frozen
class Server:
    """An XRootD server and the folder that it exports."""

    folder: Path
    root_port: int
    http_port: int
    process: subprocess.Popen[bytes]

    @property
    def root(self) -> str:
        return f"root://127.0.0.1:{self.root_port}//data"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/data"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="bdms-xrootd-") as name:
        home = Path(name)
        user = pwd.getpwnam("xrootd") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        for folder in (home, home / "data", home / "admin", home / "run"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            os.chown(folder, user.pw_uid, user.pw_gid)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [each.getsockname()[1] for each in sockets]
        config = home / "xrootd.cfg"
        config.write_text(CONFIG.format(root=home, root_port=ports[0], http_port=ports[1]))

        def passed_on() -> None:
            high = [os.dup(each.fileno()) for each in sockets]
            high = [os.dup2(descriptor, 100 + number) for number, descriptor in enumerate(high)]
            for number, descriptor in enumerate(high):
                os.dup2(descriptor, 3 + number, inheritable=True)

        command = [*LAUNCH, "xrootd", "-I", "v4", "-c", str(config), "-n", "test", "-l", str(home / "run" / "log")]
        is_root = os.getuid() == 0
        with subprocess.Popen(
            command,
            preexec_fn=passed_on,
            close_fds=False,
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user.pw_uid if is_root else None,
            group=user.pw_gid if is_root else None,
            extra_groups=[] if is_root else None,
        ) as process:
            for each in sockets:
                each.close()
            server = Server(home / "data", ports[0], ports[1], process)
            _wait_until_it_answers(server)
            yield server
            process.send_signal(signal.SIGTERM)


def _wait_until_it_answers(server: Server) -> None:
    end = time.monotonic() + 20
    while True:
        with socket.create_connection(("127.0.0.1", server.root_port), timeout=20) as connection:
            connection.sendall(bytes(12) + b"\0\0\0\4\0\0\x07\xdc")
            try:
                if connection.recv(1):
                    return
            except ConnectionResetError:
                assert server.process.poll() is None, "the server has ended"
        assert time.monotonic() < end, "the server does not answer"


class Archive(InMemoryCatalogue):
    """An archive whose centres' files lie on the server; the doors say how it is reached."""

    def __init__(self, server: Server, contents: list[bytes]) -> None:
        super().__init__(
            [Rse(name=ONSITE, prefix="/gone", site="CTAO-North"), Rse(name="PIC", prefix="/", centre="PIC")]
        )
        self.folder = server.folder / os.urandom(4).hex()
        self.doors: dict[str, tuple[str, ...]] = {}
        self.files_ = [
            registration("acada", number, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
            for number, content in enumerate(contents)
        ]
        self.lfns = [file.lfn for file in self.files_]
        self.ensure_directories(self.lfns)
        self.open_block(block_of("acada"))
        self.register(block_of("acada"), ONSITE, self.files_)
        self.add_rule(block_of("acada"), rse_expression="PIC")
        self.transfer()
        for lfn, content in zip(self.lfns, contents, strict=True):
            for rse in self.rses():
                place = self.place(rse, lfn)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)

    def place(self, rse: str, lfn: Lfn) -> Path:
        return self.folder / rse / str(lfn)[1:]

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        return {lfn: self._reached(file) for lfn, file in super().content(names).items()}

    def _reached(self, file: ArchivedFile) -> ArchivedFile:
        replicas = []
        for replica in file.replicas:
            urls = [f"{door}/{self.folder.name}/{replica.rse}{file.lfn}" for door in self.doors[replica.rse]]
            replicas.append(attrs.evolve(replica, pfn=urls[0], others=tuple(urls[1:])))
        return attrs.evolve(file, replicas=tuple(replicas))


@pytest.mark.parametrize("protocol", ["root", "http"])
def test_files_are_fetched_and_opened(server: Server, tmp_path: Path, protocol: str) -> None:
    contents = [os.urandom(100_000 * number) for number in range(1, 6)] + [os.urandom(10 * MB)]
    archive = Archive(server, contents)
    archive.doors = dict.fromkeys(archive.rses(), (getattr(server, protocol),))
    fetched = retrieve(archive, archive.rses(), archive.lfns, tmp_path)
    assert {(each.status, each.rse, each.troubles) for each in fetched} == {(Fetching.FETCHED, "PIC", ())}
    assert [each.path.read_bytes() for each in fetched] == contents
    with open_file(archive, archive.rses(), archive.lfns[-1], verify=True) as stream:
        stream.seek(7 * MB)
        assert stream.read(1000) == contents[-1][7 * MB : 7 * MB + 1000]
        stream.seek(0)
        assert stream.read() == contents[-1]


class Interrupt(Progress):
    def moved(self, lfn: Lfn, count: int) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("protocol", ["root", "http"])
def test_an_interrupted_file_is_continued_and_a_bad_one_passed_over(
    server: Server, tmp_path: Path, protocol: str
) -> None:
    contents = [os.urandom(20 * MB), os.urandom(MB)]
    archive = Archive(server, contents)
    archive.doors = dict.fromkeys(archive.rses(), (getattr(server, protocol),))
    large, small = archive.lfns
    with pytest.raises(KeyboardInterrupt):
        retrieve(archive, archive.rses(), [large], tmp_path, progress=Interrupt())
    (part,) = tmp_path.iterdir()
    there = part.read_bytes()
    assert 0 < len(there) < 20 * MB
    assert contents[0].startswith(there)
    archive.place("PIC", large).write_bytes(bytes(len(there)) + contents[0][len(there) :])
    archive.place("PIC", small).write_bytes(bytes(MB))
    fetched = retrieve(archive, archive.rses(), archive.lfns, tmp_path)
    assert [each.path.read_bytes() for each in fetched] == contents
    assert (fetched[0].rse, fetched[0].troubles) == ("PIC", ()), "what was there is not fetched again"
    assert (fetched[1].rse, [trouble.fault for trouble in fetched[1].troubles]) == (ONSITE, [Fault.BAD])


@pytest.mark.parametrize("protocol", ["root", "http"])
def test_what_is_wrong_is_told_apart(server: Server, tmp_path: Path, protocol: str) -> None:
    archive = Archive(server, [b"photons"])
    nobody = "root://127.0.0.1:9//data" if protocol == "root" else "http://127.0.0.1:9/data"
    archive.doors = {"PIC": (getattr(server, protocol),), ONSITE: (server.root,)}
    archive.place("PIC", archive.lfns[0]).unlink()
    (fetched,) = retrieve(archive, archive.rses(), archive.lfns, tmp_path / "gone")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (ONSITE, [Fault.SUSPICIOUS])
    archive.doors["PIC"] = (nobody,)
    (fetched,) = retrieve(archive, archive.rses(), archive.lfns, tmp_path / "down")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (ONSITE, [Fault.OUT_OF_REACH])
    with Sources() as sources, pytest.raises(UnreachableError):
        sources.open(f"{nobody}/x")
