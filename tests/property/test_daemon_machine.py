"""The daemon's stages, broken between any two turns and within them: crashes, outages, a journal that fails or is lost.

Folders, files, journal, watch and scans are real; the archive is the one in memory. At the end everything works again,
and the loop turns until nothing is left to do. Then each sound file is in the archive, in one block with its rules, and
its trigger is gone; each bad one is in quarantine; and what the journal says of a file is what has become of it.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.house import Archive, House, Reader

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.errors import UnreachableError, UsageError
from ctao_bdms.journal import FileState
from ctao_bdms.model import Lfn, RuleState
from ctao_bdms.naming import is_block
from ctao_bdms.quarantine import OperatorAction, restore
from ctao_bdms.testing.contract import NIGHT
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Did, Registration

#: A file system without a medium that would have to be waited for, if there is one.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
OPEN = (FileState.FOUND, FileState.SCANNED, FileState.REGISTERED)


class Crash(BaseException):
    """The end of the process."""


class Deadly(Archive):
    """An archive during whose answer the process may end: before it has registered files, or after."""

    dies = ""

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        if self.dies == "before":
            raise Crash
        super().register(block, rse, files)
        if self.dies == "after":
            raise Crash


@functools.cache
def _contents() -> dict[str, tuple[bytes, bytes]]:
    """Return names below the root with a sound and a bad content each."""
    with tempfile.TemporaryDirectory() as folder:
        contents = {}
        for number, file in enumerate(write_night(Path(folder), night_specs(8, megabytes=0.001, night=NIGHT))):
            sound = file.path.read_bytes()
            damage(file.path, (Damage.TRUNCATED, Damage.BIT_FLIP)[number % 2], seed=number)
            contents[str(file.lfn)] = (sound, file.path.read_bytes())
        return contents


class Daemon(RuleBasedStateMachine):
    """Producers write, the daemon turns, and everything around it breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="bdms-daemon-", dir=MEMORY))
        self.threads = ThreadPoolExecutor(2)
        self.lease = Lease.claim(self.home / "lease")
        self.house = House(self.home, Reader(self.threads), self.lease)
        self.archive = Deadly(self.house.root, self.house.clock)
        self.house.archive = self.archive
        #: What was written and not taken back, by name: whether it is sound.
        self.written: dict[str, bool] = {}

    @property
    def is_mounted(self) -> bool:
        return self.house.root.is_dir()

    def _path(self, name: str) -> Path:
        return self.house.root / name[1:]

    # --- what happens ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_mounted)
    @rule(number=st.integers(0, 7), is_sound=st.booleans())
    def write(self, number: int, is_sound: bool) -> None:
        """A producer writes a file, once, and its trigger."""
        name, (sound, bad) = list(_contents().items())[number]
        if name in self.written:
            return
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound if is_sound else bad)
        path.with_name(f"{path.name}.trigger").symlink_to(path.name)
        self.written[name] = is_sound

    @rule(turns=st.integers(1, 5), seconds=st.sampled_from([0.2, 1.0, 1.0, 20.0, 61.0]))
    def turn(self, turns: int, seconds: float) -> None:
        """The loop turns; the process may end within it."""
        try:
            self.house.turn(turns, seconds=seconds)
        except Crash:
            self.crash()

    @rule()
    def crash(self) -> None:
        """The process ends, and another one begins."""
        self.archive.dies = ""
        self.house.journal.close()
        self.house = House(self.home, Reader(self.threads), self.lease, before=self.house)

    @rule(when=st.sampled_from(["before", "after"]))
    def may_die(self, when: str) -> None:
        """The next registration is the last thing that this process does, or wanted to do."""
        self.archive.dies = when

    @rule()
    def lose_the_journal(self) -> None:
        """Between two processes somebody deletes the journal."""
        self.house.journal.close()
        for piece in self.home.glob("journal.sqlite*"):
            piece.unlink()
        self.house = House(self.home, Reader(self.threads), self.lease, before=self.house)

    @rule(is_down=st.booleans())
    def archive_is_out(self, is_down: bool) -> None:
        self.archive.error = UnreachableError("down") if is_down else None

    @rule(is_full=st.booleans())
    def journal_is_full(self, is_full: bool) -> None:
        self.house.journal.is_full = is_full

    @rule(is_mounted=st.booleans())
    def storage_is_away(self, is_mounted: bool) -> None:
        """The storage is unmounted, or mounted again."""
        away = self.home / "away"
        if is_mounted and away.exists():
            away.rename(self.house.root)
        elif not is_mounted and self.is_mounted:
            self.house.root.rename(away)

    @precondition(lambda self: self.is_mounted)
    @rule(number=st.integers(0, 7))
    def take_back(self, number: int) -> None:
        """A producer removes a file and its trigger before it is in the archive."""
        name = list(_contents())[number]
        path = self._path(name)
        trigger = path.with_name(f"{path.name}.trigger")
        if name in self.written and path.exists() and os.path.lexists(trigger) and not self._registered(name):
            trigger.unlink()
            path.unlink()
            del self.written[name]

    @precondition(lambda self: self.is_mounted)
    @rule(number=st.integers(0, 7))
    def release_from_quarantine(self, number: int) -> None:
        """An operator gives a file back to the daemon."""
        quarantine = self.house.bdms.quarantine.at()
        cases = quarantine.cases()
        if cases:
            # What was released before may lie there, not yet taken away again.
            with suppress(UsageError):
                restore(
                    quarantine,
                    cases[number % len(cases)],
                    OperatorAction.now("release", self.house.clock.now(), "again"),
                )

    @rule()
    def copies_arrive(self) -> None:
        self.archive.transfer()

    # --- what holds --------------------------------------------------------------------------------------------------

    def _registered(self, name: str) -> bool:
        return bool(InMemoryCatalogue.files(self.archive, [Lfn(name)]))

    def teardown(self) -> None:
        """Let everything work, and look whether everything is where it belongs."""
        try:
            self.archive_is_out(is_down=False)
            self.journal_is_full(is_full=False)
            self.storage_is_away(is_mounted=True)
            self.archive.dies = ""
            self._come_to_rest()
            self._check()
        finally:
            self.house.journal.close()
            self.lease.close()
            self.threads.shutdown()
            shutil.rmtree(self.home)

    def _come_to_rest(self) -> None:
        for _ in range(60):
            self.house.turn(12, seconds=1.0)
            self.house.turn(2, seconds=61.0)
            self.archive.transfer()
            triggers = list(self.house.root.rglob("*.trigger"))
            if not triggers and not any(self.house.journal.tallies()[state].files for state in OPEN):
                self.house.turn(2, seconds=61.0)
                return
        raise AssertionError((self.house.states(), self.house.journal.waiting(), triggers))

    def _check(self) -> None:
        cases = {case.lfn: case for case in self.house.bdms.quarantine.cases()}
        for name, is_sound in self.written.items():
            entry = self.house.journal.entry(self._path(name))
            archived = self.archive.files([Lfn(name)]).get(Lfn(name))
            if is_sound:
                assert archived is not None, f"{name} is not in the archive"
                (block,) = (did for did in archived.datasets if is_block(did.name))
                assert not self.archive.blocks("acada", block.name)[0].is_open
                rules = self.archive.rules("acada", [block.name])[block.name]
                assert len(rules) == 3
                assert all(rule.state is RuleState.OK for rule in rules)
                assert self._path(name).read_bytes() == _contents()[name][0]
            else:
                assert archived is None
                assert Lfn(name) in cases, f"{name} is not in quarantine"
            right = FileState.REPLICATED if is_sound else FileState.QUARANTINED
            assert entry is None or entry.state is right, f"{name} is {entry.state}, not {right}"
        for name in _contents().keys() - self.written.keys():
            assert not self._registered(name), f"{name} was taken back and is in the archive"


TestDaemon = Daemon.TestCase
TestDaemon.settings = settings(
    max_examples=60,
    stateful_step_count=25,
)
