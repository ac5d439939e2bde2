"""Who holds a lease."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import attrs

from ctao_bdms.processes import ProcessId

__all__ = ["Holder"]


@attrs.frozen(kw_only=True)
class Holder:
    """Who holds a lease, as it says itself.

    Attributes
    ----------
    host, boot, namespace
        Its machine, the start of that machine, and the set of process numbers that `pid` belongs to.
    pid, started
        Its process, and when that was started, in clock ticks since the machine started.
    age_s
        For how long it has held the lease, by its own count, in seconds.
    beat
        How often it has written it.
    released
        Whether it has given it back.
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
        """Return this process as a holder."""
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
        """Return the holder that a lease names; None if nobody can read it."""
        try:
            return cls(**json.loads(content or b""))
        except (ValueError, TypeError):
            return None

    def to_json(self) -> str:
        """Return what a lease says."""
        return json.dumps(attrs.asdict(self)) + "\n"

    @property
    def is_dead(self) -> bool:
        """Whether it is certain that the process has ended: only its own machine can know."""
        here = Holder.this_process()
        if (self.host, self.boot, self.namespace) != (here.host, here.boot, here.namespace):
            return False
        return not ProcessId(self.pid, self.started).alive
