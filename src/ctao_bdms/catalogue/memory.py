"""An archive in memory: the whole port without a server, for tests, notebooks and dry runs.

It keeps the rules that a Rucio catalogue keeps (a closed block stays closed, other content under a known name is a
conflict, a rule without a source is stuck) and moves no bytes: `transfer` declares what a transfer would have done.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import BlockClosedError, ConflictError, NotFoundError, UnknownRseError
from ctao_bdms.model import (
    DEFAULT_ACTIVITY,
    ArchivedFile,
    Block,
    Did,
    Lfn,
    Product,
    ProductMetadata,
    Registration,
    Replica,
    ReplicaState,
    Rse,
    Rule,
    RuleState,
)
from ctao_bdms.naming import ROOT_SCOPE, Directory, directories_of, pfn_path, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue.query import Query

__all__ = ["InMemoryCatalogue"]


class InMemoryCatalogue:
    """An archive in memory.

    Parameters
    ----------
    rses
        Its storage elements.
    scopes
        The scopes that exist.
    now
        The clock.

    Examples
    --------
    >>> archive = InMemoryCatalogue([Rse(name="PIC-DISK", prefix="/pic", centre="PIC")])
    >>> archive.files([Lfn("/ctao/acada/x")])
    {}
    """

    def __init__(
        self,
        rses: Iterable[Rse],
        scopes: Iterable[str] = ("acada",),
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._rses = {rse.name: rse for rse in rses}
        self._scopes = {ROOT_SCOPE, *scopes}
        self._now = now
        self._files: dict[Lfn, ArchivedFile] = {}
        self._metadata: dict[Lfn, ProductMetadata] = {}
        self._blocks: dict[Did, Block] = {}
        self._rules: list[Rule] = []
        self._changed: dict[tuple[Did, str], dt.datetime] = {}
        self.directories: dict[Did, Directory] = {}
        #: How many bytes more may be kept, by storage element; one that is not named has no limit.
        self.quotas: dict[str, int] = {}

    def rses(self) -> Mapping[str, Rse]:
        """Return all storage elements by name."""
        return dict(self._rses)

    def scopes(self) -> Sequence[str]:
        """Return the scopes that hold products, sorted."""
        return sorted(self._scopes - {ROOT_SCOPE})

    def room_bytes(self, rse: str) -> int | None:
        """Return how many bytes more may be kept at `rse`: `quotas` says it, else there is no limit."""
        return self.quotas.get(rse)

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        """Return those of `lfns` that the catalogue knows."""
        return {lfn: self._files[lfn] for lfn in lfns if lfn in self._files}

    def find(self, query: Query) -> Iterator[Product]:
        """Yield the products that answer `query`, in the order of their names."""
        found = 0
        for lfn in sorted(self._files):
            metadata = self._metadata[lfn]
            if scope_of(str(lfn)) not in query.scopes or not all(c.holds(metadata) for c in query.conditions):
                continue
            if query.limit is not None and found >= query.limit:
                return
            found += 1
            file = self._files[lfn]
            yield Product(lfn=lfn, size_bytes=file.size_bytes, adler32=file.adler32, metadata=metadata)

    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        """Make sure that all directories above `lfns` exist."""
        for lfn in lfns:
            self._require_scope(lfn)
            self.directories.update((directory.did, directory) for directory in directories_of(lfn))

    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        """Return the directories above `lfns` that do not exist yet."""
        missing: set[Did] = set()
        for lfn in lfns:
            self._require_scope(lfn)
            missing.update(d.did for d in directories_of(lfn) if d.did.scope != ROOT_SCOPE)
        return sorted(missing - set(self.directories))

    def _require_scope(self, lfn: Lfn) -> None:
        if scope_of(str(lfn)) not in self._scopes:
            raise NotFoundError(f"scope {scope_of(str(lfn))!r} does not exist")

    def open_block(self, block: Did) -> None:
        """Create the empty, open block; nothing happens if it exists."""
        if block.scope not in self._scopes:
            raise NotFoundError(f"scope {block.scope!r} does not exist")
        self._blocks.setdefault(block, Block(did=block, is_open=True, n_files=0, size_bytes=0, created=self._now()))

    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        """Register `files` where they lie on `rse`; all or nothing."""
        if rse not in self._rses:
            raise UnknownRseError(rse, self._rses)
        if block not in self._blocks:
            raise NotFoundError(f"there is no block {block}")
        if not self._blocks[block].is_open:
            raise BlockClosedError(f"block {block} is closed")
        for file in files:
            known = self._files.get(file.lfn)
            if known and (known.size_bytes, known.adler32) != (file.size_bytes, file.adler32):
                raise ConflictError(f"the catalogue holds other content under {file.lfn}")
            if directories_of(file.lfn)[-1].did not in self.directories:
                raise NotFoundError(f"the directory of {file.lfn} does not exist")
        for file in files:
            self._add(block, self._rses[rse], file)
        members = [self._files[lfn] for lfn in self._files if block in self._files[lfn].datasets]
        self._blocks[block] = attrs.evolve(
            self._blocks[block], n_files=len(members), size_bytes=sum(member.size_bytes for member in members)
        )

    def _add(self, block: Did, rse: Rse, file: Registration) -> None:
        """Add one file, or what is new of it."""
        known = self._files.get(file.lfn)
        replicas = known.replicas if known else ()
        if not known or known.at(rse.name) is None:
            replicas = (*replicas, self._replica(file.lfn, rse, ReplicaState.AVAILABLE))
        datasets = (known.datasets if known else frozenset()) | {block, directories_of(file.lfn)[-1].did}
        self._files[file.lfn] = ArchivedFile(
            lfn=file.lfn, size_bytes=file.size_bytes, adler32=file.adler32, replicas=replicas, datasets=datasets
        )
        self._metadata[file.lfn] = file.metadata

    def _replica(self, lfn: Lfn, rse: Rse, state: ReplicaState) -> Replica:
        return Replica(rse=rse.name, state=state, pfn=f"file://localhost{pfn_path(str(lfn), rse.prefix)}")

    def close_block(self, block: Did) -> None:
        """Close the block for ever; nothing happens if it is closed."""
        if block not in self._blocks:
            raise NotFoundError(f"there is no block {block}")
        self._blocks[block] = attrs.evolve(self._blocks[block], is_open=False)

    def blocks(self, scope: str, pattern: str) -> Sequence[Block]:
        """Return the blocks of `scope` whose names match `pattern`, by name."""
        dids = sorted(did for did in self._blocks if did.scope == scope and fnmatch.fnmatchcase(did.name, pattern))
        return [self._blocks[did] for did in dids]

    def fulfilled_since(self, since: dt.datetime) -> AbstractSet[Did]:
        """Return the data identifiers that have a rule which is fulfilled and has changed after `since`."""
        return {
            rule.did
            for rule in self._rules
            if rule.state is RuleState.OK and self._changed[rule.did, rule.rse_expression] > since
        }

    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules on each of the datasets `names` of `scope`, oldest first."""
        return {name: [rule for rule in self._rules if rule.did == Did(scope, name)] for name in names}

    def add_rule(
        self,
        did: Did,
        *,
        rse_expression: str,
        source: str = "",
        lifetime_s: int | None = None,
        activity: str = DEFAULT_ACTIVITY,
        priority: int = 3,
    ) -> None:
        """Ask for one copy of `did` in `rse_expression`; nothing happens if the rule exists."""
        if not self._matching(rse_expression):
            raise NotFoundError(f"no storage element answers {rse_expression!r}")
        if any(rule.did == did and rule.rse_expression == rse_expression for rule in self._rules):
            return
        members = [file for file in self._files.values() if did in file.datasets]
        there = sum(any(file.at(rse.name) for rse in self._matching(rse_expression)) for file in members)
        self._changed[did, rse_expression] = self._now()
        expires = None if lifetime_s is None else self._now() + dt.timedelta(seconds=lifetime_s)
        self._rules.append(
            Rule(
                id=f"{len(self._rules):032x}",
                did=did,
                rse_expression=rse_expression,
                copies=1,
                state=RuleState.OK if there == len(members) else RuleState.REPLICATING,
                locks={"ok": there, "replicating": len(members) - there, "stuck": 0},
                source=source,
                expires=expires,
                activity=activity,
                priority=priority,
            )
        )

    def _matching(self, expression: str) -> list[Rse]:
        """Return the storage elements that answer an expression: names, ``key=value``, ``tape``, joined by ``&``."""
        return [rse for rse in self._rses.values() if all(self._answers(rse, part) for part in expression.split("&"))]

    @staticmethod
    def _answers(rse: Rse, part: str) -> bool:
        """Return whether a storage element answers a part of an expression."""
        attribute, _, value = part.partition("=")
        if value:
            return getattr(rse, attribute, None) == value
        return rse.name == part or (part == "tape" and rse.is_tape)

    def transfer(self) -> int:
        """Declare every copy that a rule still waits for as made; return how many there were."""
        made = 0
        for place, rule in enumerate(self._rules):
            target = self._matching(rule.rse_expression)[0]
            members = [file for file in self._files.values() if rule.did in file.datasets]
            for file in members:
                if file.at(target.name) is None:
                    copy = self._replica(file.lfn, target, ReplicaState.AVAILABLE)
                    self._files[file.lfn] = attrs.evolve(file, replicas=(*file.replicas, copy))
                    made += 1
            if rule.state is not RuleState.OK:
                self._changed[rule.did, rule.rse_expression] = self._now()
            locks = {"ok": len(members), "replicating": 0, "stuck": 0}
            self._rules[place] = attrs.evolve(rule, state=RuleState.OK, locks=locks)
        return made
