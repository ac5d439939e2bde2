"""Write small files in the formats of higher data levels: HDF5 with ctapipe's layout, NetCDF, ECSV.

Paths, tables and attributes are those of ctapipe's own writer, with few columns. HDF5 is written without ctapipe. By
default every byte is covered by a checksum (with the latest version of the format, and Fletcher-32 in each table).
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ctao_bdms.errors import MissingExtraError

try:
    import h5py
    import numpy as np
except ImportError as error:
    raise MissingExtraError("formats", "h5py") from error

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

__all__ = ["write_dl1", "write_dl2", "write_ecsv", "write_netcdf"]

NetcdfVersion = Literal["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"]

_PIXELS = 64
_ROWS_PER_CHUNK = 8
_NAMESPACE = uuid.UUID("5c4a1f0e-6d0e-4c3a-9c4b-0d1b6a9f2a10")


def write_dl1(
    path: str | os.PathLike[str],
    *,
    obs_id: int = 2000000001,
    telescopes: Sequence[int] = (1, 2),
    events: int = 20,
    images: bool = True,
    fletcher32: bool = True,
    is_old: bool = False,
    seed: int = 0,
    attributes: Mapping[str, object] | None = None,
) -> Path:
    """Write a DL1 file: images and parameters of each telescope.

    Parameters
    ----------
    obs_id
        The observation.
    telescopes
        The numbers of the telescopes; each sees every event.
    events
        The number of events.
    images
        Whether to write images in addition to parameters.
    fletcher32
        Whether tables have a checksum in each chunk.
    is_old
        Whether to use the oldest version of the format, as ctapipe does: metadata have no checksums.
    seed
        The seed of images and parameters.
    attributes
        Attributes of the root group, which extend or replace those of ctapipe.
    """
    levels = "DL1_IMAGES,DL1_PARAMETERS" if images else "DL1_PARAMETERS"
    with _new_file(path, is_old=is_old) as file:
        _dl1_tables(file, obs_id, telescopes, events, images=images, fletcher32=fletcher32, seed=seed)
        _set_attributes(file, {**_reference(path, levels), **(attributes or {})})
    return Path(path)


def write_dl2(
    path: str | os.PathLike[str],
    *,
    obs_id: int = 2000000001,
    telescopes: Sequence[int] = (1, 2),
    events: int = 20,
    fletcher32: bool = True,
    is_old: bool = False,
    seed: int = 0,
    attributes: Mapping[str, object] | None = None,
) -> Path:
    """Write a DL2 file: parameters, and geometry, energy and particle type of each event.

    The parameters are those of `write_dl1`.
    """
    random = np.random.default_rng(seed)
    with _new_file(path, is_old=is_old) as file:
        _dl1_tables(file, obs_id, telescopes, events, images=False, fletcher32=fletcher32, seed=seed)
        for kind, algorithm in (("geometry", "Hillas"), ("energy", "Forest"), ("particle_type", "Forest")):
            table = _index(obs_id, events, [(f"{algorithm}_value", "f8"), (f"{algorithm}_is_valid", "?")])
            table[f"{algorithm}_value"] = random.random(events)
            _table(file, f"dl2/event/subarray/{kind}/{algorithm}", table, fletcher32=fletcher32)
        _set_attributes(file, {**_reference(path, "DL1_PARAMETERS,DL2"), **(attributes or {})})
    return Path(path)


def write_netcdf(
    path: str | os.PathLike[str],
    *,
    version: NetcdfVersion = "NETCDF4",
    records: int = 10,
    attributes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a NetCDF file like that of a ceilometer: backscatter over time and height.

    Parameters
    ----------
    version
        ``NETCDF3_CLASSIC``, ``NETCDF3_64BIT_OFFSET``, ``NETCDF3_64BIT_DATA``, ``NETCDF4`` or ``NETCDF4_CLASSIC``.
    records
        The number of points in time.
    attributes
        Global attributes in addition to title and level.

    Raises
    ------
    MissingExtraError
        If netCDF4 is not installed.
    """
    try:
        import netCDF4
    except ImportError as error:
        raise MissingExtraError("testing", "netCDF4") from error
    with netCDF4.Dataset(path, "w", format=version) as file:
        file.createDimension("time", None)
        file.createDimension("height", 32)
        time = file.createVariable("time", "f8", ("time",))
        profile = file.createVariable("profile", "f4", ("time", "height"), fletcher32=version.startswith("NETCDF4"))
        time.units = "seconds since 1970-01-01"
        time[:] = np.arange(records)
        profile[:] = np.random.default_rng(0).random((records, 32))
        file.setncatts({"title": "ceilometer", "DATALEVL": "DL0", **(attributes or {})})
    return Path(path)


def write_ecsv(path: str | os.PathLike[str], *, rows: int = 10, meta: Mapping[str, object] | None = None) -> Path:
    """Write an ECSV table with numbers, texts and booleans.

    Parameters
    ----------
    rows
        The number of rows.
    meta
        Metadata for the header.
    """
    from astropy.table import Table

    table = Table(
        {
            "night": np.arange(rows),
            "value": np.random.default_rng(0).random(rows),
            "remark": [f'row {row} of "{rows}"' for row in range(rows)],
            "is_valid": np.arange(rows) % 2 == 0,
        },
        meta=dict(meta or {}),
    )
    table.write(path, format="ascii.ecsv", overwrite=True)
    return Path(path)


def _new_file(path: str | os.PathLike[str], *, is_old: bool) -> h5py.File:
    return h5py.File(path, "w", libver="earliest" if is_old else "latest")


def _index(obs_id: int, rows: int, columns: list[tuple[Any, ...]]) -> np.ndarray[Any, Any]:
    """Return an empty table with the columns that join all tables."""
    table = np.zeros(rows, dtype=[("obs_id", "i8"), ("event_id", "i8"), *columns])
    table["obs_id"] = obs_id
    table["event_id"] = np.arange(rows)
    return table


def _table(file: h5py.File, name: str, content: np.ndarray[Any, Any], *, fletcher32: bool) -> None:
    file.create_dataset(
        name, data=content, maxshape=(None,), chunks=(_ROWS_PER_CHUNK,), fletcher32=fletcher32, compression="gzip"
    )


def _dl1_tables(
    file: h5py.File,
    obs_id: int,
    telescopes: Sequence[int],
    events: int,
    *,
    images: bool,
    fletcher32: bool,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    layout = np.zeros(len(telescopes), dtype=[("tel_id", "i2"), ("pos_x", "f4"), ("pos_y", "f4"), ("pos_z", "f4")])
    layout["tel_id"] = telescopes
    _table(file, "configuration/instrument/subarray/layout", layout, fletcher32=fletcher32)
    triggers = _index(obs_id, events, [("tels_with_trigger", "?", (len(telescopes),)), ("event_type", "i8")])
    _table(file, "dl1/event/subarray/trigger", triggers, fletcher32=fletcher32)
    seen = np.repeat(_index(obs_id, events, [("tel_id", "i2")]), len(telescopes))
    seen["tel_id"] = np.tile(np.asarray(telescopes, dtype="i2"), events)
    _table(file, "dl1/event/telescope/trigger", seen, fletcher32=fletcher32)
    for telescope in telescopes:
        parameters = _index(obs_id, events, [("tel_id", "i2"), ("hillas_intensity", "f8")])
        parameters["hillas_intensity"] = random.random(events)
        _table(file, f"dl1/event/telescope/parameters/tel_{telescope:03d}", parameters, fletcher32=fletcher32)
        if images:
            pictures = _index(obs_id, events, [("tel_id", "i2"), ("image", "f4", (_PIXELS,))])
            pictures["image"] = random.random((events, _PIXELS))
            _table(file, f"dl1/event/telescope/images/tel_{telescope:03d}", pictures, fletcher32=fletcher32)


def _reference(path: str | os.PathLike[str], levels: str) -> dict[str, object]:
    """Return the attributes of ctapipe's reference metadata; equal names give equal identifiers."""
    time = "2026-01-01 00:00:00.000"
    return {
        "CTA ACTIVITY ID": str(uuid.uuid5(_NAMESPACE, "activity")),
        "CTA ACTIVITY NAME": "ctapipe-process",
        "CTA ACTIVITY SOFTWARE NAME": "ctapipe",
        "CTA ACTIVITY SOFTWARE VERSION": "0.32.0",
        "CTA ACTIVITY START TIME": time,
        "CTA ACTIVITY STOP TIME": time,
        "CTA ACTIVITY TYPE": "software",
        "CTA CONTACT EMAIL": "dpps@example.org",
        "CTA CONTACT NAME": "DPPS",
        "CTA CONTACT ORGANIZATION": "CTAO",
        "CTA INSTRUMENT SITE": "CTAO-North",
        "CTA PROCESS TYPE": "Observation",
        "CTA PRODUCT CREATION TIME": time,
        "CTA PRODUCT DATA ASSOCIATION": "Telescope",
        "CTA PRODUCT DATA CATEGORY": "Other",
        "CTA PRODUCT DATA LEVELS": levels,
        "CTA PRODUCT DATA MODEL NAME": "ASWG",
        "CTA PRODUCT DATA MODEL URL": "",
        "CTA PRODUCT DATA MODEL VERSION": "v7.6.0",
        "CTA PRODUCT DESCRIPTION": "ctapipe Data Product",
        "CTA PRODUCT FORMAT": "hdf5",
        "CTA PRODUCT ID": str(uuid.uuid5(_NAMESPACE, Path(path).name)),
        "CTA REFERENCE VERSION": "1",
    }


def _set_attributes(file: h5py.File, attributes: Mapping[str, object]) -> None:
    """Set attributes; texts have a fixed length, as in PyTables, so that they are in the header and not in a heap."""
    for name, value in attributes.items():
        if isinstance(value, str):
            file.attrs[name] = np.bytes_(value.encode()) if value else h5py.Empty("S1")
        else:
            file.attrs[name] = value
