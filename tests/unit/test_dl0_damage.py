from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from astropy.io import fits

from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import scan
from ctao_bdms.model import DataLevel, DefectKind, ProductMetadata, Verdict
from ctao_bdms.naming import AcadaName
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_dl0

if TYPE_CHECKING:
    from pathlib import Path

FOUND = {
    Damage.BIT_FLIP: DefectKind.CORRUPT,
    Damage.TRUNCATED: DefectKind.TRUNCATED,
    Damage.CUT_AT_BORDER: DefectKind.STRUCTURE,
    Damage.EMPTY: DefectKind.EMPTY,
    Damage.GARBAGE: DefectKind.NOT_A_PRODUCT,
    Damage.TRAILING_BYTES: DefectKind.TRAILING_BYTES,
}


@pytest.fixture(params=range(3), ids=["telescope", "subarray", "trigger"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> WrittenFile:
    return write_dl0(night_specs(3, telescopes=1, megabytes=0.4)[request.param], tmp_path)


@pytest.mark.parametrize("kind", FOUND)
@pytest.mark.parametrize("seed", range(3))
def test_each_damage_has_its_own_defect(written: WrittenFile, kind: Damage, seed: int) -> None:
    damage(written.path, kind, seed)
    facts = scan(written.path)
    assert [defect.kind for defect in facts.defects] == [FOUND[kind]]
    assert facts.verdict is Verdict.BAD
    assert written.trigger.resolve() == written.path


def test_a_wrong_name_is_a_sound_file_of_another_observation(written: WrittenFile) -> None:
    damage(written.path, Damage.WRONG_NAME)
    facts = scan(written.path)
    assert facts.verdict is Verdict.GOOD
    name = AcadaName.parse(written.path.name)
    metadata, _ = ProductMetadata.from_keywords(facts.keywords)
    assert name.obs_id is not None
    assert metadata["instance__obs_id"] == name.obs_id + 1
    assert metadata["acquisition__sb_id"] == name.sb_id


def test_missing_headers_leave_every_sum_right(written: WrittenFile) -> None:
    damage(written.path, Damage.MISSING_HEADERS)
    facts = scan(written.path)
    assert facts.verdict is Verdict.GOOD
    with fits.open(io.BytesIO(written.path.read_bytes())) as hdus:
        assert {(hdu.verify_checksum(), hdu.verify_datasum()) for hdu in hdus} == {(1, 1)}
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert defects == ()
    absent = {defect.kind for defect in metadata.missing(DataLevel.DL0)}
    assert absent == {DefectKind.MISSING_METADATA}
    # The row of DataStream still says what older files say nowhere else.
    assert metadata["instance__obs_id"] == written.spec.obs_id
    assert metadata["acquisition__sb_id"] == written.spec.sb_id
    owner = {"Telescope": ("ae_id", written.spec.ae_id), "Subarray": ("subarray_id", written.spec.subarray_id)}
    if written.spec.kind.value in owner:
        key, number = owner[written.spec.kind.value]
        assert metadata[f"instance__{key}"] == number
    assert facts.sha256 != written.sha256


def test_a_seed_repeats_its_damage(tmp_path: Path) -> None:
    spec = night_specs(1, megabytes=0.4)[0]
    files = [write_dl0(spec, tmp_path / str(number)).path for number in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        damage(file, Damage.BIT_FLIP, seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_what_is_damaged_already_cannot_be_damaged_as_asked(written: WrittenFile, tmp_path: Path) -> None:
    damage(written.path, Damage.EMPTY)
    with pytest.raises(UsageError, match="empty"):
        damage(written.path, Damage.BIT_FLIP)
    with pytest.raises(UsageError, match="missing"):
        damage(tmp_path / "none.fits.fz", Damage.EMPTY)


@pytest.mark.parametrize("name", ["foo.fits.fz", "AUX001_LASER001_20261121.fits.fz"])
def test_a_file_without_a_dl0_name_cannot_have_a_wrong_one(written: WrittenFile, name: str) -> None:
    path = written.path.rename(written.path.with_name(name))
    with pytest.raises(UsageError, match="not the name of a DL0 event file"):
        damage(path, Damage.WRONG_NAME)
