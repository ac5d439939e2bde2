"""Rejected files go to quarantine complete."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tests.unit.ingest.samples import FOLDER, NAME, NOW, make_archive, make_plan

from ctao_bdms.archive import Bdms
from ctao_bdms.inbox import survey
from ctao_bdms.ingest import Status
from ctao_bdms.ingest.describe import describe
from ctao_bdms.integrity import scan
from ctao_bdms.quarantine import OperatorAction, Quarantine, restore
from ctao_bdms.replication import Policy


def test_quarantine_keeps_everything_and_never_overwrites(root: Path) -> None:
    bdms = Bdms(make_archive(root), policy=Policy.load())
    cases = set()
    for content in (b"first", b"second"):
        file = root / FOLDER / NAME.format(0)
        file.write_bytes(content)
        file.with_name(file.name + ".trigger").symlink_to(file.name)
        (outcome,) = bdms.ingest(root)
        assert outcome.status is Status.QUARANTINED
        assert outcome.case is not None
        assert (outcome.case / file.name).read_bytes() == content
        reason = json.loads((outcome.case / "reason.json").read_text())
        assert reason["path"] == str(file)
        assert reason["lfn"] == f"/{FOLDER}/{file.name}"
        assert reason["defects"][0]["kind"] == "not-a-product"
        assert reason["size_bytes"] == len(content)
        assert set(reason["digests"]) == {"adler32", "sha256"}
        assert not outcome.case.is_relative_to(root)
        assert not list((root / FOLDER).iterdir())
        cases.add(outcome.case)
    assert len(cases) == 2


def test_name_that_is_not_utf8_is_quarantined(root: Path) -> None:
    raw = os.fsencode(root / FOLDER) + b"/bad\xff.fits.fz"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (outcome,) = Bdms(make_archive(root), policy=Policy.load()).ingest([Path(os.fsdecode(raw))])
    assert outcome.case is not None
    assert [p.name for p in outcome.case.iterdir() if p.name != "reason.json"] == ["bad\\xff.fits.fz"]
    json.dumps(json.loads((outcome.case / "reason.json").read_text()))


def test_quarantine_on_another_file_system_gets_a_verified_copy(root: Path) -> None:
    file = root / FOLDER / NAME.format(0)
    file.write_bytes(b"x")
    trigger = file.with_name(file.name + ".trigger")
    trigger.symlink_to(file.name)
    written_ns = file.stat().st_mtime_ns
    (local,) = survey([file], root)
    reject = make_plan([describe(local, scan(file))], make_archive(root)).rejected[0]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != root.stat().st_dev
        quarantine = Quarantine(Path(elsewhere) / "quarantine")
        quarantine.admit(reject, NOW)
        (case,) = quarantine.cases()
        assert (case.file.read_bytes(), case.file.stat().st_mtime_ns) == (b"x", written_ns)
        assert (case.folder / "trigger").readlink() == Path(file.name)
        assert not list(file.parent.iterdir())
        restore(quarantine, case, OperatorAction.now("release", NOW))
        assert (file.read_bytes(), file.stat().st_mtime_ns) == (b"x", written_ns)
        assert trigger.readlink() == Path(file.name)
        assert sorted(path.name for path in file.parent.iterdir()) == [file.name, trigger.name]
        assert not quarantine.cases()
