"""The daemon's way to the archive: made when it is needed, made anew when credentials were refused, fenced."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import AuthenticationError
from ctao_bdms.model import DEFAULT_ACTIVITY

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue import Catalogue, Query
    from ctao_bdms.model import (
        ArchivedFile,
        Attempt,
        Block,
        Did,
        FirstRule,
        Lfn,
        Product,
        Registration,
        Rse,
        Rule,
        Value,
    )

__all__ = ["Connection"]


class Connection:
    """A catalogue that is connected at the first question, and checks before each change that it may still make it.

    Parameters
    ----------
    connect
        Connects to the archive.
    check
        Raises `LeaseLostError` if another daemon has taken the place of this one.
    """

    def __init__(self, connect: Callable[[], Catalogue], check: Callable[[], None]) -> None:
        self._connect = connect
        self._check = check
        self._catalogue: Catalogue | None = None

    @contextmanager
    def _asked(self, *, changes: bool = False) -> Iterator[Catalogue]:
        """Yield the catalogue; one that refuses the credentials is connected anew the next time."""
        if self._catalogue is None:
            self._catalogue = self._connect()
        if changes:
            self._check()
        try:
            yield self._catalogue
        except AuthenticationError:
            self._catalogue = None
            raise

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""
        with self._asked() as catalogue:
            return catalogue.rses()

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products."""
        with self._asked() as catalogue:
            return catalogue.scopes()

    def mark_lost(self, rse: str, reason: str) -> None:
        """Mark a storage element as lost, or take that back."""
        with self._asked(changes=True) as catalogue:
            catalogue.mark_lost(rse, reason)

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return those of `lfns` that the catalogue knows."""
        with self._asked() as catalogue:
            return catalogue.files(lfns)

    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return the files that `names` stand for."""
        with self._asked() as catalogue:
            return catalogue.content(names)

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Say that the copy of a file at `rse` has other bytes than the file."""
        with self._asked(changes=True) as catalogue:
            catalogue.declare_bad(lfn, rse, reason)

    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        """Say that the copy of a file at `rse` could not be read."""
        with self._asked(changes=True) as catalogue:
            catalogue.declare_suspicious(lfn, rse, reason)

    def find(self, query: Query) -> Iterator[Product]:
        """Yield the products that answer `query`."""
        with self._asked() as catalogue:
            yield from catalogue.find(query)

    def tally(self, query: Query, key: str = "") -> Mapping[Value | None, int]:
        """Return how many products answer `query`, by their values of `key`."""
        with self._asked() as catalogue:
            return catalogue.tally(query, key)

    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        """Make sure that all directories above `lfns` exist."""
        with self._asked(changes=True) as catalogue:
            catalogue.ensure_directories(lfns)

    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        """Return the directories above `lfns` that do not exist."""
        with self._asked() as catalogue:
            return catalogue.missing_directories(lfns)

    def open_block(self, block: Did, rule: FirstRule | None = None) -> None:
        """Create the empty, open block with its first rule."""
        with self._asked(changes=True) as catalogue:
            catalogue.open_block(block, rule)

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` where they lie on `rse`."""
        with self._asked(changes=True) as catalogue:
            catalogue.register(block, rse, files)

    def close_block(self, block: Did) -> None:
        """Close the block for ever."""
        with self._asked(changes=True) as catalogue:
            catalogue.close_block(block)

    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern`; or of them those made since."""
        with self._asked() as catalogue:
            return catalogue.blocks(scope, pattern, opened_since=opened_since)

    def products_in(self, block: Did) -> Sequence[Product]:
        """Return the files in `block` with their metadata."""
        with self._asked() as catalogue:
            return catalogue.products_in(block)

    def fulfilled_since(self, since: dt.datetime) -> Mapping[Did, AbstractSet[str]]:
        """Return what has rules that are fulfilled and have changed after `since`, with their identifiers."""
        with self._asked() as catalogue:
            return catalogue.fulfilled_since(since)

    def unfulfilled(self, scope: str) -> AbstractSet[Did]:
        """Return what of `scope` has a rule whose copies are not all there."""
        with self._asked() as catalogue:
            return catalogue.unfulfilled(scope)

    def rule(self, rule_id: str) -> Rule:
        """Return a rule."""
        with self._asked() as catalogue:
            return catalogue.rule(rule_id)

    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        """Return the copies that `rule` still waits for."""
        with self._asked() as catalogue:
            return catalogue.attempts(rule, looked_at)

    def room(self, account: str = "") -> Mapping[str, float]:
        """Return how much more an account may keep at each storage element, in bytes."""
        with self._asked() as catalogue:
            return catalogue.room(account)

    def kept(self, account: str = "") -> Mapping[str, int]:
        """Return how much an account keeps at each storage element, in bytes."""
        with self._asked() as catalogue:
            return catalogue.kept(account)

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names`."""
        with self._asked() as catalogue:
            return catalogue.rules(scope, names)

    def add_rule(
        self,
        did: Did,
        *,
        rse_expression: str,
        source: str = "",
        lifetime_s: int | None = None,
        activity: str = DEFAULT_ACTIVITY,
        priority: int = 3,
        account: str = "",
    ) -> None:
        """Ask for one copy of `did` in `rse_expression`."""
        with self._asked(changes=True) as catalogue:
            catalogue.add_rule(
                did,
                rse_expression=rse_expression,
                source=source,
                lifetime_s=lifetime_s,
                activity=activity,
                priority=priority,
                account=account,
            )

    def prolong_rule(self, rule_id: str) -> None:
        """Let a rule stand for ever."""
        with self._asked(changes=True) as catalogue:
            catalogue.prolong_rule(rule_id)

    def redirect_rule(self, rule_id: str, source: str) -> None:
        """Have a rule read from `source`."""
        with self._asked(changes=True) as catalogue:
            catalogue.redirect_rule(rule_id, source)

    def retry_rule(self, rule_id: str) -> None:
        """Have a rule that is stuck tried again soon."""
        with self._asked(changes=True) as catalogue:
            catalogue.retry_rule(rule_id)

    def end_rule(self, rule_id: str) -> None:
        """End a rule."""
        with self._asked(changes=True) as catalogue:
            catalogue.end_rule(rule_id)

    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        """Write notes about `did`."""
        with self._asked(changes=True) as catalogue:
            catalogue.annotate(did, notes)

    def annotations(self, did: Did) -> Mapping[str, Any]:
        """Return the notes about `did`."""
        with self._asked() as catalogue:
            return catalogue.annotations(did)
