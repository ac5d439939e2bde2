"""Products are named, checked, uploaded and registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.unit.put.archive import FOLDER, NAME, SAID, Archive

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.ingest import Status
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import DefectKind, Lfn, NewProduct, RetentionClass, Verdict
from ctao_bdms.testing.products import write_dl1, write_dl2

if TYPE_CHECKING:
    from pathlib import Path


def test_product_is_named_uploaded_registered_and_gets_its_rule(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID)
    lfn = Lfn(f"{FOLDER}/{NAME}")
    assert (outcome.status, outcome.lfn, outcome.defects) == (Status.REGISTERED, lfn, ())
    (block,) = archive.blocks_of(lfn)
    assert block.retention is RetentionClass.SHORT_TERM
    (replica,) = archive.catalogue.files([lfn])[lfn].replicas
    assert replica.rse == f"{block.origin}-DISK"
    stored = archive.home / block.origin / FOLDER[1:] / NAME
    assert stored.read_bytes() == dl1.read_bytes()
    assert [name for name in archive.files_on_storage() if ".bdms-" in name] == []
    (rule,) = archive.catalogue.rules("dpps", [str(block)])[str(block)]
    assert rule.rse_expression == f"centre={block.origin}"
    assert rule.expires is not None
    (product,) = archive.bdms.query(level="DL1", scope="dpps")
    assert product.metadata["curation__release"] == "DataPipe/Observation/DR1"
    assert product.metadata["instance__site_id"] == "CTAO-North"
    assert product.metadata["integrity__sha256"] == digest_file(dl1, ("sha256",)).digests["sha256"]


def test_second_put_changes_nothing(archive: Archive, dl1: Path) -> None:
    archive.bdms.put(dl1, product=SAID)
    before = archive.files_on_storage()
    uploaded: list[int] = []
    (outcome,) = archive.bdms.put(dl1, product=SAID, near="DESY", on_uploaded=uploaded.append)
    assert outcome.status is Status.KNOWN
    assert (archive.files_on_storage(), uploaded) == (before, [])
    assert len(archive.catalogue.blocks("dpps", "*")) == 1


def test_other_content_of_the_same_name_is_a_conflict(archive: Archive, dl1: Path) -> None:
    archive.bdms.put(dl1, product=SAID)
    before = digest_file(next(archive.home.rglob(NAME)))
    write_dl1(dl1, telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    (outcome,) = archive.bdms.put(dl1, product=SAID)
    assert outcome.status is Status.REFUSED
    assert [defect.kind for defect in outcome.defects] == [DefectKind.CONFLICT]
    assert "nothing was overwritten" in outcome.defects[0].message
    assert digest_file(next(archive.home.rglob(NAME))) == before


def test_other_content_of_a_name_without_copies_is_not_uploaded(archive: Archive, dl1: Path) -> None:
    (first,) = archive.bdms.put(dl1, product=SAID)
    assert first.lfn is not None
    known = archive.catalogue.files([first.lfn])[first.lfn]
    archive.catalogue.set_file(attrs.evolve(known, replicas=()))  # its time was over
    next(archive.home.rglob(NAME)).unlink()
    right = dl1.read_bytes()
    write_dl1(dl1, telescopes=(1,), seed=1, attributes={"OBS_ID": 2000000001})
    uploaded: list[int] = []
    (other,) = archive.bdms.put(dl1, product=SAID, on_uploaded=uploaded.append)
    assert [defect.kind for defect in other.defects] == [DefectKind.CONFLICT]
    assert (archive.files_on_storage(), uploaded) == ([], [])
    dl1.write_bytes(right)
    (again,) = archive.bdms.put(dl1, product=SAID)
    assert again.status is Status.REGISTERED
    assert len(archive.files_on_storage()) == 1


def test_bad_file_is_refused_with_all_defects_and_not_uploaded(archive: Archive, dl1: Path) -> None:
    content = bytearray(dl1.read_bytes())
    content[len(content) // 2] ^= 1
    dl1.write_bytes(content)
    good = write_dl1(dl1.with_name(NAME.replace("chunk000", "chunk001")), telescopes=(1,), seed=3)
    report = archive.bdms.put(
        [dl1, good], product=NewProduct.of(release="DataPipe/Observation/DR1", night="2026-11-21")
    )
    assert [outcome.status for outcome in report] == [Status.REFUSED, Status.REGISTERED]
    assert report[0].facts is not None
    assert report[0].facts.verdict is Verdict.BAD
    assert len(archive.files_on_storage()) == 1


@pytest.mark.parametrize(
    ("words", "kinds", "hint"),
    [
        ({}, {DefectKind.MISSING_METADATA}, "the release (curation__release)"),
        ({"release": "DataPipe/Observation/DR1"}, {DefectKind.MISSING_METADATA}, "the observing night"),
        ({"level": "DL2"}, {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA}, "the name says DL1"),
        ({"telescope": "LSTN-02"}, {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA}, "instance__ae_id = 2"),
        (
            {"site": "CTAO-South"},
            {DefectKind.NAME_MISMATCH, DefectKind.MISSING_METADATA},
            "the content says CTAO-North",
        ),
    ],
)
def test_name_content_and_options_must_agree_and_be_complete(
    archive: Archive, dl1: Path, words: dict[str, Any], kinds: set[DefectKind], hint: str
) -> None:
    (outcome,) = archive.bdms.put(dl1, product=NewProduct.of(**words))
    assert outcome.status is Status.REFUSED
    assert {defect.kind for defect in outcome.defects} == kinds
    assert hint in " ".join(defect.message for defect in outcome.defects)
    assert not archive.files_on_storage()


def test_content_of_another_level_is_refused(archive: Archive, tmp_path: Path) -> None:
    path = write_dl2(tmp_path / NAME, telescopes=(1,))
    (outcome,) = archive.bdms.put(path, product=SAID)
    assert any("data__level = DL1, the content says DL2" in defect.message for defect in outcome.defects)


def test_raw_data_are_refused(archive: Archive, dl1: Path) -> None:
    path = dl1.rename(dl1.with_name("x.h5"))
    said = NewProduct.of(kind="DL0/Event/Telescope/AirShower", release="X", night="2026-11-21", obs_id=2000000001)
    (outcome,) = archive.bdms.put(path, product=said)
    assert "it enters the archive on site" in " ".join(defect.message for defect in outcome.defects)


def test_file_of_any_name_is_named_by_the_options(archive: Archive, dl1: Path) -> None:
    path = dl1.rename(dl1.with_name("job_output.h5"))
    said = NewProduct.of(
        kind="DL1/Event/Telescope/AirShower", release="DataPipe/Observation/DR1", night="2026-11-21",
        obs_id=2000000001, telescope="LSTN-01", chunk=0,
    )  # fmt: skip
    (outcome,) = archive.bdms.put(path, product=said)
    assert str(outcome.lfn) == f"{FOLDER}/{NAME}"


def test_folder_is_put_but_only_one_file_of_each_name(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    for number in range(3):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        write_dl1(folder / f"{number % 2}" / NAME.replace("chunk000", f"chunk00{number}"), telescopes=(1,), seed=number)
    write_dl1(folder / "1" / NAME, telescopes=(1,), seed=7)
    (folder / ".hidden").write_text("x")
    report = archive.bdms.put(folder, product=SAID)
    assert [outcome.status.value for outcome in report] == ["registered", "registered", "refused", "registered"]
    assert "was given, too" in report[2].defects[0].message
    (block,) = archive.catalogue.blocks("dpps", "*")
    assert (block.n_files, block.is_open) == (4, False), "three files and their manifest"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"nigt": "2026-11-21"}, "did you mean 'night'"),
        ({"kind": "DL1/Event/Telescope/AirShowr"}, "did you mean 'AirShower'"),
        ({"telescope": "LST1"}, "LSTN-01"),
        ({"obs_id": "many"}, "integer"),
        ({"category": "D"}, "'D'"),
    ],
)
def test_unknown_option_or_value_raises(words: dict[str, str], hint: str) -> None:
    with pytest.raises(InvalidMetadataError, match=hint):
        NewProduct.of(**words)
