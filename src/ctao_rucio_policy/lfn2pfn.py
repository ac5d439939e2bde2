"""Where a file lies on a storage element: its name, below the prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import pfn_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["lfn2pfn"]


def lfn2pfn(
    scope: str, name: str, rse: str, rse_attributes: Mapping[str, Any], protocol_attributes: Mapping[str, Any]
) -> str:
    """Return the path of a file relative to the prefix of the storage element.

    Parameters
    ----------
    scope, name
        The file's identifier; only the name matters.
    rse, rse_attributes, protocol_attributes
        The storage element; one rule for all of them.

    Raises
    ------
    rucio.common.exception.ReplicaNotFound
        If the name is not canonical. No such name can lie anywhere; Rucio then leaves that one replica out of a list
        and keeps the others.

    Examples
    --------
    >>> lfn2pfn("acada", "/ctao/acada/DL0/x.fits.fz", "PIC-DISK", {}, {})
    'ctao/acada/DL0/x.fits.fz'
    """
    try:
        return pfn_path(name, "").removeprefix("/")
    except InvalidNameError as error:
        from rucio.common.exception import ReplicaNotFound

        raise ReplicaNotFound(str(error)) from error
