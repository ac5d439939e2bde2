"""Commands for a Rucio on this machine, and the demonstration."""

from __future__ import annotations

__all__: list[str] = []
