"""Paths of files of data processing and simulation (DPPS).

Rules (CTAO data model, ``ctao-datamodel`` 1.4)::

    path = "/" vo "/" scope *("/" area) "/" release "/" site "/" level "/" division
           ["/" particle] ["/node-" node] ["/" YYYY "/" MM "/" DD] ["/ob" n] "/" name

Files with a night lie in directories of the night, but for services above DL1, which serve many nights. Files of an
observation block have a directory of the block up to DL1, where there are many of them; simulated showers have none.
The release begins at the first component that ends with ``Pipe``, else right behind the scope.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import DataDivision, DataLevel, DataType, Lfn, Night, ProductType, Release, Site
from ctao_bdms.naming.dpps import DppsName
from ctao_bdms.naming.grammar import offset_of
from ctao_bdms.naming.simulation import SimulationNode, node_of, parse_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import Value

__all__ = ["DppsPath"]

_SITES = {site.value: site for site in Site}
_LEVELS = {level.value for level in DataLevel}


@attrs.frozen(kw_only=True)
class DppsPath:
    """The path of a processing or simulation file below the storage root.

    Attributes
    ----------
    vo, scope
        The first two components.
    area
        Components between the scope and the release, e.g. for products that are kept for a short time.
    release
        The release.
    site
        The site of the data.
    night
        The night of the directory; None where the rules want none.
    node
        The node of the simulation grid, with all that is known of it, or None.
    name
        The file's own name.

    Examples
    --------
    >>> folder = "/ctao/dpps/DataPipe/Observation/DR1/CTAO-North/DL1/Event/2025/10/30/ob2000000001"
    >>> path = DppsPath.parse(Lfn(f"{folder}/dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5"))
    >>> path.release, path.night, path.name.ae_id
    (Release(DataPipe/Observation/DR1), Night(2025-10-30), 1)
    """

    vo: str
    scope: str
    area: tuple[str, ...] = ()
    release: Release
    site: Site
    night: Night | None = None
    node: SimulationNode | None = None
    name: DppsName

    @classmethod
    def parse(cls, lfn: Lfn) -> DppsPath:
        """Return the parts of `lfn`.

        Raises
        ------
        InvalidNameError
            If it does not follow the rules, or directory and name disagree; the error points at the component.
        """
        folder, _, text = lfn.text.rpartition("/")
        try:
            place = _place(folder)
        except InvalidNameError as error:
            raise InvalidNameError(lfn.text, error.reason, error.position) from error
        try:
            name = DppsName.parse(text)
        except InvalidNameError as error:
            raise InvalidNameError(lfn.text, error.reason, len(folder) + 1 + (error.position or 0)) from error
        if name.obs_id is None and name.site is None:
            raise InvalidNameError(lfn.text, "a name says its observation block or its site", len(folder) + 1)
        path = cls(
            vo=place.vo,
            scope=place.scope,
            area=place.area,
            release=place.release,
            site=name.site or place.site,
            night=(name.night or place.night) if _has_night(name.kind) else None,
            node=place.node if place.node and place.node.named == name.node else name.node,
            name=name,
        )
        if (right := path.directory) != folder:
            raise _differs(lfn, folder, right)
        return path

    @classmethod
    def of(
        cls, metadata: Mapping[str, Value], vo: str, scope: str, area: Sequence[str] = (), extension: str = ".h5"
    ) -> DppsPath:
        """Return the path of the product with this metadata (keys of the metadata table).

        Raises
        ------
        KeyError
            If product type, release or site are missing.
        ValueError
            If a value is none that the data model knows.
        """
        name = DppsName.of(metadata, extension)
        night = metadata.get("instance__observing_night")
        return cls(
            vo=vo,
            scope=scope,
            area=tuple(area),
            release=Release(str(metadata["curation__release"])),
            site=Site(str(metadata["instance__site_id"])),
            night=Night.parse(str(night)) if night is not None and _has_night(name.kind) else None,
            node=node_of(metadata),
            name=name,
        )

    @property
    def directory(self) -> str:
        """The directory, without a slash at the end."""
        kind, name = self.name.kind, self.name
        parts = ["", self.vo, self.scope, *self.area, self.release.text, self.site.value]
        parts += [kind.level.value, kind.division.value]
        if self.node is not None:
            if name.particle is not None:
                parts.append(name.particle.name)
            parts.append(f"node-{'-'.join(self.node.pieces)}")
        if self.night is not None:
            parts.append(self.night.date.isoformat().replace("-", "/"))
        if name.obs_id is not None and _has_block(kind):
            parts.append(f"ob{name.obs_id:010d}")
        return "/".join(parts)

    @property
    def lfn(self) -> Lfn:
        """The path as a logical file name."""
        return Lfn(f"{self.directory}/{self.name}")


@lru_cache(maxsize=1024)
def _has_night(kind: ProductType) -> bool:
    """Whether products of a kind that have a night lie in a directory of the night."""
    return kind.division is not DataDivision.SERVICE or kind.level is DataLevel.DL1


@lru_cache(maxsize=1024)
def _has_block(kind: ProductType) -> bool:
    """Whether products of a kind that have an observation block lie in a directory of the block."""
    return kind.level <= DataLevel.DL1 and kind.type is not DataType.AIRSHOWER_SIM


@attrs.frozen
class _Place:
    """What a directory says, whatever the name says."""

    vo: str
    scope: str
    area: tuple[str, ...]
    release: Release
    site: Site
    night: Night | None
    node: SimulationNode | None


@lru_cache(maxsize=16384)
def _place(folder: str) -> _Place:
    """Return what a directory says; many files share one."""
    parts = folder[1:].split("/")
    at = _site_at(folder, parts)
    middle = parts[2:at]
    begin = next((i for i, part in enumerate(middle) if part.endswith("Pipe")), 0)
    if not middle:
        raise InvalidNameError(folder, "a release should stand before the site", offset_of(parts, at))
    vo, scope = parts[:2]
    release = Release("/".join(middle[begin:]))
    night, node = _night(folder, parts, at + 3), None
    for i, part in enumerate(parts[at + 3 :], at + 3):
        if part.startswith("node-"):
            try:
                node = parse_node(part)
            except InvalidNameError as error:
                raise InvalidNameError(folder, error.reason, offset_of(parts, i)) from None
    return _Place(vo, scope, tuple(middle[:begin]), release, _SITES[parts[at]], night, node)


def _site_at(folder: str, parts: Sequence[str]) -> int:
    """Return which component is the site: the one before a data level."""
    for i in range(2, len(parts) - 1):
        if parts[i] in _SITES and parts[i + 1] in _LEVELS:
            return i
    for i in range(2, len(parts)):
        if parts[i] in _SITES:
            reason = f"behind the site should stand a data level ({', '.join(_LEVELS_SORTED)})"
            raise InvalidNameError(folder, reason, min(offset_of(parts, i + 1), len(folder)))
        if parts[i] in _LEVELS and i > 2:
            near = difflib.get_close_matches(parts[i - 1], _SITES, n=1)
            reason = f"{parts[i - 1]!r} is no site; " + (f"did you mean {near[0]}?" if near else ", ".join(_SITES))
            raise InvalidNameError(folder, reason, offset_of(parts, i - 1))
    raise InvalidNameError(folder, "it has no component with a site, as CTAO-North, before a data level", len(folder))


_LEVELS_SORTED = tuple(level.value for level in DataLevel)


def _night(folder: str, parts: Sequence[str], start: int) -> Night | None:
    """Return the night that three components say, if there are any."""
    for i in range(start, len(parts) - 2):
        if re.fullmatch(r"\d{4}/\d\d/\d\d", day := "/".join(parts[i : i + 3]), re.ASCII):
            try:
                return Night(dt.date(*map(int, day.split("/"))))
            except ValueError:
                raise InvalidNameError(folder, f"{day} is no date", offset_of(parts, i)) from None
    return None


def _differs(lfn: Lfn, folder: str, right: str) -> InvalidNameError:
    """Point at the first component where a directory is not what the name wants."""
    parts, wanted = lfn.text[1:].split("/"), right[1:].split("/")
    count = folder.count("/")
    at = next(
        (i for i, (a, b) in enumerate(zip(parts[:count], wanted, strict=False)) if a != b), min(count, len(wanted))
    )
    if at == len(wanted):
        reason = f"the directory {parts[at]!r} is one too many for this name"
    elif at == count:
        reason = f"the name wants a further directory {wanted[at]!r} above it"
    else:
        reason = f"component {parts[at]!r} should be {wanted[at]!r}, as the file name says"
    return InvalidNameError(lfn.text, reason, offset_of(parts, at))
