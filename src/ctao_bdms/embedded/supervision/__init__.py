"""The process that starts, watches, restarts and stops all parts of an embedded Rucio.

`supervisor` is that process, with `parts` under it: `services` says what they are, `child` and `ports` how one is
started, `restarts` when again. `events` is what it waits for, `reports` what it tells who started it. `processes` and
`leftovers` find what an earlier one left.
"""

from __future__ import annotations

__all__: list[str] = []
