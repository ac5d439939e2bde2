"""The plan puts files into blocks, and rejects others."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.ingest.samples import NOW, carry_out, make_archive, make_item, make_plan

from ctao_bdms.ingest import BlockLimits, plan
from ctao_bdms.model import Defect, DefectKind, ProductMetadata, RetentionClass, Site
from ctao_bdms.naming import BlockName
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from pathlib import Path


def test_registered_files_are_not_planned_again(root: Path) -> None:
    archive, items = make_archive(root), [make_item(number) for number in range(5)]
    first = make_plan(items, archive)
    assert [len(block.files) for block in first.blocks] == [5]
    carry_out(first, archive)
    second = make_plan([*items, make_item(7)], archive)
    assert tuple(second.known) == tuple(item.file.lfn for item in items)
    assert [file.lfn for block in second.blocks for file in block.files] == [make_item(7).file.lfn]


def test_blocks_respect_their_limits_and_hold_one_night(root: Path) -> None:
    items = [make_item(n, size_bytes=40, night=f"2026-11-2{1 + n % 2}") for n in range(20)]
    by_count = make_plan(items, make_archive(root), BlockLimits(files=4))
    assert [len(block.files) for block in by_count.blocks] == [4, 4, 2, 4, 4, 2]
    by_size = make_plan(items, make_archive(root), BlockLimits(size_bytes=100))
    assert {len(block.files) for block in by_size.blocks} == {2}
    assert len({block.did for block in by_size.blocks}) == len(by_size.blocks)
    for block in by_count.blocks:
        assert len({file.metadata["instance__observing_night"] for file in block.files}) == 1
    one_large = make_plan([make_item(0, size_bytes=1000)], make_archive(root), BlockLimits(size_bytes=100))
    assert len(one_large.blocks) == 1


def test_blocks_hold_one_retention_class(root: Path) -> None:
    archive, tokens = make_archive(root), itertools.count()
    items = [
        attrs.evolve(
            make_item(n),
            metadata=ProductMetadata({"instance__observing_night": "2026-11-21", "data__level": f"DL{n % 2}"}),
        )
        for n in range(6)
    ]
    made = plan(
        items,
        {},
        rse="CTAO-NORTH-ONSITE",
        site=Site.NORTH,
        now=NOW,
        token=lambda: f"{next(tokens):08x}",
        retention_of=Policy.load().retention_of,
    )
    held = {BlockName.parse(block.did.name).retention: block.files for block in made.blocks}
    levels = {name: {file.metadata["data__level"] for file in files} for name, files in held.items()}
    assert levels == {RetentionClass.PERMANENT: {"DL0"}, RetentionClass.SHORT_TERM: {"DL1"}}
    assert len(made.blocks) == 2
    carry_out(made, archive)


def test_other_content_of_a_known_name_is_a_conflict(root: Path) -> None:
    archive = make_archive(root)
    carry_out(make_plan([make_item(0)], archive), archive)
    for other in (make_item(0, adler32="deadbeef"), make_item(0, size_bytes=101)):
        made = make_plan([other], archive)
        (reject,) = made.rejected
        assert (made.blocks, made.known, reject.quarantine) == ((), {}, True)
        assert [defect.kind for defect in reject.defects] == [DefectKind.CONFLICT]


def test_archived_file_is_never_quarantined(root: Path) -> None:
    archive, item = make_archive(root), make_item(0)
    made = make_plan([item], archive)
    carry_out(made, archive)
    stricter = attrs.evolve(item, defects=(Defect(DefectKind.MISSING_METADATA, "a key is missing"),))
    again = make_plan([stricter], archive)
    assert (tuple(again.known.values()), again.rejected, again.blocks) == ((made.blocks[0].did,), (), ())
    other = attrs.evolve(make_item(0, adler32="deadbeef"), defects=stricter.defects)
    (reject,) = make_plan([other], archive).rejected
    assert reject.quarantine


def test_archived_file_in_no_block_is_not_quarantined(root: Path) -> None:
    archive, item = make_archive(root), make_item(0)
    (block,) = make_plan([item], archive).blocks
    archive.ensure_directories([file.lfn for file in block.files])
    elsewhere = attrs.evolve(block.did, name="/ctao/acada/mine")
    archive.open_block(elsewhere)
    archive.register(elsewhere, "CTAO-NORTH-ONSITE", block.files)
    (reject,) = make_plan([attrs.evolve(item, defects=(Defect(DefectKind.CORRUPT, "bad"),))], archive).rejected
    assert not reject.quarantine


@pytest.mark.parametrize(
    ("kind", "quarantine"),
    [
        (DefectKind.CORRUPT, True),
        (DefectKind.INVALID_NAME, True),
        (DefectKind.OUTSIDE_ROOT, False),
        (DefectKind.MISSING, False),
        (DefectKind.CHANGING, False),
        (DefectKind.UNREADABLE, False),
    ],
)
def test_only_bad_files_inside_the_root_are_quarantined(root: Path, kind: DefectKind, quarantine: bool) -> None:
    item = make_item(0)
    defects = (Defect(kind, "so it is"),)
    bad = attrs.evolve(item, defects=defects, file=attrs.evolve(item.file, defects=defects))
    (reject,) = make_plan([bad, make_item(1)], make_archive(root)).rejected
    assert reject.quarantine is quarantine
