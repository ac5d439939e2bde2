"""An archive in memory: the whole port without a server, for tests, notebooks and dry runs.

It enforces the rules of a Rucio catalogue: a closed block stays closed, other content under a registered name is a
conflict, a rule without a source is stuck. It moves no bytes: `transfer` sets the state after a transfer.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms.catalogue.port import Catalogue
from ctao_bdms.errors import BlockClosedError, ConflictError, ForbiddenError, NotFoundError, UnknownRseError
from ctao_bdms.model import (
    DEFAULT_ACTIVITY,
    ArchivedFile,
    Attempt,
    Block,
    Did,
    FirstRule,
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
from ctao_bdms.naming import ROOT_SCOPE, Directory, directories_of, is_beside_tree, is_manifest, pfn_path, scope_of
from ctao_bdms.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.catalogue.metadata_query import MetadataQuery
    from ctao_bdms.model import Value

__all__ = ["InMemoryCatalogue"]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class InMemoryCatalogue(Catalogue):
    """An archive in memory.

    Parameters
    ----------
    scopes
        The scopes that exist.
    account
        The account of the client.

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
        now: Callable[[], dt.datetime] = _now,
        account: str = "bdms-ingest",
    ) -> None:
        self._rses = {rse.name: rse for rse in rses}
        self._scopes = {ROOT_SCOPE, *scopes}
        self._now = now
        self._account = account
        self._files: dict[Lfn, ArchivedFile] = {}
        self._metadata: dict[Lfn, ProductMetadata] = {}
        self._blocks: dict[Did, Block] = {}
        self._rules: list[Rule] = []
        self._n_rules = 0  # ever made, so that identifiers are never reused
        self._notes: dict[Did, dict[str, object]] = {}
        self._changed: dict[tuple[Did, str], dt.datetime] = {}
        self.directories: dict[Did, Directory] = {}
        #: The reasons why copies are suspicious, by file and storage element.
        self.suspicious: dict[tuple[Lfn, str], list[str]] = {}
        #: The free quota in bytes, by storage element; no entry means no limit.
        self.quotas: dict[str, float] = {}

    @override
    def rses(self) -> Mapping[str, Rse]:
        return dict(self._rses)

    @override
    def mark_lost(self, rse: str, reason: str) -> None:
        if rse not in self._rses:
            raise UnknownRseError(rse, self._rses)
        is_open = not reason
        self.set_rse(attrs.evolve(self._rses[rse], lost=reason, is_readable=is_open, is_writable=is_open))

    def set_rse(self, rse: Rse) -> None:
        """Add or replace a storage element."""
        self._rses[rse.name] = rse

    def set_file(self, file: ArchivedFile, metadata: ProductMetadata | None = None) -> None:
        """Replace a file, or add one with its `metadata`; without `metadata`, a known file keeps its own."""
        for replica in file.replicas:
            if replica.rse not in self._rses:
                raise UnknownRseError(replica.rse, self._rses)
        metadata = self._metadata.get(file.lfn) if metadata is None else metadata
        if metadata is None:
            raise NotFoundError(f"the archive does not know {file.lfn}; to add it, give its metadata")
        self._files[file.lfn], self._metadata[file.lfn] = file, metadata

    def remove_file(self, lfn: Lfn) -> None:
        """Remove a file, its replicas and its metadata, as Rucio does when the last replica was declared bad."""
        if lfn not in self._files:
            raise NotFoundError(f"the archive does not know {lfn}")
        del self._files[lfn], self._metadata[lfn]

    def set_block(self, block: Block) -> None:
        """Replace a block, for example to change its number of files or its creation time."""
        if block.did not in self._blocks:
            raise NotFoundError(f"there is no block {block.did}")
        self._blocks[block.did] = block

    def set_rule(self, rule: Rule) -> None:
        """Replace a rule, for example to change its state, account or expiry."""
        place = self._place(rule.id)
        if rule.state is not self._rules[place].state:
            self._changed[rule.did, rule.rse_expression] = self._now()
        self._rules[place] = rule

    def remove_rule(self, rule_id: str) -> None:
        """Remove a rule and keep its replicas, as in Rucio until the reaper runs; see `reap`."""
        del self._rules[self._place(rule_id)]

    @override
    def scopes(self) -> Sequence[str]:
        return sorted(self._scopes - {ROOT_SCOPE})

    @override
    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        return {lfn: self._files[lfn] for lfn in lfns if lfn in self._files}

    @override
    def content(self, names: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        found: dict[Lfn, ArchivedFile] = {}
        for name in dict.fromkeys(names):
            did = Did(scope_of(str(name)), str(name))
            if name not in self._files and did not in self._blocks and did not in self.directories:
                raise NotFoundError(f"the archive does not know {name}")
            members = [
                file
                for lfn, file in sorted(self._files.items())
                if lfn == name or did in file.datasets or str(lfn).startswith(f"{name}/")
            ]
            found.update((file.lfn, attrs.evolve(file, datasets=frozenset())) for file in members)
        return found

    @override
    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        copy = self._copy(lfn, rse)
        file = self._files[lfn]
        replicas = tuple(attrs.evolve(each, state=ReplicaState.BAD) if each is copy else each for each in file.replicas)
        self._files[lfn] = attrs.evolve(file, replicas=replicas)

    @override
    def declare_suspicious(self, lfn: Lfn, rse: str, reason: str) -> None:
        self._copy(lfn, rse)
        self.suspicious.setdefault((lfn, rse), []).append(reason)

    def _copy(self, lfn: Lfn, rse: str) -> Replica:
        copy = self._files[lfn].at(rse) if lfn in self._files else None
        if copy is None:
            raise NotFoundError(f"there is no copy of {lfn} at {rse}")
        return copy

    @override
    def find(self, query: MetadataQuery) -> Iterator[Product]:
        yield from sorted(self._answering(query), key=query.sort_key())[: query.limit]

    @override
    def tally(self, query: MetadataQuery, key: str = "") -> Mapping[Value | None, int]:
        return Counter(product.metadata.get(key) if key else None for product in self._answering(query))

    def _answering(self, query: MetadataQuery) -> Iterator[Product]:
        """Yield the products that meet the conditions of `query`."""
        for lfn in list(self._files):
            metadata = self._metadata[lfn]
            if is_beside_tree(lfn) or scope_of(str(lfn)) not in query.scopes:
                continue
            if query.holds(metadata):
                yield self._product(lfn)

    @override
    def ensure_directories(self, lfns: Iterable[Lfn]) -> None:
        for lfn in lfns:
            self._require_scope(lfn)
            self.directories.update((directory.did, directory) for directory in directories_of(lfn))

    @override
    def missing_directories(self, lfns: Iterable[Lfn]) -> Sequence[Did]:
        missing: set[Did] = set()
        for lfn in lfns:
            self._require_scope(lfn)
            missing.update(d.did for d in directories_of(lfn) if d.did.scope != ROOT_SCOPE)
        return sorted(missing - set(self.directories))

    def _require_scope(self, lfn: Lfn) -> None:
        if scope_of(str(lfn)) not in self._scopes:
            raise NotFoundError(f"scope {scope_of(str(lfn))!r} does not exist")

    @override
    def open_block(self, block: Did, rule: FirstRule | None = None) -> None:
        if block.scope not in self._scopes:
            raise NotFoundError(f"scope {block.scope!r} does not exist")
        if block not in self._blocks and rule is not None:
            self.add_rule(
                block,
                rse_expression=rule.rse_expression,
                lifetime_s=rule.lifetime_s,
                activity=rule.activity,
                priority=rule.priority,
            )
        new = Block(did=block, is_open=True, n_files=0, size_bytes=0, created=self._now(), account=self._account)
        self._blocks.setdefault(block, new)

    @override
    def register(self, block: Did, rse: str, files: Sequence[Registration]) -> None:
        if rse not in self._rses:
            raise UnknownRseError(rse, self._rses)
        if block not in self._blocks:
            raise NotFoundError(f"there is no block {block}")
        if not self._blocks[block].is_open:
            raise BlockClosedError(f"block {block} is closed")
        for file in files:
            known = self._files.get(file.lfn)
            if known and (known.size_bytes, known.adler32) != (file.size_bytes, file.adler32):
                raise ConflictError(f"{file.lfn} is already registered with other content")
            if not is_beside_tree(file.lfn) and directories_of(file.lfn)[-1].did not in self.directories:
                raise NotFoundError(f"the directory of {file.lfn} does not exist")
        for file in files:
            self._add(block, self._rses[rse], file)
        members = [self._files[lfn] for lfn in list(self._files) if block in self._files[lfn].datasets]
        self._blocks[block] = attrs.evolve(
            self._blocks[block], n_files=len(members), size_bytes=sum(member.size_bytes for member in members)
        )
        self._rules = [self._evaluated(rule) if rule.did == block else rule for rule in self._rules]

    def _evaluated(self, rule: Rule) -> Rule:
        """Return a rule with a lock for each file that is now in its dataset."""
        members = [file for file in list(self._files.values()) if rule.did in file.datasets]
        there = sum(any(file.at(rse.name) for rse in self._matching(rule.rse_expression)) for file in members)
        state = RuleState.OK if there == len(members) else RuleState.REPLICATING
        locks = {"ok": there, "replicating": len(members) - there, "stuck": 0}
        return attrs.evolve(rule, state=state, locks=locks, updated=self._now())

    def _add(self, block: Did, rse: Rse, file: Registration) -> None:
        """Add a file, or a new replica of it."""
        known = self._files.get(file.lfn)
        replicas = known.replicas if known else ()
        if not known or known.at(rse.name) is None:
            replicas = (*replicas, self._replica(file.lfn, rse, ReplicaState.AVAILABLE))
        datasets = (known.datasets if known else frozenset()) | {block}
        if not is_beside_tree(file.lfn):
            datasets |= {directories_of(file.lfn)[-1].did}
        self._files[file.lfn] = ArchivedFile(
            lfn=file.lfn, size_bytes=file.size_bytes, adler32=file.adler32, replicas=replicas, datasets=datasets
        )
        self._metadata[file.lfn] = file.metadata

    def _replica(self, lfn: Lfn, rse: Rse, state: ReplicaState) -> Replica:
        return Replica(rse=rse.name, state=state, pfn=f"file://localhost{pfn_path(str(lfn), rse.prefix)}")

    @override
    def close_block(self, block: Did) -> None:
        if block not in self._blocks:
            raise NotFoundError(f"there is no block {block}")
        self._blocks[block] = attrs.evolve(self._blocks[block], is_open=False)

    @override
    def reopen_block(self, block: Did) -> None:
        if block not in self._blocks:
            raise NotFoundError(f"there is no block {block}")
        if self._blocks[block].is_open:
            return
        held = [lfn for lfn, file in self._files.items() if block in file.datasets]  # in the order of registration
        if not held or is_manifest(held[-1].text):
            raise ForbiddenError(f"a closed dataset stays closed, because its manifest has been written: {block}")
        self._blocks[block] = attrs.evolve(self._blocks[block], is_open=True)

    @override
    def products_in(self, block: Did) -> Sequence[Product]:
        return [self._product(lfn) for lfn in sorted(self._files) if block in self._files[lfn].datasets]

    def _product(self, lfn: Lfn) -> Product:
        file = self._files[lfn]
        return Product(lfn=lfn, size_bytes=file.size_bytes, adler32=file.adler32, metadata=self._metadata[lfn])

    @override
    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        dids = sorted(did for did in self._blocks if did.scope == scope and fnmatch.fnmatchcase(did.name, pattern))
        blocks = [self._blocks[did] for did in dids]
        return [block for block in blocks if opened_since is None or block.created >= opened_since]

    @override
    def fulfilled_since(self, since: dt.datetime) -> Mapping[Did, AbstractSet[str]]:
        changed: dict[Did, set[str]] = {}
        for rule in self._rules:
            if rule.state is RuleState.OK and self._changed[rule.did, rule.rse_expression] > since:
                changed.setdefault(rule.did, set()).add(rule.id)
        return changed

    @override
    def unfulfilled(self, scope: str) -> AbstractSet[Did]:
        return {rule.did for rule in self._rules if rule.did.scope == scope and rule.state is not RuleState.OK}

    @override
    def rule(self, rule_id: str) -> Rule:
        return self._rules[self._place(rule_id)]

    @override
    def attempts(self, rule: Rule, looked_at: int) -> Sequence[Attempt]:
        # There are no transfers in memory, so there are no messages.
        target = self._matching(rule.rse_expression)[0].name
        members = [file for lfn, file in sorted(self._files.items()) if rule.did in file.datasets]
        return [Attempt(lfn=file.lfn, rse=target) for file in members if file.at(target) is None]

    @override
    def account(self) -> str:
        return self._account

    @override
    def room(self, account: str = "") -> Mapping[str, float]:
        return dict.fromkeys(self._rses, float("inf")) | self.quotas

    @override
    def kept(self, account: str = "") -> Mapping[str, int]:
        kept = dict.fromkeys(self._rses, 0)
        for rule in self._rules:
            if rule.account == (account or self._account):
                members = [file for file in list(self._files.values()) if rule.did in file.datasets]
                kept[self._matching(rule.rse_expression)[0].name] += sum(file.size_bytes for file in members)
        return kept

    @override
    def rules(self, scope: str, names: Iterable[str]) -> Mapping[str, Sequence[Rule]]:
        return {name: [rule for rule in self._rules if rule.did == Did(scope, name)] for name in names}

    @override
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
        if not self._matching(rse_expression):
            raise NotFoundError(f"no storage element matches {rse_expression!r}")
        account = account or self._account
        same = (did, rse_expression, account)
        if any((rule.did, rule.rse_expression, rule.account) == same for rule in self._rules):
            return
        self._changed[did, rse_expression] = self._now()
        expires = None if lifetime_s is None else self._now() + dt.timedelta(seconds=lifetime_s)
        self._n_rules += 1
        rule = Rule(
            id=f"{self._n_rules:032x}",
            did=did,
            rse_expression=rse_expression,
            copies=1,
            state=RuleState.OK,
            locks={},
            source=source,
            expires=expires,
            account=account,
            created=self._now(),
            activity=activity,
            priority=priority,
        )
        self._rules.append(self._evaluated(rule))

    @override
    def prolong_rule(self, rule_id: str) -> None:
        self._rules[self._place(rule_id)] = attrs.evolve(self._rules[self._place(rule_id)], expires=None)

    @override
    def redirect_rule(self, rule_id: str, source: str) -> None:
        self._rules[self._place(rule_id)] = attrs.evolve(self._rules[self._place(rule_id)], source=source)

    @override
    def retry_rule(self, rule_id: str) -> None:
        # Nothing to change: `transfer` tries every rule anyway.
        self._place(rule_id)

    def _place(self, rule_id: str) -> int:
        """Return the index of a rule."""
        for place, rule in enumerate(self._rules):
            if rule.id == rule_id:
                return place
        raise NotFoundError(f"there is no rule {rule_id}")

    @override
    def end_rule(self, rule_id: str) -> None:
        place = self._place(rule_id)
        self._rules[place] = attrs.evolve(self._rules[place], expires=self._now())

    def reap(self) -> int:
        """Delete expired rules and replicas without a rule; return how many."""
        ended = [rule for rule in self._rules if rule.expires is not None and rule.expires <= self._now()]
        self._rules = [rule for rule in self._rules if rule not in ended]
        gone = 0
        for rule in ended:
            for lfn, file in list(self._files.items()):
                held = {
                    r.name
                    for other in self._rules
                    if other.did in file.datasets
                    for r in self._matching(other.rse_expression)
                }
                free = (
                    {r.name for r in self._matching(rule.rse_expression)} - held if rule.did in file.datasets else set()
                )
                kept = tuple(replica for replica in file.replicas if replica.rse not in free)
                gone += len(file.replicas) - len(kept)
                self._files[lfn] = attrs.evolve(file, replicas=kept)
        return gone

    @override
    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        self._notes.setdefault(did, {}).update(notes)

    @override
    def annotations(self, did: Did) -> Mapping[str, Any]:
        if did not in self._blocks and did not in self.directories:
            raise NotFoundError(f"there is no data identifier {did}")
        return dict(self._notes.get(did, {}))

    def _matching(self, expression: str) -> list[Rse]:
        """Return the storage elements that match an expression: names, ``key=value``, ``tape``, joined by ``&``."""
        return [rse for rse in self._rses.values() if all(self._answers(rse, part) for part in expression.split("&"))]

    @staticmethod
    def _answers(rse: Rse, part: str) -> bool:
        """Return whether a storage element matches one term of an expression."""
        attribute, _, value = part.partition("=")
        if value:
            return getattr(rse, attribute, None) == value
        return rse.name == part or (part == "tape" and rse.is_tape)

    def transfer(self, refused: Collection[Lfn] = ()) -> int:
        """Set every missing copy of a rule to available, if it has a source; return how many.

        Parameters
        ----------
        refused
            Files whose transfers fail, because their bytes have changed: their copies are stuck.
        """
        made = 0
        for place, rule in enumerate(self._rules):
            target = self._matching(rule.rse_expression)[0]
            members = [file for file in list(self._files.values()) if rule.did in file.datasets]
            readable = {file.lfn for file in members if self._can_read(rule)(file)}
            if rule.state is RuleState.OK or not target.is_writable or not readable:
                continue
            stuck = 0
            for file in members:
                if file.at(target.name) is not None:
                    continue
                if file.lfn in refused or file.lfn not in readable:
                    stuck += 1
                    continue
                copy = self._replica(file.lfn, target, ReplicaState.AVAILABLE)
                self._files[file.lfn] = attrs.evolve(file, replicas=(*file.replicas, copy))
                made += 1
            self._changed[rule.did, rule.rse_expression] = self._now()
            locks = {"ok": len(members) - stuck, "replicating": 0, "stuck": stuck}
            state = RuleState.STUCK if stuck else RuleState.OK
            self._rules[place] = attrs.evolve(rule, state=state, locks=locks, updated=self._now())
        return made

    def _can_read(self, rule: Rule) -> Callable[[ArchivedFile], bool]:
        """Return a function that tests whether a file has a copy that a rule can read as its source."""
        sources = self._matching(rule.source) if rule.source else self._rses.values()
        readable = [rse.name for rse in sources if rse.is_readable]
        return lambda file: any(file.at(name) is not None for name in readable)
