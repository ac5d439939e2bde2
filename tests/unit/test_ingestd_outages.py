"""The daemon with a lease it cannot write, a silent server, and unfinished work."""

from __future__ import annotations

import datetime as dt
import errno
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.house import AtOnce, context_of

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.daemon.backoff import Backoff, Circuits
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config.settings import Settings, Storage
from ctao_bdms.daemon.face.notify import Notifier
from ctao_bdms.daemon.heartbeat import Heartbeat
from ctao_bdms.daemon.lease import Lease, current
from ctao_bdms.daemon.loop import Loop
from ctao_bdms.daemon.recovery import finish_quarantine
from ctao_bdms.daemon.stages.register import RegisterStage
from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.inbox.files import local_file
from ctao_bdms.ingest import Described, Registrar
from ctao_bdms.ingest.plan import Reject
from ctao_bdms.integrity import scan
from ctao_bdms.journal import FileState, Journal, Scanned
from ctao_bdms.model import Defect, DefectKind, ProductMetadata, Rse, Site
from ctao_bdms.quarantine import Quarantine
from ctao_bdms.quarantine import folder as quarantine_folder
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _settings(root: Path) -> Settings:
    return Settings(storage=Storage(root=root, rse="SITE", site=Site.NORTH))


def _never(trigger: Path) -> None:
    raise AssertionError(trigger)


@contextmanager
def nothing_can_be_written() -> Iterator[None]:
    """Have every write to a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_lease_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    lease = Lease.claim(tmp_path, beat_every_s=0.0)
    with nothing_can_be_written():
        with pytest.raises(OSError) as raised:
            lease.beat()
        lease.close()
    assert raised.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["lease.1"]
    lease.beat()
    holder = current(tmp_path)
    assert holder is not None
    assert holder.beat > 0


def test_a_lease_that_cannot_be_written_does_not_end_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    circuits = Circuits(Backoff, monotonic=time.monotonic, jitter=random.random)
    turns: list[None] = []
    lease = Lease.claim(tmp_path / "lease", beat_every_s=0.0)
    with Journal(tmp_path / "journal", by="test", now=lambda: dt.datetime.now(dt.UTC)) as journal:
        context = context_of(lambda: _settings(tmp_path), journal, Clocks())
        heartbeat = Heartbeat(context, lease, Notifier())
        loop = Loop(context, (), circuits=circuits, heartbeat=heartbeat, on_turn=lambda: turns.append(None))
        with nothing_can_be_written():
            loop.turn()
    assert turns == [None]
    assert f"the lease cannot be written: [Errno {errno.EFBIG}]" in caplog.text


def test_recovery_runs_without_a_new_file(tmp_path: Path) -> None:
    archive = InMemoryCatalogue([Rse(name="SITE", prefix=str(tmp_path), site="CTAO-North")])
    made: list[Registrar] = []

    def registrar() -> Registrar:
        made.append(Registrar(archive, archive.rses()["SITE"]))
        return made[-1]

    with Journal(tmp_path / "journal", by="test", now=lambda: dt.datetime.now(dt.UTC)) as journal:
        context = context_of(lambda: _settings(tmp_path), journal, Clocks())
        register = RegisterStage(context, registrar, nameless={}, look_again=_never, executor=AtOnce())
        assert register.due_in_s() <= 0
        register.step(probe=False)
        assert register.registrar is made[0]
        assert register.due_in_s() == float("inf")


def _killed(source: Path, target: Path) -> None:
    raise InterruptedError(source, target)


@pytest.mark.parametrize("is_trigger_moved", [False, True])
def test_interrupted_quarantine_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trigger_moved: bool
) -> None:
    root = tmp_path / "site"
    bad, other = write_night(root, night_specs(2, telescopes=1, megabytes=0.001))
    file = local_file(bad.path, bad.trigger, root)
    defect = Defect(DefectKind.CORRUPT, "a bit is another")
    facts = scan(bad.path)
    quarantine = Quarantine.beside(root)
    with Journal(tmp_path / "journal", by="test", now=lambda: dt.datetime.now(dt.UTC)) as journal:
        for written in (bad, other):
            seen = local_file(written.path, written.trigger, root)
            journal.observe([Sighting.of(seen)])
        journal.scanned([Scanned(path=bad.path, stamp=Stamp.of(bad.path), facts=facts)])
        item = Described(file=file, facts=facts, metadata=ProductMetadata({}), defects=(defect,))
        with monkeypatch.context() as patch, suppress(InterruptedError):
            if not is_trigger_moved:  # it is killed after the file and before the trigger
                patch.setattr(quarantine_folder, "_move_trigger", _killed)
            quarantine.admit(Reject(item=item, defects=(defect,), quarantine=True), dt.datetime.now(dt.UTC))
        assert bad.trigger.is_symlink() is not is_trigger_moved
        (folder,) = (case.folder for case in quarantine.cases())
        finish_quarantine(journal, Quarantine.beside(root), root)
        entry = journal.entry(bad.path)
        assert entry is not None
        assert (entry.state, entry.why) == (FileState.QUARANTINED, "corrupt: a bit is another")
        assert (folder / "trigger").is_symlink()
        assert not bad.trigger.is_symlink()
        assert [entry.path for entry in journal.entries(state=FileState.FOUND)] == [other.path]
        # A new file of the same name is another matter.
        shutil.copyfile(other.path, bad.path)
        bad.trigger.symlink_to(bad.path.name)
        journal.observe([Sighting.of(file)])
        finish_quarantine(journal, Quarantine.beside(root), root)
        assert len(list(journal.entries(state=FileState.FOUND))) == 2
        assert bad.trigger.is_symlink()


CONNECT = """
import sys
from pathlib import Path
from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.errors import UnreachableError

try:
    RucioCatalogue.connect(Path(sys.argv[1]), timeout_s=1)
except UnreachableError as error:
    print(error)
"""


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "rucio.cfg").write_text(
            f"[client]\nrucio_host = {url}\nauth_host = {url}\nauth_type = userpass\naccount = a\nusername = a\n"
            f"password = b\nauth_token_file_path = {tmp_path / 'token'}\n"
        )
        begin_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", CONNECT, tmp_path / "rucio.cfg"],
            env=os.environ | {"no_proxy": "*"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert "read timeout=1" in done.stdout
    assert time.monotonic() - begin_s < 30
