"""Servers of Debian's XRootD for tests, each by itself, and a proxy that can be put in front of one."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = """
import os, resource, sys
from pathlib import Path
from ctao_bdms.embedded.xrootd.servers import XrootdServer
rse, root, work, ports = sys.argv[1:5]
server = XrootdServer.make(rse, Path(root), Path(work), dict(zip(("root", "http"), map(int, ports.split(",")))))
print(*server.ports.values(), flush=True)
become = server.prepare()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]), int(sys.argv[5])))
os.dup2(2, 1)
become()
"""


def wait_until(condition: Callable[[], object], patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Server:
    """A server with nobody who starts it again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._base = name, folder
        #: Where the files lie.
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.ports = (0, 0)
        self.start()

    def start(self, largest_bytes: int = -1) -> None:
        """Start it, on the ports of the last time; it can write files of at most `largest_bytes`, if that is not -1."""
        ports = ",".join(map(str, self.ports))
        arguments = [self.name, str(self._base), str(self._base / f"{self.name}.work"), ports, str(largest_bytes)]
        with (self._base / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            first = stream.readline().split()
        assert len(first) == 2, (self._base / f"{self.name}.log").read_text()
        self.ports = (int(first[0]), int(first[1]))
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self._base / f"{self.name}.log").read_text()
        with socket.create_connection(("127.0.0.1", self.ports[1]), timeout=10) as line:
            line.sendall(f"HEAD /{self.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return line.recv(8) == b"HTTP/1.1"

    @property
    def base(self) -> str:
        """What stands before the names of its files, by HTTP."""
        return f"http://127.0.0.1:{self.ports[1]}/{self.name}"

    def end(self, signum: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signum)
        self.process.wait(20)

    def parts(self) -> list[str]:
        """Return the temporary files that lie there."""
        return [path.name for path in self.folder.rglob(".bdms-*")]


class Proxy:
    """Passes TCP through to a port of this machine, and counts; can turn bits over, be slow, or cut lines.

    Parameters
    ----------
    port
        Where it passes to.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: The bytes that came back from the server.
        self.returned = 0
        #: The paths that were read, one for each request.
        self.read: list[str] = []
        #: How many of the next large pieces get one bit turned over.
        self.flips = 0
        #: After how many bytes of an answer the line is cut; None for never.
        self.cut_after: int | None = None
        #: How long each piece is held back, in seconds.
        self.delay_s = 0.0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # a thread that waits in accept() is woken by this, not by close()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(line,), daemon=True).start()

    def _pass(self, line: socket.socket) -> None:
        """Carry one connection until either side ends it."""
        with line, socket.create_connection(("127.0.0.1", self._target)) as server:
            returned = 0
            while True:
                for ready in select.select([line, server], [], [])[0]:
                    try:
                        piece = ready.recv(1 << 16)
                        if not piece:
                            return
                        if ready is line:
                            self._note(piece)
                            server.sendall(piece)
                            continue
                        returned += len(piece)
                        line.sendall(self._changed(piece))
                    except OSError:
                        return
                    if self.cut_after is not None and returned > self.cut_after:
                        return

    def _note(self, piece: bytes) -> None:
        """Write down what is read."""
        with self._lock:
            self.read += [path.decode() for path in re.findall(rb"(?:^|\r\n\r\n)GET (\S+) HTTP", piece)]

    def _changed(self, piece: bytes) -> bytes:
        """Count what the server returns, and do to it what is to be done."""
        time.sleep(self.delay_s)
        with self._lock:
            self.returned += len(piece)
            if self.flips and len(piece) > 10_000:
                self.flips -= 1
                middle = len(piece) // 2
                return piece[:middle] + bytes([piece[middle] ^ 1]) + piece[middle + 1 :]
        return piece


def is_there() -> bool:
    """Say whether the servers are installed, by all packages."""
    return all(shutil.which(program) for program in ("xrootd", "xrdcp", "xrdfs"))


def may_mount() -> bool:
    """Say whether this process may mount a small file system."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    )
