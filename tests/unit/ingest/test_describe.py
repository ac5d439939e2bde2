"""Files are described by name and content, with their defects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from astropy.io import fits
from tests.unit.ingest.samples import FOLDER, NAME, make_archive, make_plan

from ctao_bdms.inbox import survey
from ctao_bdms.ingest import CheckPolicy, Described, Severity
from ctao_bdms.ingest.describe import describe
from ctao_bdms.integrity import scan
from ctao_bdms.model import DefectKind
from ctao_bdms.testing.damage import Damage, damage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctao_bdms.testing.dl0 import WrittenFile


def _describe(root: Path, path: Path) -> Described:
    (file,) = survey([path], root)
    return describe(file, None if file.defects else scan(file.path))


def test_sound_file_has_no_defects(root: Path, night: Sequence[WrittenFile]) -> None:
    for written in night:
        described = _describe(root, written.path)
        assert described.defects == ()
        assert described.file.lfn == written.lfn
        assert described.metadata["instance__obs_id"] == written.spec.obs_id
        assert described.metadata["acquisition__sb_id"] == written.spec.sb_id
        assert described.metadata["instance__observing_night"] == written.spec.night.date
        assert described.metadata["observation__coverage__time__t_min"] == written.spec.start
        assert described.metadata["observation__coverage__time__t_max"] == written.spec.stop
        assert described.metadata["integrity__sha256"] == written.sha256


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Damage.BIT_FLIP, {DefectKind.CORRUPT}),
        (Damage.TRUNCATED, {DefectKind.TRUNCATED}),
        (Damage.CUT_AT_BORDER, {DefectKind.STRUCTURE}),
        (Damage.WRONG_NAME, {DefectKind.NAME_MISMATCH}),
        (Damage.MISSING_HEADERS, {DefectKind.MISSING_METADATA}),
        (Damage.EMPTY, {DefectKind.EMPTY}),
        (Damage.GARBAGE, {DefectKind.NOT_A_PRODUCT}),
        (Damage.TRAILING_BYTES, {DefectKind.TRAILING_BYTES}),
    ],
)
@pytest.mark.parametrize("which", [0, 2, 3], ids=["telescope", "subarray", "trigger"])
def test_each_damage_has_its_own_kind_of_defect(
    root: Path, night: Sequence[WrittenFile], kind: Damage, expected: set[DefectKind], which: int
) -> None:
    damage(night[which].path, kind, seed=which)
    described = _describe(root, night[which].path)
    assert {defect.kind for defect in described.defects} == expected


def test_wrong_folder_is_a_mismatch(root: Path, night: Sequence[WrittenFile]) -> None:
    lfn = str(night[0].lfn)
    for wrong in (lfn.replace("/LSTN-01/", "/LSTN-03/"), lfn.replace("/2026/11/21/", "/2026/11/20/")):
        place = root / wrong[1:]
        place.parent.mkdir(parents=True)
        place.write_bytes(night[0].path.read_bytes())
        assert {defect.kind for defect in _describe(root, place).defects} == {DefectKind.NAME_MISMATCH}


def test_time_before_all_nights_is_a_mismatch(root: Path, night: Sequence[WrittenFile]) -> None:
    place = night[0].path.with_name(night[0].path.name.replace("_20261121T210000_", "_00010101T000000_"))
    night[0].path.rename(place)
    assert {defect.kind for defect in _describe(root, place).defects} == {DefectKind.NAME_MISMATCH}


def test_all_defects_are_reported_at_once(root: Path, night: Sequence[WrittenFile]) -> None:
    damage(night[0].path, Damage.MISSING_HEADERS)
    damage(night[0].path, Damage.TRAILING_BYTES)
    place = night[0].path.with_name("TEL001_wrong.fits.fz")
    night[0].path.rename(place)
    kinds = {defect.kind for defect in _describe(root, place).defects}
    assert kinds == {DefectKind.INVALID_NAME, DefectKind.MISSING_METADATA, DefectKind.TRAILING_BYTES}


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("OBSID20002516", "OBSID20002519", "obs_id"),
        ("SBID20002516", "SBID20002519", "sb_id"),
        ("CHUNK000", "CHUNK001", "chunk"),
        ("SDH0001", "SDH0002", "source"),
        ("T210000", "T210001", "start"),
        ("TEL001", "TEL002", "element"),
        ("2026/11/21", "2026/11/20", "night"),
    ],
)
def test_policy_decides_how_serious_a_mismatch_is(
    root: Path, night: Sequence[WrittenFile], old: str, new: str, check: str
) -> None:
    place = root / str(night[0].lfn)[1:].replace(old, new)
    place.parent.mkdir(parents=True, exist_ok=True)
    night[0].path.rename(place)
    (file,) = survey([place], root)
    facts = scan(place)
    strict = describe(file, facts)
    assert {defect.kind for defect in strict.defects} == {DefectKind.NAME_MISMATCH}
    assert strict.warnings == ()
    for severity, expected in ((Severity.WARNING, strict.defects), (Severity.IGNORE, ())):
        mild = describe(file, facts, CheckPolicy(**{check: severity}))
        assert (mild.defects, mild.warnings) == ((), expected)
    others = {field.name: Severity.IGNORE for field in attrs.fields(CheckPolicy) if field.name != check}
    assert describe(file, facts, CheckPolicy(**others)).defects == strict.defects


@pytest.mark.parametrize(
    ("kind", "keywords", "check", "said"),
    [
        (
            "DL0v1 Trigger",
            {},
            "kind",
            "these are DL0v1 Telescope data, the tables are DL0v1 Trigger",
        ),
        ("", {"DATAASSO": "Subarray"}, "kind", "data__association = Subarray, but its tables are DL0v1 Telescope"),
        ("", {"DATE-END": "2026-11-21T20:59:59"}, "order", "before they begin"),
    ],
)
def test_structure_and_times_must_agree(
    root: Path, night: Sequence[WrittenFile], kind: str, keywords: dict[str, str], check: str, said: str
) -> None:
    (file,) = survey([night[0].path], root)
    facts = scan(night[0].path)
    changed = attrs.evolve(facts, kind=kind or facts.kind, keywords={**facts.keywords, **keywords})
    strict = describe(file, changed)
    assert any(said in defect.message for defect in strict.defects)
    mild = describe(file, changed, CheckPolicy(**{check: Severity.WARNING}))
    assert (mild.defects, mild.warnings) == ((), strict.defects)


def test_file_of_unknown_format_needs_its_metadata(root: Path) -> None:
    place = root / FOLDER / NAME.format(0).replace(".fits.fz", ".nc")
    place.write_bytes(b"Wikipedia")
    (file,) = survey([place], root)
    facts = attrs.evolve(scan(place), format="opaque", defects=())  # as of an end that no format knows
    described = describe(file, facts)
    assert {defect.kind for defect in described.defects} == {DefectKind.MISSING_METADATA}
    assert make_plan([described], make_archive(root)).blocks == ()


def test_datasums_of_all_hdus_are_in_the_metadata(root: Path, night: Sequence[WrittenFile]) -> None:
    sums = str(_describe(root, night[0].path).metadata["integrity__datasums"]).split(" ")
    with fits.open(night[0].path) as hdus:
        assert sums == [hdu.header["DATASUM"].strip() for hdu in hdus]
