"""An archive whose centres store files on this disk, and the product that is uploaded."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import Lfn, NewProduct, Rse
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)
NAME = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5"
FOLDER = "/ctao/dpps/DataPipe/Observation/DR1/CTAO-North/DL1/Event/2026/11/21/ob2000000001"
SAID = NewProduct.of(release="DataPipe/Observation/DR1", night="2026-11-21")


class Archive:
    """An archive with a site and three centres, whose storage is on this disk."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = NOW
        rses = [Rse(name="ONSITE", prefix=str(home / "ONSITE"), site="CTAO-North")]
        for centre in ("PIC", "CSCS", "DESY"):
            prefix = str(home / centre)
            rses.append(Rse(name=f"{centre}-DISK", prefix=prefix, centre=centre, write_url=f"file://localhost{prefix}"))
        self.catalogue = InMemoryCatalogue(rses, scopes=("dpps", "acada", "user.ada"), now=lambda: self.now)
        self.bdms = Bdms(self.catalogue, policy=Policy.load(), now=lambda: self.now)

    def blocks_of(self, lfn: Lfn) -> list[BlockName]:
        datasets = self.catalogue.files([lfn])[lfn].datasets
        return [BlockName.parse(did.name) for did in sorted(datasets) if is_block(did.name)]

    def files_on_storage(self) -> list[str]:
        """Return the files, temporary ones too, but for the manifests of blocks."""
        paths = [path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()]
        return sorted(str(path) for path in paths if not path.name.endswith(".bagit.tar"))
