"""Looks into Rucio's tables, again and again, for copies of raw data that could be deleted at this moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ctao_bdms.embedded import Instance

__all__ = ["LockWatch"]

_INTERVAL_S = 0.5
#: A replica without a lock that has a tombstone is what the reaper deletes. One that was declared bad may go where
#: another sound one stays.
_DELETABLE = """
select replicas.name, rses.rse, replicas.tombstone, replicas.state
from rucio.replicas join rucio.rses on rses.id = replicas.rse_id
where replicas.scope = 'acada' and replicas.name like '/ctao/acada/%%'
  and replicas.lock_cnt = 0 and replicas.tombstone is not null
  and (replicas.state = 'A' or not exists (
    select 1 from rucio.replicas as other where other.scope = replicas.scope and other.name = replicas.name
      and other.rse_id <> replicas.rse_id and other.state = 'A' and (other.lock_cnt > 0 or other.tombstone is null)))
"""
#: What Rucio has given up, availability L (lost) or D (deleted), or will end by itself.
_LOST = """
select name, availability, expired_at from rucio.dids
where scope = 'acada' and name like '/ctao/acada/%%'
  and (expired_at is not null or (did_type = 'F' and availability in ('L', 'D')))
"""


class LockWatch:
    """Watches while it is entered; `said` holds what it has found.

    Parameters
    ----------
    instance
        The embedded Rucio.
    """

    def __init__(self, instance: Instance) -> None:
        #: Where Rucio's database is.
        self.url = f"postgresql://postgres@/postgres?host={instance.home.socket}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.said: dict[str, None] = {}

    def look(self) -> bool:
        """Look once; return whether the database answered."""
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                for name, rse, tombstone, state in connection.execute(_DELETABLE):
                    self.said[f"{name}: no rule holds its copy at {rse}, {state}, with the tombstone {tombstone}"] = (
                        None
                    )
                for name, availability, expires in connection.execute(_LOST):
                    what = f"it ends at {expires}" if expires else f"Rucio has given it up, {availability}"
                    self.said[f"{name}: {what}"] = None
        except psycopg.Error:
            return False
        return True

    def _watch(self) -> None:
        while not self._end.wait(_INTERVAL_S):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
