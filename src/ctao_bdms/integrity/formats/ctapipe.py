"""Check the layout of an HDF5 file of ctapipe: groups, tables, and numbers of rows that agree.

Source: the data format of ctapipe, versions 1 to 7 (``CTA PRODUCT DATA MODEL VERSION``), as written by ctapipe. The
paths that are required here are the same in all versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import Defect, DefectKind, Keyword

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Layout", "layout_of"]

_SUBARRAY_TRIGGER = "/dl1/event/subarray/trigger"
_TELESCOPE_TRIGGER = "/dl1/event/telescope/trigger"
_IMAGES = "/dl1/event/telescope/images"
_PARAMETERS = "/dl1/event/telescope/parameters"
_SUBARRAY_LAYOUT = "/configuration/instrument/subarray/layout"

#: The group of the tables of each level that a file can declare.
_CLAIMS = {
    "R0": "/r0/event/telescope",
    "R1": "/r1/event/telescope",
    "DL1": "/dl1",
    "DL1_IMAGES": _IMAGES,
    "DL1_PARAMETERS": _PARAMETERS,
    "DL2": "/dl2",
}
#: The kind of a file, by the first of these groups that it has.
_KINDS = (
    ("/dl2/event", "ctapipe DL2"),
    ("/dl1/event", "ctapipe DL1"),
    ("/r1/event", "ctapipe R1"),
    ("/r0/event", "ctapipe R0"),
    ("/dl2/monitoring", "ctapipe DL2 monitoring"),
    ("/dl1/monitoring", "ctapipe DL1 monitoring"),
    ("/dl0/monitoring", "ctapipe DL0 monitoring"),
)


@attrs.frozen(kw_only=True)
class Layout:
    """The kind of an HDF5 file, and defects of its structure.

    Attributes
    ----------
    kind
        The kind; ``HDF5`` if it was not written by ctapipe.
    keywords
        Metadata that follow from the structure.
    defects
        What is absent or does not agree.
    """

    kind: str
    keywords: Mapping[str, Keyword]
    defects: tuple[Defect, ...]


def layout_of(
    groups: Collection[str], rows: Mapping[str, int], attributes: Mapping[str, object], promised: str
) -> Layout:
    """Return the kind of an HDF5 file and the defects of its structure.

    Parameters
    ----------
    groups
        The paths of the groups.
    rows
        The numbers of rows by the paths of the tables.
    attributes
        The attributes of the root group.
    promised
        The level in the file name, ``DL1`` or ``DL2``; empty if none.
    """
    kind = next((kind for group, kind in _KINDS if group in groups), "HDF5")
    is_event = any(group in groups for group, _ in _KINDS[:4])
    claimed = attributes.get("CTA PRODUCT DATA LEVELS", attributes.get("CTAO.data.level"))
    levels = {word.strip() for word in claimed.split(",")} if isinstance(claimed, str) else set()
    is_simulation = attributes.get("CTA PROCESS TYPE") == "Simulation"
    problems = [
        *_claims(levels | ({promised} - {""}), rows),
        *(_events(rows, groups, is_simulation=is_simulation) if is_event else ()),
        *_counts(rows),
    ]
    return Layout(
        kind=kind,
        keywords={"DATADIV": "Event"} if is_event and "CTAO.data.division" not in attributes else {},
        defects=tuple(Defect(DefectKind.STRUCTURE, problem) for problem in problems),
    )


def _claims(levels: Collection[str], rows: Mapping[str, int]) -> Iterator[str]:
    """Yield a message for each declared level without a table."""
    for level, place in _CLAIMS.items():
        if level in levels and not any(path.startswith(f"{place}/") for path in rows):
            yield f"it claims to hold {level}, but there is no table in {place}"


def _events(rows: Mapping[str, int], groups: Collection[str], *, is_simulation: bool) -> Iterator[str]:
    """Yield a message for each table or group that a file with events lacks."""
    needed = [_SUBARRAY_LAYOUT, _SUBARRAY_TRIGGER]
    if _tables(rows, _IMAGES) or _tables(rows, _PARAMETERS):
        needed.append(_TELESCOPE_TRIGGER)
    for table in needed:
        if table not in rows:
            yield f"a file with events must have a table {table}"
    if is_simulation and "/simulation" not in groups:
        yield "a file with simulated events must have a group /simulation"


def _counts(rows: Mapping[str, int]) -> Iterator[str]:
    """Yield a message for each pair of tables whose numbers of rows disagree."""
    images, parameters = _tables(rows, _IMAGES), _tables(rows, _PARAMETERS)
    for name in images.keys() & parameters.keys():
        if images[name] != parameters[name]:
            yield f"{name} has {images[name]} images, but parameters of {parameters[name]}"
    for what, tables in (("images", images), ("parameters", parameters)):
        if _TELESCOPE_TRIGGER in rows and sum(tables.values()) > rows[_TELESCOPE_TRIGGER]:
            yield f"there are {sum(tables.values())} {what} of {rows[_TELESCOPE_TRIGGER]} telescope triggers"
    if _SUBARRAY_TRIGGER in rows:
        for path, count in rows.items():
            parts = path.split("/")
            if path.startswith("/dl2/event/subarray/") and len(parts) == 6 and count > rows[_SUBARRAY_TRIGGER]:
                yield f"{path} has {count} rows, but there are {rows[_SUBARRAY_TRIGGER]} events"


def _tables(rows: Mapping[str, int], place: str) -> dict[str, int]:
    """Return the numbers of rows of the tables directly in a group, by name."""
    inside = {path.removeprefix(f"{place}/"): count for path, count in rows.items() if path.startswith(f"{place}/")}
    return {name: count for name, count in inside.items() if "/" not in name}
