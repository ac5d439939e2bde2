"""Jobs of the transfer service over HTTP, as FTS3 answers."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.embedded.transfers.service import (
    ADLER32,
    DATA,
    POLLER_FIELDS,
    Service,
    entry,
    parts,
    sparse,
    url,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_service_reports_its_version_and_vo(service: Service) -> None:
    answer = service.ask("GET", "/").json()
    assert {"major", "minor", "patch"} <= set(answer["api"])
    who = service.ask("GET", "/whoami").json()
    assert uuid.UUID(who["base_id"]).version == 5
    assert who["vos"] == ["ctao"]


def test_service_listens_on_loopback_only(service: Service) -> None:
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{service.port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{service.port:04X}"]


def test_one_file_is_copied(service: Service, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "pic" / "new" / "file"
    job_id = service.submit([entry(source, target)], verify_checksum="both", job_metadata={"issuer": "rucio"})
    job = service.wait(job_id)
    assert target.read_bytes() == DATA
    assert parts(tmp_path) == []
    assert (job["job_id"], job["job_state"], job["job_type"]) == (job_id, "FINISHED", "N")
    assert (job["job_metadata"], job["http_status"]) == ({"issuer": "rucio"}, "200 Ok")
    (file,) = job["files"]
    assert set(file) == set(POLLER_FIELDS.split(","))
    assert (file["file_state"], file["reason"]) == ("FINISHED", "")
    assert (file["source_surl"], file["dest_surl"]) == (url(source), url(target))
    assert file["file_metadata"] == {"request_id": "file"}
    assert (file["staging_start"], file["staging_finished"]) == (None, None)
    began, ended = (time.strptime(file[key], "%Y-%m-%dT%H:%M:%S") for key in ("start_time", "finish_time"))
    assert began <= ended
    assert abs(time.mktime(ended) - time.mktime(time.gmtime())) < 60
    (details,) = service.ask("GET", f"/jobs/{job_id}/files").json()
    assert (details["filesize"], details["checksum"]) == (len(DATA), f"ADLER32:{ADLER32}")
    assert "files" not in service.ask("GET", f"/jobs/{job_id}").json()


def test_one_bad_file_does_not_stop_the_others_of_its_job(service: Service, source: Path, tmp_path: Path) -> None:
    files = [entry(source, tmp_path / "pic" / str(number)) for number in range(20)]
    files[7]["sources"] = [url(tmp_path / "missing")]
    job = service.wait(service.submit(files))
    assert job["job_state"] == "FINISHEDDIRTY"
    states = [file["file_state"] for file in job["files"]]
    assert states == ["FINISHED"] * 7 + ["FAILED"] + ["FINISHED"] * 12
    assert [file["file_metadata"]["request_id"] for file in job["files"]] == [str(number) for number in range(20)]
    assert job["files"][7]["reason"].startswith("SOURCE [2] No such file or directory")
    assert sorted(int(path.name) for path in (tmp_path / "pic").iterdir()) == [n for n in range(20) if n != 7]


def test_job_of_bad_files_fails(service: Service, tmp_path: Path) -> None:
    job = service.wait(service.submit([entry(tmp_path / "a", tmp_path / "b"), entry(tmp_path / "c", tmp_path / "d")]))
    assert job["job_state"] == "FAILED"
    assert job["reason"].startswith("One or more files failed")


def test_unknown_job_is_not_found(service: Service, source: Path, tmp_path: Path) -> None:
    known, unknown = service.submit([entry(source, tmp_path / "b")]), str(uuid.uuid4())
    alone = service.ask("GET", f"/jobs/{unknown}?files={POLLER_FIELDS}")
    assert (alone.status_code, alone.json()["http_status"]) == (404, "404 Not Found")
    assert alone.json()["job_id"] == unknown
    mixed = service.ask("GET", f"/jobs/{known},{unknown}?files={POLLER_FIELDS}")
    assert mixed.status_code == 207
    assert [job["http_status"] for job in mixed.json()] == ["200 Ok", "404 Not Found"]
    both = service.ask("GET", f"/jobs/{known},{known}")
    assert both.status_code == 200
    assert [job["job_id"] for job in both.json()] == [known, known]
    neither = service.ask("GET", f"/jobs/{unknown},{unknown}")
    assert neither.status_code == 404
    assert len(neither.json()) == 2
    for method, path in (("GET", "/files"), ("DELETE", ""), ("POST", "")):
        body = {"params": {"priority": 1}} if method == "POST" else None
        assert service.ask(method, f"/jobs/{unknown}{path}", body).status_code == 404


def test_thousand_jobs_fit_in_one_request(service: Service) -> None:
    wanted = [str(uuid.uuid4()) for _ in range(1000)]
    answer = service.ask("GET", f"/jobs/{','.join(wanted)}?files={POLLER_FIELDS}")
    assert [job["job_id"] for job in answer.json()] == wanted


def test_unusual_file_names_are_kept(service: Service, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pic"
    wanted = {
        "with%20blank": "with blank",
        "plus+and%2Bescaped": "plus+and+escaped",
        "vérité-観測": "vérité-観測",
        "v%C3%A9rit%C3%A9": "vérité",
        "hash%23question%3F": "hash#question?",
        "n" * 255: "n" * 255,
    }
    files = [entry(source, folder / name) for name in wanted]
    job = service.wait(service.submit(files))
    assert job["job_state"] == "FINISHED", job
    assert sorted(path.name for path in folder.iterdir()) == sorted(wanted.values())


def test_next_source_is_tried_after_a_failure(service: Service, source: Path, tmp_path: Path) -> None:
    bad = tmp_path / "onsite" / "bad"
    bad.write_bytes(DATA[::-1])
    several = entry([tmp_path / "missing", bad, source, source], tmp_path / "copy")
    job = service.wait(service.submit([several], verify_checksum="both", job_metadata={"multi_sources": True}))
    assert (job["job_type"], job["job_state"]) == ("R", "FINISHED")
    assert [file["file_state"] for file in job["files"]] == ["FAILED", "FAILED", "FINISHED", "NOT_USED"]
    assert [file["source_surl"] for file in job["files"]] == several["sources"]
    assert {file["file_metadata"]["request_id"] for file in job["files"]} == {"copy"}
    assert job["files"][3]["start_time"] is None
    assert (tmp_path / "copy").read_bytes() == DATA

    hopeless = entry([tmp_path / "missing", bad], tmp_path / "other")
    job = service.wait(service.submit([hopeless], verify_checksum="both"))
    assert job["job_state"] == "FAILED"
    assert [file["file_state"] for file in job["files"]] == ["FAILED", "FAILED"]
    assert not (tmp_path / "other").exists()


def test_hops_run_in_order_until_one_fails(service: Service, source: Path, tmp_path: Path) -> None:
    one, two, three = (tmp_path / name / "file" for name in ("one", "two", "three"))
    hops = [entry(source, one), entry(one, two), entry(two, three)]
    job = service.wait(service.submit(hops, multihop=True, verify_checksum="both"))
    assert (job["job_type"], job["job_state"]) == ("H", "FINISHED")
    assert three.read_bytes() == DATA

    four = tmp_path / "four"
    job = service.wait(
        service.submit([entry(source, four), entry(tmp_path / "gone", one), entry(one, two)], multihop=True)
    )
    assert job["job_state"] == "FAILED"
    assert [file["file_state"] for file in job["files"]] == ["FINISHED", "FAILED", "NOT_USED"]


def test_many_jobs_for_one_target_leave_one_whole_file(service: Service, tmp_path: Path) -> None:
    contents = [bytes([number]) * 300_000 for number in range(12)]
    jobs = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        file = entry(tmp_path / str(number), tmp_path / "target", filesize=len(content), checksum=None)
        jobs.append(service.submit([file], overwrite=True, verify_checksum="both"))
    assert {service.wait(job_id)["job_state"] for job_id in jobs} == {"FINISHED"}
    assert (tmp_path / "target").read_bytes() in contents
    assert parts(tmp_path) == []


def test_running_copy_is_cancelled(service: Service, tmp_path: Path) -> None:
    big = sparse(tmp_path / "big", 4 << 30)
    job_id = service.submit([{"sources": [url(big)], "destinations": [url(tmp_path / "pic" / "big")]}])
    wait_until(lambda: parts(tmp_path))
    assert service.job(job_id)["job_state"] == "ACTIVE"
    answer = service.ask("DELETE", f"/jobs/{job_id}")
    assert answer.status_code == 200
    assert (answer.json()["job_state"], answer.json()["reason"]) == ("CANCELED", "Job canceled by the user")
    wait_until(lambda: not parts(tmp_path))
    assert not (tmp_path / "pic" / "big").exists()
    assert service.job(job_id)["files"][0]["file_state"] == "CANCELED"
    again = service.ask("DELETE", f"/jobs/{job_id}")
    assert (again.status_code, again.json()["http_status"]) == (200, "304 Not Modified")


def test_several_copies_run_at_once(service: Service, tmp_path: Path) -> None:
    jobs = []
    for name in ("one", "two", "three"):
        big = sparse(tmp_path / name, 4 << 30)
        jobs.append(service.submit([{"sources": [url(big)], "destinations": [url(tmp_path / "pic" / name)]}]))
    wait_until(lambda: len(parts(tmp_path)) == 3)
    service.ask("DELETE", f"/jobs/{','.join(jobs)}")
    wait_until(lambda: not parts(tmp_path))


def test_same_sid_gives_the_same_job_identifier(service: Service, source: Path, tmp_path: Path) -> None:
    who = service.ask("GET", "/whoami").json()
    sid = uuid.uuid4().hex
    expected = str(uuid.uuid5(uuid.uuid5(uuid.UUID(who["base_id"]), who["vos"][0]), sid))
    assert service.submit([entry(source, tmp_path / "b")], id_generator="deterministic", sid=sid) == expected
    again = {"files": [entry(source, tmp_path / "b")], "params": {"id_generator": "deterministic", "sid": sid}}
    assert service.ask("POST", "/jobs", again).status_code == 409


def test_jobs_of_a_banned_storage_wait_and_then_run_by_priority(
    make_service: Callable[..., Service], source: Path, tmp_path: Path
) -> None:
    service = make_service("--workers", "1")
    assert service.ask("POST", "/ban/se", {"storage": "file://localhost", "status": "WAIT"}).json() == []
    (ban,) = service.ask("GET", "/ban/se").json()
    assert (ban["se"], ban["status"]) == ("file://localhost", "WAIT")
    jobs = [service.submit([entry(source, tmp_path / name)]) for name in ("first", "second", "third", "cancelled")]
    changed = service.ask("POST", f"/jobs/{jobs[2]}", {"params": {"priority": 5}})
    assert (changed.status_code, changed.json()["priority"]) == (200, 5)
    assert service.ask("DELETE", f"/jobs/{jobs[3]}").json()["job_state"] == "CANCELED"
    assert {service.job(job_id)["job_state"] for job_id in jobs[:3]} == {"SUBMITTED"}
    assert service.ask("DELETE", "/ban/se?storage=file://localhost").status_code == 204
    assert service.ask("GET", "/ban/se").json() == []
    for job_id in jobs[:3]:
        assert service.wait(job_id)["job_state"] == "FINISHED"
    written = sorted(("first", "second", "third"), key=lambda name: (tmp_path / name).stat().st_ctime_ns)
    assert written == ["third", "first", "second"]
    assert not (tmp_path / "cancelled").exists()


def test_ban_without_wait_cancels_jobs(make_service: Callable[..., Service], source: Path, tmp_path: Path) -> None:
    service = make_service()
    service.ask("POST", "/ban/se", {"storage": "file://localhost", "status": "WAIT"})
    job_id = service.submit([entry(source, tmp_path / "b")])
    assert service.ask("POST", "/ban/se", {"storage": "file://localhost"}).json() == [job_id]
    assert service.job(job_id)["job_state"] == "CANCELED"
