"""A site: an embedded Rucio, the storage, and one daemon that is restarted whenever it ends, as systemd does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import INGEST
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.errors import BdmsError
from ctao_bdms.integrity import digest_file
from ctao_bdms.journal import FileState, JournalReader
from ctao_bdms.model import Lfn, ReplicaState
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.replication import Policy
from ctao_bdms.testing.ingestd import ONSITE, IngestdFolder
from ctao_bdms.testing.invariant import Expected, violations

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ctao_bdms.embedded import Instance
    from ctao_bdms.processes import ProcessId

__all__ = ["Site", "until"]

_OPEN = (FileState.FOUND, FileState.SCANNED, FileState.REGISTERED)
_SETTINGS: dict[str, dict[str, object]] = {
    "rucio": {"timeout_s": 3},
    "state": {"lease_silent_s": 3},
    "workers": {"number": 2},
    "inbox": {"poll_interval_s": 0.2},
    "batches": {"files": 4, "age_s": 0.2},
    "blocks": {"age_s": 2},
    "retries": {"first_s": 0.2, "cap_s": 2},
    "replication": {"reconcile_interval_s": 5},
    "log": {"form": "text"},
    "stop": {"drain_s": 5},
}

#: A daemon whose wall clock differs from the machine's by the seconds in a file. That of the machine cannot be stepped
#: without harm to all that runs there.
_CLOCK = """\
import datetime as dt
from pathlib import Path
from functools import partial
from ctao_bdms.daemon import service

def now():
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(Path({clock!r}).read_text()))

service.Clocks = partial(service.Clocks, now=now)
"""


def until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait for a condition."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"{what}: not within {limit_s:g} s"
        time.sleep(0.02)


class Site:
    """Everything that faults can strike.

    Parameters
    ----------
    instance
        The embedded Rucio.
    folder
        The daemon's own folder.
    """

    def __init__(self, instance: Instance, folder: Path) -> None:
        self.instance = instance
        self.root = instance.storage(ONSITE)
        self.storages = {rse: instance.storage(rse) for rse in instance.rses}
        self.lease = self.root.with_name(f"{self.root.name}.lease")
        self._folder = IngestdFolder.for_instance(instance, folder, _SETTINGS)
        self.state, self.log = self._folder.state, self._folder.log
        self._clock = folder / "clock"
        self.step_clock(0)
        self.daemon = self.new_daemon()
        self._catalogue: RucioCatalogue | None = None
        #: Ends of the daemon that no fault has brought about.
        self.complaints: list[str] = []

    # -- the daemon

    def new_daemon(self, *before: str) -> subprocess.Popen[bytes]:
        """Start a daemon; `before` are the words of the command that starts it."""
        return self._folder.start(before=before, first=_CLOCK.format(clock=str(self._clock)))

    def step_clock(self, ahead_s: float) -> None:
        """Set the daemon's wall clock so many seconds ahead of the machine's."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(ahead_s), encoding="ascii")
        new.replace(self._clock)

    def end_daemon(self, signum: signal.Signals = signal.SIGKILL) -> int:
        """Send the daemon a signal and wait for its end; return its exit code."""
        self.daemon.send_signal(signum)
        return self.daemon.wait(30)

    def restart_daemon(self) -> None:
        """Kill the daemon and start it again at once."""
        self.end_daemon()
        self.daemon = self.new_daemon()

    def keep_daemon(self) -> None:
        """Start the daemon again if it has ended by itself, and say so."""
        code = self.daemon.poll()
        if code is not None:
            words = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            self.complaints.append(f"the daemon ended by itself with code {code}: {' '.join(words)}")
            self.daemon = self.new_daemon()

    @property
    def workers(self) -> list[int]:
        """The processes of the daemon's workers."""
        return _children(self.daemon.pid)

    # -- the parts of Rucio

    def part(self, name: str) -> ProcessId:
        """Return the process of a part of the embedded Rucio."""

        def known() -> ProcessId | None:
            record = RunRecord.load(self.instance.home.run_file)
            return None if record is None else record.parts.get(name)

        until(lambda: (process := known()) is not None and process.alive, 60, f"{name} is not up")
        process = known()
        assert process is not None
        return process

    def signal_part(self, name: str, signum: signal.Signals, *, children: bool = False) -> None:
        """Send a signal to a part, and to the processes that it has made."""
        process = self.part(name)
        for pid in (process.pid, *(_children(process.pid) if children else ())):
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                continue

    # -- how things are

    def open_files(self) -> dict[str, int]:
        """Return what is still on its way: triggers that stand, and files by the state that the journal gives."""
        counts = {"triggers": sum(name.endswith(".trigger") for *_, names in os.walk(self.root) for name in names)}
        try:
            with JournalReader(self.state / "journal.sqlite") as journal:
                tallies = journal.tallies()
        except BdmsError:
            return {**counts, "journal": 1}
        return {key: n for key, n in {**counts, **{s.value: tallies[s].files for s in _OPEN}}.items() if n}

    def misremembered(self, expected: Sequence[Expected]) -> list[str]:
        """Return where the journal says of a file what has not become of it; one begun anew may not know it."""
        said = []
        try:
            with JournalReader(self.state / "journal.sqlite") as journal:
                for file in expected:
                    entry = journal.entry(file.path)
                    right = FileState.REPLICATED if file.is_sound else FileState.QUARANTINED
                    if entry is not None and entry.state is not right:
                        said.append(f"the journal says that {file.path.name} is {entry.state}, not {right}")
        except BdmsError as error:
            return [f"the journal cannot be read: {error}"]
        return said

    def violations(self, expected: Sequence[Expected], products: Mapping[str, str]) -> list[str]:
        """Return what does not hold, from the catalogue and the disks; also if they do not answer.

        Parameters
        ----------
        expected
            What was given to the daemon.
        products
            The SHA-256 of what other accounts have put into the archive, by name.
        """
        try:
            if self._catalogue is None:
                self._catalogue = RucioCatalogue.connect(self.instance.client_config(), timeout_s=10)
            said = violations(
                expected,
                self._catalogue,
                rse=ONSITE,
                storages=self.storages,
                quarantine=self.root.with_name(f"{self.root.name}.quarantine"),
                account=INGEST,
                policy=Policy.load(),
            )
            return [*said, *self._absent(self._catalogue, products)]
        except (BdmsError, OSError) as error:
            return [f"it cannot be checked: {error}"]

    def _absent(self, catalogue: RucioCatalogue, products: Mapping[str, str]) -> Iterator[str]:
        """Say which products have no copy with their bytes."""
        found = catalogue.files(map(Lfn, products)) if products else {}
        for name, digest in products.items():
            lfn = Lfn(name)
            replicas = found[lfn].replicas if lfn in found else ()
            copies = [each.rse for each in replicas if each.state is ReplicaState.AVAILABLE]
            paths = [Path(path_of_lfn(lfn, self.storages[rse])) for rse in copies]
            if not any(path.exists() and digest_file(path, ("sha256",))[1]["sha256"] == digest for path in paths):
                where = ", ".join(copies) or "none"
                yield f"{lfn}: this product was put, and has no copy with its bytes; copies: {where}"


def _children(pid: int) -> list[int]:
    """Return the processes that a process has made."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
