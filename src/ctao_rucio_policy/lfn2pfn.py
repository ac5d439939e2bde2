"""Map a logical file name to its path on a storage element: the name below the prefix."""

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

    Only `name` matters: all storage elements use the same mapping.

    Raises
    ------
    rucio.common.exception.ReplicaNotFound
        If the name is not canonical. Rucio then leaves out this replica and lists the others.

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
