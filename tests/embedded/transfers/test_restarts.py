"""Kills, restarts, a full disk and refused starts of the transfer service."""

from __future__ import annotations

import hashlib
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.embedded.transfers.service import DATA, Service, entry, free_port, parts, sparse, url, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_copy_continues_after_the_service_restarts(
    make_service: Callable[..., Service], source: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    size = 192 << 20
    big = sparse(tmp_path / "big", size)
    with big.open("r+b") as file:
        file.seek(size // 2)
        file.write(DATA)
    service = make_service("--workers", "1")
    target = tmp_path / "pic" / "big"
    bulk = [{"sources": [url(big)], "destinations": [url(target)], "filesize": size}]
    bulk += [entry(source, target.with_name("later"))]
    job_id = service.submit(bulk, verify_checksum="both")

    wait_until(lambda: any(part.stat().st_size for part in tmp_path.rglob("*.part")))
    began = time.monotonic()
    status = service.end(signum)
    assert not target.exists()
    if signum is signal.SIGKILL:
        assert parts(tmp_path)
    else:
        assert status == 0
        assert time.monotonic() - began < 3
        assert parts(tmp_path) == []

    service.start()
    job = service.wait(job_id)
    assert job["job_state"] == "FINISHED", job
    assert parts(tmp_path) == []
    with target.open("rb") as copy, big.open("rb") as original:
        assert hashlib.file_digest(copy, "md5").digest() == hashlib.file_digest(original, "md5").digest()
    assert target.with_name("later").read_bytes() == DATA


def test_partial_copy_is_removed_after_a_kill_if_the_source_is_gone(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service()
    big = sparse(tmp_path / "big", 192 << 20)
    job_id = service.submit([{"sources": [url(big)], "destinations": [url(tmp_path / "pic" / "big")]}])
    wait_until(lambda: parts(tmp_path))
    service.end(signal.SIGKILL)
    assert parts(tmp_path)
    big.unlink()
    service.start()
    assert service.wait(job_id)["job_state"] == "FAILED"
    assert list((tmp_path / "pic").iterdir()) == []


def test_finished_jobs_survive_a_kill(make_service: Callable[..., Service], source: Path, tmp_path: Path) -> None:
    service = make_service()
    before = service.wait(service.submit([entry(source, tmp_path / "copy")]))
    service.end(signal.SIGKILL)
    service.start()
    assert service.job(before["job_id"]) == before


def test_service_exits_when_its_disk_is_full(make_service: Callable[..., Service], tmp_path: Path) -> None:
    service = make_service()
    big = sparse(tmp_path / "big", 64 << 20)
    job_id = service.submit([{"sources": [url(big)], "destinations": [url(tmp_path / "copy")]}])
    wait_until(lambda: parts(tmp_path))
    # From now on the process cannot write to any file, neither the copy nor the database.
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    assert service.process.wait(timeout=20) == 1
    assert not (tmp_path / "copy").exists()
    service.start()
    assert service.wait(job_id)["job_state"] == "FINISHED"
    assert (tmp_path / "copy").stat().st_size == 64 << 20
    assert parts(tmp_path) == []


def test_service_refuses_to_start_on_a_used_port_or_database(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service()
    other = tmp_path / "other.sqlite"
    assert service.run("--port", str(service.port), "--database", str(other)).wait(timeout=20) == 2
    assert f"cannot listen on 127.0.0.1:{service.port}" in service.log.read_text()
    port, same = str(free_port()), str(tmp_path / "transfers.sqlite")
    assert service.run("--port", port, "--database", same).wait(timeout=20) == 2
    assert "is in use by another transfer service" in service.log.read_text()
    assert service.run("--port", port, "--database", str(tmp_path / "no" / "folder")).wait(timeout=20) == 2
    assert service.run("--port", port, "--database", str(other), "--workers", "0").wait(timeout=20) == 2
    assert service.ask("GET", "/").status_code == 200


def test_targets_outside_the_roots_are_rejected(
    make_service: Callable[..., Service], source: Path, tmp_path: Path
) -> None:
    service = make_service("--root", str(source.parent), "--root", str(tmp_path / "pic"))
    assert service.wait(service.submit([entry(source, tmp_path / "pic" / "a")]))["job_state"] == "FINISHED"
    refused = service.ask("POST", "/jobs", {"files": [entry(source, tmp_path / "elsewhere")]})
    assert refused.status_code == 400
    assert "outside the allowed folders" in refused.json()["message"]
