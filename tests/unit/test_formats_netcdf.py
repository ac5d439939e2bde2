from __future__ import annotations

import random
from typing import TYPE_CHECKING

import netCDF4
import numpy as np
import pytest

from ctao_bdms.integrity import scan
from ctao_bdms.integrity.formats.netcdf_classic import read_classic_header
from ctao_bdms.model import DefectKind, Flag, ProductMetadata, Verdict
from ctao_bdms.testing.products import NetcdfVersion, write_netcdf

if TYPE_CHECKING:
    from pathlib import Path

CLASSIC: list[NetcdfVersion] = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
NEWER: list[NetcdfVersion] = ["NETCDF4", "NETCDF4_CLASSIC"]


@pytest.mark.parametrize("version", [*CLASSIC, *NEWER])
def test_a_sound_file_of_each_version(version: NetcdfVersion, tmp_path: Path) -> None:
    attributes = {"institution": "CTAO", "time_coverage_start": "2026-01-01T20:00:00", "several": [1.0, 2.0], "n": 5}
    facts = scan(write_netcdf(tmp_path / "x.nc", version=version, attributes=attributes))
    assert (facts.format, facts.verdict, facts.defects, facts.flags) == ("netcdf", Verdict.UNCHECKED, (), ())
    assert facts.kind.startswith("NetCDF-4" if version in NEWER else "NetCDF classic (CDF-")
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert not defects
    assert metadata["data__level"] == "DL0"
    assert metadata["description"] == "ceilometer"
    assert metadata["contact__organization"] == "CTAO"
    assert str(metadata["observation__coverage__time__t_min"]) == "2026-01-01 20:00:00+00:00"


@pytest.mark.parametrize("version", CLASSIC)
@pytest.mark.parametrize("records", [0, 1, 2, 3])
@pytest.mark.parametrize("variables", [1, 2, 3])
def test_the_size_follows_from_the_header(version: NetcdfVersion, records: int, variables: int, tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    with netCDF4.Dataset(path, "w", format=version) as file:
        file.createDimension("time", None)
        file.createDimension("height", 7)
        fixed = file.createVariable("fixed", "f4", ("height",))
        fixed[:] = np.arange(7)
        for index, kind in enumerate(("i1", "f8", "i2")[:variables]):
            variable = file.createVariable(f"v{index}", kind, ("time", "height") if index else ("time",))
            variable.units = "m"
            if records:
                variable[:] = np.ones((records, 7) if index else records)
    with path.open("rb") as source:
        needed = read_classic_header(source).needed_bytes
    assert 0 <= path.stat().st_size - needed < 4  # the filling of the last value
    assert scan(path).defects == ()
    with path.open("r+b") as file:
        file.truncate(needed - 1)
    assert [defect.kind for defect in scan(path).defects] == [DefectKind.TRUNCATED]


@pytest.mark.parametrize("version", [*CLASSIC, "NETCDF4"])
def test_cut_anywhere(version: NetcdfVersion, tmp_path: Path) -> None:
    data = write_netcdf(tmp_path / "x.nc", version=version).read_bytes()
    path = tmp_path / "cut.nc"
    for length in range(97, len(data) - 4, 97 if version != "NETCDF4" else 4000):
        path.write_bytes(data[:length])
        assert [defect.kind for defect in scan(path).defects] == [DefectKind.TRUNCATED]


def test_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    for content, kind in (
        (b"", DefectKind.EMPTY),
        (b"text\n", DefectKind.NOT_A_PRODUCT),
        (b"CDF", DefectKind.TRUNCATED),
        (b"CDF\x07" + bytes(100), DefectKind.STRUCTURE),
        (b"CDF\x01\xff\xff\xff\xff" + bytes(100), DefectKind.STRUCTURE),
        (b"CDF\x01" + bytes(4) + b"\0\0\0\x0a\xff\xff\xff\xff", DefectKind.STRUCTURE),
        (b"CDF\x05" + bytes(8) + b"\0\0\0\x0a" + bytes(7) + b"\x01\x7f" + bytes(7), DefectKind.STRUCTURE),
    ):
        path.write_bytes(content)
        assert [defect.kind for defect in scan(path).defects] == [kind], content


def test_trailing_bytes_are_flagged(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "x.nc", version="NETCDF3_CLASSIC")
    with path.open("ab") as file:
        file.write(b"more bytes")
    facts = scan(path)
    assert (facts.verdict, facts.flags) == (Verdict.UNCHECKED, (Flag.TRAILING_BYTES,))
    assert facts.trailing_bytes >= 7


def test_a_sum_of_version_4_is_checked(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "x.nc")
    data = bytearray(path.read_bytes())
    value = np.random.default_rng(0).random((10, 32)).astype("f4").tobytes()[:64]
    data[data.index(value) + 3] ^= 1
    path.write_bytes(data)
    assert [defect.kind for defect in scan(path).defects] == [DefectKind.CORRUPT]


@pytest.mark.parametrize("version", CLASSIC)
def test_mutations_get_a_verdict(version: NetcdfVersion, tmp_path: Path) -> None:
    data = write_netcdf(tmp_path / "x.nc", version=version, records=2).read_bytes()
    path = tmp_path / "mutation.nc"
    chance = random.Random(1)
    verdicts = set()
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 10)):
            changed[chance.randrange(3, min(len(data), 500))] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
        path.write_bytes(changed)
        verdicts.add(scan(path).verdict)
    assert verdicts == {Verdict.UNCHECKED, Verdict.BAD}
