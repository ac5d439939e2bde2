"""Recovery with a new journal: complete, at a cost that does not grow with the archive."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.house import context_of

from ctao_bdms import replication
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.daemon import recovery
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config.settings import Settings, Storage
from ctao_bdms.daemon.recovery import recover
from ctao_bdms.journal import FileState, Journal
from ctao_bdms.model import Night, ProductMetadata, Registration, RetentionClass, Rse, Site
from ctao_bdms.naming import BlockName
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE
from ctao_bdms.testing.dl0 import night_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.model import ArchivedFile, Block, Did, Lfn, Rule

SETTINGS = Settings(storage=Storage(root=Path("/onsite"), rse=ONSITE, site=Site.NORTH))
TODAY = dt.date(2036, 3, 2)
NOW = dt.datetime.combine(TODAY, dt.time(23), dt.UTC)


class Archive(InMemoryCatalogue):
    """An archive that counts questions and rows."""

    def __init__(self, root: Path) -> None:
        onsite = Rse(name=ONSITE, prefix=str(root), site="CTAO-North")
        centres = [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in ("PIC", "CSCS")]
        self.time = NOW
        super().__init__([onsite, *centres], now=lambda: self.time)
        self.questions = self.rows = 0

    def _count(self, rows: int) -> None:
        self.questions += 1
        self.rows += rows

    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        found = super().blocks(scope, pattern, opened_since=opened_since)
        self._count(len(found))
        return found

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        found = super().rules(scope, names)
        self._count(sum(map(len, found.values())))
        return found

    def unfulfilled(self, scope: str) -> AbstractSet[Did]:
        found = super().unfulfilled(scope)
        self._count(len(found))
        return found

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        found = super().files(lfns)
        self._count(len(found))
        return found

    def fill(self, days_ago: int, *, opened_days_ago: int | None = None, count: int = 1) -> Did:
        """Register files of a night in an open block."""
        night = Night(TODAY - dt.timedelta(days=days_ago))
        self.time = NOW - dt.timedelta(days=days_ago if opened_days_ago is None else opened_days_ago)
        block = BlockName(
            vo="ctao",
            scope="acada",
            site=Site.NORTH,
            night=night,
            retention=RetentionClass.PERMANENT,
            opened=self.time,
            token="0123abcd",
        ).did
        lfns = [spec.lfn for spec in night_specs(count, night=night)]
        metadata = ProductMetadata({"instance__observing_night": night.date})
        self.open_block(block)
        self.ensure_directories(lfns)
        common: dict[str, Any] = {"size_bytes": 2880, "adler32": "00000001", "metadata": metadata}
        self.register(block, ONSITE, [Registration(lfn=lfn, **common) for lfn in lfns])
        self.time = NOW
        return block

    def complete(self) -> None:
        """Close all blocks and have all copies made."""
        for _ in range(3):
            replication.Replication(self, replication.Policy.load(), lambda: NOW).reconcile(
                "acada", "*", abandoned_after=dt.timedelta.min
            )
            self.transfer()


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    journals: list[Journal] = []

    def new() -> Journal:
        journals.append(Journal(tmp_path / f"{len(journals)}.sqlite", by="test", now=lambda: NOW))
        return journals[-1]

    yield new
    for journal in journals:
        journal.close()


def _recover(
    archive: Archive, journal: Journal, *, now: dt.datetime = NOW, alive: Callable[[], None] = lambda: None
) -> None:
    """Recover with the built-in policy and settings."""
    context = context_of(lambda: SETTINGS, journal, Clocks(now=lambda: now))
    recover(context, archive, policy=Policy.load(), alive=alive)


def asked(archive: Archive, journal: Journal) -> tuple[int, int]:
    """Recover, and return how many questions were asked, and how many rows came."""
    archive.questions = archive.rows = 0
    _recover(archive, journal)
    return archive.questions, archive.rows


def test_the_years_cost_nothing(tmp_path: Path, open_journal: Callable[[], Journal]) -> None:
    young, old = Archive(tmp_path), Archive(tmp_path)
    for archive, days in ((young, 40), (old, 400)):
        for day in range(days):
            archive.fill(day)
        archive.complete()
    first, second = asked(young, open_journal()), asked(old, open_journal())
    assert first == second
    assert first[0] == 3, "blocks, rules, and rules that are not fulfilled"
    assert first[1] == 8 * (1 + 3), "blocks of eight days, with three rules each"


@pytest.mark.parametrize("days_ago", [1, 25, 700])
def test_open_block_of_any_age_is_closed(tmp_path: Path, open_journal: Callable[[], Journal], days_ago: int) -> None:
    archive, journal = Archive(tmp_path), open_journal()
    for day in (3, 300, 701):
        archive.fill(day)
    archive.complete()
    block = archive.fill(days_ago, opened_days_ago=1)
    _recover(archive, journal)
    (closed,) = archive.blocks("acada", block.name)
    assert not closed.is_open
    assert len(archive.rules("acada", [block.name])[block.name]) == 2, "on site, and at the first centre"
    assert journal.blocks(FileState.REGISTERED) == [block]


def test_block_that_a_job_fills_stays_open(tmp_path: Path, open_journal: Callable[[], Journal]) -> None:
    archive, journal = Archive(tmp_path), open_journal()
    name = archive.fill(1).name
    (ours,) = archive.blocks("acada", name)
    archive.set_block(attrs.evolve(ours, account="wms"))
    _recover(archive, journal)
    (block,) = archive.blocks("acada", name)
    assert block.is_open


def test_copies_that_are_on_their_way_are_followed(tmp_path: Path, open_journal: Callable[[], Journal]) -> None:
    archive, journal = Archive(tmp_path), open_journal()
    block = archive.fill(300)
    replication.Replication(archive, replication.Policy.load(), lambda: NOW).reconcile(
        "acada", "*", abandoned_after=dt.timedelta.min
    )
    _recover(archive, journal)
    assert journal.blocks(FileState.REGISTERED) == [block]


def test_a_journal_that_was_lost_long_ago_is_filled_from_the_days_before(
    tmp_path: Path, open_journal: Callable[[], Journal]
) -> None:
    """The archive did not answer for a month: nobody made a rule for the block meanwhile, by which it were found."""
    archive, journal = Archive(tmp_path), open_journal()
    block = archive.fill(0)
    archive.close_block(block)
    later = NOW + dt.timedelta(days=30)
    _recover(archive, journal, now=later)
    assert journal.blocks(FileState.REGISTERED) == [block]
    assert journal.lacking_since is None


def test_a_recovery_shows_that_it_lives_between_its_steps(
    tmp_path: Path, open_journal: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_CHUNK", 2)
    archive, journal = Archive(tmp_path), open_journal()
    for day in (1, 2):
        archive.fill(day, count=5)
    steps = 0

    def alive() -> None:
        nonlocal steps
        steps += 1
        assert archive.questions <= 6, "so much is asked at once"
        archive.questions = 0

    _recover(archive, journal, alive=alive)
    assert journal.tallies()[FileState.REGISTERED].files == 10
    assert steps >= 2 + 2 * 3, "two rules at least, and three portions of files of each night"
