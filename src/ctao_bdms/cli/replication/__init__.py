"""Commands about replication: policy, centres and rules."""

from __future__ import annotations

__all__: list[str] = []
