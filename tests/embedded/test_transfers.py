"""The transfer service over HTTP: FTS3's contract, the stock transfertool of Rucio, kills and restarts."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import uuid
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = b"photons, photons, photons\n" * 4000
ADLER32 = f"{zlib.adler32(DATA):08x}"
POLLER_FIELDS = (
    "file_state,dest_surl,finish_time,start_time,staging_start,staging_finished,reason,source_surl,file_metadata"
)
FINAL = {"FINISHED", "FINISHEDDIRTY", "FAILED", "CANCELED"}


def wait_until(condition: Callable[[], object], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A real process of the transfer service."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "transfers.log"
        self._arguments = ["--port", str(self.port), "--database", str(folder / "transfers.sqlite"), *options]
        self.session = requests.Session()
        self.start()

    def start(self) -> None:
        self.process = self.run(*self._arguments)
        wait_until(lambda: self.process.poll() is not None or self._answers())
        assert self.process.poll() is None, self.log.read_text()

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ctao_bdms.embedded.transfers", *arguments], stderr=log, stdin=subprocess.DEVNULL
            )

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, signum: signal.Signals = signal.SIGTERM) -> int:
        self.session.close()
        self.process.send_signal(signum)
        return self.process.wait(timeout=20)

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.session.request(method, f"{self.url}{path}", json=body, timeout=20)

    def submit(self, files: list[dict[str, Any]], **params: Any) -> str:  # noqa: ANN401
        answer = self.ask("POST", "/jobs", {"files": files, "params": params})
        assert answer.status_code == 200, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}?files={POLLER_FIELDS}").json()
        return answer

    def wait(self, job_id: str) -> dict[str, Any]:
        wait_until(lambda: self.job(job_id)["job_state"] in FINAL)
        return self.job(job_id)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    assert service.end() == 0
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "onsite" / "file"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def url(path: Path) -> str:
    return f"file://localhost{path}"


def entry(source: Path | list[Path], target: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "sources": [url(path) for path in (source if isinstance(source, list) else [source])],
        "destinations": [url(target)],
        "metadata": {"request_id": target.name},
        "filesize": len(DATA),
        "checksum": f"ADLER32:{ADLER32}",
        **more,
    }


def sparse(path: Path, size_bytes: int) -> Path:
    """Make a large file that takes no room, whose copy takes its time."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part"))


# --- the contract ---


def test_it_says_who_it_is(service: Service) -> None:
    answer = service.ask("GET", "/").json()
    assert {"major", "minor", "patch"} <= set(answer["api"])
    who = service.ask("GET", "/whoami").json()
    assert uuid.UUID(who["base_id"]).version == 5
    assert who["vos"] == ["ctao"]


def test_it_listens_on_loopback_only(service: Service) -> None:
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{service.port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{service.port:04X}"]


def test_one_file(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_one_bad_file_in_a_bulk_does_not_stop_the_others(service: Service, source: Path, tmp_path: Path) -> None:
    files = [entry(source, tmp_path / "pic" / str(number)) for number in range(20)]
    files[7]["sources"] = [url(tmp_path / "missing")]
    job = service.wait(service.submit(files))
    assert job["job_state"] == "FINISHEDDIRTY"
    states = [file["file_state"] for file in job["files"]]
    assert states == ["FINISHED"] * 7 + ["FAILED"] + ["FINISHED"] * 12
    assert [file["file_metadata"]["request_id"] for file in job["files"]] == [str(number) for number in range(20)]
    assert job["files"][7]["reason"].startswith("SOURCE [2] No such file or directory")
    assert sorted(int(path.name) for path in (tmp_path / "pic").iterdir()) == [n for n in range(20) if n != 7]


def test_a_job_of_bad_files_only_fails(service: Service, tmp_path: Path) -> None:
    job = service.wait(service.submit([entry(tmp_path / "a", tmp_path / "b"), entry(tmp_path / "c", tmp_path / "d")]))
    assert job["job_state"] == "FAILED"
    assert job["reason"].startswith("One or more files failed")


def test_unknown_jobs(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_hundreds_of_jobs_in_one_question(service: Service) -> None:
    wanted = [str(uuid.uuid4()) for _ in range(1000)]
    answer = service.ask("GET", f"/jobs/{','.join(wanted)}?files={POLLER_FIELDS}")
    assert [job["job_id"] for job in answer.json()] == wanted


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
def test_why_a_copy_fails(
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
def test_which_end_is_verified(
    service: Service, source: Path, tmp_path: Path, verify: str | None, outcome: str
) -> None:
    wrong = entry(source, tmp_path / "copy", checksum="ADLER32:deadbeef")
    (file,) = service.wait(service.submit([wrong], verify_checksum=verify))["files"]
    assert file["reason"].startswith(outcome)
    assert (file["file_state"], (tmp_path / "copy").exists()) == (("FAILED", False) if outcome else ("FINISHED", True))


@pytest.mark.parametrize("algorithm", ["MD5", "SHA256"])
def test_other_digests(service: Service, source: Path, tmp_path: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, DATA).hexdigest()
    good = entry(source, tmp_path / "good", checksum=f"{algorithm}:{digest.upper()}")
    bad = entry(source, tmp_path / "bad", checksum=f"{algorithm}:{digest[::-1]}")
    files = service.wait(service.submit([good, bad], verify_checksum="both"))["files"]
    assert [file["file_state"] for file in files] == ["FINISHED", "FAILED"]
    assert f"{algorithm} do not match" in files[1]["reason"]


def test_overwrite(service: Service, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"older")
    assert service.wait(service.submit([entry(source, target)], overwrite=True))["job_state"] == "FINISHED"
    assert target.read_bytes() == DATA


def test_a_storage_that_takes_no_folders(service: Service, source: Path) -> None:
    job = service.wait(service.submit([entry(source, Path("/proc/bdms-transfers/file"))]))
    assert job["files"][0]["reason"] == "DESTINATION [2] DESTINATION MAKE_PARENT No such file or directory"


def test_names_of_all_kinds(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_multiple_sources(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_multihop(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_many_jobs_for_one_destination_leave_one_whole_file(service: Service, tmp_path: Path) -> None:
    contents = [bytes([number]) * 300_000 for number in range(12)]
    jobs = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        file = entry(tmp_path / str(number), tmp_path / "target", filesize=len(content), checksum=None)
        jobs.append(service.submit([file], overwrite=True, verify_checksum="both"))
    assert {service.wait(job_id)["job_state"] for job_id in jobs} == {"FINISHED"}
    assert (tmp_path / "target").read_bytes() in contents
    assert parts(tmp_path) == []


def test_a_running_copy_is_cancelled(service: Service, tmp_path: Path) -> None:
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


# --- requests that make no sense ---

GOOD: dict[str, Any] = {"sources": ["file:///a"], "destinations": ["file:///b"]}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "the request must be a JSON object"),
        ({}, "files must be a list"),
        ({"files": []}, "files must be a list with at least one file"),
        ({"files": [1]}, "files[0] must be a JSON object"),
        ({"files": [GOOD], "parms": {}}, "unknown field 'parms'"),
        ({"files": [GOOD], "params": {"overwite": True}}, "unknown field 'overwite'"),
        ({"files": [{**GOOD, "source": "x"}]}, "unknown field 'source'"),
        ({"files": [{"sources": ["file:///a"]}]}, "destinations must be a list"),
        ({"files": [{"destinations": ["file:///a"]}]}, "sources must be a list"),
        ({"files": [{**GOOD, "sources": "file:///a"}]}, "sources must be a list"),
        ({"files": [{**GOOD, "destinations": ["file:///b", "file:///c"]}]}, "exactly one destination"),
        ({"files": [{**GOOD, "sources": ["root://x//a"]}]}, "does not begin with one of file://"),
        ({"files": [{**GOOD, "sources": ["/a"]}]}, "does not begin with one of file://"),
        ({"files": [{**GOOD, "sources": ["file://[/a"]}]}, "is not a URL"),
        ({"files": [{**GOOD, "sources": ["file://cern.ch/a"]}]}, "only localhost"),
        ({"files": [{**GOOD, "destinations": ["file:///a/%2e%2e/b"]}]}, "contains '..'"),
        ({"files": [{**GOOD, "destinations": ["file:///\ud800"]}]}, "is not a URL"),
        ({"files": [{**GOOD, "filesize": -1}]}, "filesize must be"),
        ({"files": [{**GOOD, "filesize": 2**63}]}, "filesize must be"),
        ({"files": [{**GOOD, "filesize": True}]}, "filesize must be"),
        ({"files": [{**GOOD, "checksum": "1a982599"}]}, "checksum must be like"),
        ({"files": [{**GOOD, "checksum": "CRC32:1a982599"}]}, "checksum must be like"),
        ({"files": [{**GOOD, "checksum": "ADLER32:1a9825991"}]}, "checksum must be like"),
        ({"files": [{**GOOD, "metadata": {"long": "x" * 5000}}]}, "at most 4096"),
        ({"files": [{**GOOD, "metadata": {"number": float("nan")}}]}, "metadata"),
        ({"files": [GOOD], "params": {"job_metadata": {"long": "x" * 3000}}}, "at most 2048"),
        ({"files": [GOOD], "params": {"priority": 6}}, "priority must be"),
        ({"files": [GOOD], "params": {"overwrite": "yes"}}, "overwrite must be true or false"),
        ({"files": [GOOD], "params": {"verify_checksum": "maybe"}}, "verify_checksum must be"),
        ({"files": [GOOD], "params": {"id_generator": "deterministic"}}, "with a sid"),
        ({"files": [GOOD], "params": {"id_generator": "deterministic", "sid": "\ud800"}}, "not Unicode text"),
        ({"files": [GOOD, {**GOOD, "sources": ["file:///a", "file:///c"]}]}, "can have one file only"),
        (
            {"files": [{**GOOD, "sources": ["file:///a", "file:///c"]}], "params": {"multihop": True}},
            "each hop of a multihop job has exactly one source",
        ),
    ],
)
def test_bad_submissions(service: Service, body: object, sentence: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.session.post(f"{service.url}/jobs", data=json.dumps(body), headers=headers, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["status"] == "400 Bad Request"
    assert sentence in answer.json()["message"]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"files": ', b"[" * 200_000])
def test_malformed_json(service: Service, text: bytes) -> None:
    answer = requests.post(f"{service.url}/jobs", data=text, headers={"Content-Type": "application/json"}, timeout=20)
    assert (answer.status_code, answer.json()["status"]) == (400, "400 Bad Request")


def test_other_bad_requests(service: Service, source: Path, tmp_path: Path) -> None:
    job_id = service.submit([entry(source, tmp_path / "b")])
    requests_and_answers: list[tuple[str, str, object, int]] = [
        ("GET", "/nowhere", None, 404),
        ("PUT", "/jobs", {}, 405),
        ("GET", f"/jobs/{job_id}?files=colour", None, 400),
        ("POST", f"/jobs/{job_id}", {"params": {"priority": "high"}}, 400),
        ("POST", f"/jobs/{job_id}", {"params": {}}, 400),
        ("POST", f"/jobs/{job_id}", [], 400),
        ("POST", "/ban/se", {"message": "no storage"}, 400),
        ("POST", "/ban/se", {"storage": "file://x", "status": "perhaps"}, 400),
        ("POST", "/ban/se", {"storage": "\ud800"}, 400),
        ("DELETE", "/ban/se", None, 400),
        ("POST", "/config/se", [], 400),
        ("POST", "/config/se", {"file://x": {"se_info": 1}}, 400),
    ]
    for method, path, body, status in requests_and_answers:
        answer = service.ask(method, path, body)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["message"]


def test_no_web_page_can_use_it(service: Service) -> None:
    plain = requests.post(f"{service.url}/jobs", data=json.dumps({"files": [GOOD]}), timeout=20)
    assert plain.status_code == 400
    assert "Content-Type" in plain.json()["message"]
    rebound = requests.get(f"{service.url}/whoami", headers={"Host": "evil.example"}, timeout=20)
    assert rebound.status_code == 400


def test_deterministic_identifiers(service: Service, source: Path, tmp_path: Path) -> None:
    who = service.ask("GET", "/whoami").json()
    sid = uuid.uuid4().hex
    expected = str(uuid.uuid5(uuid.uuid5(uuid.UUID(who["base_id"]), who["vos"][0]), sid))
    assert service.submit([entry(source, tmp_path / "b")], id_generator="deterministic", sid=sid) == expected
    again = {"files": [entry(source, tmp_path / "b")], "params": {"id_generator": "deterministic", "sid": sid}}
    assert service.ask("POST", "/jobs", again).status_code == 409


# --- bans, and the order of the queue: services of their own ---


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(*options: str) -> Service:
        made.append(Service(tmp_path, *options))
        return made[-1]

    yield make
    for service in made:
        service.end()
        assert "Traceback" not in service.log.read_text()


def test_a_banned_storage_waits_and_priority_decides(
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


def test_a_ban_can_cancel(make_service: Callable[..., Service], source: Path, tmp_path: Path) -> None:
    service = make_service()
    service.ask("POST", "/ban/se", {"storage": "file://localhost", "status": "WAIT"})
    job_id = service.submit([entry(source, tmp_path / "b")])
    assert service.ask("POST", "/ban/se", {"storage": "file://localhost"}).json() == [job_id]
    assert service.job(job_id)["job_state"] == "CANCELED"


# --- the stock transfertool, in a process of its own as the conveyor's ---

DRIVER = """
import json, sys
from rucio.common.types import InternalAccount, InternalScope
from rucio.core.request import DirectTransfer, RequestSource, RequestWithSources, TransferDestination
from rucio.core.rse import RseData
from rucio.db.sqla.constants import RequestState, RequestType
from rucio.transfertool.fts3 import FTS3Transfertool

def rse(name):
    return RseData(name, name=name, attributes={"fts": sys.argv[1]}, info={"rse_type": "DISK"})

class Transfer(DirectTransfer):
    def __init__(self, request_id, sources, url, size, adler32):
        target = rse("TARGET")
        request = RequestWithSources(
            id_=request_id, request_type=RequestType.TRANSFER, rule_id="rule", scope=InternalScope("acada"),
            name="/ctao/" + request_id, md5=None, adler32=adler32, byte_count=size, activity="User Subscriptions",
            attributes=None, previous_attempt_id=None, dest_rse=target, account=InternalAccount("root"), retry_count=0,
            priority=3, transfertool="fts3")
        request.sources = [RequestSource(rse("SOURCE%d" % n), url=source) for n, source in enumerate(sources)]
        super().__init__(sources=request.sources, rws=request)
        self._dst, self._url = TransferDestination(target, "file"), url
    src = property(lambda self: self.sources[0])
    dst = property(lambda self: self._dst)
    dest_url = property(lambda self: self._url)
    def source_url(self, source):
        return source.url
    def dest_protocol(self):
        raise NotImplementedError
    def source_protocol(self, source):
        raise NotImplementedError

def submit(paths):
    paths = [[Transfer(*hop) for hop in path] for path in paths]
    return [tool.submit(job["transfers"], job["job_params"]) for job in tool.group_into_submit_jobs(paths)]

def poll(ids):
    wanted = {eid: {rid: {"external_id": eid, "state": RequestState.SUBMITTED, "bytes": 0, "adler32": "",
        "attributes": {}, "external_host": sys.argv[1]} for rid in rids} for eid, rids in ids.items()}
    answers = {}
    for eid, reports in tool.bulk_query(wanted).items():
        if not isinstance(reports, dict):
            answers[eid] = repr(reports)
            continue
        answers[eid] = {}
        for rid, report in reports.items():
            source = report._src_url
            report._multi_sources = False        # else it looks for the source in a database
            report.initialize(session=None)
            answers[eid][rid] = {"state": report.state and report.state.name, "error": report.err_msg, "source": source,
                "started": str(report.started_at), "ended": str(report.transferred_at)}
    return answers

tool = FTS3Transfertool(sys.argv[1], group_bulk=200, group_policy="src_dest")
for line in sys.stdin:
    name, args, kwargs = json.loads(line)
    function = {"submit": submit, "poll": poll}.get(name) or getattr(tool, name)
    try:
        answer = {"returns": function(*args, **kwargs)}
    except Exception as error:
        answer = {"raises": repr(error)}
    print(json.dumps(answer), flush=True)
"""


class StockTool:
    """Rucio's `FTS3Transfertool` in another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask: IO[str] = process.stdin
        self._answer: IO[str] = process.stdout

    def __call__(self, name: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        self._ask.write(json.dumps([name, args, kwargs]) + "\n")
        self._ask.flush()
        answer = json.loads(self._answer.readline())
        assert "returns" in answer, answer
        return answer["returns"]


@pytest.fixture(scope="module")
def tool(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockTool]:
    folder = tmp_path_factory.mktemp("tool")
    config = folder / "rucio.cfg"
    config.write_text(
        f"[common]\nlogdir = {folder}\nloglevel = ERROR\n"
        f"[database]\ndefault = sqlite:///{folder}/never-opened.db\n"
        "[cache]\nurl = 127.0.0.1:1\n[policy]\npermission = generic\n"
        "[conveyor]\ndefault-source-strategy = orderly\nactivity-source-strategy = {}\n"
        "[transfers]\noverwrite_corrupted_files = False\n"
    )
    environment = {**os.environ, "RUCIO_CONFIG": str(config), "PYTHONWARNINGS": "ignore"}
    with (
        (folder / "driver.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, service.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as process,
    ):
        yield StockTool(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=20) == 0, (folder / "driver.log").read_text()


def poll_to_end(tool: StockTool, job_id: str, *request_ids: str) -> Any:  # noqa: ANN401
    answers: dict[str, Any] = {}

    def ended() -> bool:
        answers.update(tool("poll", {job_id: request_ids})[job_id])
        return set(answers) == set(request_ids) and all(answer["state"] for answer in answers.values())

    wait_until(ended)
    return answers


def test_stock_tool_sees_the_service(tool: StockTool) -> None:
    assert tool("version")["api"]["major"] == 3
    assert tool("whoami")["vos"] == ["ctao"]


def test_stock_tool_submits_and_polls(tool: StockTool, source: Path, tmp_path: Path) -> None:
    good = ["good", [url(source)], url(tmp_path / "pic" / "good"), len(DATA), ADLER32]
    bad = ["bad", [url(source)], url(tmp_path / "pic" / "bad"), len(DATA), "deadbeef"]
    (job_id,) = tool("submit", [[good], [bad]])
    answers = poll_to_end(tool, job_id, "good", "bad")
    assert answers["good"]["state"] == "DONE"
    assert answers["good"]["started"] <= answers["good"]["ended"]
    assert answers["bad"]["state"] == "FAILED"
    assert "SOURCE CHECKSUM MISMATCH" in answers["bad"]["error"]
    assert (tmp_path / "pic" / "good").read_bytes() == DATA
    assert not (tmp_path / "pic" / "bad").exists()
    assert tool("query", [job_id])[0]["job_state"] == "FINISHEDDIRTY"
    assert len(tool("query", [job_id], details=True)) == 2


def test_stock_tool_sees_which_source_was_used(tool: StockTool, source: Path, tmp_path: Path) -> None:
    sources = [url(tmp_path / "missing"), url(source), url(source)]
    (job_id,) = tool("submit", [[["several", sources, url(tmp_path / "copy"), len(DATA), ADLER32]]])
    answers = poll_to_end(tool, job_id, "several")
    assert (answers["several"]["state"], answers["several"]["source"]) == ("DONE", url(source))


def test_stock_tool_sees_hops_that_were_not_made(tool: StockTool, tmp_path: Path) -> None:
    one, two = url(tmp_path / "one"), url(tmp_path / "two")
    hops = [["hop1", [url(tmp_path / "missing")], one, 1, ADLER32], ["hop2", [one], two, 1, ADLER32]]
    (job_id,) = tool("submit", [hops])
    answers = poll_to_end(tool, job_id, "hop1", "hop2")
    assert "SOURCE [2]" in answers["hop1"]["error"]
    assert "Unused hop in multi-hop" in answers["hop2"]["error"]


def test_stock_tool_cancels_and_prioritises(tool: StockTool, tmp_path: Path) -> None:
    big = sparse(tmp_path / "big", 4 << 30)
    (job_id,) = tool("submit", [[["big", [url(big)], url(tmp_path / "copy"), 4 << 30, ADLER32]]])
    assert tool("update_priority", job_id, 5)["priority"] == 5
    assert tool("cancel", [job_id])["job_state"] == "CANCELED"
    assert poll_to_end(tool, job_id, "big")["big"]["state"] == "FAILED"
    wait_until(lambda: not parts(tmp_path))


def test_stock_tool_sees_a_lost_job(tool: StockTool) -> None:
    lost = str(uuid.uuid4())
    assert tool("poll", {lost: ["r"]}) == {lost: "None"}


def test_stock_tool_bans_and_configures(tool: StockTool) -> None:
    other = "davs://storage.example"
    assert tool("set_se_status", other, "downtime") == 0
    assert [ban["se"] for ban in tool("list_se_status")] == [other]
    assert tool("set_se_status", other, "over", ban=False) == 0
    assert tool("list_se_status") == []
    tool("set_se_config", other, inbound_max_active=7)
    tool("set_se_config", other, outbound_max_active=9)
    assert tool("get_se_config", other)["se_info"] == {"inbound_max_active": 7, "outbound_max_active": 9}


# --- ends and beginnings ---


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_copy_survives_the_end_of_the_service(
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


def test_what_a_kill_left_is_removed_even_if_the_copy_cannot_be_made_again(
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


def test_jobs_that_ended_are_remembered(make_service: Callable[..., Service], source: Path, tmp_path: Path) -> None:
    service = make_service()
    before = service.wait(service.submit([entry(source, tmp_path / "copy")]))
    service.end(signal.SIGKILL)
    service.start()
    assert service.job(before["job_id"]) == before


def test_it_ends_rather_than_stands_idle_when_its_disk_is_full(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
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


def test_what_keeps_it_from_starting(make_service: Callable[..., Service], tmp_path: Path) -> None:
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


def test_roots(make_service: Callable[..., Service], source: Path, tmp_path: Path) -> None:
    service = make_service("--root", str(source.parent), "--root", str(tmp_path / "pic"))
    assert service.wait(service.submit([entry(source, tmp_path / "pic" / "a")]))["job_state"] == "FINISHED"
    refused = service.ask("POST", "/jobs", {"files": [entry(source, tmp_path / "elsewhere")]})
    assert refused.status_code == 400
    assert "outside the allowed folders" in refused.json()["message"]
