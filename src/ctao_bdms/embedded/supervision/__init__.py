"""The supervisor process, which starts, watches, restarts and stops all parts of an embedded Rucio.

`supervisor` is the process; `parts` runs the parts, `services` lists them, `child` and `ports` start one, `restarts`
decides when to restart it. `events` waits for events, `reports` reports to the process that started the supervisor.
`processes` and `leftovers` find what an earlier supervisor left; `unprivileged` is for programs that refuse to run as
root.
"""

from __future__ import annotations

__all__: list[str] = []
