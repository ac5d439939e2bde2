"""Commands for preservation: manifests, evidence, and releasing space on site."""

from __future__ import annotations

__all__: list[str] = []
