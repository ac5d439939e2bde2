"""What can go wrong: each fault strikes a `Site`, lasts for a while, and is over when its function returns."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.campaign.site import Site

__all__ = ["CORE", "FAULTS", "ON_MOUNT", "mounted"]

_CAP_SYS_ADMIN = 21
_HOUR_S, _YEAR_S = 3600, 31_556_952

#: Runs a command whose reads of several buffers all fail with an I/O error, in it and in all that it starts (seccomp).
_WITHOUT_READV = f"""\
import ctypes, errno, os, struct, sys
number = {{"x86_64": 19, "aarch64": 65}}["{platform.machine()}"]
rules = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | {errno.EIO}), (0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = struct.pack("@HP", len(rules), ctypes.addressof(code))
prctl = ctypes.CDLL(None, use_errno=True).prctl
for arguments in ((38, 1, 0, 0, 0), (22, 2, program, 0, 0)):
    if prctl(*arguments):
        raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
"""


def daemon_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of the daemon, once to three times."""
    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 1.2))
        site.restart_daemon()


def daemon_stopped(site: Site, chance: random.Random) -> None:
    """SIGTERM to the daemon, and its start anew."""
    code = site.end_daemon(signal.SIGTERM)
    if code not in {0, -signal.SIGTERM}:  # the signal's own if it came before the daemon had begun to work
        site.complaints.append(f"after SIGTERM the daemon ended with code {code}")
    site.daemon = site.new_daemon()


def workers_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of every worker, for a while: also of those that take over a file."""
    end_s = time.monotonic() + chance.uniform(0.3, 2.0)
    while time.monotonic() < end_s:
        for pid in site.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(chance.uniform(0.01, 0.2))


def server_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of the Rucio server, with all its processes."""
    site.signal_part("server", signal.SIGKILL, children=True)


def server_hangs(site: Site, chance: random.Random) -> None:
    """The Rucio server takes connections and does not answer, for longer than a request may take."""
    site.signal_part("server", signal.SIGSTOP, children=True)
    time.sleep(chance.uniform(2, 6))
    site.signal_part("server", signal.SIGCONT, children=True)


def rucio_daemons_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of Rucio's daemons."""
    site.signal_part("daemons", signal.SIGKILL)


def transfers_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of the transfer service."""
    site.signal_part("transfers", signal.SIGKILL)


def database_restarted(site: Site, chance: random.Random) -> None:
    """PostgreSQL restarted at once under load (immediate shutdown: it recovers from its log)."""
    site.signal_part("postgres", signal.SIGQUIT)


def backend_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of one process of PostgreSQL: it ends all connections and recovers."""
    postgres = site.part("postgres")
    backends = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text(encoding="ascii").split()
    with suppress(ProcessLookupError):
        os.kill(int(chance.choice(backends)), signal.SIGKILL)


def taken_over(site: Site, chance: random.Random) -> None:
    """The daemon is stopped for some seconds; a second one takes over; the first wakes, and ends with code 1."""
    first = site.daemon
    first.send_signal(signal.SIGSTOP)
    before = _leases(site)
    second = site.new_daemon()
    end_s = time.monotonic() + 60
    while _leases(site) == before and second.poll() is None and time.monotonic() < end_s:
        time.sleep(0.05)
    site.daemon = second
    if _leases(site) == before:
        site.complaints.append(f"no second daemon took over from one that is silent: {second.poll()}")
    time.sleep(chance.uniform(0, 1))
    first.send_signal(signal.SIGCONT)
    try:
        code = first.wait(20)
    except subprocess.TimeoutExpired:
        first.kill()
        code = first.wait()
        site.complaints.append("the daemon whose place was taken works on")
    if code != 1:
        site.complaints.append(f"the daemon whose place was taken ended with code {code} instead of 1")


def _leases(site: Site) -> set[str]:
    return {path.name for path in site.lease.glob("lease.*")}


def journal_lost(site: Site, chance: random.Random) -> None:
    """kill -9 of the daemon; its journal is gone when it starts again."""
    site.end_daemon()
    for path in site.state.glob("journal.sqlite*"):
        path.unlink()
    site.daemon = site.new_daemon()


def journal_lost_in_an_outage(site: Site, chance: random.Random) -> None:
    """The journal is gone, the server does not answer, and the daemon is killed again before it has begun anew."""
    site.end_daemon()
    for path in site.state.glob("journal.sqlite*"):
        path.unlink()
    site.signal_part("server", signal.SIGSTOP, children=True)
    site.daemon = site.new_daemon()
    time.sleep(chance.uniform(1, 4))
    site.restart_daemon()
    time.sleep(chance.uniform(0, 2))
    site.signal_part("server", signal.SIGCONT, children=True)


def everything_killed(site: Site, chance: random.Random) -> None:
    """kill -9 of daemon, server, database and transfer service in one moment."""
    for part in ("transfers", "postgres"):
        site.signal_part(part, signal.SIGQUIT if part == "postgres" else signal.SIGKILL)
    site.restart_daemon()


def reads_fail(site: Site, chance: random.Random) -> None:
    """Every read of a data file is an I/O error (EIO) for a while: a daemon that meets them runs in between."""
    site.end_daemon()
    site.daemon = site.new_daemon(sys.executable, "-c", _WITHOUT_READV)
    time.sleep(chance.uniform(3, 5))
    daemon_stopped(site, chance)


def clock_steps(site: Site, chance: random.Random) -> None:
    """The wall clock of the daemon steps by hours or by years, forth and back, and later back to what it was."""
    for _ in range(chance.randint(1, 3)):
        by_s = chance.choice([chance.uniform(2, 20) * _HOUR_S, chance.uniform(1, 300) * _YEAR_S])
        site.step_clock(chance.choice([-1, 1]) * by_s)
        time.sleep(chance.uniform(1, 3))
    site.step_clock(0)


def read_only(site: Site, chance: random.Random) -> None:
    """The file system of all storages is made read-only for a while."""
    end_s = time.monotonic() + 5
    while _mount("-o", "remount,ro", site) and time.monotonic() < end_s:
        time.sleep(0.01)  # somebody writes right now
    time.sleep(chance.uniform(1, 4))
    _mount("-o", "remount,rw", site)


def full(site: Site, chance: random.Random) -> None:
    """The file system of all storages is full for a while."""
    _fill(site.root.with_name("filler"), chance.uniform(1, 4))


def state_full(site: Site, chance: random.Random) -> None:
    """The file system of the daemon's state is full for a while: its journal cannot be written."""
    _fill(site.state / "filler", chance.uniform(1, 4))


def _fill(filler: Path, seconds: float) -> None:
    """Fill a file system to the last byte for a while."""
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        for size_bytes in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    stream.write(bytes(size_bytes))
    time.sleep(seconds)
    filler.unlink()


def _mount(option: str, value: str, site: Site) -> int:
    return subprocess.run(["mount", option, value, str(site.root.parent)], check=False, capture_output=True).returncode


def mounted(folder: Path, megabytes: int) -> bool:
    """Give a folder a small file system of its own, if this process has the right to; return whether it has."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    capabilities = int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)
    if os.geteuid() != 0 or not capabilities >> _CAP_SYS_ADMIN & 1:
        return False
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder], check=True)
    return True


#: The faults that a short campaign has.
CORE: tuple[Callable[[Site, random.Random], None], ...] = (
    daemon_killed,
    workers_killed,
    server_killed,
    database_restarted,
    taken_over,
    journal_lost,
)
#: The others.
FAULTS: tuple[Callable[[Site, random.Random], None], ...] = (
    daemon_stopped,
    server_hangs,
    rucio_daemons_killed,
    transfers_killed,
    backend_killed,
    everything_killed,
    journal_lost_in_an_outage,
    reads_fail,
    clock_steps,
)
#: Those that need a file system of their own; a short campaign has them, too, where that can be.
ON_MOUNT: tuple[Callable[[Site, random.Random], None], ...] = (read_only, full, state_full)
