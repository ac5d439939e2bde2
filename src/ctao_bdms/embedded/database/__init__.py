"""The database of an embedded Rucio: PostgreSQL from the wheel, or a server of somebody else.

`postgres` runs it, `inspection` looks at it before Rucio is let in, `unprivileged` runs what refuses to be root.
"""

from __future__ import annotations

__all__: list[str] = []
