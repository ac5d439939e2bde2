"""The metadata of a product, as one table of keys.

The table drives everything that has to do with metadata: reading FITS keywords, validation, the columns and indexes of
the Rucio metadata plugin, queries, and the reference page of the documentation. Keys, types and FITS keywords are those
of the CTAO data model (``DataProducts`` 2.1), flattened with ``__``.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType

import attrs

from ctao_bdms.errors import InvalidMetadataError
from ctao_bdms.model.defects import Defect, DefectKind
from ctao_bdms.model.levels import DataLevel
from ctao_bdms.model.night import Night
from ctao_bdms.utc import parse_utc

__all__ = ["METADATA", "MetadataKey", "ProductMetadata", "Value", "ValueType", "metadata_key", "spelled"]

Value = str | int | float | bool | dt.datetime | dt.date


class ValueType(Enum):
    """The types that a value can have, with the name used in the documentation."""

    STR = "text"
    INT = "integer"
    FLOAT = "number"
    BOOL = "truth value"
    #: Aware, UTC, to the microsecond.
    TIME = "time (UTC)"
    DATE = "date"


@attrs.frozen
class MetadataKey:
    """One row of the table.

    Attributes
    ----------
    key
        The name, e.g. ``instance__obs_id``.
    type
        The type of its values.
    keywords
        The FITS keywords that carry it, the present one first, older spellings after it.
    required
        The data levels at which a product without it does not enter the archive.
    indexed
        Whether queries by it are common enough for an index.
    unit
        The unit of a number.
    bounds
        The least and the greatest value that can be true, both included; None if any can. See
        `ctao_bdms.model.implausibilities`.
    description
        One line for people.
    """

    key: str
    type: ValueType
    description: str
    keywords: tuple[str, ...] = ()
    required: frozenset[DataLevel] = frozenset()
    indexed: bool = False
    unit: str = ""
    bounds: tuple[Value, Value] | None = None

    def parse(self, value: object) -> Value:
        """Return `value` in this key's type.

        Accepted are the type itself, the text that `to_wire` makes of it, a whole number for a number, and the digits
        of a whole number for an integer. Nothing is rounded and nothing is guessed; NaN and infinity
        are no numbers, as in a FITS header.

        Raises
        ------
        InvalidMetadataError
            If `value` does not fit.
        """
        try:
            return _PARSERS[self.type](value)
        except (TypeError, ValueError, OverflowError) as error:
            shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
            raise InvalidMetadataError(self.key, f"{shown} is no {self.type.value}") from error

    def to_wire(self, value: Value) -> str | int | float | bool:
        """Return `value` as JSON can carry it; times as ``YYYY-MM-DDTHH:MM:SS.ffffff``, UTC."""
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        if isinstance(value, dt.date):
            return value.isoformat()
        return value


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise TypeError
    return value


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(value: object) -> bool:
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def _time(value: object) -> dt.datetime:
    if isinstance(value, str):
        return parse_utc(value)
    if not isinstance(value, dt.datetime):
        raise TypeError
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _date(value: object) -> dt.date:
    if isinstance(value, Night):
        return value.date
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError
    return value


_PARSERS: Mapping[ValueType, Callable[[object], Value]] = {
    ValueType.STR: _str,
    ValueType.INT: _int,
    ValueType.FLOAT: _float,
    ValueType.BOOL: _bool,
    ValueType.TIME: _time,
    ValueType.DATE: _date,
}

_S, _I, _F, _T, _D = ValueType.STR, ValueType.INT, ValueType.FLOAT, ValueType.TIME, ValueType.DATE
_RAW = frozenset({DataLevel.DL0})
#: From the first light of the first telescope, LST-1 (14 December 2018, less the weeks of tests before), to a century
#: that the observatory will not see.
_OBSERVED = (dt.datetime(2018, 10, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
_NIGHTS = (_OBSERVED[0].date(), _OBSERVED[1].date())
#: Software and simulations are older than the telescopes.
_MADE = (dt.datetime(2000, 1, 1, tzinfo=dt.UTC), _OBSERVED[1])
_COUNT = (0, 2**31 - 1)
#: Identifiers of blocks begin with their creator: see `ctao_bdms.model.ObservationId`.
_BLOCK = (0, 4_999_999_999)
_RIGHT_ASCENSION, _DECLINATION, _ZENITH = (0.0, 360.0), (-90.0, 90.0), (0.0, 180.0)
#: Cables let a telescope turn further than once around.
_AZIMUTH, _ENERGY = (-720.0, 720.0), (0.0, 1e9)
_ALL = frozenset(DataLevel)

_ROWS = (
    MetadataKey("ctao_metadata_version", _S, "version of the CTAO metadata convention", ("CTAOMETA",), _RAW),
    MetadataKey("description", _S, "one line about the product", ("TITLE",)),
    MetadataKey("data__level", _S, "data level", ("DATALEVL",), _ALL, indexed=True),
    MetadataKey("data__division", _S, "event, monitoring, service, ...", ("DATADIV",), _ALL),
    MetadataKey("data__association", _S, "array, subarray, telescope, ...", ("DATAASSO",), _ALL),
    MetadataKey("data__type", _S, "kind of product within its division", ("DATATYPE",), _ALL),
    MetadataKey("instance__id", _S, "identifier of this one product (UUID)", ("DATAID",)),
    MetadataKey("instance__obs_id", _I, "observation block", ("OBS_ID",), indexed=True, bounds=_BLOCK),
    MetadataKey("instance__event_type", _S, "event type", ("EVTYPE",)),
    MetadataKey("instance__ae_id", _I, "array element (telescope)", ("AE_ID",), indexed=True, bounds=_COUNT),
    MetadataKey("instance__ae_class", _S, "class of array elements", ("AE_CLASS",)),
    MetadataKey("instance__subarray_id", _I, "subarray", ("SUB_ID",), indexed=True, bounds=_COUNT),
    MetadataKey("instance__chunk_id", _I, "place of the file in its stream", ("CHUNK_ID",), bounds=_COUNT),
    MetadataKey("instance__batch_id", _I, "processing batch", ("BATCH_ID",), bounds=_COUNT),
    MetadataKey("instance__calibration_service_id", _I, "calibration service", bounds=_COUNT),
    MetadataKey(
        "instance__observing_night",
        _D,
        "observing night, date of its evening",
        ("OBSNIGHT",),
        _RAW,
        indexed=True,
        bounds=_NIGHTS,
    ),
    MetadataKey("instance__sublevel_id", _S, "processing sublevels, joined by '|'", ("SUBLVL",)),
    MetadataKey("instance__target_id", _S, "target", ("OBJECT",), indexed=True),
    MetadataKey("instance__region_id", _S, "sky region"),
    MetadataKey("instance__observing_period_id", _S, "observing period", ("PERIOD",)),
    MetadataKey("instance__lunar_cycle_id", _I, "lunar cycle", ("LUNCYCLE",), bounds=_COUNT),
    MetadataKey("instance__facility_name", _S, "observatory", ("TELESCOP",)),
    MetadataKey("instance__site_id", _S, "site", ("INSTRUME",), _RAW, indexed=True),
    MetadataKey("instance__particle_pdgid", _I, "simulated primary particle (PDG code)", ("PDGID",)),
    MetadataKey("instance__messenger", _S, "messenger", ("MSNGR",)),
    MetadataKey("instance__category", _S, "processing category: A, B or C", ("DATACAT",)),
    MetadataKey("instance__data_source", _S, "stream of the acquisition, e.g. SDH0001", ("DATASRC",)),
    MetadataKey("instance__assembly_name", _S, "assembly that was monitored", ("ASSEMBLY",)),
    MetadataKey("instance__local_run_id", _I, "local run", ("LOCRUNID",), bounds=_COUNT),
    MetadataKey("curation__release", _S, "release, e.g. DataPipe/Observation/DR1", ("RELEASE",), indexed=True),
    MetadataKey("curation__reference", _S, "publication", ("REFERENC",)),
    MetadataKey("curation__license", _S, "licence", ("LICENSE",)),
    MetadataKey("curation__license_url", _S, "where the licence can be read", ("LICENURL",)),
    MetadataKey("curation__copyright", _S, "copyright", ("COPYRIGH",)),
    MetadataKey("curation__rights", _S, "who may read it", ("RIGHTS",)),
    MetadataKey("curation__release_date", _T, "when it becomes public", ("PUBDATE",)),
    MetadataKey("curation__valid_from", _T, "begin of validity"),
    MetadataKey("curation__valid_to", _T, "end of validity"),
    MetadataKey("model__name", _S, "data model", ("MODEL",)),
    MetadataKey("model__version", _S, "version of the data model", ("MODELVER",)),
    MetadataKey("model__url", _S, "where the data model can be read", ("MODELURL",)),
    MetadataKey("disclaimer", _S, "what whoever uses it must know"),
    MetadataKey("creation_time", _T, "when the product was made", ("CREATED",), bounds=_MADE),
    MetadataKey("contact__name", _S, "contact", ("AUTHOR",)),
    MetadataKey("contact__organization", _S, "organisation", ("ORIGIN",)),
    MetadataKey("contact__email", _S, "e-mail address of the contact", ("EMAIL",)),
    MetadataKey("activity__process", _S, "observatory process", ("ACTPROC",)),
    MetadataKey("activity__name", _S, "activity that made it", ("ACTIVITY",)),
    MetadataKey("activity__description", _S, "what the activity did", ("ACTDESC",)),
    MetadataKey("activity__id", _S, "identifier of the activity (UUID)", ("ACTID",)),
    MetadataKey("activity__start", _T, "begin of the activity", ("ACTSTART",), bounds=_MADE),
    MetadataKey("activity__end", _T, "end of the activity", ("ACTSTOP",), bounds=_MADE),
    MetadataKey("activity__software__name", _S, "software", ("SOFTWARE",)),
    MetadataKey("activity__software__version", _S, "version of the software", ("SOFTVER",)),
    MetadataKey("activity__software__url", _S, "where the software can be found", ("SOFTURL",)),
    MetadataKey("activity__configuration_id", _S, "configuration of the activity", ("ACTCONF", "ANAMODE")),
    MetadataKey(
        "observation__coverage__time__t_min",
        _T,
        "begin of the data",
        ("DATE-BEG", "DATE"),
        _RAW,
        indexed=True,
        bounds=_OBSERVED,
    ),
    MetadataKey(
        "observation__coverage__time__t_max",
        _T,
        "end of the data",
        ("DATE-END", "DATEEND"),
        _RAW,
        indexed=True,
        bounds=_OBSERVED,
    ),
    MetadataKey("observation__coverage__space__frame", _S, "celestial frame", ("RADESYS",)),
    MetadataKey(
        "observation__coverage__space__ra",
        _F,
        "right ascension of the pointing",
        ("RA_PNT",),
        unit="deg",
        bounds=_RIGHT_ASCENSION,
    ),
    MetadataKey(
        "observation__coverage__space__dec",
        _F,
        "declination of the pointing",
        ("DEC_PNT",),
        indexed=True,
        unit="deg",
        bounds=_DECLINATION,
    ),
    MetadataKey(
        "observation__coverage__space__field_of_view", _F, "field of view", ("FOV",), unit="deg", bounds=(0.0, 360.0)
    ),
    MetadataKey("observation__coverage__space__region_of_interest", _S, "sky region", ("REGION",)),
    MetadataKey("observation__coverage__space__moc", _S, "sky coverage (MOC)"),
    MetadataKey(
        "observation__coverage__energy__energy_min", _F, "lowest energy", ("EMIN",), unit="TeV", bounds=_ENERGY
    ),
    MetadataKey(
        "observation__coverage__energy__energy_max", _F, "highest energy", ("EMAX",), unit="TeV", bounds=_ENERGY
    ),
    MetadataKey(
        "observation__coverage__tracking__elevation_min",
        _F,
        "lowest elevation",
        ("ALT_MIN",),
        unit="deg",
        bounds=_DECLINATION,
    ),
    MetadataKey(
        "observation__coverage__tracking__elevation_max",
        _F,
        "highest elevation",
        ("ALT_MAX",),
        unit="deg",
        bounds=_DECLINATION,
    ),
    MetadataKey(
        "observation__coverage__tracking__azimuth_mean", _F, "mean azimuth", ("AZ_MEAN",), unit="deg", bounds=_AZIMUTH
    ),
    MetadataKey(
        "observation__coverage__tracking__azimuth_range",
        _F,
        "range of azimuth",
        ("AZ_RANGE",),
        unit="deg",
        bounds=_AZIMUTH,
    ),
    MetadataKey("observation__coverage__tracking__mode", _S, "tracking mode", ("TRACKING",)),
    MetadataKey(
        "observation__location__longitude", _F, "geodetic longitude", ("OBSGEO-L",), unit="deg", bounds=(-180.0, 360.0)
    ),
    MetadataKey(
        "observation__location__latitude", _F, "geodetic latitude", ("OBSGEO-B",), unit="deg", bounds=_DECLINATION
    ),
    MetadataKey(
        "observation__location__height",
        _F,
        "height above the ellipsoid",
        ("OBSGEO-H",),
        unit="m",
        bounds=(-500.0, 10_000.0),
    ),
    MetadataKey("acquisition__sb_id", _I, "scheduling block", ("SB_ID",), indexed=True, bounds=_BLOCK),
    MetadataKey("acquisition__local_run_type", _S, "type of the local run", ("LOCRUNTP",)),
    MetadataKey("simulation__production_name", _S, "simulation production", ("SIMPROD",), indexed=True),
    MetadataKey(
        "simulation__node__zenith", _F, "zenith angle of the grid node", ("SIMZEN",), unit="deg", bounds=_ZENITH
    ),
    MetadataKey("simulation__node__azimuth", _F, "azimuth of the grid node", ("SIMAZ",), unit="deg", bounds=_AZIMUTH),
    MetadataKey(
        "simulation__node__hour_angle",
        _F,
        "hour angle of the grid node",
        ("SIMHA",),
        unit="deg",
        bounds=(-360.0, 360.0),
    ),
    MetadataKey(
        "simulation__node__declination",
        _F,
        "declination of the grid node",
        ("SIMDEC",),
        unit="deg",
        bounds=_DECLINATION,
    ),
    MetadataKey(
        "simulation__node__nsb_factor",
        _F,
        "night-sky background, relative to the dark sky",
        ("SIMNSB",),
        bounds=(0.0, 1e6),
    ),
    MetadataKey("sdc__sky_brightness", _S, "sky brightness of a science data challenge", ("SDC_NSB",)),
    MetadataKey("integrity__sha256", _S, "SHA-256 of the file, 64 hexadecimal digits (set by ingest)"),
    MetadataKey("integrity__datasums", _S, "DATASUM of each HDU in order, as computed (set by ingest)"),
)

#: The table: every key, in the order of the data model.
METADATA: Mapping[str, MetadataKey] = MappingProxyType({row.key: row for row in _ROWS})


def metadata_key(name: str) -> MetadataKey:
    """Return the row of the table for `name`.

    Raises
    ------
    InvalidMetadataError
        If there is none; the error names the nearest key.
    """
    row = METADATA.get(name)
    if row is None:
        near = difflib.get_close_matches(name, METADATA, n=1, cutoff=0.5)
        raise InvalidMetadataError(name, "no such key" + (f"; did you mean {near[0]!r}?" if near else ""))
    return row


def _typed(values: Mapping[str, object]) -> Mapping[str, Value]:
    """Check and convert `values` by the table."""
    return {name: metadata_key(name).parse(value) for name, value in values.items()}


def _read(keywords: Mapping[str, object]) -> Iterator[tuple[MetadataKey, Value | Defect]]:
    """Yield each key that the keywords carry, with its value, or the defect of the keyword."""
    for row in METADATA.values():
        keyword = next((word for word in (*row.keywords, row.key) if word in keywords), None)
        if keyword is None:
            continue
        try:
            yield row, row.parse(keywords[keyword])
        except InvalidMetadataError as error:
            yield row, Defect(DefectKind.INVALID_METADATA, f"keyword {keyword}: {error.reason}")


@attrs.frozen(repr=False)
class ProductMetadata(Mapping[str, Value]):
    """The metadata of one product: known keys, typed values, read-only.

    Parameters
    ----------
    values
        Values by key; each is checked and converted by the table.

    Raises
    ------
    InvalidMetadataError
        For the first key or value that does not fit.

    Examples
    --------
    >>> meta = ProductMetadata({"data__level": "DL0", "instance__obs_id": "2000000001"})
    >>> meta["instance__obs_id"]
    2000000001
    """

    _values: Mapping[str, Value] = attrs.field(converter=_typed, alias="values")

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"ProductMetadata({', '.join(f'{key}={value}' for key, value in self._values.items())})"

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, object]) -> tuple[ProductMetadata, tuple[Defect, ...]]:
        """Read the metadata that FITS keywords carry.

        Parameters
        ----------
        keywords
            Values by keyword, e.g. of the primary header and the one with the product's identification together; or by
            the key itself, for a key that has no keyword.

        Returns
        -------
        metadata, defects
            What could be read, and everything that could not.
        """
        values: dict[str, Value] = {}
        defects = []
        for row, found in _read(keywords):
            if isinstance(found, Defect):
                defects.append(found)
            else:
                values[row.key] = found
        return cls(values), tuple(defects)

    @staticmethod
    def faults_by_need(
        keywords: Mapping[str, object], level: DataLevel
    ) -> tuple[tuple[Defect, ...], tuple[Defect, ...]]:
        """Return the defects of keywords, those that a product of `level` requires and all others.

        Other software writes optional keywords with values of other types; that is no fault of the file.

        Parameters
        ----------
        keywords
            As for `from_keywords`.

        Returns
        -------
        required, optional
            The defects of keywords that the level requires, and of those that it does not.
        """
        faults = [(level in row.required, found) for row, found in _read(keywords) if isinstance(found, Defect)]
        required = tuple(defect for is_required, defect in faults if is_required)
        return required, tuple(defect for is_required, defect in faults if not is_required)

    def missing(self, level: DataLevel) -> tuple[Defect, ...]:
        """Return a defect for each key that a product of `level` must have and this one lacks."""
        return tuple(
            Defect(DefectKind.MISSING_METADATA, f"{row.key} ({spelled(row)}) is required at {level}")
            for row in METADATA.values()
            if level in row.required and row.key not in self._values
        )

    def to_wire(self) -> dict[str, str | int | float | bool]:
        """Return the values as JSON can carry them."""
        return {key: METADATA[key].to_wire(value) for key, value in self._values.items()}


def spelled(row: MetadataKey) -> str:
    """Return where the value of a key comes from, in words."""
    return "FITS keyword " + " or ".join(row.keywords) if row.keywords else "set by the archive"
