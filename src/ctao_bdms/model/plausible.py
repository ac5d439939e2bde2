"""Check that metadata are plausible, for ingests and puts alike."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.model.defects import Defect, DefectKind
from ctao_bdms.model.metadata import METADATA, spelled
from ctao_bdms.model.sites import ArrayElement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctao_bdms.model.metadata import MetadataKey, Value

__all__ = ["implausibilities", "is_simulated"]

_ELEMENT = "instance__ae_id"
#: What is bounded in data of the observatory only: simulations have times and telescopes of their own.
_OBSERVED = frozenset(
    {
        _ELEMENT,
        "instance__observing_night",
        "observation__coverage__time__t_min",
        "observation__coverage__time__t_max",
    }
)
#: Pairs of which the second is not less than the first, with what they are called.
_ORDERED = (
    ("observation__coverage__time__t_min", "observation__coverage__time__t_max", "the data"),
    ("activity__start", "activity__end", "the activity"),
    ("curation__valid_from", "curation__valid_to", "the validity"),
    ("observation__coverage__energy__energy_min", "observation__coverage__energy__energy_max", "the range of energies"),
    (
        "observation__coverage__tracking__elevation_min",
        "observation__coverage__tracking__elevation_max",
        "the range of elevations",
    ),
)
#: DL3 says its times as seconds after a day of reference.
_IN_DL3 = {
    "observation__coverage__time__t_min": "; in DL3, MJDREFI, MJDREFF and TSTART",
    "observation__coverage__time__t_max": "; in DL3, MJDREFI, MJDREFF and TSTOP",
}


def is_simulated(metadata: Mapping[str, Value]) -> bool:
    """Whether a product is simulated, by its metadata."""
    if str(metadata.get("data__type", "")).endswith("Sim"):
        return True
    return any(key.startswith(("simulation__", "sdc__")) or key == "instance__particle_pdgid" for key in metadata)


def implausibilities(metadata: Mapping[str, Value]) -> Iterator[tuple[str, str, Defect]]:
    """Yield check, key and defect of each implausible value.

    Examples
    --------
    >>> for check, key, defect in implausibilities({"observation__coverage__space__dec": 91.5}):
    ...     print(check, defect)  # doctest: +NORMALIZE_WHITESPACE
    plausible invalid-metadata: observation__coverage__space__dec (FITS keyword DEC_PNT) is 91.5 deg;
    it must be from -90.0 to 90.0 deg
    """
    simulated = is_simulated(metadata)
    for key, value in metadata.items():
        row = METADATA[key]
        if row.bounds is None or (simulated and key in _OBSERVED):
            continue
        if not _is_within(value, row.bounds):
            yield "plausible", key, Defect(DefectKind.INVALID_METADATA, _out_of_bounds(row, value, row.bounds))
        elif key == _ELEMENT and not ArrayElement.exists(int(value)):  # type: ignore[arg-type]
            message = f"{_called(row)} is {value}; it must be the number of an array element"
            yield "plausible", key, Defect(DefectKind.INVALID_METADATA, message)
    for first, last, what in _ORDERED:
        begin, end = metadata.get(first), metadata.get(last)
        if begin is not None and end is not None and end < begin:  # type: ignore[operator]
            message = f"{what} end at {end}, before they begin at {begin}: see {_called(METADATA[last])}"
            yield "order", last, Defect(DefectKind.INVALID_METADATA, message)


def _is_within(value: Value, bounds: tuple[Value, Value]) -> bool:
    least, most = bounds
    return least <= value <= most  # type: ignore[operator]


def _out_of_bounds(row: MetadataKey, value: Value, bounds: tuple[Value, Value]) -> str:
    least, most = (f"{each:%F}" if isinstance(each, dt.date) else str(each) for each in bounds)
    unit = f" {row.unit}" if row.unit else ""
    whose = ", or the data must say that they are simulated" if row.key in _OBSERVED else ""
    return f"{_called(row)} is {value}{unit}; it must be from {least} to {most}{unit}{whose}"


def _called(row: MetadataKey) -> str:
    return f"{row.key} ({spelled(row)}{_IN_DL3.get(row.key, '')})"
