"""Commands to ingest files, by hand or with the daemon, and to show their states."""

from __future__ import annotations

__all__: list[str] = []
