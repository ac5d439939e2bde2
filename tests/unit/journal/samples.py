"""Sightings, scans and a manual clock for tests of the journal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.journal import FileState, Journal, JournalReader, Scanned
from ctao_bdms.model import Did, FileFacts, Lfn, Night, Site

NOW = dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC)
BLOCK = Did("acada", "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T010000-0123abcd")
FOLDER = "/ctao/acada/DL0/LSTN-01/ctao-acada/acada-adh/events/2026/11/21"
LFN = FOLDER + "/TEL001_SDH0000_20261122T010203_SBID1_OBSID2_TEL_SHOWER_CHUNK{:03d}.fits.fz"


class Clock:
    """A manual clock."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> dt.datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


def stamp(number: int, *, size_bytes: int = 100, device: int = 1) -> Stamp:
    return Stamp(device, number, size_bytes, 1_000_000_000 + number)


def seen(number: int, night: str = "2026-11-21", **changes: object) -> Sighting:
    folder = night or "other"
    path = Path(f"/data/{folder}/{number:06d}.fits.fz")
    given: dict[str, object] = {
        "path": path,
        "lfn": Lfn(f"/ctao/acada/{folder}/{number:06d}.fits.fz"),
        "trigger": path.with_name(path.name + ".trigger"),
        "trigger_ns": 5_000_000_000,
        "stamp": stamp(number),
        "night": Night.parse(night) if night else None,
        "site": Site.NORTH,
    }
    return Sighting(**{**given, **changes})  # type: ignore[arg-type]


def facts(path: Path, of: Stamp) -> FileFacts:
    return FileFacts(
        path=str(path),
        size_bytes=of.size_bytes,
        modified_ns=of.modified_ns,
        digests={"adler32": f"{of.inode:08x}", "sha256": f"{of.inode:064x}"},
    )


def scan(sighting: Sighting) -> Scanned:
    assert sighting.stamp is not None
    return Scanned(path=sighting.path, stamp=sighting.stamp, facts=facts(sighting.path, sighting.stamp))


def states(journal: JournalReader) -> dict[str, int]:
    return {state.value: tally.files for state, tally in journal.tallies().items() if tally.files}


def numbers(journal: JournalReader, state: FileState = FileState.FOUND, limit: int = 100, **how: object) -> list[int]:
    due = journal.due(state, limit, **{"now": NOW, **how})  # type: ignore[arg-type]
    return [int(entry.path.name[:6]) for entry in due]


def replicate(journal: Journal, files: list[Sighting], block: Did = BLOCK) -> None:
    journal.observe(files)
    journal.scanned(map(scan, files))
    journal.registered([file.path for file in files], block)
    journal.replicated([entry.path for entry in journal.entries(block=block)])
