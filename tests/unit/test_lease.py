"""One daemon at a time, with real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.daemon.holder import Holder
from ctao_bdms.daemon.lease import Lease, current
from ctao_bdms.errors import LeaseHeldError, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A daemon: it claims, says what came of it, and then does what the lines on its standard input say.
DAEMON = """
import sys, threading
from pathlib import Path
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.errors import LeaseHeldError, LeaseLostError

folder, silent = Path(sys.argv[1]), float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    lease = Lease.claim(folder, beat_every_s=0.02, silent_after_s=silent)
except LeaseHeldError as error:
    print("held", error.pid, flush=True)
    sys.exit()
print("won", lease.token, flush=True)
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
try:
    while not stop.wait(0.01):
        lease.beat()
        lease.check()
        with (folder / "written").open("a") as stream:
            stream.write(f"{lease.token}\\n")
except LeaseLostError as error:
    print("lost", error.holder, flush=True)
else:
    lease.close()
    print("released", flush=True)
"""


class Daemon:
    """A real process that claims the lease."""

    def __init__(self, folder: Path, silent_after_s: float = 30.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(folder), str(silent_after_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.said() == ["ready"]

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def go(self) -> None:
        self._pipes[0].write("\n")
        self._pipes[0].flush()

    def said(self) -> list[str]:
        return self._pipes[1].readline().split()

    def end(self) -> None:
        self.process.kill()
        for pipe in self._pipes:
            pipe.close()
        self.process.wait()


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    running: list[Daemon] = []
    yield running
    for daemon in running:
        daemon.end()


def fields(folder: Path) -> dict[str, object]:
    (path,) = folder.glob("lease.*")
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def test_second_daemon_is_told_the_holder(tmp_path: Path, daemons: list[Daemon]) -> None:
    first = Daemon(tmp_path)
    daemons.append(first)
    first.go()
    assert first.said() == ["won", "1"]
    with pytest.raises(LeaseHeldError) as caught:
        Lease.claim(tmp_path, silent_after_s=2.0)
    error = caught.value
    assert (error.host, error.pid) == (socket.gethostname(), first.process.pid)
    assert 0 <= error.age_s < 60
    assert f"process {first.process.pid} on {socket.gethostname()} has been working" in str(error)
    first.go()
    assert first.said() == ["released"]
    assert current(tmp_path) is None
    with Lease.claim(tmp_path) as lease:
        assert lease.token == 2
        holder = current(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert current(tmp_path) is None


def test_a_dead_one_is_replaced_at_once(tmp_path: Path, daemons: list[Daemon]) -> None:
    first = Daemon(tmp_path)
    daemons.append(first)
    first.go()
    assert first.said() == ["won", "1"]
    first.process.kill()
    first.process.wait()
    begin = time.monotonic()
    assert Lease.claim(tmp_path).token == 2
    assert time.monotonic() - begin < 1


def test_another_process_with_the_number_of_the_dead_one(tmp_path: Path) -> None:
    lease = Lease.claim(tmp_path)
    said = fields(tmp_path)
    (tmp_path / "lease.1").write_text(json.dumps({**said, "started": 1}))
    assert Lease.claim(tmp_path).token == 2
    with pytest.raises(LeaseLostError, match="lease 1 of this process has been replaced by lease 2"):
        lease.check()


@pytest.mark.parametrize("changed", [{"host": "elsewhere"}, {"boot": "another"}, {"namespace": 1}])
def test_of_another_machine_only_silence_is_known(tmp_path: Path, changed: dict[str, object]) -> None:
    Lease.claim(tmp_path)
    (tmp_path / "lease.1").write_text(json.dumps({**fields(tmp_path), "pid": 2**22 + 1, **changed}))
    clock = [0.0]

    def pause(seconds: float) -> None:
        clock[0] += seconds

    assert Lease.claim(tmp_path, silent_after_s=120, monotonic=lambda: clock[0], pause=pause).token == 2
    assert 120 <= clock[0] < 130


def test_live_holder_elsewhere_is_not_replaced_despite_its_clock(tmp_path: Path) -> None:
    Lease.claim(tmp_path)
    there = {**fields(tmp_path), "host": "elsewhere", "age_s": 77.0}
    path = tmp_path / "lease.1"
    beats = iter(range(1, 1000))

    def pause(_seconds: float) -> None:
        path.write_text(json.dumps({**there, "beat": next(beats)}))
        os.utime(path, (0, 0))

    with pytest.raises(LeaseHeldError, match=r"on elsewhere has been working with .* for 77 s"):
        Lease.claim(tmp_path, pause=pause)


def test_a_lease_that_nobody_can_read_is_watched(tmp_path: Path) -> None:
    (tmp_path / "lease.41").write_text("{not json")
    assert Lease.claim(tmp_path, silent_after_s=0.2).token == 42


def test_beats_are_written_when_it_is_time(tmp_path: Path) -> None:
    clock = [0.0]
    lease = Lease.claim(tmp_path, beat_every_s=5, monotonic=lambda: clock[0])
    for now in range(11):
        clock[0] = now
        lease.beat()
    assert (fields(tmp_path)["beat"], fields(tmp_path)["age_s"]) == (2, 10)
    assert not list(tmp_path.glob(".draft*"))


def test_holder_that_was_suspended_writes_nothing(tmp_path: Path, daemons: list[Daemon]) -> None:
    first, second = Daemon(tmp_path), Daemon(tmp_path, silent_after_s=0.5)
    daemons += [first, second]
    first.go()
    assert first.said() == ["won", "1"]
    while not (tmp_path / "written").exists():
        time.sleep(0.01)
    first.process.send_signal(signal.SIGSTOP)
    second.go()
    assert second.said() == ["won", "2"]
    first.process.send_signal(signal.SIGCONT)
    assert first.said() == ["lost", "2"]
    assert first.process.wait(5) == 0
    second.go()
    assert second.said() == ["released"]
    written = (tmp_path / "written").read_text().split()
    # The one write that the first had made sure of before it was stopped may still come.
    assert written[written.index("2") :].count("1") <= 1


def test_emptied_lease_folder_is_reported(tmp_path: Path) -> None:
    lease = Lease.claim(tmp_path)
    (tmp_path / "lease.1").unlink()
    with pytest.raises(LeaseLostError, match="lease 1 of this process has been taken away: somebody has emptied"):
        lease.check()


def test_of_eight_that_claim_at_once_one_wins(tmp_path: Path, daemons: list[Daemon]) -> None:
    dice = random.Random(5)
    claimants = [Claimant(tmp_path) for _ in range(8)]
    try:
        for turn in range(20):
            folder = tmp_path / str(turn)
            if dice.random() < 0.5:  # the last holder has died, or nobody ever was there
                folder.mkdir()
                gone = attrs.asdict(attrs.evolve(Holder.this_process(), started=1))
                (folder / f"lease.{turn + 1}").write_text(json.dumps(gone))
            for claimant in claimants:
                claimant.tell(str(folder))
            answers = [claimant.answer() for claimant in claimants]
            won = [answer for answer in answers if answer.startswith("won")]
            assert len(won) == 1, answers
            assert answers.count("held") == 7
            for claimant in claimants:
                claimant.tell("done")
                assert claimant.answer() == "done"
            names = [path.name for path in folder.iterdir()]
            assert names == [f"lease.{won[0].split()[1]}"]
    finally:
        for claimant in claimants:
            claimant.end()


CLAIMANT = """
import sys, threading
from pathlib import Path
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.errors import LeaseHeldError

for line in sys.stdin:
    stop = threading.Event()
    beating = None
    try:
        lease = Lease.claim(Path(line.strip()), beat_every_s=0.01, silent_after_s=5)
    except LeaseHeldError:
        print("held", flush=True)
    else:
        def beat():
            while not stop.wait(0.02):
                lease.beat()
        beating = threading.Thread(target=beat)
        beating.start()
        print("won", lease.token, flush=True)
    sys.stdin.readline()
    stop.set()
    if beating:
        beating.join()
        lease.close()
    print("done", flush=True)
"""


class Claimant:
    """A real process that claims one lease after the other."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIMANT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
