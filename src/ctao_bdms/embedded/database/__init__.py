"""The database of an embedded Rucio: PostgreSQL from the wheel, or an existing server.

`postgres` runs it, `inspection` checks a database before Rucio uses it.
"""

from __future__ import annotations

__all__: list[str] = []
