"""The holder of a lease, as the lease file records it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import attrs

from ctao_bdms.processes import ProcessId

__all__ = ["Holder"]


@attrs.frozen(kw_only=True)
class Holder:
    """The process that holds a lease.

    Attributes
    ----------
    boot, namespace
        The boot id of its machine, and the PID namespace of `pid`.
    started
        The start time of the process, in clock ticks since boot.
    age_s
        How long it has held the lease, by its own clock, in seconds.
    beat
        The number of heartbeats so far.
    released
        Whether it has closed the lease.
    """

    host: str
    boot: str
    namespace: int
    pid: int
    started: int
    age_s: float = 0.0
    beat: int = 0
    released: bool = False

    @classmethod
    def this_process(cls) -> Holder:
        """Return the holder for this process."""
        process = ProcessId.current()
        return cls(
            host=socket.gethostname(),
            boot=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
            namespace=Path("/proc/self/ns/pid").stat().st_ino,
            pid=process.pid,
            started=process.started,
        )

    @classmethod
    def parse(cls, content: bytes | None) -> Holder | None:
        """Return the holder in the content of a lease file; None if it is not readable."""
        try:
            return cls(**json.loads(content or b""))
        except (ValueError, TypeError):
            return None

    def to_json(self) -> str:
        """Return the content of a lease file."""
        return json.dumps(attrs.asdict(self)) + "\n"

    @property
    def is_dead(self) -> bool:
        """Whether the process has certainly ended; always False for another machine."""
        here = Holder.this_process()
        if (self.host, self.boot, self.namespace) != (here.host, here.boot, here.namespace):
            return False
        return not ProcessId(self.pid, self.started).alive
