"""The order of the copies, and which ones are declared bad or suspicious."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.retrieve.archive import CSCS, MB, PIC, PLACES, Archive, get, names

from ctao_bdms.access import Fault, Fetching, Health, open_file, retrieve
from ctao_bdms.access.locate import ranked
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import (
    ForbiddenError,
    RetrievalError,
)
from ctao_bdms.model import ArchivedFile, Lfn, Replica, ReplicaState, Rse
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE

if TYPE_CHECKING:
    from pathlib import Path


def test_failing_storage_is_tried_last_until_it_recovers() -> None:
    now = [0.0]
    health = Health(clock=lambda: now[0])
    rses = {name: Rse(name=name, prefix=f"/{name}", **about) for name, about in PLACES.items()}
    good = ReplicaState.AVAILABLE
    replicas = tuple(Replica(rse=name, state=good, pfn=f"file:///{name}/x") for name in PLACES)
    file = ArchivedFile(lfn=Lfn("/ctao/acada/x"), size_bytes=1, adler32="00620062", replicas=replicas)

    def order(near: str = "") -> list[str]:
        return [replica.rse for replica in ranked(file, rses, near, health)]

    assert order() == [CSCS, PIC, ONSITE]
    health.failed(CSCS)
    assert order() == [PIC, CSCS, ONSITE]
    assert order("CSCS") == [CSCS, PIC, ONSITE]
    health.failed(CSCS)
    health.failed(CSCS)
    assert order("CSCS") == [PIC, ONSITE, CSCS]
    now[0] = 301
    assert order("CSCS") == order() == [CSCS, PIC, ONSITE]
    health.failed(PIC)
    health.worked(PIC)
    assert health.failures(PIC) == 0
    assert order(PIC) == [PIC, CSCS, ONSITE]
    tiers = rses | {PIC: attrs.evolve(rses[PIC], tier="1"), CSCS: attrs.evolve(rses[CSCS], tier="2")}
    assert [replica.rse for replica in ranked(file, tiers)] == [PIC, CSCS, ONSITE]


@pytest.mark.parametrize("harm", ["flipped", "cut"])
def test_corrupt_copy_is_declared_bad(archive: Archive, tmp_path: Path, harm: str) -> None:
    lfn, content = archive.lfns[0], archive.contents[0]
    archive.place(lfn, PIC).write_bytes(b"x" + content[1:] if harm == "flipped" else content[:-1])
    (fetched,) = get(archive, [lfn], tmp_path / "to", near="PIC")
    assert (fetched.status, fetched.rse) == (Fetching.FETCHED, CSCS)
    (trouble,) = fetched.troubles
    assert (trouble.rse, trouble.fault) == (PIC, Fault.BAD)
    assert archive.bad == [(str(lfn), PIC)]
    state = {replica.rse: replica.state for replica in archive.files([lfn])[lfn].replicas}
    assert state == {ONSITE: ReplicaState.AVAILABLE, PIC: ReplicaState.BAD, CSCS: ReplicaState.AVAILABLE}
    assert names(tmp_path / "to") == [lfn.name]


@pytest.mark.parametrize("is_mount_point", [True, False])
def test_missing_copy_is_suspicious_unless_its_storage_is_missing(
    archive: Archive, tmp_path: Path, is_mount_point: bool
) -> None:
    lfn = archive.lfns[0]
    archive.place(lfn, PIC).unlink()
    (archive.folder / CSCS).rename(tmp_path / "unmounted")
    if is_mount_point:
        (archive.folder / CSCS).mkdir()
    (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.rse == ONSITE
    assert {trouble.rse: trouble.fault for trouble in fetched.troubles} == {
        CSCS: Fault.OUT_OF_REACH,
        PIC: Fault.SUSPICIOUS,
    }
    assert list(archive.suspicious) == [(lfn, PIC)]
    assert not archive.bad


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENOMEM])
def test_lack_of_local_resources_blames_no_copy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: int
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    def lacking(self: LocalSource, buffer: memoryview, position: int) -> int:
        raise OSError(lack, os.strerror(lack))

    monkeypatch.setattr(LocalSource, "read_at", lacking)
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert {trouble.fault for trouble in fetched.troubles} == {Fault.OUT_OF_REACH}
    assert not archive.suspicious


def test_bytes_that_are_wrong_once_blame_no_copy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    genuine, calls = LocalSource.read_at, list[int]()

    def flipping(self: LocalSource, buffer: memoryview, position: int) -> int:
        count = genuine(self, buffer, position)
        if not calls:
            buffer[0] ^= 1
        calls.append(count)
        return count

    monkeypatch.setattr(LocalSource, "read_at", flipping)
    moved: list[int] = []
    (fetched,) = Bdms(archive, policy=Policy.load()).retrieve(archive.lfns[:1], tmp_path / "to", on_bytes=moved.append)
    assert (fetched.status, fetched.rse, fetched.troubles) == (Fetching.FETCHED, CSCS, ())
    assert fetched.path.read_bytes() == archive.contents[0]
    assert moved == [100_000, -100_000, 100_000]


@pytest.mark.parametrize("harm", ["flipped", "cut"])
@pytest.mark.parametrize("where", ["the only copy", "all copies"])
def test_last_copy_is_never_declared_bad(archive: Archive, tmp_path: Path, harm: str, where: str) -> None:
    lfn, content = archive.lfns[0], archive.contents[0]
    wrong = list(PLACES) if where == "all copies" else [ONSITE]
    for name in PLACES:
        archive.place(lfn, name).write_bytes(b"x" + content[1:] if harm == "flipped" else content[:-1])
    for name in {*PLACES} - {*wrong}:
        archive.declare_bad(lfn, name, "before")
    archive.bad.clear()
    (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.status is Fetching.FAILED
    assert archive.bad == []
    assert {rse for _, rse in archive.suspicious} == {*wrong}
    assert {trouble.fault for trouble in fetched.troubles} == {Fault.BAD}
    assert all("fetch it on another machine" in str(trouble) for trouble in fetched.troubles)
    with pytest.raises(RetrievalError, match="fetch it on another machine"):
        open_file(archive, archive.rses(), lfn, verify=True)
    assert archive.bad == []


@pytest.mark.parametrize("sound", ["in two halves", "shut", "lost", "declared bad meanwhile"])
def test_copy_is_declared_bad_only_if_another_is_sound_and_stays(
    large: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: str
) -> None:
    from ctao_bdms.storage.sources import LocalSource

    (lfn,), rses = large.lfns, dict(large.rses())
    large.place(lfn, PIC).unlink()
    large.place(lfn, PIC).write_bytes(b"x" + large.contents[0][1:])
    genuine = LocalSource.read_at

    def reading(self: LocalSource, buffer: memoryview, position: int) -> int:
        if CSCS in str(self._file.path) and position >= 20 * MB:
            if sound == "in two halves":
                raise OSError(errno.EIO, "the disk is old")
            if sound == "declared bad meanwhile":
                InMemoryCatalogue.declare_bad(large, lfn, CSCS, "by another")
        return genuine(self, buffer, position)

    monkeypatch.setattr(LocalSource, "read_at", reading)
    if sound in {"shut", "lost"}:
        shut = {"is_readable": False} if sound == "shut" else {"lost": "fire"}
        rses = {name: attrs.evolve(rse, **shut) if name != PIC else rse for name, rse in rses.items()}
    (fetched,) = retrieve(large, rses, [lfn], tmp_path / "to", near="PIC")
    assert fetched.status is Fetching.FETCHED
    assert fetched.sound == ("" if sound == "in two halves" else CSCS)
    assert fetched.troubles[0].fault is Fault.BAD
    assert "it was not declared bad" in fetched.troubles[0].told
    assert large.bad == []
    assert (lfn, PIC) in large.suspicious


class Reader(Archive):
    """An archive for an account that may not declare copies bad, or may only read."""

    may_suspect = True

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        raise ForbiddenError("only the operators of the centre")

    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        if not self.may_suspect:
            raise ForbiddenError("an account without a role may only read")
        super().declare_suspicious(lfn, rse, reason)


@pytest.mark.parametrize("may_suspect", [True, False])
def test_account_that_may_not_declare_gets_a_warning_with_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, may_suspect: bool
) -> None:
    archive = Reader(tmp_path / "storage", [b"photons"])
    archive.may_suspect = may_suspect
    lfn, place = archive.lfns[0], archive.place(archive.lfns[0], CSCS)
    place.write_bytes(b"Photons")
    with caplog.at_level(logging.WARNING):
        (fetched,) = get(archive, [lfn], tmp_path / "to")
    assert fetched.status is Fetching.FETCHED
    assert f"rucio replica state update bad file://localhost{place} --reason" in caplog.text
    assert fetched.troubles[0].told in caplog.text
    assert list(archive.suspicious) == [(lfn, CSCS)] * may_suspect
