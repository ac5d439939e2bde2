"""Storage elements on XRootD servers of the distribution: ``root://`` for clients, HTTP for transfers.

`servers` runs them, `certificate` creates a certificate for HTTP transfers, `webdav` is an HTTP client for them,
`protocol` is Rucio's.
"""

from __future__ import annotations

__all__: list[str] = []
