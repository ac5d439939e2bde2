"""Files, triggers, links and folders that are given to an ingest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.ingest.samples import FOLDER, NAME

from ctao_bdms.inbox import survey
from ctao_bdms.model import DefectKind, Lfn

if TYPE_CHECKING:
    from pathlib import Path


def test_directory_gives_the_files_of_its_triggers(root: Path) -> None:
    folder = root / FOLDER
    for number in range(3):
        (folder / NAME.format(number)).write_bytes(b"x")
    (folder / (NAME.format(0) + ".trigger")).symlink_to(NAME.format(0))
    (folder / (NAME.format(1) + ".trigger")).touch()
    (folder / ".trigger").touch()
    found = survey([root], root)
    assert [file.path.name for file in found] == [NAME.format(0), NAME.format(1)]
    assert all(file.trigger is not None and file.lfn is not None and not file.defects for file in found)


def test_file_given_several_times_is_found_once(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    trigger = file.with_name(file.name + ".trigger")
    trigger.touch()
    (found,) = survey([file, trigger, root, file], root)
    assert (found.path, found.trigger) == (file, trigger)


def test_link_inside_the_root_is_followed(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    (root / "latest").symlink_to(root / FOLDER)
    (found,) = survey([root / "latest" / file.name], root)
    assert found.lfn == Lfn(f"/{FOLDER}/{file.name}")


@pytest.mark.parametrize("how", ["outside", "dots", "link out", "folder link out"])
def test_file_outside_the_root_is_refused_and_not_touched(root: Path, tmp_path: Path, how: str) -> None:
    elsewhere = tmp_path / "elsewhere" / NAME.format(0)
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"x")
    link = root / FOLDER / elsewhere.name
    path = {
        "outside": elsewhere,
        "dots": root / FOLDER / ("../" * (FOLDER.count("/") + 2)) / "elsewhere" / elsewhere.name,
        "link out": link,
        "folder link out": root / "away" / elsewhere.name,
    }[how]
    link.symlink_to(elsewhere)
    (root / "away").symlink_to(elsewhere.parent)
    (found,) = survey([path], root)
    assert [defect.kind for defect in found.defects] == [DefectKind.OUTSIDE_ROOT]
    assert not found.is_ours
    assert elsewhere.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gone.fits.fz", DefectKind.MISSING),
        ("folder.fits.fz.trigger", DefectKind.NOT_A_FILE),
        ("pipe.fits.fz", DefectKind.NOT_A_FILE),
        ("sté.fits.fz", DefectKind.INVALID_NAME),
        ("a#b.fits.fz", DefectKind.INVALID_NAME),
        ("line\nbreak.fits.fz", DefectKind.INVALID_NAME),
    ],
)
def test_path_that_cannot_be_ingested_has_its_defect(root: Path, name: str, kind: DefectKind) -> None:
    folder = root / FOLDER
    (folder / "folder.fits.fz").mkdir()
    os.mkfifo(folder / "pipe.fits.fz")
    for text in ("sté.fits.fz", "a#b.fits.fz", "line\nbreak.fits.fz"):
        (folder / text).touch()
    (found,) = survey([folder / name], root)
    assert [defect.kind for defect in found.defects] == [kind]
