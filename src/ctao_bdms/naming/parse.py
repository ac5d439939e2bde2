"""Parse any name of the archive by the grammar of its place in the tree."""

from __future__ import annotations

import re

import attrs

from ctao_bdms.model import DataLevel, Lfn, Site
from ctao_bdms.naming.acada import AcadaName
from ctao_bdms.naming.acada_path import AcadaPath
from ctao_bdms.naming.blocks import BlockName, ManifestName, is_manifest
from ctao_bdms.naming.dpps import DppsName
from ctao_bdms.naming.dpps_path import DppsPath
from ctao_bdms.naming.lst import LstName
from ctao_bdms.naming.tree import scope_of
from ctao_bdms.naming.users import USER_AREA, UserPath

__all__ = ["OtherPath", "is_dpps_name", "read_lfn", "read_name"]


@attrs.frozen
class OtherPath:
    """A canonical name without a grammar: only its scope is known."""

    lfn: Lfn

    @property
    def scope(self) -> str:
        """The scope."""
        return scope_of(self.lfn.text)


_LEVEL = "|".join(level.value[:3].lower() for level in DataLevel)
_IS_DPPS = re.compile(rf"(?:{_LEVEL})_[a-z]{{3}}_", re.ASCII)
_IS_ACADA = re.compile(r"(?:SUB|TEL|AUX|ACE|Tel)\d", re.ASCII)
_SITES = {site.value for site in Site}


def read_lfn(lfn: Lfn) -> AcadaPath | DppsPath | UserPath | BlockName | ManifestName | OtherPath:
    """Parse a logical file name by the grammar of its place in the tree.

    Raises
    ------
    InvalidNameError
        If the name does not follow the grammar of its place, or has no scope.

    Examples
    --------
    >>> read_lfn(Lfn("/ctao/user/a/aeinstein/notes.txt")).username
    'aeinstein'
    """
    scope_of(lfn.text)
    parts = lfn.parts
    if parts[1] == USER_AREA and len(parts) > 4:
        return UserPath.parse(lfn)
    if parts[2:3] == ("blocks",) and len(parts) == 8:
        return ManifestName.parse(lfn.text) if is_manifest(lfn.text) else BlockName.parse(lfn.text)
    if parts[2:3] == ("DL0",) and _is_file(parts[-1]):
        return AcadaPath.parse(lfn)
    if _IS_ACADA.match(parts[-1]) and len(parts) in {10, 11}:
        return AcadaPath.parse(lfn)
    if _IS_DPPS.match(parts[-1]) or (_SITES.intersection(parts[2:]) and _is_file(parts[-1])):
        return DppsPath.parse(lfn)
    return OtherPath(lfn)


def _is_file(component: str) -> bool:
    """Whether a component looks like a file's name: with an extension."""
    return re.search(r"\.[A-Za-z]", component) is not None


def is_dpps_name(text: str) -> bool:
    """Return whether a file's own name begins as those of data processing do.

    Examples
    --------
    >>> is_dpps_name("dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5")
    True
    """
    return _IS_DPPS.match(text) is not None


def read_name(text: str) -> AcadaName | DppsName | LstName:
    """Parse a file name by the grammar that its first characters select.

    Raises
    ------
    InvalidNameError
        If it does not follow it.

    Examples
    --------
    >>> read_name("LST-1.1.Run02005.0000.fits.fz").run_id
    2005
    """
    if text.startswith("LST-"):
        return LstName.parse(text)
    if _IS_DPPS.match(text):
        return DppsName.parse(text)
    return AcadaName.parse(text)
