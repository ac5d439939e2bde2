"""Types and releases of products.

Source: the CTAO data model (``ctao-datamodel`` 1.4): product type ``level/division/association/type``.
"""

from __future__ import annotations

import difflib
import re
from enum import Enum, StrEnum
from functools import total_ordering
from typing import TypeVar

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model.levels import DataAssociation, DataDivision, DataLevel

__all__ = ["DataType", "ProductType", "Release"]

Word = TypeVar("Word", bound=Enum)


class DataType(StrEnum):
    """The content of a product within its level, division and association."""

    AIRSHOWER = "AirShower"
    AIRSHOWER_SIM = "AirShowerSim"
    ALL_SKY_CAMERA = "AllSkyCamera"
    BACKGROUND_IRF_COMPONENT = "BackgroundIRFComponent"
    CALIBRATION = "Calibration"
    CALIBRATION_SIM = "CalibrationSim"
    CEILOMETER = "Ceilometer"
    CONTEMPORARY_ATMOSPHERE = "ContemporaryAtmosphere"
    FRAM = "FRAM"
    GRID_IRF = "GridIRF"
    HDU_INDEX = "HDUIndex"
    LIDAR = "Lidar"
    LONG_TERM_SCHEDULE = "LongTermSchedule"
    LST_DRS4_BASELINE_CALIBRATION = "LSTDRS4BaselineCalibration"
    LST_DRS4_SAMPLING_CALIBRATION = "LSTDRS4SamplingCalibration"
    LST_DRS4_TIMELAPSE_CALIBRATION = "LSTDRS4TimelapseCalibration"
    MID_TERM_SCHEDULE = "MidTermSchedule"
    MUON_CANDIDATE = "MuonCandidate"
    NECTARCAM_CALIBRATION = "NectarCamCalibration"
    OBSERVATION = "Observation"
    OBSERVATION_CATALOG = "ObservationCatalog"
    OBSERVATION_SIM = "ObservationSim"
    POINTING = "Pointing"
    RECO_MODEL = "RecoModel"
    TAILORED_IRF = "TailoredIRF"
    TELESCOPE_TRIGGERS = "TelescopeTriggers"
    TRIGGER = "Trigger"
    WEATHER = "Weather"
    # Proposed by the data model for DL4 to DL6:
    BACKGROUND_MAP = "BackgroundMap"
    COUNTS_MAP = "CountsMap"
    EDISP_MAP = "EDispMap"
    EXCESS_MAP = "ExcessMap"
    EXCLUSION_MAP = "ExclusionMap"
    EXPOSURE_MAP = "ExposureMap"
    FIT_SKY_MODEL = "FitSkyModel"
    FLUX_MAP = "FluxMap"
    GRB_CATALOG = "GRBCatalog"
    LIGHTCURVE = "LightCurve"
    PHASE_MAP = "PhaseMap"
    PSF_MAP = "PSFMap"
    SIGNIFICANCE_MAP = "SignificanceMap"
    SKYMODEL = "SkyModel"
    SOURCE_CATALOG = "SourceCatalog"
    SPECTRUM = "Spectrum"


_UP_TO_DL3 = frozenset(level for level in DataLevel if level <= DataLevel.DL3)


@attrs.frozen(order=True, repr=False)
class ProductType:
    """The kind of a product, written ``level/division/association/type``.

    Attributes
    ----------
    level, division, association, type
        The four words, from the broadest to the narrowest; types are ordered by them.

    Raises
    ------
    ValueError
        If the division does not exist at the level: up to DL3 nothing is a model or binned.

    Examples
    --------
    >>> kind = ProductType.parse("DL1/Event/Telescope/AirShower")
    >>> kind.level, kind.type.value
    (DataLevel.DL1, 'AirShower')
    >>> kind
    ProductType(DL1/Event/Telescope/AirShower)
    """

    level: DataLevel
    division: DataDivision = attrs.field()
    association: DataAssociation
    type: DataType

    @division.validator
    def _exists(self, _attribute: object, division: DataDivision) -> None:
        if division in {DataDivision.MODEL, DataDivision.BINNED} and self.level in _UP_TO_DL3:
            msg = f"{self.level} has no products of the division {division}; they begin at DL4"
            raise ValueError(msg)

    @classmethod
    def parse(cls, text: str) -> ProductType:
        """Return the type written as ``level/division/association/type``.

        Raises
        ------
        InvalidNameError
            If `text` is no such type; the error points at the wrong word.
        """
        words = text.split("/")
        if len(words) != 4:
            raise InvalidNameError(text, "a product type is level/division/association/type")
        starts = [sum(len(word) + 1 for word in words[:i]) for i in range(4)]
        try:
            return cls(
                _word(DataLevel, text, words[0], starts[0]),
                _word(DataDivision, text, words[1], starts[1]),
                _word(DataAssociation, text, words[2], starts[2]),
                _word(DataType, text, words[3], starts[3]),
            )
        except InvalidNameError:
            raise
        except ValueError as error:
            raise InvalidNameError(text, str(error), starts[1]) from error

    def __str__(self) -> str:
        return f"{self.level}/{self.division}/{self.association}/{self.type}"

    def __repr__(self) -> str:
        return f"ProductType({self})"


def _word(kind: type[Word], text: str, word: str, position: int) -> Word:
    """Return the member of `kind` that `word` says, or the error that points at it."""
    try:
        return kind(word)
    except ValueError:
        near = difflib.get_close_matches(word, [member.value for member in kind], n=1)
        known = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(m.value for m in kind)}"
        raise InvalidNameError(text, f"{word!r} is no {kind.__name__}; {known}", position) from None


_COMPONENT = re.compile(r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+-]+", re.ASCII)


@total_ordering
@attrs.frozen(order=False, repr=False)
class Release:
    """A release: a collection of products that belong together, such as ``DataPipe/Observation/DR1``.

    Ordered as people count: DR2 comes before DR10.

    Attributes
    ----------
    text
        One or more components joined by ``/``, as they stand in logical file names.

    Raises
    ------
    InvalidNameError
        If `text` could not stand in a logical file name.

    Examples
    --------
    >>> release = Release("DataPipe/Observation/DR10")
    >>> release.collection, release.version
    ('DataPipe/Observation', 'DR10')
    >>> Release("DataPipe/Observation/DR2") < release
    True
    """

    text: str = attrs.field()

    @text.validator
    def _canonical(self, _attribute: object, text: str) -> None:
        position = 0
        for part in text.split("/"):
            if _COMPONENT.fullmatch(part) is None:
                raise InvalidNameError(text, f"{part!r} is no component of a release", min(position, len(text)))
            position += len(part) + 1

    @property
    def collection(self) -> str:
        """What the versions are versions of."""
        return self.text.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The last component."""
        return self.text.rpartition("/")[2]

    def _natural(self) -> tuple[list[tuple[str, int]], str]:
        """Return what the order goes by: words and numbers in turn, then the spelling."""
        pairs = re.findall(r"([^0-9]*)([0-9]*)", self.text)
        return [(word, int(digits or -1)) for word, digits in pairs], self.text

    def __lt__(self, other: object) -> bool:
        return self._natural() < other._natural() if isinstance(other, Release) else NotImplemented

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Release({self.text})"
