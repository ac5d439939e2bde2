"""Batches, their size, the blocks that they go into, and who keeps them open."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import given

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import (
    BlockClosedError,
    CatalogueError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from ctao_bdms.inbox import survey
from ctao_bdms.ingest import Batches, BlockLimits, BlockPolicy, Described, Registrar, Status
from ctao_bdms.ingest.batches import BatchSize, Refused
from ctao_bdms.ingest.open_blocks import OpenBlock
from ctao_bdms.ingest.read import read_all
from ctao_bdms.model import DefectKind, Did, Night, Registration, RetentionClass, Rse, Site
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctao_bdms.ingest import Outcome

NOW = dt.datetime(2026, 11, 21, 23, tzinfo=dt.UTC)


class Picky(InMemoryCatalogue):
    """An archive that refuses batches with certain files, and counts what it is asked for."""

    def __init__(self, root: str = "/onsite") -> None:
        super().__init__(
            [
                Rse(name=ONSITE, prefix=root, site="CTAO-North"),
                Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
                Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
            ]
        )
        self.refused: dict[str, CatalogueError] = {}
        self.sizes: list[int] = []

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        self.sizes.append(len(files))
        for file in files:
            if file.lfn.name in self.refused:
                raise self.refused[file.lfn.name]
        super().register(block, rse, files)


@pytest.fixture
def archive() -> Picky:
    return Picky()


def _files(count: int) -> list[Registration]:
    return [registration("acada", number) for number in range(count)]


def _register(
    archive: Picky, files: Sequence[Registration], size: int = 1000
) -> tuple[list[Registration], list[Refused]]:
    """Register files in a new block; return what went in and what did not."""
    block = block_of("acada")
    archive.open_block(block)
    good: list[Registration] = []
    bad: list[Refused] = []
    for part in Batches(archive, BatchSize(files=size)).register(block, ONSITE, files):
        if isinstance(part, Refused):
            bad.append(part)
        else:
            good += part
    return good, bad


# --- bisection -------------------------------------------------------------------------------------------------------


def test_bad_files_are_found_by_halves_and_the_rest_goes_through(archive: Picky) -> None:
    files = _files(300)
    archive.refused[files[77].lfn.name] = RefusedError("telescope 77 is no such thing")
    archive.ensure_directories([files[200].lfn])
    archive.open_block(block_of("acada", "0000000f"))
    other = registration("acada", 200, adler32="deadbeef")
    archive.register(block_of("acada", "0000000f"), ONSITE, [other])
    archive.sizes.clear()
    good, bad = _register(archive, files)
    assert [(each.file, each.defect.kind, each.is_its_own_fault) for each in bad] == [
        (files[77], DefectKind.CATALOGUE, True),
        (files[200], DefectKind.CONFLICT, True),
    ]
    assert "telescope 77 is no such thing" in bad[0].defect.message
    assert {file.lfn for file in good} == {file.lfn for file in files} - {files[77].lfn, files[200].lfn}
    assert len(archive.files([file.lfn for file in good])) == 298
    assert len(archive.sizes) < 40


@given(bad=st.sets(st.integers(0, 39), max_size=7), size=st.integers(1, 50))
def test_exactly_the_bad_ones_stay_out_whatever_the_size(bad: set[int], size: int) -> None:
    archive, files = Picky(), _files(40)
    for number in bad:
        archive.refused[files[number].lfn.name] = RefusedError("no")
    good, refused = _register(archive, files, size)
    assert good == [file for number, file in enumerate(files) if number not in bad]
    assert [each.file for each in refused] == [file for number, file in enumerate(files) if number in bad]


@pytest.mark.parametrize("error", [ForbiddenError("may not"), BlockClosedError("closed"), UnreachableError("down")])
def test_what_concerns_all_is_raised_and_never_halved(archive: Picky, error: CatalogueError) -> None:
    files = _files(20)
    archive.refused[files[3].lfn.name] = error
    with pytest.raises(type(error)):
        _register(archive, files)
    assert archive.sizes == [20]


def test_a_conflict_that_is_no_other_content_is_not_the_files_fault(archive: Picky) -> None:
    """A directory that somebody has closed refuses files as other content does; they are not bad."""
    files = _files(4)
    archive.refused[files[2].lfn.name] = ConflictError("the directory is closed")
    _, (refused,) = _register(archive, files)
    assert (refused.is_its_own_fault, refused.defect.kind) == (False, DefectKind.CATALOGUE)


def test_a_catalogue_that_takes_nothing_is_not_asked_file_by_file(archive: Picky) -> None:
    files = _files(500)
    archive.refused = {file.lfn.name: CatalogueError("the table is gone") for file in files}
    good, bad = _register(archive, files)
    assert not good
    assert [each.file for each in bad] == files
    assert not any(each.is_its_own_fault for each in bad)
    assert len(archive.sizes) < 40


@pytest.mark.parametrize("error", [RefusedError("no such column"), CatalogueError("the table is gone")])
def test_who_refuses_everything_blames_no_file_and_is_tried_with_one(archive: Picky, error: CatalogueError) -> None:
    files, block = _files(39), block_of("acada")
    archive.open_block(block)
    batches = Batches(archive)
    archive.refused = {file.lfn.name: error for file in files}
    parts = list(batches.register(block, ONSITE, files))
    assert [part.file for part in parts if isinstance(part, Refused) and not part.is_its_own_fault] == files
    archive.sizes.clear()
    assert len(list(batches.register(block, ONSITE, files))) == 39
    assert archive.sizes == [1]
    archive.refused = {files[3].lfn.name: error}
    again = list(batches.register(block, ONSITE, files))
    blamed = [part.file for part in again if isinstance(part, Refused) and part.is_its_own_fault]
    assert blamed == ([files[3]] if isinstance(error, RefusedError) else [])
    assert not batches.rejects_all


def test_files_of_an_unknown_scope_do_not_stop_the_others(archive: Picky) -> None:
    strangers = [registration("nobodys", number) for number in range(3)]
    good, bad = _register(archive, [*strangers, *_files(5)])
    assert (len(good), [each.file for each in bad]) == (5, strangers)
    assert all(isinstance(each.error, NotFoundError) and not each.is_its_own_fault for each in bad)


# --- the size --------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 1000), st.floats(0, 60)))),
    st.integers(1, 1000),
)
def test_a_batch_is_never_too_small_nor_too_large(answers: list[tuple[int, float] | None], begin: int) -> None:
    size = BatchSize(files=begin)
    for answer in answers:
        before = size
        size = size.after_failure() if answer is None else size.after_answer(*answer)
        assert 1 <= size.files <= 1000
        if answer is None or answer[1] > size.target_s:
            assert size.files <= max(1, before.files // 2)
        else:
            assert before.files <= size.files <= before.files + size.step


def test_the_size_comes_back_after_trouble(archive: Picky) -> None:
    ticks = iter([0.0, 1.0, 1.0, 11.0, 11.0, 12.0])
    batches = Batches(archive, BatchSize(files=100), monotonic=lambda: next(ticks))
    block = block_of("acada")
    archive.open_block(block)
    sizes = []
    for part in batches.register(block, ONSITE, _files(300)):
        assert isinstance(part, tuple)
        sizes.append((len(part), batches.size.files))
    assert sizes == [(100, 150), (150, 75), (50, 75)]
    archive.refused["file0000.fits.fz"] = UnreachableError("too slow")
    ticks = iter([0.0, 0.0])
    with pytest.raises(UnreachableError):
        list(batches.register(block, ONSITE, _files(1)))
    assert batches.size.files == 37


# --- blocks ----------------------------------------------------------------------------------------------------------


def _block(opened: dt.datetime, night: Night = NIGHT, n_files: int = 1, size_bytes: int = 1) -> OpenBlock:
    name = BlockName(
        vo="ctao",
        scope="acada",
        site=Site.NORTH,
        night=night,
        retention=RetentionClass.PERMANENT,
        opened=opened,
        token="00000001",
    )
    return OpenBlock(did=name.did, n_files=n_files, size_bytes=size_bytes)


NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("block", "now", "closes"),
    [
        (_block(NOW), NOW, False),
        (_block(NOW), NOW + dt.timedelta(seconds=59), False),
        (_block(NOW), NOW + dt.timedelta(seconds=60), True),
        (_block(NOW), NOW - dt.timedelta(hours=1), True),
        (_block(NOW, n_files=10), NOW, True),
        (_block(NOW, size_bytes=1000), NOW, False),
        (_block(NOW, size_bytes=1001), NOW, True),
        (_block(NOON - dt.timedelta(hours=1, seconds=1)), NOON + dt.timedelta(hours=2), True),
        (_block(NOON + dt.timedelta(hours=5)), NOON + dt.timedelta(hours=5, seconds=30), False),
    ],
    ids=["new", "young", "old", "clock went back", "count", "just fits", "size", "night over", "late files"],
)
def test_when_a_block_is_closed(block: OpenBlock, now: dt.datetime, closes: bool) -> None:
    assert BlockPolicy(limits=BlockLimits(files=10, size_bytes=1000)).closes(block, now) is closes


def test_the_end_of_the_night_closes_a_young_block() -> None:
    policy = BlockPolicy(age_s=1e9)
    opened = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
    assert not policy.closes(_block(opened), opened + dt.timedelta(hours=1))
    assert policy.closes(_block(opened), opened + dt.timedelta(hours=12))


# --- the registrar ---------------------------------------------------------------------------------------------------


class Place:
    """A storage with a night on it, an archive, and a registrar whose clock can be set."""

    def __init__(self, root: Path, files: int) -> None:
        self.root = root
        self.archive = Picky(str(root))
        self.now = NOW
        self.written = write_night(root, night_specs(files, telescopes=1, megabytes=0.001))
        self.registrar = Registrar(
            self.archive,
            self.archive.rses()[ONSITE],
            policy=BlockPolicy(limits=BlockLimits(files=4)),
            now=lambda: self.now,
        )

    def items(self, begin: int, end: int) -> list[Described]:
        return read_all(survey([written.path for written in self.written[begin:end]], self.root))

    def blocks(self) -> dict[Did, tuple[bool, int]]:
        return {block.did: (block.is_open, block.n_files) for block in self.archive.blocks("acada", "*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "onsite", 9)


def test_a_block_stays_open_between_batches_until_it_is_full_or_old(place: Place) -> None:
    place.registrar.take(place.items(0, 2))
    (first,) = place.blocks()
    assert place.blocks() == {first: (True, 2)}
    assert place.registrar.close() == ()
    report = place.registrar.take(place.items(2, 7))
    assert [outcome.status for outcome in report] == [Status.REGISTERED] * 5
    assert sorted(place.blocks().values()) == [(False, 5), (True, 3)]
    assert place.registrar.close() == (first,)
    place.now += dt.timedelta(seconds=60)
    (second,) = place.registrar.close()
    assert place.blocks() == {first: (False, 5), second: (False, 4)}
    place.registrar.take(place.items(7, 9))
    (third,) = place.registrar.close(everything=True)
    assert place.blocks()[third] == (False, 3)  # two files and the manifest
    assert (place.registrar.open_blocks, place.registrar.close()) == ((), ())


def test_what_was_not_answered_is_fenced_before_anything_else(place: Place) -> None:
    """The request was carried out after all, long after it was given up: it must not put files into two blocks."""
    late: list[tuple[Did, str, Sequence[Registration]]] = []
    take, items = place.archive.register, place.items(0, 3)

    def under_way(block: Did, rse: str, files: Sequence[Registration]) -> None:
        late.append((block, rse, files))
        raise UnreachableError("timed out")

    place.archive.register = under_way  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        place.registrar.take(items)
    place.archive.register = take  # type: ignore[method-assign]
    place.registrar.take(items)
    with pytest.raises(BlockClosedError):
        place.archive.register(*late[0])
    for file in place.archive.files(w.lfn for w in place.written[:3]).values():
        assert len([did for did in file.datasets if is_block(did.name)]) == 1


def test_a_block_stays_open_as_long_as_the_storage_takes_no_manifest(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.registrar.take(place.items(0, 3))
    (block,) = place.blocks()
    place.now += dt.timedelta(seconds=60)
    hidden = place.root.rename(place.root.with_name("hidden"))
    for _ in range(3):
        assert place.registrar.close() == ()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "stays open: writing the manifest of a block failed" in caplog.text
    assert place.blocks() == {block: (True, 3)}
    at_once = dt.timedelta.min
    assert not Replication(place.archive, Policy.load(), lambda: place.now).reconcile(
        "acada", "*/blocks/*", abandoned_after=at_once
    )
    assert f"block {block} stays open" in caplog.text
    hidden.rename(place.root)
    assert place.registrar.close() == (block,)
    assert place.blocks() == {block: (False, 4)}


def test_a_block_that_somebody_else_has_closed_is_replaced(place: Place) -> None:
    place.registrar.take(place.items(0, 2))
    (block,) = place.blocks()
    place.archive.close_block(block)
    with pytest.raises(BlockClosedError):
        place.registrar.take(place.items(2, 4))
    assert [outcome.status for outcome in place.registrar.take(place.items(2, 4))] == [Status.REGISTERED] * 2
    assert place.registrar.close() == (block,)
    assert len(place.registrar.open_blocks) == 1


def test_what_was_done_before_an_error_is_told(place: Place) -> None:
    place.archive.refused[place.written[8].path.name] = UnreachableError("down")
    told: list[Outcome] = []
    with pytest.raises(UnreachableError):
        place.registrar.take(place.items(0, 9), told.append)
    assert len(told) == 8
    assert not any(written.trigger.is_symlink() for written in place.written[:8])
    assert place.written[8].trigger.is_symlink()
    place.archive.refused.clear()
    report = place.registrar.take(place.items(0, 9))
    assert [outcome.status for outcome in report] == [*[Status.KNOWN] * 8, Status.REGISTERED]
    # Whoever was not told of the first answer must know where the files are, to see to their copies.
    assert {outcome.block for outcome in report[:8]} <= set(place.blocks())


def test_a_file_that_the_catalogue_refuses_goes_to_quarantine_with_its_words(place: Place) -> None:
    place.archive.refused[place.written[1].path.name] = RefusedError("obs_id is too large")
    place.archive.refused[place.written[2].path.name] = CatalogueError("try somewhere else")
    first, second, third = place.registrar.take(place.items(0, 3))
    assert first.status is Status.REGISTERED
    assert (second.status, second.defects[0].message) == (Status.QUARANTINED, "obs_id is too large")
    assert second.case is not None
    assert (third.status, third.path.exists()) == (Status.REFUSED, True)
    assert place.written[2].trigger.is_symlink()
