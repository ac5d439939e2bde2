"""Commands about what is preserved: manifests, evidence, and space on site."""

from __future__ import annotations

__all__: list[str] = []
