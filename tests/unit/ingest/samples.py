"""An archive, described files and plans for tests of the ingest."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.inbox import LocalFile
from ctao_bdms.ingest import BlockLimits, Described, Plan, plan
from ctao_bdms.model import FileFacts, Lfn, ProductMetadata, Rse, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
FOLDER = "ctao/acada/DL0/LSTN-01/u/events/2026/11/21"
NAME = "TEL001_SDH0001_20261121T221500_SBID2_OBSID2_CHUNK{:03d}.fits.fz"


def make_archive(root: Path) -> InMemoryCatalogue:
    return InMemoryCatalogue(
        [
            Rse(name="CTAO-NORTH-ONSITE", prefix=str(root), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
            Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
        ]
    )


def make_item(number: int, *, size_bytes: int = 100, adler32: str = "00000001", night: str = "2026-11-21") -> Described:
    folder = FOLDER.replace("2026/11/21", night.replace("-", "/"))
    lfn = Lfn(f"/{folder}/{NAME.format(number)}")
    facts = FileFacts(path=str(lfn), size_bytes=size_bytes, modified_ns=0, digests={"adler32": adler32})
    file = LocalFile(path=Path("/onsite") / str(lfn)[1:], lfn=lfn)
    return Described(file=file, facts=facts, metadata=ProductMetadata({"instance__observing_night": night}), defects=())


def make_plan(items: Sequence[Described], archive: InMemoryCatalogue, limits: BlockLimits | None = None) -> Plan:
    tokens = (f"{number:08x}" for number in itertools.count())
    return plan(
        items,
        archive.files([item.file.lfn for item in items if item.file.lfn]),
        rse="CTAO-NORTH-ONSITE",
        site=Site.NORTH,
        now=NOW,
        token=lambda: next(tokens),
        limits=limits or BlockLimits(),
    )


def carry_out(made: Plan, archive: InMemoryCatalogue) -> None:
    archive.ensure_directories([file.lfn for block in made.blocks for file in block.files])
    for block in made.blocks:
        archive.open_block(block.did)
        archive.register(block.did, made.rse, block.files)
