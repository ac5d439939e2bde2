"""Parse the JSON of a submission to a job, or raise an error that says what is wrong. Pure."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctao_bdms.embedded.transfers.jobs import Checksum, JobType, NewFile, NewJob, Verify
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BASE_ID", "VO", "parse_priority", "parse_submission"]

#: The values from which clients compute deterministic job identifiers; `GET /whoami` returns them.
BASE_ID = uuid.UUID("b7f4ab0c-5d3c-5c07-9b1e-6c7d3f0a5e21")
VO = "ctao"

_JOB_METADATA_BYTES = 2048
_FILE_METADATA_BYTES = 4096
_DIGITS = {"adler32": 8, "md5": 32, "sha256": 64}
_FILE_KEYS = frozenset({
    "sources", "destinations", "metadata", "filesize", "checksum", "selection_strategy", "activity",
    "source_tokens", "destination_tokens", "staging_metadata", "archive_metadata", "scitag",
})  # fmt: skip
_PARAM_KEYS = frozenset({
    "job_metadata", "verify_checksum", "overwrite", "overwrite_hop", "overwrite_when_only_on_disk", "priority",
    "multihop", "id_generator", "sid",
})  # fmt: skip
#: Parameters of FTS3 that are accepted and ignored: local copies need no tapes, tokens, networks or long queues.
_IDLE_PARAM_KEYS = frozenset({
    "account", "archive_timeout", "bring_online", "buffer_size", "copy_pin_lifetime", "credential",
    "dst_file_report", "gridftp", "ipv4", "ipv6", "max_time_in_queue", "nostreams", "retry", "retry_delay",
    "reuse", "s3alternate", "source_spacetoken", "spacetoken", "strict_copy", "tcp_buffer_size", "timeout",
})  # fmt: skip


def parse_submission(body: object, check_urls: Callable[[str, str], object]) -> NewJob:
    """Return the job in the body of ``POST /jobs``.

    Parameters
    ----------
    body
        The decoded JSON.
    check_urls
        Called with each source and destination; raises for unsupported ones.

    Returns
    -------
    NewJob
        With a new identifier, or one computed from ``sid`` if the client requests deterministic ones.

    Raises
    ------
    InvalidRequestError
        If the request is invalid.
    """
    request = _mapping(body, "the request")
    _refuse_unknown(request, frozenset({"files", "params"}), "the request")
    params = _mapping(request.get("params") or {}, "params")
    _refuse_unknown(params, _PARAM_KEYS | _IDLE_PARAM_KEYS, "params")
    entries = request.get("files")
    if not isinstance(entries, list) or not entries:
        raise InvalidRequestError("files must be a list with at least one file")

    multihop = _flag(params, "multihop")
    overwrite = _flag(params, "overwrite") or _flag(params, "overwrite_when_only_on_disk")
    files: list[NewFile] = []
    for index, entry in enumerate(entries):
        is_hop = multihop and index < len(entries) - 1
        files += _parse_file(
            _mapping(entry, f"files[{index}]"),
            where=f"files[{index}]",
            verify=params.get("verify_checksum"),
            overwrite=overwrite or (is_hop and _flag(params, "overwrite_hop")),
        )
    for file in files:
        check_urls(file.source, file.destination)
    return NewJob(
        id=_job_id(params),
        type=_job_type(len(entries), len(files), multihop=multihop),
        priority=parse_priority(3 if params.get("priority") is None else params["priority"]),
        metadata=_metadata(params.get("job_metadata"), _JOB_METADATA_BYTES, "job_metadata"),
        params=json.dumps(dict(params)),
        files=tuple(files),
    )


def parse_priority(value: object) -> int:
    """Return a priority from 1 to 5.

    Raises
    ------
    InvalidRequestError
        If `value` is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise InvalidRequestError(f"priority must be a whole number from 1 to 5, not {value!r}")
    return value


def _parse_file(entry: Mapping[str, Any], *, where: str, verify: object, overwrite: bool) -> list[NewFile]:
    """Return one file for each source of an entry."""
    _refuse_unknown(entry, _FILE_KEYS, where)
    destinations = _urls(entry, "destinations", where)
    if len(destinations) != 1:
        raise InvalidRequestError(f"{where}: there must be exactly one destination, not {len(destinations)}")
    checksum = _checksum(entry.get("checksum"), where)
    size = entry.get("filesize")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 63):
        raise InvalidRequestError(f"{where}: filesize must be a number of bytes, not {size!r}")
    return [
        NewFile(
            source=source,
            destination=destinations[0],
            size_bytes=size,
            checksum=checksum,
            verify=_verify(verify, checksum),
            overwrite=overwrite,
            metadata=_metadata(entry.get("metadata"), _FILE_METADATA_BYTES, f"{where}: metadata"),
        )
        for source in _urls(entry, "sources", where)
    ]


def _job_type(entries: int, files: int, *, multihop: bool) -> JobType:
    """Return the type of a job, from its number of entries and the number of all sources."""
    if multihop:
        if files != entries:
            raise InvalidRequestError("each hop of a multihop job has exactly one source")
        return JobType.MULTI_HOP
    if files == entries:
        return JobType.NORMAL
    if entries > 1:
        raise InvalidRequestError("a job with several sources for a file can have one file only")
    return JobType.MULTI_SOURCE


def _job_id(params: Mapping[str, Any]) -> str:
    """Return the identifier of a new job."""
    generator = params.get("id_generator", "standard")
    if generator == "standard":
        return str(uuid.uuid4())
    sid = params.get("sid")
    if generator != "deterministic" or not isinstance(sid, str) or not sid:
        raise InvalidRequestError("id_generator must be 'standard', or 'deterministic' together with a sid")
    return str(uuid.uuid5(uuid.uuid5(BASE_ID, VO), sid))


def _verify(value: object, checksum: Checksum | None) -> Verify:
    """Return what to verify; by default, a checksum is compared at the target, as in FTS3."""
    if value is None:
        return Verify.TARGET if checksum else Verify.NONE
    if isinstance(value, bool):
        return Verify.BOTH if value else Verify.NONE
    if isinstance(value, str) and value.lower() in set(Verify):
        return Verify(value.lower())
    raise InvalidRequestError(f"verify_checksum must be one of both, source, target, none, not {value!r}")


def _checksum(value: object, where: str) -> Checksum | None:
    """Parse a checksum such as ``ADLER32:1a982599``."""
    if value is None:
        return None
    algorithm, _, digits = value.partition(":") if isinstance(value, str) else ("", "", "")
    algorithm, width = algorithm.lower(), _DIGITS.get(algorithm.lower(), 0)
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits) or len(digits.lstrip("0")) > width:
        raise InvalidRequestError(f"{where}: checksum must be like 'ADLER32:1a982599' (or MD5, SHA256), not {value!r}")
    return Checksum(algorithm, digits.lower().lstrip("0").zfill(width))


def _urls(entry: Mapping[str, Any], key: str, where: str) -> list[str]:
    """Return the list of URLs under a key."""
    urls = entry.get(key)
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise InvalidRequestError(f"{where}: {key} must be a list with at least one URL")
    return urls


def _metadata(value: object, limit_bytes: int, where: str) -> str:
    """Return metadata as JSON; values that are not objects are wrapped in one, as in FTS3."""
    if value is None:
        value = {}
    try:
        text = json.dumps(value if isinstance(value, dict) else {"label": value}, allow_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"{where}: {error}") from error
    if len(text) > limit_bytes:
        raise InvalidRequestError(f"{where} has {len(text)} bytes; the maximum is {limit_bytes}")
    return text


def _flag(params: Mapping[str, Any], key: str) -> bool:
    """Return a boolean parameter."""
    value = params.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequestError(f"{key} must be true or false, not {value!r}")
    return bool(value)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{where} must be a JSON object")
    return value


def _refuse_unknown(found: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raise for unknown keys, which are probably misspelt."""
    if unknown := sorted(set(found) - known):
        raise InvalidRequestError(f"{where}: unknown field {', '.join(map(repr, unknown))}")
