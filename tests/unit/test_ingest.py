"""The rooms of ingest, each by itself: what lies there, what it is, what is to be done, and doing it."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from astropy.io import fits

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.inbox import LocalFile, survey
from ctao_bdms.ingest import BlockLimits, CheckPolicy, Described, Plan, Severity, Status, plan
from ctao_bdms.ingest.describe import describe
from ctao_bdms.integrity import scan
from ctao_bdms.model import Defect, DefectKind, FileFacts, Lfn, ProductMetadata, RetentionClass, Rse, Site
from ctao_bdms.naming import BlockName
from ctao_bdms.quarantine import OperatorAction, Quarantine, restore
from ctao_bdms.replication import Policy, ProductEntry
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
FOLDER = "ctao/acada/DL0/LSTN-01/u/events/2026/11/21"
NAME = "TEL001_SDH0001_20261121T221500_SBID2_OBSID2_CHUNK{:03d}.fits.fz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "onsite" / FOLDER).mkdir(parents=True)
    return tmp_path / "onsite"


@pytest.fixture
def night(root: Path) -> list[WrittenFile]:
    return write_night(root, night_specs(6, telescopes=2, megabytes=0.1))


def _archive(root: Path) -> InMemoryCatalogue:
    return InMemoryCatalogue(
        [
            Rse(name="CTAO-NORTH-ONSITE", prefix=str(root), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
            Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
        ]
    )


# --- the inbox -------------------------------------------------------------------------------------------------------


def test_a_directory_stands_for_its_triggers(root: Path) -> None:
    folder = root / FOLDER
    for number in range(3):
        (folder / NAME.format(number)).write_bytes(b"x")
    (folder / (NAME.format(0) + ".trigger")).symlink_to(NAME.format(0))
    (folder / (NAME.format(1) + ".trigger")).touch()
    (folder / ".trigger").touch()
    found = survey([root], root)
    assert [file.path.name for file in found] == [NAME.format(0), NAME.format(1)]
    assert all(file.trigger is not None and file.lfn is not None and not file.defects for file in found)


def test_a_file_a_trigger_and_a_directory_name_one_file_once(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    trigger = file.with_name(file.name + ".trigger")
    trigger.touch()
    (found,) = survey([file, trigger, root, file], root)
    assert (found.path, found.trigger) == (file, trigger)


def test_a_link_inside_the_root_stands_for_its_target(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    (root / "latest").symlink_to(root / FOLDER)
    (found,) = survey([root / "latest" / file.name], root)
    assert found.lfn == Lfn(f"/{FOLDER}/{file.name}")


@pytest.mark.parametrize("how", ["outside", "dots", "link out", "folder link out"])
def test_what_is_not_under_the_root_is_refused_and_left_alone(root: Path, tmp_path: Path, how: str) -> None:
    elsewhere = tmp_path / "elsewhere" / NAME.format(0)
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"x")
    link = root / FOLDER / elsewhere.name
    path = {
        "outside": elsewhere,
        "dots": root / FOLDER / ("../" * (FOLDER.count("/") + 2)) / "elsewhere" / elsewhere.name,
        "link out": link,
        "folder link out": root / "away" / elsewhere.name,
    }[how]
    link.symlink_to(elsewhere)
    (root / "away").symlink_to(elsewhere.parent)
    (found,) = survey([path], root)
    assert [defect.kind for defect in found.defects] == [DefectKind.OUTSIDE_ROOT]
    assert not found.is_ours
    assert elsewhere.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gone.fits.fz", DefectKind.MISSING),
        ("folder.fits.fz.trigger", DefectKind.NOT_A_FILE),
        ("pipe.fits.fz", DefectKind.NOT_A_FILE),
        ("sté.fits.fz", DefectKind.INVALID_NAME),
        ("a#b.fits.fz", DefectKind.INVALID_NAME),
        ("line\nbreak.fits.fz", DefectKind.INVALID_NAME),
    ],
)
def test_what_cannot_be_ingested_by_its_name_alone(root: Path, name: str, kind: DefectKind) -> None:
    folder = root / FOLDER
    (folder / "folder.fits.fz").mkdir()
    os.mkfifo(folder / "pipe.fits.fz")
    for text in ("sté.fits.fz", "a#b.fits.fz", "line\nbreak.fits.fz"):
        (folder / text).touch()
    (found,) = survey([folder / name], root)
    assert [defect.kind for defect in found.defects] == [kind]


# --- the description -------------------------------------------------------------------------------------------------


def _describe(root: Path, path: Path) -> Described:
    (file,) = survey([path], root)
    return describe(file, None if file.defects else scan(file.path))


def test_a_sound_file_is_described_without_defects(root: Path, night: Sequence[WrittenFile]) -> None:
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
def test_each_damage_is_told_by_its_own_kind(
    root: Path, night: Sequence[WrittenFile], kind: Damage, expected: set[DefectKind], which: int
) -> None:
    damage(night[which].path, kind, seed=which)
    described = _describe(root, night[which].path)
    assert {defect.kind for defect in described.defects} == expected


def test_a_file_of_another_night_or_telescope_is_told(root: Path, night: Sequence[WrittenFile]) -> None:
    lfn = str(night[0].lfn)
    for wrong in (lfn.replace("/LSTN-01/", "/LSTN-03/"), lfn.replace("/2026/11/21/", "/2026/11/20/")):
        place = root / wrong[1:]
        place.parent.mkdir(parents=True)
        place.write_bytes(night[0].path.read_bytes())
        assert {defect.kind for defect in _describe(root, place).defects} == {DefectKind.NAME_MISMATCH}


def test_a_time_before_all_nights_is_a_mismatch_and_no_accident(root: Path, night: Sequence[WrittenFile]) -> None:
    place = night[0].path.with_name(night[0].path.name.replace("_20261121T210000_", "_00010101T000000_"))
    night[0].path.rename(place)
    assert {defect.kind for defect in _describe(root, place).defects} == {DefectKind.NAME_MISMATCH}


def test_all_that_is_wrong_is_told_at_once(root: Path, night: Sequence[WrittenFile]) -> None:
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
def test_a_disagreement_is_as_serious_as_the_policy_says(
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
def test_structure_and_times_must_fit_too(
    root: Path, night: Sequence[WrittenFile], kind: str, keywords: dict[str, str], check: str, said: str
) -> None:
    (file,) = survey([night[0].path], root)
    facts = scan(night[0].path)
    changed = attrs.evolve(facts, kind=kind or facts.kind, keywords={**facts.keywords, **keywords})
    strict = describe(file, changed)
    assert any(said in defect.message for defect in strict.defects)
    mild = describe(file, changed, CheckPolicy(**{check: Severity.WARNING}))
    assert (mild.defects, mild.warnings) == ((), strict.defects)


def test_a_file_of_no_known_format_needs_its_metadata_like_any_other(root: Path) -> None:
    place = root / FOLDER / NAME.format(0).replace(".fits.fz", ".nc")
    place.write_bytes(b"Wikipedia")
    (file,) = survey([place], root)
    facts = attrs.evolve(scan(place), format="opaque", defects=())  # as of an end that no format knows
    described = describe(file, facts)
    assert {defect.kind for defect in described.defects} == {DefectKind.MISSING_METADATA}
    assert _plan([described], _archive(root)).blocks == ()


def test_warnings_are_in_the_report(root: Path, night: Sequence[WrittenFile]) -> None:
    place = night[0].path.with_name(night[0].path.name.replace("CHUNK000", "CHUNK007"))
    night[0].path.rename(place)
    (outcome,) = Bdms(_archive(root), policy=Policy.load()).ingest([place], checks=CheckPolicy(chunk=Severity.WARNING))
    assert outcome.status is Status.REGISTERED
    assert [defect.kind for defect in outcome.warnings] == [DefectKind.NAME_MISMATCH]


def test_the_sums_of_all_parts_are_kept(root: Path, night: Sequence[WrittenFile]) -> None:
    sums = str(_describe(root, night[0].path).metadata["integrity__datasums"]).split(" ")
    with fits.open(night[0].path) as hdus:
        assert sums == [hdu.header["DATASUM"].strip() for hdu in hdus]


# --- the plan --------------------------------------------------------------------------------------------------------


def _item(number: int, *, size_bytes: int = 100, adler32: str = "00000001", night: str = "2026-11-21") -> Described:
    folder = FOLDER.replace("2026/11/21", night.replace("-", "/"))
    lfn = Lfn(f"/{folder}/{NAME.format(number)}")
    facts = FileFacts(path=str(lfn), size_bytes=size_bytes, modified_ns=0, digests={"adler32": adler32})
    file = LocalFile(path=Path("/onsite") / str(lfn)[1:], lfn=lfn)
    return Described(file=file, facts=facts, metadata=ProductMetadata({"instance__observing_night": night}), defects=())


def _plan(items: Sequence[Described], archive: InMemoryCatalogue, limits: BlockLimits | None = None) -> Plan:
    tokens = (f"{number:08x}" for number in itertools.count())
    return plan(
        items,
        archive.files([item.file.lfn for item in items if item.file.lfn]),
        rse="CTAO-NORTH-ONSITE",
        site=Site.NORTH,
        now=NOW,
        token=lambda: next(tokens),
        limits=limits or BlockLimits(),
    )


def _carry_out(made: Plan, archive: InMemoryCatalogue) -> None:
    archive.ensure_directories([file.lfn for block in made.blocks for file in block.files])
    for block in made.blocks:
        archive.open_block(block.did)
        archive.register(block.did, made.rse, block.files)


def test_what_is_done_is_no_longer_in_the_plan(root: Path) -> None:
    archive, items = _archive(root), [_item(number) for number in range(5)]
    first = _plan(items, archive)
    assert [len(block.files) for block in first.blocks] == [5]
    _carry_out(first, archive)
    second = _plan([*items, _item(7)], archive)
    assert tuple(second.known) == tuple(item.file.lfn for item in items)
    assert [file.lfn for block in second.blocks for file in block.files] == [_item(7).file.lfn]


def test_blocks_respect_their_limits_and_hold_one_night(root: Path) -> None:
    items = [_item(n, size_bytes=40, night=f"2026-11-2{1 + n % 2}") for n in range(20)]
    by_count = _plan(items, _archive(root), BlockLimits(files=4))
    assert [len(block.files) for block in by_count.blocks] == [4, 4, 2, 4, 4, 2]
    by_size = _plan(items, _archive(root), BlockLimits(size_bytes=100))
    assert {len(block.files) for block in by_size.blocks} == {2}
    assert len({block.did for block in by_size.blocks}) == len(by_size.blocks)
    for block in by_count.blocks:
        assert len({file.metadata["instance__observing_night"] for file in block.files}) == 1
    one_large = _plan([_item(0, size_bytes=1000)], _archive(root), BlockLimits(size_bytes=100))
    assert len(one_large.blocks) == 1


def test_blocks_hold_one_retention_class(root: Path) -> None:
    archive, tokens = _archive(root), itertools.count()
    items = [
        attrs.evolve(
            _item(n),
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
    _carry_out(made, archive)


def test_the_policy_says_how_products_are_kept(root: Path, night: Sequence[WrittenFile]) -> None:
    entry = ProductEntry(retention=RetentionClass.SHORT_TERM)
    policy = attrs.evolve(Policy.load(), products=(entry,))
    terms = policy.retention(RetentionClass.SHORT_TERM)
    archive = _archive(root)
    (outcome,) = Bdms(archive, policy=policy).ingest([night[0].path])
    assert outcome.block is not None
    assert BlockName.parse(outcome.block.name).retention is RetentionClass.SHORT_TERM
    rules = archive.rules("acada", [outcome.block.name])[outcome.block.name]
    assert len(rules) == 1 + terms.copies
    assert {(rule.activity, rule.priority) for rule in rules} == {(terms.activity, terms.priority)}
    assert all(rule.expires is not None for rule in rules)


def test_other_content_under_a_known_name_is_a_conflict(root: Path) -> None:
    archive = _archive(root)
    _carry_out(_plan([_item(0)], archive), archive)
    for other in (_item(0, adler32="deadbeef"), _item(0, size_bytes=101)):
        made = _plan([other], archive)
        (reject,) = made.rejected
        assert (made.blocks, made.known, reject.quarantine) == ((), {}, True)
        assert [defect.kind for defect in reject.defects] == [DefectKind.CONFLICT]


def test_what_the_archive_holds_is_never_taken_from_it(root: Path) -> None:
    archive, item = _archive(root), _item(0)
    made = _plan([item], archive)
    _carry_out(made, archive)
    stricter = attrs.evolve(item, defects=(Defect(DefectKind.MISSING_METADATA, "a key is missing"),))
    again = _plan([stricter], archive)
    assert (tuple(again.known.values()), again.rejected, again.blocks) == ((made.blocks[0].did,), (), ())
    other = attrs.evolve(_item(0, adler32="deadbeef"), defects=stricter.defects)
    (reject,) = _plan([other], archive).rejected
    assert reject.quarantine


def test_what_the_archive_holds_in_no_block_stays_where_it_lies(root: Path) -> None:
    archive, item = _archive(root), _item(0)
    (block,) = _plan([item], archive).blocks
    archive.ensure_directories([file.lfn for file in block.files])
    elsewhere = attrs.evolve(block.did, name="/ctao/acada/mine")
    archive.open_block(elsewhere)
    archive.register(elsewhere, "CTAO-NORTH-ONSITE", block.files)
    (reject,) = _plan([attrs.evolve(item, defects=(Defect(DefectKind.CORRUPT, "bad"),))], archive).rejected
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
def test_only_what_is_ours_and_surely_bad_goes_to_quarantine(root: Path, kind: DefectKind, quarantine: bool) -> None:
    item = _item(0)
    defects = (Defect(kind, "so it is"),)
    bad = attrs.evolve(item, defects=defects, file=attrs.evolve(item.file, defects=defects))
    (reject,) = _plan([bad, _item(1)], _archive(root)).rejected
    assert reject.quarantine is quarantine


# --- the quarantine --------------------------------------------------------------------------------------------------


def test_quarantine_keeps_everything_and_never_overwrites(root: Path) -> None:
    bdms = Bdms(_archive(root), policy=Policy.load())
    cases = set()
    for content in (b"first", b"second"):
        file = root / FOLDER / NAME.format(0)
        file.write_bytes(content)
        file.with_name(file.name + ".trigger").symlink_to(file.name)
        (outcome,) = bdms.ingest(root)
        assert outcome.status is Status.QUARANTINED
        assert outcome.case is not None
        assert (outcome.case / file.name).read_bytes() == content
        reason = json.loads((outcome.case / "reason.json").read_text())
        assert reason["path"] == str(file)
        assert reason["lfn"] == f"/{FOLDER}/{file.name}"
        assert reason["defects"][0]["kind"] == "not-a-product"
        assert reason["size_bytes"] == len(content)
        assert set(reason["digests"]) == {"adler32", "sha256"}
        assert not outcome.case.is_relative_to(root)
        assert not list((root / FOLDER).iterdir())
        cases.add(outcome.case)
    assert len(cases) == 2


def test_a_name_that_is_no_text_is_quarantined_too(root: Path) -> None:
    raw = os.fsencode(root / FOLDER) + b"/bad\xff.fits.fz"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (outcome,) = Bdms(_archive(root), policy=Policy.load()).ingest([Path(os.fsdecode(raw))])
    assert outcome.case is not None
    assert [p.name for p in outcome.case.iterdir() if p.name != "reason.json"] == ["bad\\xff.fits.fz"]
    json.dumps(json.loads((outcome.case / "reason.json").read_text()))


def test_a_quarantine_on_another_file_system_gets_a_verified_copy(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    trigger = file.with_name(file.name + ".trigger")
    trigger.symlink_to(file.name)
    written_ns = file.stat().st_mtime_ns
    (local,) = survey([file], root)
    reject = _plan([describe(local, scan(file))], _archive(root)).rejected[0]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != root.stat().st_dev
        quarantine = Quarantine(Path(elsewhere) / "quarantine")
        quarantine.admit(reject, NOW)
        (case,) = quarantine.cases()
        assert (case.file.read_bytes(), case.file.stat().st_mtime_ns) == (b"x", written_ns)
        assert (case.folder / "trigger").readlink() == Path(file.name)
        assert not list(file.parent.iterdir())
        restore(quarantine, case, OperatorAction.now("release", NOW))
        assert (file.read_bytes(), file.stat().st_mtime_ns) == (b"x", written_ns)
        assert trigger.readlink() == Path(file.name)
        assert sorted(path.name for path in file.parent.iterdir()) == [file.name, trigger.name]
        assert not quarantine.cases()


# --- all together ----------------------------------------------------------------------------------------------------


def test_a_night_enters_and_a_second_ingest_changes_nothing(root: Path, night: Sequence[WrittenFile]) -> None:
    damage(night[1].path, Damage.BIT_FLIP)
    bdms = Bdms(_archive(root), policy=Policy.load())
    first = bdms.ingest(root)
    assert sorted(outcome.status.value for outcome in first) == ["quarantined", *["registered"] * 5]
    assert not list(root.rglob("*.trigger"))
    second = bdms.ingest([written.path for written in night])
    assert sorted(outcome.status.value for outcome in second) == [*["known"] * 5, "refused"]
    assert len(bdms.catalogue.blocks("acada", "*")) == 1
    assert len(bdms.query(level="DL0")) == 5


def test_the_report_is_a_table_everywhere(root: Path, night: Sequence[WrittenFile]) -> None:
    damage(night[0].path, Damage.EMPTY)
    report = Bdms(_archive(root), policy=Policy.load()).ingest(root)
    assert "<IngestReport: 6 rows>" in repr(report)
    assert "empty: " in repr(report)
    assert report._repr_html_().count("<tr>") == 7
    assert report.table.colnames == ["file", "status", "bytes", "adler32", "why"]
    assert len(report.archived) == 5
    assert [outcome.file for outcome in report.rejected] == [night[0].path.name]
