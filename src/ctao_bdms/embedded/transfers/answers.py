"""Format jobs and files as FTS3 does in its responses. Pure."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from ctao_bdms.embedded.transfers.jobs import JobState
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError
from ctao_bdms.embedded.transfers.submission import BASE_ID, VO

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["SERVICE", "USER", "fts_time", "job_answer", "file_answer", "missing_answer", "select_fields"]

#: The response to ``GET /``, with the version of FTS3 whose behaviour is implemented.
SERVICE = {
    "api": {"major": 3, "minor": 13, "patch": 3},
    "schema": {"major": 9, "minor": 1, "patch": 0},
    "delegation": {"major": 1, "minor": 0, "patch": 0},
    "service": "ctao-bdms embedded transfers",
}
_DN = "/O=ctao-bdms/CN=loopback"
#: The response to ``GET /whoami``: all clients are the same user.
USER = {
    "user_dn": _DN,
    "dn": [_DN],
    "base_id": str(BASE_ID),
    "voms_cred": [],
    "vos": [VO],
    "vos_id": [],
    "roles": [],
    "level": {"transfer": "all", "config": "all"},
    "delegation_id": BASE_ID.hex[:16],
    "method": "loopback",
    "is_root": False,
}


def fts_time(seconds: float | None) -> str | None:
    """Return seconds since 1970 in FTS3's time format: UTC, no fraction, no zone."""
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def job_answer(job: sqlite3.Row) -> dict[str, Any]:
    """Return a job without its files."""
    params = json.loads(job["params"])
    return {
        "job_id": job["id"],
        "job_state": job["state"],
        "job_type": job["type"],
        "job_metadata": json.loads(job["metadata"]),
        "job_finished": fts_time(job["finished"]),
        "submit_time": fts_time(job["submitted"]),
        "priority": job["priority"],
        "reason": job["reason"] or None,
        "overwrite_flag": params.get("overwrite"),
        "verify_checksum": params.get("verify_checksum"),
        "vo_name": VO,
        "user_dn": _DN,
        "http_status": "200 Ok",
    }


def file_answer(file: sqlite3.Row, job_state: str) -> dict[str, Any]:
    """Return a file of a job that is in `job_state`."""
    digest = f"{file['algorithm'].upper()}:{file['digest']}" if file["algorithm"] else None
    return {
        "file_id": file["id"],
        "file_index": file["place"],
        "job_id": file["job_id"],
        "file_state": file["state"],
        "source_surl": file["source"],
        "dest_surl": file["destination"],
        "source_se": file["source_se"],
        "dest_se": file["dest_se"],
        "reason": file["reason"],
        "start_time": fts_time(file["started"]),
        "finish_time": fts_time(file["finished"]),
        "staging_start": None,
        "staging_finished": None,
        "file_metadata": json.loads(file["metadata"]),
        "checksum": digest,
        "user_filesize": file["size_bytes"],
        "filesize": file["moved_bytes"],
        "retry": 0,
        "job_finished": JobState(job_state).is_final,
    }


def missing_answer(job_id: str) -> dict[str, str]:
    """Return the entry for a job that does not exist."""
    return {"job_id": job_id, "http_status": "404 Not Found", "http_message": f'No job with the id "{job_id}" found'}


def select_fields(files: Sequence[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """Return only the fields of ``?files=a,b`` of each file.

    Raises
    ------
    InvalidRequestError
        If there is no such field.
    """
    fields = [field for field in wanted.split(",") if field]
    try:
        return [{field: file[field] for field in fields} for file in files]
    except KeyError as error:
        raise InvalidRequestError(f"files have no field {error}") from error
