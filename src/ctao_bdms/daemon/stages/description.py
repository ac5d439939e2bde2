"""Describe a file by its name, its content and its producer's sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.ingest.describe import describe
from ctao_bdms.ingest.sidecar import read_statement

if TYPE_CHECKING:
    from ctao_bdms.daemon.config import Settings
    from ctao_bdms.inbox.files import LocalFile
    from ctao_bdms.ingest.describe import Described
    from ctao_bdms.journal import Entry
    from ctao_bdms.model import FileFacts

__all__ = ["algorithms_of", "description"]

_ALWAYS = ("adler32", "sha256")


def algorithms_of(entry: Entry, *, sidecars: bool) -> tuple[str, ...]:
    """Return the digests to compute for a file: ours, and those in its sidecar."""
    return read_statement(entry.path, entry.trigger).algorithms if sidecars else _ALWAYS


def description(file: LocalFile, facts: FileFacts | None, settings: Settings) -> Described:
    """Describe a file by name, content and sidecar."""
    asked = facts is not None and settings.inbox.sidecars
    said = read_statement(file.path, file.trigger) if asked else None
    return describe(file, facts, settings.checks.policy, said)
