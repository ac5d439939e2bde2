"""Storage elements that are XRootD servers of the distribution, for clients by ``root://`` and for transfers by HTTP.

`servers` runs them, `certificate` makes what their HTTP transfers need of TLS, `webdav` speaks HTTP to them, `protocol`
is how Rucio does.
"""

from __future__ import annotations

__all__: list[str] = []
