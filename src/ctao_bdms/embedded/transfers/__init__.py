"""A small transfer service with FTS3's REST interface on loopback, for an unmodified Rucio.

Run it with ``python -m ctao_bdms.embedded.transfers --port P --database FILE``.

Modules: `jobs` (values and the state machine, pure), `submission` (parse submissions, pure), `urls`, `database` and
`store` (jobs on disk), `storages` (banned and configured storage elements), `movers` (copy by URL scheme) with `files`
(for ``file://``) and `thirdparty` (for ``http://``), `workers` (threads), `answers`, `app` (HTTP).
"""

from __future__ import annotations

__all__: list[str] = []
