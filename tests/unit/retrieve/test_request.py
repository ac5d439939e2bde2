"""Users name the files to fetch, and locate their copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.retrieve.archive import CSCS, PIC, Archive

from ctao_bdms.access import Fetching, locate
from ctao_bdms.archive import Bdms
from ctao_bdms.errors import (
    NotFoundError,
    UsageError,
)
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import NIGHT, ONSITE

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_fetched_by_name_query_directory_block_or_night(archive: Archive, tmp_path: Path) -> None:
    bdms = Bdms(archive, policy=Policy.load())
    folder = archive.lfns[0].parent
    for number, (asked, count) in enumerate(
        [
            ({"names": archive.lfns[:2]}, 2),
            ({"names": str(archive.lfns[0])}, 1),
            ({"names": bdms.query(telescope="LSTN-02")}, 1),
            ({"names": [folder, archive.lfns[0]]}, 2),
            ({"directory": folder}, 2),
            ({"directory": "/ctao/acada/DL0"}, 5),
            ({"block": archive.block}, 5),
            ({"block": archive.block.name}, 5),
            ({"night": NIGHT}, 5),
            ({"level": "DL0", "telescope": "LSTN-01"}, 2),
            ({"names": []}, 0),
        ]
    ):
        fetched = bdms.retrieve(folder=tmp_path / str(number), **asked)  # type: ignore[arg-type]
        assert len(fetched) == count, asked
        assert {each.status for each in fetched} <= {Fetching.FETCHED}


def test_invalid_request_raises(archive: Archive, tmp_path: Path) -> None:
    bdms = Bdms(archive, policy=Policy.load())
    with pytest.raises(UsageError, match="not both"):
        bdms.retrieve(archive.lfns, level="DL0")
    with pytest.raises(UsageError, match="say what to fetch"):
        bdms.retrieve(folder=tmp_path)
    with pytest.raises(UsageError, match="did you mean 'PIC'"):
        bdms.retrieve(archive.lfns, tmp_path, near="PIK")
    with pytest.raises(NotFoundError, match="/ctao/acada/DL9"):
        bdms.retrieve(directory="/ctao/acada/DL9")
    with pytest.raises(UsageError, match="5 files"):
        bdms.open("/ctao/acada/DL0")


def test_copies_are_located_by_protocol(archive: Archive) -> None:
    archive.doors = {CSCS: ("http://a", "root://a/"), PIC: ("root://b/",)}
    copies = locate(archive, archive.rses(), archive.lfns[:1], near="PIC", protocol="root")
    assert [(copy.rse, copy.pfn.partition("//")[0]) for copy in copies] == [(PIC, "root:"), (CSCS, "root:")]
    assert [copy.rse for copy in Bdms(archive, policy=Policy.load()).locate(archive.lfns[:1], near="CSCS")] == [
        CSCS,
        PIC,
        ONSITE,
    ]
    assert len(Bdms(archive, policy=Policy.load()).locate(archive.lfns[0].parent)) == 6
