"""Nodes of the simulation grid in names: one decimal, fixed widths."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctao_bdms.model import Value

__all__ = ["SimulationNode", "node_of", "parse_node", "spelled_node"]


def _tenth(value: float | None) -> float | None:
    """Round to what a name can say."""
    return None if value is None else float(f"{value:.1f}") + 0.0


@attrs.frozen
class SimulationNode:
    """A node of the grid of simulations, to one decimal.

    Attributes
    ----------
    nsb_factor
        Night-sky background, relative to the dark sky.
    zenith_deg, azimuth_deg
        Zenith angle and azimuth, in degrees; None if unknown.
    hour_angle_h, declination_deg
        Hour angle in hours, declination in degrees; None if unknown.
    """

    nsb_factor: float = attrs.field(converter=_tenth)
    zenith_deg: float | None = attrs.field(default=None, converter=_tenth)
    azimuth_deg: float | None = attrs.field(default=None, converter=_tenth)
    hour_angle_h: float | None = attrs.field(default=None, converter=_tenth)
    declination_deg: float | None = attrs.field(default=None, converter=_tenth)

    @property
    def pieces(self) -> tuple[str, ...]:
        """All that is known, as pieces of a name."""
        values = (
            (self.zenith_deg, "zen{:05.1f}"),
            (self.azimuth_deg, "az{:05.1f}"),
            (self.hour_angle_h, "ha{:05.1f}h"),
            (self.declination_deg, "dec{:05.1f}d"),
        )
        return (f"nsb{self.nsb_factor:04.1f}", *(form.format(value) for value, form in values if value is not None))

    @property
    def metadata(self) -> dict[str, float]:
        """All that is known, by the keys of the metadata table; the hour angle in degrees."""
        values = {
            "nsb_factor": self.nsb_factor,
            "zenith": self.zenith_deg,
            "azimuth": self.azimuth_deg,
            "hour_angle": None if self.hour_angle_h is None else self.hour_angle_h * 15,
            "declination": self.declination_deg,
        }
        return {f"simulation__node__{key}": value for key, value in values.items() if value is not None}

    @property
    def named(self) -> SimulationNode:
        """The part of it that stands in file names: equatorial if known, else horizontal."""
        if self.hour_angle_h is not None and self.declination_deg is not None:
            return attrs.evolve(self, zenith_deg=None, azimuth_deg=None)
        return attrs.evolve(self, hour_angle_h=None, declination_deg=None)


def node_of(metadata: Mapping[str, Value]) -> SimulationNode | None:
    """Return the node of the simulation grid that `metadata` speak of, or None."""

    def at(key: str) -> float | None:
        value = metadata.get(f"simulation__node__{key}")
        return None if value is None else float(str(value))

    factor, hour_angle = at("nsb_factor"), at("hour_angle")
    if factor is None:
        return None
    return SimulationNode(
        factor, at("zenith"), at("azimuth"), None if hour_angle is None else hour_angle / 15, at("declination")
    )


@lru_cache(maxsize=4096)
def spelled_node(*texts: str) -> tuple[SimulationNode, str]:
    """Return the node that numbers in the order of its attributes say, and how a name spells it; a grid has few."""
    numbers = [float(text) if text else None for text in texts]
    node = SimulationNode(*numbers)
    return node, "_".join(node.pieces)


_DIRECTORY = re.compile(
    r"node-nsb(?P<nsb>\d+\.\d)(?:-zen(?P<zen>-?\d+\.\d))?(?:-az(?P<az>-?\d+\.\d))?"
    r"(?:-ha(?P<ha>-?\d+\.\d)h)?(?:-dec(?P<dec>-?\d+\.\d)d)?",
    re.ASCII,
)


def parse_node(directory: str) -> SimulationNode:
    """Parse a directory name such as ``node-nsb01.0-zen020.0-az180.0``.

    Raises
    ------
    InvalidNameError
        If it is called after none.
    """
    found = _DIRECTORY.fullmatch(directory)
    if found is None:
        raise InvalidNameError(directory, "a node is called as node-nsb01.0-zen020.0-az180.0", 0)
    node, spelled = spelled_node(*found.groups(""))
    if directory != f"node-{spelled.replace('_', '-')}":
        raise InvalidNameError(directory, f"this is spelled node-{spelled.replace('_', '-')}", 0)
    return node
