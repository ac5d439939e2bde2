"""Select the on-site storage element and its quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.errors import UsageError
from ctao_bdms.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import Rse

__all__ = ["onsite_rse", "quarantine_of"]


def onsite_rse(rses: Mapping[str, Rse], name: str = "", paths: Sequence[Path] = ()) -> Rse:
    """Return the on-site storage element by `name`, by `paths`, or the only one.

    Raises
    ------
    UsageError
        If there is none, or more than one to choose from.
    """
    onsite = {rse.name: rse for rse in rses.values() if rse.is_onsite}
    if name:
        if name not in onsite:
            raise UsageError(f"{name!r} is no storage element on site; there are {', '.join(sorted(onsite))}")
        return onsite[name]
    holding = [r for r in onsite.values() if r.prefix and any(p.absolute().is_relative_to(r.prefix) for p in paths)]
    if holding or len(onsite) == 1:
        return (holding or list(onsite.values()))[0]
    raise UsageError(f"say with rse= where the files lie: one of {', '.join(sorted(onsite)) or 'none'}")


def quarantine_of(rses: Mapping[str, Rse], storage: Rse, folder: Path | None = None) -> Quarantine:
    """Return the quarantine in `folder`, by default beside the storage root.

    Raises
    ------
    UsageError
        If it is inside the namespace of a storage element.
    """
    quarantine = Quarantine.beside(Path(storage.prefix)) if folder is None else Quarantine(folder)
    for other in rses.values():
        if other.prefix and quarantine.folder.is_relative_to(other.prefix):
            raise UsageError(
                f"the quarantine {quarantine.folder} lies in the namespace of {other.name}, {other.prefix}"
            )
    return quarantine
