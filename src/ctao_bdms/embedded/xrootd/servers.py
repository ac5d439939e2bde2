"""Run the XRootD servers of a home: one for each storage element, on loopback only.

XRootD cannot be configured to listen on one address. So it inherits sockets that already listen, as with systemd.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import re
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded.supervision.ports import listen
from ctao_bdms.embedded.supervision.unprivileged import check_unprivileged, give, unprivileged
from ctao_bdms.embedded.xrootd.certificate import make_certificate
from ctao_bdms.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCHEMES", "XrootdServer", "check_xrootd"]

#: The protocols of the servers; each has its own port.
SCHEMES = ("root", "http")

_PROGRAMS = ("xrootd", "xrdcp", "xrdfs")
_PACKAGES = "xrootd-server xrootd-client"
_FIRST_DESCRIPTOR = 3  # the first inherited socket, by systemd's convention
_HANDSHAKE = bytes(12) + b"\0\0\0\4\0\0\x07\xdc"
_ANSWER_S = 2.0
_CONFIGURATION = """\
all.role server
all.export /{rse}
oss.localroot {work}/root
# The folder of the server's own files; the names of sockets must be short.
all.adminpath /proc/self/cwd
all.pidpath /proc/self/cwd
xrd.port {ports[root]}
xrd.network nodnr
xrd.protocol http:{ports[http]} libXrdHttp.so
# HTTP here is plain; but without a certificate, the handler of COPY is not loaded.
xrd.tls {certificate} {key}
xrd.tlsca certfile {certificate}
xrootd.tls none
http.exthandler xrdtpc libXrdHttpTPC.so
http.desthttps no
http.selfhttps2http no
xrootd.chksum max 4 adler32 crc32c
ofs.tpc autorm xfr 10 pgm {xrdcp} --server
ofs.persist off
"""


def check_xrootd(home: Path) -> None:
    """Check that XRootD is installed and can run in `home`.

    Raises
    ------
    EmbeddedError
        If it is not installed, or cannot run as this user or in this path.
    """
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        msg = f"storage on XRootD needs {' and '.join(missing)}; on Debian: apt-get install {_PACKAGES}"
        raise EmbeddedError(msg)
    check_unprivileged("XRootD")
    if re.search(r"[\s$'\"\\]", str(home)):
        msg = f"XRootD does not support paths with a space, a quote, $ or \\: {home}; choose another --home"
        raise EmbeddedError(msg)


@attrs.frozen
class XrootdServer:
    """The server of one storage element.

    Attributes
    ----------
    rse
        The storage element; also the name of the folder of its files, and the first component of all paths.
    root
        The parent of that folder.
    work
        The folder of the server's own files.
    sockets
        Its listening sockets, by scheme.
    """

    rse: str
    root: Path
    work: Path
    sockets: Mapping[str, socket.socket]

    @classmethod
    def make(cls, rse: str, root: Path, work: Path, ports: Mapping[str, int]) -> XrootdServer:
        """Open the sockets of a server, on `ports` if they are free.

        Parameters
        ----------
        rse, root, work
            See the attributes.
        ports
            The ports of the last start, by scheme.
        """
        return cls(rse, root, work, {scheme: listen(ports.get(scheme, 0)) for scheme in SCHEMES})

    @property
    def ports(self) -> dict[str, int]:
        """The ports by scheme."""
        return {scheme: listener.getsockname()[1] for scheme, listener in self.sockets.items()}

    def prepare(self) -> Callable[[], None]:
        """Write the configuration, and return a target that turns a child process into the server."""
        give(self.work)
        # XRootD can reuse its old files only in folders that an ordinary user can access, so remove them.
        shutil.rmtree(self.work / self.rse, ignore_errors=True)
        # An export matches all paths that begin with its name, such as the quarantine. This root has one entry only.
        root = self.work / "root"
        root.mkdir(exist_ok=True)
        (root / self.rse).unlink(missing_ok=True)
        (root / self.rse).symlink_to(self.root / self.rse)
        certificate, key = self.work / "certificate.pem", self.work / "key.pem"
        make_certificate(certificate, key, dt.datetime.now(dt.UTC))
        configuration = self.work / "xrootd.cfg"
        text = _CONFIGURATION.format(
            rse=self.rse,
            work=self.work,
            ports=self.ports,
            certificate=certificate,
            key=key,
            xrdcp=shutil.which("xrdcp"),
        )
        configuration.write_text(text, encoding="utf-8")
        command = ["xrootd", "-I", "v4", "-c", str(configuration), "-n", self.rse]
        return lambda: self._become(unprivileged(command, signal.SIGTERM))

    def _become(self, command: list[str]) -> None:
        """Replace this process by the server, with its sockets at the expected descriptors."""
        above = _FIRST_DESCRIPTOR + len(self.sockets)
        copies = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for each in self.sockets.values()]
        for number, copy in enumerate(copies, _FIRST_DESCRIPTOR):
            os.dup2(copy, number, inheritable=True)
        os.chdir(self.work)
        listening = {"LISTEN_FDS": str(len(copies)), "LISTEN_PID": str(os.getpid())}
        os.execvpe(command[0], command, {"PATH": os.environ.get("PATH", os.defpath), **listening})

    def ask(self) -> str | None:
        """Return None if it answers, else the problem."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports["root"]), timeout=_ANSWER_S) as connection:
                connection.sendall(_HANDSHAKE)
                return None if connection.recv(1) else "it closes the connection"
        except OSError as error:
            return str(error)

    def close(self) -> None:
        """Close the sockets."""
        for listener in self.sockets.values():
            listener.close()
