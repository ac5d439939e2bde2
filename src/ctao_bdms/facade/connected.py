"""What everything that the archive can do stands on: a catalogue, a clock, the storage on site."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ctao_bdms import ingest
from ctao_bdms.access import Health
from ctao_bdms.errors import UsageError
from ctao_bdms.model import Did, Lfn, Product
from ctao_bdms.naming import BlockName
from ctao_bdms.processes import PerProcess
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ctao_bdms.catalogue import Catalogue
    from ctao_bdms.ingest import Quarantine
    from ctao_bdms.model import Rse

    #: What stands for files: a name, several, or products.
    Names = Iterable[Lfn | str | Product] | Lfn | str

__all__ = ["DEFAULT_VO", "Connected", "block_did", "names_of"]

#: The virtual organisation whose names the archive keeps.
DEFAULT_VO = "ctao"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Connected:
    """A catalogue, a clock, and the storage on site; `Bdms` says what the parameters are."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        now: Callable[[], dt.datetime] = _now,
        quarantine: Path | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.now = now
        self.policy = policy or Policy.load()
        self._quarantine_folder = quarantine
        self._health = PerProcess(Health)

    def __repr__(self) -> str:
        return f"Bdms({self.catalogue!r})"

    def through(self, catalogue: Catalogue, *, quarantine: Path | None = None) -> Self:
        """Return the same archive, asked through another catalogue, or with another folder of the quarantine."""
        return type(self)(catalogue, now=self.now, quarantine=quarantine or self._quarantine_folder, policy=self.policy)

    def onsite(self, rse: str = "") -> Rse:
        """Return the storage element on site called `rse`, by default the only one.

        Raises
        ------
        UsageError
            If there is no such, or there are several to choose from.
        """
        return self._onsite(rse, ())

    def _onsite(self, name: str, paths: Sequence[Path]) -> Rse:
        """Return the on-site storage element called `name`, or the one that holds the first of `paths`."""
        onsite = {rse.name: rse for rse in self.catalogue.rses().values() if rse.is_onsite}
        if name:
            if name not in onsite:
                raise UsageError(f"{name!r} is no storage element on site; there are {', '.join(sorted(onsite))}")
            return onsite[name]
        holding = [r for r in onsite.values() if r.prefix and any(p.absolute().is_relative_to(r.prefix) for p in paths)]
        if holding or len(onsite) == 1:
            return (holding or list(onsite.values()))[0]
        raise UsageError(f"say with rse= where the files lie: one of {', '.join(sorted(onsite)) or 'none'}")

    def _quarantine(self, storage: Rse) -> Quarantine:
        """Return the quarantine beside the root of `storage`; no storage element may hold it."""
        beside = ingest.Quarantine.beside(Path(storage.prefix))
        quarantine = beside if self._quarantine_folder is None else ingest.Quarantine(self._quarantine_folder)
        for other in self.catalogue.rses().values():
            if other.prefix and quarantine.folder.is_relative_to(other.prefix):
                raise UsageError(
                    f"the quarantine {quarantine.folder} lies in the namespace of {other.name}, {other.prefix}"
                )
        return quarantine


def names_of(names: Names) -> list[Lfn]:
    """Return one name or several, or those of products, as a list of `Lfn`."""
    given = [names] if isinstance(names, Lfn | str) else names
    return [_name_of(each) for each in given]


def _name_of(given: Lfn | str | Product) -> Lfn:
    if isinstance(given, Product):
        return given.lfn
    return given if isinstance(given, Lfn) else Lfn(given)


def block_did(block: Did | str) -> Did:
    """Return a block that is given by its identifier or its name.

    Raises
    ------
    InvalidNameError
        If it is not the name of a block.
    """
    return BlockName.parse(block.name if isinstance(block, Did) else block).did
