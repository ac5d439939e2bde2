"""Map a path on a storage element to its logical file name: the reverse of `lfn2pfn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import lfn_of_pfn, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["pfn2lfn"]


def pfn2lfn(parsed_pfn: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the scope (in this order) of the file at a path.

    Parameters
    ----------
    parsed_pfn
        The path as parsed by Rucio: ``path`` is the folder below the prefix, ``name`` the last component.

    Raises
    ------
    rucio.common.exception.InvalidPath
        If the path is not that of a file of the archive.

    Examples
    --------
    >>> pfn2lfn({"path": "/ctao/acada/DL0/", "name": "x.fits.fz"})
    ('/ctao/acada/DL0/x.fits.fz', 'acada')
    """
    path = "/" + parsed_pfn["path"].strip("/") + "/" + parsed_pfn["name"]
    try:
        name = str(lfn_of_pfn(path, ""))
        return name, scope_of(name)
    except InvalidNameError as error:
        from rucio.common.exception import InvalidPath

        raise InvalidPath(str(error)) from error
