"""Data levels and the words that say what kind of product a file is.

Source: the CTAO data model (``ctao-datamodel`` 1.4, product type ``level/division/association/type``).
"""

from __future__ import annotations

from enum import Enum, StrEnum
from functools import total_ordering

__all__ = ["Category", "DataAssociation", "DataDivision", "DataLevel", "RetentionClass"]


@total_ordering
class DataLevel(Enum):
    """The data level, ordered from the device to the catalogues.

    Simulated and service products stand beside the chain; they sort behind it.

    Examples
    --------
    >>> DataLevel.DL0 < DataLevel.DL3
    True
    >>> DataLevel("DL0")
    DataLevel.DL0
    """

    R0 = "R0"
    R1 = "R1"
    DL0 = "DL0"
    DL1 = "DL1"
    DL2 = "DL2"
    DL3 = "DL3"
    DL4 = "DL4"
    DL5 = "DL5"
    DL6 = "DL6"
    SIM = "SIM"
    SCIOPS = "SciOps"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, DataLevel):
            return NotImplemented
        order = list(DataLevel)
        return order.index(self) < order.index(other)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"DataLevel.{self.name}"


class DataDivision(StrEnum):
    """The broad content of a product."""

    EVENT = "Event"
    MONITORING = "Monitoring"
    SERVICE = "Service"
    MODEL = "Model"
    BINNED = "Binned"
    CATALOG = "Catalog"


class DataAssociation(StrEnum):
    """The association of a product."""

    ARRAY = "Array"
    SUBARRAY = "Subarray"
    TELESCOPE = "Telescope"
    REGION = "Region"
    TARGET = "Target"


class Category(StrEnum):
    """The processing category: real time, next day, or final reprocessing."""

    A = "A"
    B = "B"
    C = "C"


class RetentionClass(StrEnum):
    """The retention class of a product; the policy file defines each class."""

    #: what is to be preserved
    PERMANENT = "permanent"
    #: what is needed for a while: results of the next day, intermediates of processing
    SHORT_TERM = "short-term"
    #: results of the real-time analysis
    REAL_TIME = "real-time"
    #: what people keep for themselves
    USER = "user"
