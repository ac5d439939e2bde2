"""Commands to find, trace and fetch products, and to read their names."""

from __future__ import annotations

__all__: list[str] = []
