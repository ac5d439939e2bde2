"""What cannot be true of a product is refused, on whatever way it comes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast

import attrs
import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.inbox import LocalFile
from ctao_bdms.ingest import CheckPolicy, Severity
from ctao_bdms.ingest.describe import describe
from ctao_bdms.integrity import scan
from ctao_bdms.model import METADATA, DefectKind, Lfn, MetadataKey, NewProduct, Value, ValueType, implausibilities
from ctao_bdms.testing.dl0 import night_specs, write_night
from ctao_bdms.testing.products import write_dl1, write_ecsv, write_netcdf
from ctao_bdms.upload.describe import describe_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.ingest import Described

BOUNDED = [row for row in METADATA.values() if row.bounds is not None]
NUMBERS = {ValueType.INT, ValueType.FLOAT, ValueType.TIME, ValueType.DATE}
#: Numbers and times of which any can be true: a validity and a release have no end, a particle may have any sign.
FREE = {"curation__release_date", "curation__valid_from", "curation__valid_to", "instance__particle_pdgid"}
T_MIN, T_MAX = "observation__coverage__time__t_min", "observation__coverage__time__t_max"
SAID = {"release": "DataPipe/Observation/DR1", "night": "2026-11-21", "site": "CTAO-North"}


def beyond(row: MetadataKey) -> Iterator[Value]:
    """Yield values just outside of the bounds of a key, and far outside."""
    assert row.bounds is not None
    least, most = (cast("Any", each) for each in row.bounds)
    if isinstance(least, dt.datetime) and isinstance(most, dt.datetime):
        second = dt.timedelta(seconds=1)
        far = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)]
        yield from [least - second, most + second, *far]
    elif isinstance(least, dt.date) and isinstance(most, dt.date):
        yield from [least - dt.timedelta(days=1), most + dt.timedelta(days=1), dt.date.min, dt.date.max]
    elif row.type is ValueType.INT:
        yield from [int(least) - 1, int(most) + 1, -(2**63), 2**63 - 1]
    else:
        yield from [float(np.nextafter(least, -np.inf)), float(np.nextafter(most, np.inf)), -1e300, 1e300]


def test_every_number_and_time_has_bounds_or_is_known_to_have_none() -> None:
    assert {row.key for row in METADATA.values() if row.type in NUMBERS} == {row.key for row in BOUNDED} | FREE


@pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row.key)
def test_a_value_outside_its_bounds_is_implausible_and_named(row: MetadataKey) -> None:
    for value in beyond(row):
        ((check, key, defect),) = implausibilities({row.key: value})
        assert (check, key, defect.kind) == ("plausible", row.key, DefectKind.INVALID_METADATA)
        assert str(value) in defect.message
        assert "must be from" in defect.message
        assert not row.keywords or row.keywords[0] in defect.message


@pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row.key)
def test_a_value_at_its_bounds_is_plausible(row: MetadataKey) -> None:
    assert row.bounds is not None
    elements = {"instance__ae_id": (1, 183)}
    for value in elements.get(row.key, row.bounds):
        assert not list(implausibilities({row.key: value}))


@pytest.mark.parametrize("row", [row for row in METADATA.values() if row.type is ValueType.FLOAT], ids=lambda r: r.key)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf", "1e999"])
def test_what_is_no_number_is_no_value(row: MetadataKey, value: object) -> None:
    with pytest.raises(InvalidMetadataError):
        row.parse(value)


@pytest.mark.parametrize(
    "mark", ["simulation__production_name", "simulation__node__zenith", "sdc__sky_brightness", "data__type"]
)
def test_simulations_have_times_and_telescopes_of_their_own(mark: str) -> None:
    early = METADATA[T_MIN].parse("1970-01-01T00:00:01")
    values: dict[str, Value] = {T_MIN: early, "instance__observing_night": dt.date(2000, 1, 1), "instance__ae_id": 500}
    assert len(list(implausibilities(values))) == 3
    marked: dict[str, Value] = {mark: 20.0 if "zenith" in mark else "AirShowerSim"}
    assert not list(implausibilities({**values, **marked}))
    assert list(implausibilities({**marked, "observation__coverage__space__dec": 91.0}))


@pytest.mark.parametrize(
    ("first", "last"),
    [("activity__start", "activity__end"), (T_MIN, T_MAX), ("curation__valid_from", "curation__valid_to")],
)
def test_what_ends_before_it_begins_is_out_of_order(first: str, last: str) -> None:
    now = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    ((check, key, _),) = implausibilities({first: now, last: now - dt.timedelta(seconds=1)})
    assert (check, key) == ("order", last)
    assert not list(implausibilities({first: now, last: now}))


# The same, on every way


def _put(path: Path, user: str = "", **words: object) -> Described:
    said = {"user": user} if user else SAID
    return describe_product(path, PurePath(path.name), scan(path), NewProduct.of(**said, **words), "ctao")  # type: ignore[arg-type]


def _dl3(path: Path, **cards: object) -> Path:
    time = {"MJDREFI": 60676, "MJDREFF": 0.0, "TIMESYS": "tt", "TIMEUNIT": "s"} | cards
    tables = [
        (
            "EVENTS",
            ("EVENT_ID", "TIME", "RA", "DEC", "ENERGY"),
            {"OBS_ID": 2000000001, "TSTART": 28_072_869.0, "TSTOP": 28_074_069.0},
        ),
        ("GTI", ("START", "STOP"), {}),
    ]
    hdus = []
    for name, columns, more in tables:
        hdu = fits.BinTableHDU.from_columns(
            [fits.Column(column, "D", array=np.ones(2)) for column in columns], name=name
        )
        hdu.header.update({"HDUCLASS": "GADF", "HDUCLAS1": name} | time | more)
        hdus.append(hdu)
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, checksum=True)
    return path


def _by_dl3(folder: Path, *, bad: bool) -> Described:
    return _put(_dl3(folder / "events.fits", **({"MJDREFI": 0} if bad else {})), kind="DL3/Event/Subarray/AirShower")


def _by_hdf5(folder: Path, *, bad: bool) -> Described:
    start = "1859-10-07T21:57:49" if bad else "2026-11-21T22:00:00"
    name = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5"
    return _put(write_dl1(folder / name, telescopes=(1,), attributes={"CTAO.observation.coverage.time.t_min": start}))


def _by_netcdf(folder: Path, *, bad: bool) -> Described:
    start = "1859-10-07T21:57:49" if bad else "2026-11-21T22:00:00"
    return _put(write_netcdf(folder / "lidar.nc", attributes={"time_coverage_start": start}), **_MONITORING)


def _by_ecsv(folder: Path, *, bad: bool) -> Described:
    start = "1859-10-07T21:57:49" if bad else "2026-11-21T22:00:00"
    return _put(write_ecsv(folder / "table.ecsv", meta={"DATE-BEG": start}), **_MONITORING)


def _by_what_is_said(folder: Path, *, bad: bool) -> Described:
    start = "1859-10-07T21:57:49" if bad else "2026-11-21T22:00:00"
    return _put(write_ecsv(folder / "table.ecsv"), observation__coverage__time__t_min=start, **_MONITORING)


def _by_an_ingest(folder: Path, *, bad: bool) -> Described:
    (written,) = write_night(folder, night_specs(1, megabytes=0.01))
    facts = scan(written.path)
    if bad:
        facts = attrs.evolve(facts, keywords={**facts.keywords, "CREATED": "1859-10-07T21:57:49"})
    return describe(LocalFile(path=written.path, lfn=Lfn(f"/{written.path.relative_to(folder)}")), facts)


_MONITORING: dict[str, Any] = {"kind": "DL1/Monitoring/Array/Weather"}
WAYS: list[Callable[..., Described]] = [_by_dl3, _by_hdf5, _by_netcdf, _by_ecsv, _by_what_is_said, _by_an_ingest]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_refuses_a_time_before_the_project(tmp_path: Path, way: Callable[..., Described]) -> None:
    (tmp_path / "sound").mkdir()
    assert not [defect for defect in way(tmp_path / "sound", bad=False).defects if "1859" in defect.message]
    found = [defect for defect in way(tmp_path, bad=True).defects if "must be from" in defect.message]
    assert found
    assert all(defect.kind is DefectKind.INVALID_METADATA and "1859-10-07" in defect.message for defect in found)


def test_a_time_of_dl3_names_the_keywords_that_it_comes_from(tmp_path: Path) -> None:
    assert any("MJDREFI" in defect.message for defect in _by_dl3(tmp_path, bad=True).defects)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"obs_id": 9_000_000_001}, "instance__obs_id (FITS keyword OBS_ID) is 9000000001"),
        ({"sb_id": -1}, "acquisition__sb_id (FITS keyword SB_ID) is -1"),
        ({"observation__coverage__space__ra": 361.5}, "is 361.5 deg; it must be from 0.0 to 360.0 deg"),
        ({"chunk": -3}, "instance__chunk_id (FITS keyword CHUNK_ID) is -3"),
        ({"instance__ae_id": 77}, "it must be the number of an array element"),
    ],
)
def test_what_is_said_must_be_plausible_too(tmp_path: Path, words: dict[str, Any], text: str) -> None:
    item = _put(write_ecsv(tmp_path / "table.ecsv"), **_MONITORING, **words)
    assert any(text in defect.message for defect in item.defects)


def test_in_a_users_own_area_it_is_a_warning_and_the_value_is_not_kept(tmp_path: Path) -> None:
    item = _put(_dl3(tmp_path / "hess.fits", MJDREFI=0), user="ada")
    assert not item.defects
    assert any("MJDREFI" in warning.message for warning in item.warnings)
    assert T_MIN not in item.metadata
    assert item.metadata["instance__obs_id"] == 2000000001


def test_a_site_can_take_it_with_a_warning(tmp_path: Path) -> None:
    (written,) = write_night(tmp_path, night_specs(1, megabytes=0.01))
    facts = scan(written.path)
    facts = attrs.evolve(facts, keywords={**facts.keywords, "CREATED": "1999-01-01T00:00:00"})
    file = LocalFile(path=written.path, lfn=Lfn(f"/{written.path.relative_to(tmp_path)}"))
    assert any("1999" in defect.message for defect in describe(file, facts).defects)
    lenient = describe(file, facts, CheckPolicy(plausible=Severity.WARNING))
    assert not lenient.defects
    assert any("1999" in warning.message for warning in lenient.warnings)
