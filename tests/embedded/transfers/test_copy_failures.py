"""Copies that the transfer service verifies, replaces or fails, with the reasons."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.embedded.transfers.service import ADLER32, DATA, Service, entry

if TYPE_CHECKING:
    from collections.abc import Callable


def _no_source(source: Path, target: Path) -> dict[str, Any]:
    source.unlink()
    return {}


def _folder_as_source(source: Path, target: Path) -> dict[str, Any]:
    source.unlink()
    source.mkdir()
    return {}


def _other_size(source: Path, target: Path) -> dict[str, Any]:
    return {"filesize": len(DATA) + 1}


def _other_bytes(source: Path, target: Path) -> dict[str, Any]:
    source.write_bytes(DATA[:-1] + b"!")
    return {}


def _target_exists(source: Path, target: Path) -> dict[str, Any]:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"something else")
    return {}


def _parent_is_a_file(source: Path, target: Path) -> dict[str, Any]:
    target.parent.parent.mkdir(parents=True)
    target.parent.write_bytes(b"a file where a folder should be")
    return {}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_source, "SOURCE [2] No such file or directory"),
        (_folder_as_source, "SOURCE [21] Is a directory"),
        (_other_size, f"SOURCE [22] Source and user-defined file size mismatch {len(DATA)} <> {len(DATA) + 1}"),
        (
            _other_bytes,
            "TRANSFER [5] SOURCE CHECKSUM MISMATCH Source and user-defined ADLER32 do not match "
            f"({zlib.adler32(DATA[:-1] + b'!'):08x} != {ADLER32})",
        ),
        (_target_exists, "DESTINATION [17] Destination file exists and overwrite is not enabled"),
        (_parent_is_a_file, "DESTINATION [20] DESTINATION MAKE_PARENT Not a directory"),
    ],
)
def test_failed_copy_gives_its_reason_and_changes_no_file(
    service: Service,
    source: Path,
    tmp_path: Path,
    spoil: Callable[[Path, Path], dict[str, Any]],
    reason: str,
) -> None:
    target = tmp_path / "pic" / "new" / "file"
    more = spoil(source, target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    job = service.wait(service.submit([entry(source, target, **more)], verify_checksum="both"))
    assert (job["job_state"], job["files"][0]["file_state"]) == ("FAILED", "FAILED")
    assert job["files"][0]["reason"] == reason
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("verify", "outcome"),
    [
        ("none", ""),
        ("source", "TRANSFER [5] SOURCE CHECKSUM MISMATCH"),
        ("target", "TRANSFER [5] DESTINATION CHECKSUM MISMATCH"),
        ("both", "TRANSFER [5] SOURCE CHECKSUM MISMATCH"),
        (None, "TRANSFER [5] DESTINATION CHECKSUM MISMATCH"),
    ],
)
def test_only_the_requested_ends_are_verified(
    service: Service, source: Path, tmp_path: Path, verify: str | None, outcome: str
) -> None:
    wrong = entry(source, tmp_path / "copy", checksum="ADLER32:deadbeef")
    (file,) = service.wait(service.submit([wrong], verify_checksum=verify))["files"]
    assert file["reason"].startswith(outcome)
    assert (file["file_state"], (tmp_path / "copy").exists()) == (("FAILED", False) if outcome else ("FINISHED", True))


@pytest.mark.parametrize("algorithm", ["MD5", "SHA256"])
def test_other_checksum_algorithms_are_verified(service: Service, source: Path, tmp_path: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, DATA).hexdigest()
    good = entry(source, tmp_path / "good", checksum=f"{algorithm}:{digest.upper()}")
    bad = entry(source, tmp_path / "bad", checksum=f"{algorithm}:{digest[::-1]}")
    files = service.wait(service.submit([good, bad], verify_checksum="both"))["files"]
    assert [file["file_state"] for file in files] == ["FINISHED", "FAILED"]
    assert f"{algorithm} do not match" in files[1]["reason"]


def test_existing_target_is_overwritten_on_request(service: Service, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"older")
    assert service.wait(service.submit([entry(source, target)], overwrite=True))["job_state"] == "FINISHED"
    assert target.read_bytes() == DATA


def test_copy_fails_where_no_folder_can_be_made(service: Service, source: Path) -> None:
    job = service.wait(service.submit([entry(source, Path("/proc/bdms-transfers/file"))]))
    assert job["files"][0]["reason"] == "DESTINATION [2] DESTINATION MAKE_PARENT No such file or directory"
