"""Paths of files of the array control and data acquisition (ACADA).

Grammar (ACADA-DPPS interface, table 6, and published samples)::

    path = "/" vo "/" scope "/DL0/" element "/" user ["/acada-adh"] "/" kind "/" YYYY "/" MM "/" DD "/" name

The date is that of the observing night, not that of the time stamp in the name.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import ArrayElement, Lfn, Night
from ctao_bdms.naming.acada import AcadaName
from ctao_bdms.naming.grammar import offset_of

__all__ = ["AcadaPath"]


@attrs.frozen(kw_only=True)
class AcadaPath:
    """The path of an acquisition file below the storage root.

    Attributes
    ----------
    vo, scope
        The first two components.
    element
        The array element, ``LSTN-01``, or ``ARRAY``.
    user
        The account of the acquisition that wrote it.
    handler
        ``acada-adh`` where the path has that component, else empty.
    kind
        ``events``, ``triggers`` or ``monitoring``, in one of the published spellings.
    night
        The observing night.
    name
        The file's own name.
    """

    vo: str
    scope: str
    element: str
    user: str
    handler: str = "acada-adh"
    kind: str
    night: Night
    name: AcadaName

    @classmethod
    def parse(cls, lfn: Lfn) -> AcadaPath:
        """Return the parts of `lfn`.

        Raises
        ------
        InvalidNameError
            If it is not a path of the acquisition; the error points at the component.
        """
        folder, _, text = lfn.text.rpartition("/")
        try:
            vo, scope, element, user, handler, kind, night = _folder(folder)
        except InvalidNameError as error:
            raise InvalidNameError(lfn.text, error.reason, error.position) from error
        try:
            name = AcadaName.parse(text)
        except InvalidNameError as error:
            raise InvalidNameError(lfn.text, error.reason, len(folder) + 1 + (error.position or 0)) from error
        return cls(vo=vo, scope=scope, element=element, user=user, handler=handler, kind=kind, night=night, name=name)

    @property
    def lfn(self) -> Lfn:
        """The path as a logical file name."""
        handler = f"/{self.handler}" if self.handler else ""
        day = self.night.date.isoformat().replace("-", "/")
        folder = f"/{self.vo}/{self.scope}/DL0/{self.element}/{self.user}{handler}/{self.kind}/{day}"
        return Lfn(f"{folder}/{self.name}")


_WHERE = "a DL0 path is /<vo>/<scope>/DL0/<element>/<user>[/acada-adh]/<kind>/<YYYY>/<MM>/<DD>/<name>"
_NUMBERED = re.compile(r"TEL(\d{3})", re.ASCII)
_KINDS = {"event", "events", "trigger", "triggers", "monitoring"}


@lru_cache(maxsize=4096)
def _folder(folder: str) -> tuple[str, str, str, str, str, str, Night]:
    """Return the parts of a directory of the acquisition; a night has some dozens."""
    parts = folder[1:].split("/")
    if len(parts) not in {9, 10}:
        raise InvalidNameError(folder, _WHERE)
    vo, scope, level, element, user, *middle, kind, year, month, day = parts
    for fits, index, wanted in (
        (level == "DL0", 2, "DL0"),
        (_is_element(element), 3, "an array element as LSTN-01, or ARRAY"),
        (middle in ([], ["acada-adh"]), 5, "acada-adh"),
        (kind.lower() in _KINDS, len(parts) - 4, "events, triggers or monitoring"),
    ):
        if not fits:
            raise InvalidNameError(folder, f"component {parts[index]!r} should be {wanted}", offset_of(parts, index))
    try:
        if [len(year), len(month), len(day)] != [4, 2, 2]:
            raise ValueError
        night = Night(dt.date(int(year), int(month), int(day)))
    except ValueError:
        reason = f"{year}/{month}/{day} is not the date of a night as YYYY/MM/DD"
        raise InvalidNameError(folder, reason, offset_of(parts, len(parts) - 3)) from None
    return vo, scope, element, user, "".join(middle), kind, night


def _is_element(text: str) -> bool:
    """Whether a component names an array element, or the whole array."""
    if match := _NUMBERED.fullmatch(text):
        return ArrayElement.exists(int(match[1]))
    return text in {"ARRAY", "array"} or ArrayElement.exists(text)
