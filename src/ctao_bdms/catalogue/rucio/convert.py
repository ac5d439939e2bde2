"""Convert Rucio's exceptions to ours."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from rucio.common import exception as rucio

from ctao_bdms import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["converted", "is_failure_of_server"]

#: The error text of Rucio's client for a response that came from a proxy and not from Rucio.
_NO_RUCIO = re.compile(r"no error information passed \(http status code: (?P<status>\d+)\)")

#: The PostgreSQL error of the second of two simultaneous requests that create the same row; a retry finds the row.
_TWICE = "psycopg.errors.UniqueViolation"

# The first matching row decides.
_KINDS: tuple[tuple[tuple[type[Exception], ...], type[errors.CatalogueError]], ...] = (
    (
        (
            rucio.ServerConnectionException,
            rucio.DatabaseException,
            rucio.ResourceTemporaryUnavailable,
            rucio.ServiceUnavailable,
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            json.JSONDecodeError,
        ),
        errors.UnreachableError,
    ),
    ((rucio.InsufficientAccountLimit, rucio.RSEOverQuota, rucio.RSEWriteBlocked), errors.NoRoomError),
    ((rucio.CannotAuthenticate, rucio.IdentityError, rucio.NoAuthInformation), errors.AuthenticationError),
    (
        (rucio.AccessDenied, rucio.RSEAccessDenied, rucio.ScopeAccessDenied, rucio.CannotAuthorize),
        errors.ForbiddenError,
    ),
    (
        (
            rucio.AccountNotFound,
            rucio.ConfigLoadingError,
            rucio.ConfigNotFound,
            rucio.DataIdentifierNotFound,
            rucio.InvalidRSEExpression,
            rucio.RSENotFound,
            rucio.RuleNotFound,
            rucio.ScopeNotFound,
            rucio.InsufficientTargetRSEs,
        ),
        errors.NotFoundError,
    ),
    (
        (
            rucio.DataIdentifierAlreadyExists,
            rucio.DuplicateContent,
            rucio.FileAlreadyExists,
            rucio.FileConsistencyMismatch,
            rucio.FileReplicaAlreadyExists,
            rucio.UnsupportedOperation,
        ),
        errors.ConflictError,
    ),
    (
        (
            rucio.InputValidationError,
            rucio.InvalidMetadata,
            rucio.InvalidObject,
            rucio.InvalidPath,
            rucio.InvalidType,
            rucio.InvalidValueForKey,
            rucio.KeyNotFound,
        ),
        errors.RefusedError,
    ),
    ((rucio.RucioException, requests.RequestException), errors.CatalogueError),
)


@contextmanager
def converted(doing: str) -> Iterator[None]:
    """Run the block and convert Rucio's exceptions to ours, with `doing` as a prefix and the cause kept.

    Parameters
    ----------
    doing
        The action, as the beginning of a sentence: ``"registering 300 files"``.
    """
    try:
        yield
    except tuple(kind for kinds, _ in _KINDS for kind in kinds) as error:
        ours = next(ours for kinds, ours in _KINDS if isinstance(error, kinds))
        if _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or (
            type(error) is rucio.RucioException and _TWICE in str(error)
        ):
            ours = errors.UnreachableError
        raise ours(f"{doing} failed: {_text(error)}") from error


def is_failure_of_server(error: Exception) -> bool:
    """Return whether Rucio itself may have failed: with an unknown error, or with a bare HTTP 500."""
    return type(error) is rucio.RucioException and _status(error) in {0, HTTPStatus.INTERNAL_SERVER_ERROR}


def _status(error: Exception) -> int:
    """Return the HTTP status of a response that did not come from Rucio; 0 if it did."""
    found = _NO_RUCIO.search(str(error)) if isinstance(error, rucio.RucioException) else None
    return int(found["status"]) if found else 0


def _text(error: Exception) -> str:
    """Return the message of `error` on one line, without Rucio's repetitions."""
    if isinstance(error, json.JSONDecodeError):
        return f"the response is truncated or malformed ({error})"
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Details: None")]
    return " ".join(dict.fromkeys(lines)).rstrip(".") or type(error).__name__
