"""A night of files with metadata in a running Rucio."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.embedded import add_scope
from ctao_bdms.model import ProductMetadata

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance

RSE = "CTAO-NORTH-ONSITE"
T0 = dt.datetime(2026, 11, 22, 1, 30, 0, 123456, tzinfo=dt.UTC)
#: Metadata of the files f0 to f5 of a night: two telescopes, three chunks.
NIGHT = [
    {
        "data__level": "DL0",
        "data__type": ("AirShower", "Calibration")[chunk == 2],
        "instance__ae_id": telescope,
        "instance__chunk_id": chunk,
        "instance__obs_id": 2_000_000_001,
        "instance__observing_night": dt.date(2026, 11, 21),
        "instance__data_source": f"00{telescope}_{chunk}",
        "observation__coverage__time__t_min": T0 + dt.timedelta(minutes=chunk),
        "observation__coverage__time__t_max": T0 + dt.timedelta(minutes=chunk + 1),
        "observation__coverage__space__ra": 83.633 + chunk,
        "curation__release": "DataPipe/Observation/DR1",
    }
    for telescope in (1, 2)
    for chunk in (0, 1, 2)
]
del NIGHT[5]["curation__release"]
del NIGHT[4]["observation__coverage__time__t_max"]
#: For the same files, keys that the data model does not define.
FREE: list[dict[str, Any]] = [
    {"camp_aign": "Prod6-North"},
    {"stage": 5},
    {"stage": "5", "camp_aign": "Prod5"},
    {"stage": 7.5, "steps": [1, {"a": None}]},
    {"good": True},
    {"good": False, "x'y\"z": "'; --"},
]


def wire(number: int) -> dict[str, Any]:
    """Return the metadata of a file of the night as REST carries them."""
    return FREE[number] | ProductMetadata(NIGHT[number]).to_wire()


@attrs.frozen
class Archive:
    """A scope of its own in a running Rucio, with one dataset for the files of `NIGHT`."""

    client: Any
    scope: str

    @property
    def dataset(self) -> str:
        return f"/ctao/{self.scope}/DL0"

    def file(self, number: int) -> str:
        return f"{self.dataset}/f{number}"

    def attach(self, files: dict[str, dict[str, Any]]) -> None:
        dids = [
            {"scope": self.scope, "name": name, "bytes": 10 + index, "adler32": "0000000a", "meta": meta}
            for index, (name, meta) in enumerate(files.items())
        ]
        self.client.attach_dids(self.scope, self.dataset, dids, rse=RSE)

    def find(self, *filters: dict[str, Any], did_type: str = "file") -> list[str]:
        names = self.client.list_dids(self.scope, filters=list(filters), did_type=did_type)
        return sorted(name.removeprefix(f"{self.dataset}/") for name in names)

    def metadata(self, name: str) -> dict[str, Any]:
        found = self.client.get_metadata(self.scope, name, plugin="CTAO")
        assert isinstance(found, dict)
        return found


def new_archive(client: Any, instance: Instance) -> Archive:  # noqa: ANN401 (Rucio has no types)
    archive = Archive(client, f"t{secrets.token_hex(4)}")
    add_scope(instance.home.path, archive.scope)
    client.add_did(archive.scope, archive.dataset, "DATASET", meta={"data__level": "DL0", "description": "a night"})
    return archive
