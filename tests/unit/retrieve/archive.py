"""An archive in memory with real bytes, and ways to fetch from it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.access import Fetched, Progress, retrieve
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import ArchivedFile, Lfn, Replica, Rse
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MB = 1_000_000
PIC, CSCS = "PIC-DISK", "CSCS-DISK"
PLACES: dict[str, dict[str, Any]] = {
    ONSITE: {"site": "CTAO-North", "tier": "0"},
    PIC: {"centre": "PIC"},
    CSCS: {"centre": "CSCS"},
}


class Archive(InMemoryCatalogue):
    """An archive in memory with real bytes; `doors` gives other URLs in front of those of the disk."""

    def __init__(self, folder: Path, contents: Iterable[bytes]) -> None:
        super().__init__(Rse(name=name, prefix=str(folder / name), **about) for name, about in PLACES.items())
        self.folder = folder
        self.doors: dict[str, tuple[str, ...]] = {}
        self.bad: list[tuple[str, str]] = []
        self.contents = list(contents)
        self.registered = [
            registration("acada", number, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
            for number, content in enumerate(self.contents)
        ]
        self.lfns = [file.lfn for file in self.registered]
        self.block = block_of("acada")
        self.ensure_directories(self.lfns)
        self.open_block(self.block)
        self.register(self.block, ONSITE, self.registered)
        for name in (PIC, CSCS):
            self.add_rule(self.block, rse_expression=name)
        self.transfer()
        for lfn, content in zip(self.lfns, self.contents, strict=True):
            for name in PLACES:
                self.place(lfn, name).parent.mkdir(parents=True, exist_ok=True)
                if len(content) < MB or name == ONSITE:
                    self.place(lfn, name).write_bytes(content)
                else:
                    self.place(lfn, name).hardlink_to(self.place(lfn, ONSITE))

    def place(self, lfn: Lfn, rse: str) -> Path:
        return self.folder / rse / str(lfn)[1:]

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        return {lfn: attrs.evolve(file, replicas=self._by(file)) for lfn, file in super().content(names).items()}

    def _by(self, file: ArchivedFile) -> tuple[Replica, ...]:
        chosen = []
        for replica in file.replicas:
            urls = tuple(f"{door}/{replica.rse}{file.lfn}" for door in self.doors.get(replica.rse, ()))
            urls = urls or replica.urls
            chosen.append(attrs.evolve(replica, pfn=urls[0], others=urls[1:]))
        return tuple(chosen)

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        super().declare_bad(lfn, rse, reason)
        self.bad.append((str(lfn), rse))


def get(archive: Archive, lfns: Iterable[Lfn], folder: Path, **words: Any) -> list[Fetched]:  # noqa: ANN401
    return list(retrieve(archive, archive.rses(), lfns, folder, **words))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


class KillAt(Progress):
    """Interrupt a retrieval after some bytes, as ^C does."""

    def __init__(self, size_bytes: int) -> None:
        self.left = size_bytes

    def moved(self, lfn: Lfn, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


def part_size(megabytes: int) -> int:
    """Return the size of the partial file of a retrieval interrupted after so many bytes."""
    piece = 4 << 20
    return -(-megabytes * MB // piece) * piece
