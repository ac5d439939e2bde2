"""A small transfer service that speaks FTS3's REST dialect on loopback, so that stock Rucio can move bytes.

Run it with ``python -m ctao_bdms.embedded.transfers --port P --database FILE``.

One module, one concept: `jobs` (values and the state machine, pure), `submission` (what a client may ask for, pure),
`urls`, `database` and `store` (jobs on disk), `storages` (banned and configured storage elements), `movers` (how bytes
move, by scheme) with `files` (the mover for ``file://``) and `thirdparty` (the one for ``http://``), `workers` (the
threads that move), `answers`, `app` (HTTP).
"""

from __future__ import annotations

__all__: list[str] = []
