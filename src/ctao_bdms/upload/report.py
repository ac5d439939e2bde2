"""The outcomes of a put."""

from __future__ import annotations

from typing import ClassVar

from ctao_bdms.ingest import IngestReport

__all__ = ["PutReport"]


class PutReport(IngestReport):
    """The outcomes of a put, one row a file."""

    columns: ClassVar[tuple[tuple[str, str], ...]] = (
        ("file", "file"),
        ("status", "status"),
        ("bytes", "size_bytes"),
        ("name", "lfn"),
        ("why", "defects"),
        ("beware", "warnings"),
    )
