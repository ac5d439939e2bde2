"""The parts of Rucio in an embedded Rucio.

`configuration` and `protocols` configure it, `bootstrap` fills its tables, `rest` is its server, `daemons` its
daemons, `follower` replicates new blocks.
"""

from __future__ import annotations

__all__: list[str] = []
