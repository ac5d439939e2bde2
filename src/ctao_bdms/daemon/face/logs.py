"""Log lines of the daemon with their context, as JSON or as text."""

from __future__ import annotations

import datetime as dt
import json
import logging
import socket
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, ClassVar, TextIO

from ctao_bdms.daemon.config import LogForm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.daemon.config import Log

__all__ = ["FIELDS", "JsonFormatter", "TextFormatter", "configure", "log_context"]

#: The fields of the context; set by `log_context`, or by ``extra=`` of one call.
FIELDS = ("file_id", "lfn", "night", "block")
_CONTEXT: ContextVar[dict[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - nobody writes into it


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to all log lines inside the context.

    Parameters
    ----------
    **fields
        Any of `FIELDS`. Fields of an outer context are kept; a value of None removes a field.
    """
    merged = _CONTEXT.get() | {name: str(value) for name, value in fields.items() if value is not None}
    token = _CONTEXT.set({name: value for name, value in merged.items() if fields.get(name, value) is not None})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def _subject(record: logging.LogRecord) -> dict[str, str]:
    """Return the context of a log line, in the order of `FIELDS`."""
    said = _CONTEXT.get() | {name: str(record.__dict__[name]) for name in FIELDS if name in record.__dict__}
    return {name: said[name] for name in FIELDS if name in said}


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object, with its context, host and pid."""

    host: ClassVar[str] = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of ASCII."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_subject(record),
            "host": self.host,
            "pid": record.process,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """Format a record as text with time, level, message, context and logger."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line, followed by its traceback."""
        subject = "".join(f" {name}={value}" for name, value in _subject(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{subject} ({record.name})"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(log: Log, stream: TextIO) -> None:
    """Send all logs of this process to `stream`; callable again after a reload."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log.form is LogForm.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level.value)
