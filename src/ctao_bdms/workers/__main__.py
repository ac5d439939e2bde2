"""The program of a worker: run calls from its socket, and send the results."""

from __future__ import annotations

import re
import resource
import signal
import socket
import sys
from pathlib import Path

import ctao_bdms.integrity  # noqa: F401 - the heavy import, loaded before the first call
from ctao_bdms.processes import die_with_parent
from ctao_bdms.workers.wire import pack, portable, receive


def limit_memory(memory_bytes: int) -> None:
    """Limit the memory of this process beyond its current use."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"^VmData:\s*(\d+) kB", status, re.MULTILINE)
    used = int(found[1]) * 1024 if found else 0
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Run calls until the socket is closed or the process of the pool ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the pool stops a worker, also after Ctrl-C in a terminal
    die_with_parent(signal.SIGKILL, parent)
    if memory_bytes:
        limit_memory(memory_bytes)
    with socket.socket(fileno=descriptor) as connection:
        connection.sendall(pack(None))
        while True:
            try:
                function, arguments, words = receive(connection)
            except EOFError:
                return
            try:
                answer = pack((function(*arguments, **words), None))
            except BaseException as error:  # noqa: BLE001 - any error is sent to the caller
                answer = pack((None, portable(error)))
            connection.sendall(answer)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
