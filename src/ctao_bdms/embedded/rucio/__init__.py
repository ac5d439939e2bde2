"""Rucio itself, as an embedded one runs it.

`configuration` and `protocols` say how it is set up, `bootstrap` fills its tables, `rest` is its server, `daemons` its
daemons, `follower` keeps the replication of its blocks going.
"""

from __future__ import annotations

__all__: list[str] = []
