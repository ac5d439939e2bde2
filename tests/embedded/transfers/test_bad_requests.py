"""Requests that the transfer service rejects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.embedded.transfers.service import Service, entry

if TYPE_CHECKING:
    from pathlib import Path

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
        ({"files": [{**GOOD, "metadata": {"long": "x" * 5000}}]}, "maximum is 4096"),
        ({"files": [{**GOOD, "metadata": {"number": float("nan")}}]}, "metadata"),
        ({"files": [GOOD], "params": {"job_metadata": {"long": "x" * 3000}}}, "maximum is 2048"),
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
def test_submission_with_a_mistake_is_rejected(service: Service, body: object, sentence: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.session.post(f"{service.url}/jobs", data=json.dumps(body), headers=headers, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["status"] == "400 Bad Request"
    assert sentence in answer.json()["message"]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"files": ', b"[" * 200_000])
def test_malformed_json_is_rejected(service: Service, text: bytes) -> None:
    answer = requests.post(f"{service.url}/jobs", data=text, headers={"Content-Type": "application/json"}, timeout=20)
    assert (answer.status_code, answer.json()["status"]) == (400, "400 Bad Request")


def test_request_with_a_mistake_is_rejected(service: Service, source: Path, tmp_path: Path) -> None:
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


def test_web_pages_cannot_use_the_service(service: Service) -> None:
    plain = requests.post(f"{service.url}/jobs", data=json.dumps({"files": [GOOD]}), timeout=20)
    assert plain.status_code == 400
    assert "Content-Type" in plain.json()["message"]
    rebound = requests.get(f"{service.url}/whoami", headers={"Host": "evil.example"}, timeout=20)
    assert rebound.status_code == 400
