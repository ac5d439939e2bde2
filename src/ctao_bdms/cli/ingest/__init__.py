"""Commands to take files in: by hand, and by the daemon, and to see their states."""

from __future__ import annotations

__all__: list[str] = []
