"""Try the replicas of a file, the best first, each by all its URLs, until one works."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ctao_bdms.access.fetched import Fault, Trouble
from ctao_bdms.access.locate import ranked
from ctao_bdms.errors import InvalidNameError, MissingExtraError, UnreachableError
from ctao_bdms.integrity import ChecksumMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctao_bdms.access.health import Health
    from ctao_bdms.model import ArchivedFile, Replica, Rse

__all__ = ["first_usable"]

_LOG = logging.getLogger(__name__)
#: Errors of this machine, whatever it reads.
_LACKS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

_Used = TypeVar("_Used")


def first_usable(
    file: ArchivedFile,
    rses: Mapping[str, Rse],
    near: str,
    health: Health,
    use: Callable[[str], _Used],
    troubles: list[Trouble],
) -> tuple[str, _Used] | None:
    """Use the best replica of a file that works.

    Parameters
    ----------
    near
        The site, centre or storage element whose copies come first.
    health
        Which storage elements have failed of late; it is kept up to date.
    use
        Uses what a URL points to; what it raises as `OSError`, or since URLs of its kind cannot be opened here, is a
        trouble with the copy.
    troubles
        Is given what is wrong with the copies that cannot be used, one trouble each.

    Returns
    -------
    tuple or None
        The storage element of the copy, and what `use` has returned; None if no copy can be used.
    """
    for replica in ranked(file, rses, near, health):
        here: list[Trouble] = []
        for url in replica.urls:
            try:
                used = use(url)
            except (MissingExtraError, InvalidNameError, OSError) as error:
                fault = _fault_of(error, url, Path(rses[replica.rse].prefix, file.lfn.parts[0]))
                here.append(Trouble(rse=replica.rse, pfn=url, fault=fault, reason=str(error)))
                # What has another size may be a page of this door, that asks who one is.
                if isinstance(error, ChecksumMismatchError) and error.what != "size":
                    break
            else:
                health.worked(replica.rse)
                return replica.rse, used
        health.failed(replica.rse)
        troubles.append(_worst(replica, here))
        _LOG.info("the copy of %s at %s", file.lfn, troubles[-1])
    return None


def _fault_of(error: Exception, url: str, tree: Path) -> Fault:
    """Say what it means for a copy in the folder `tree`, if it is on this machine, that reading `url` has failed."""
    if isinstance(error, ChecksumMismatchError):
        return Fault.BAD
    if isinstance(error, UnreachableError | InvalidNameError | MissingExtraError | PermissionError):
        return Fault.OUT_OF_REACH
    if isinstance(error, OSError) and error.errno in _LACKS:
        return Fault.OUT_OF_REACH
    if isinstance(error, FileNotFoundError) and url.startswith("file:") and not tree.is_dir():
        return Fault.OUT_OF_REACH  # the file system itself is not there, or not mounted
    return Fault.SUSPICIOUS


def _worst(replica: Replica, troubles: list[Trouble]) -> Trouble:
    """Combine the faults of the URLs of a replica: one that answered tells more than one that did not."""
    order = list(Fault)
    reason = "; ".join(trouble.reason for trouble in troubles)
    fault = min((trouble.fault for trouble in troubles), key=order.index, default=Fault.OUT_OF_REACH)
    return Trouble(
        rse=replica.rse, pfn=replica.pfn, fault=fault, reason=reason or "it has no URL that can be opened here"
    )
