"""Reconcile blocks: compare their rules with those they must have, and apply the difference."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.blocks import ClosingCatalogue, close_block
from ctao_bdms.catalogue import (
    RuleAddingCatalogue,
    RuleCatalogue,
    RuleChangingCatalogue,
    RuleEndingCatalogue,
    TransferCatalogue,
)
from ctao_bdms.errors import StorageError, UsageError
from ctao_bdms.model import ReplicaState, RuleState
from ctao_bdms.naming import BlockName, is_block
from ctao_bdms.replication.apply import OF_ONE_RULE, apply
from ctao_bdms.replication.centres import PATIENCE, Centres, centres_by_name
from ctao_bdms.replication.difference import Action, Difference, Kind, difference
from ctao_bdms.replication.explain import Explanations, explain_block
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.requirements import Requirements
from ctao_bdms.replication.states import BlockStates, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ctao_bdms.errors import CatalogueError
    from ctao_bdms.model import Block, Did, Lfn, Night, Rule, Site
    from ctao_bdms.replication.difference import Wanted

__all__ = ["Replication", "ReplicationCatalogue"]

_LOG = logging.getLogger(__name__)


class ReplicationCatalogue(
    RuleCatalogue,
    TransferCatalogue,
    RuleAddingCatalogue,
    RuleChangingCatalogue,
    RuleEndingCatalogue,
    ClosingCatalogue,
    Protocol,
):
    """The catalogue verbs that replication needs."""


def _silent(_did: Did, _expression: str) -> None:
    """Ignore a rule that is made."""


@attrs.frozen
class Replication:
    """Replication of blocks by rules.

    Attributes
    ----------
    catalogue
        The archive.
    policy
        How products are kept.
    now
        The clock (aware).
    patience
        How long to wait for a centre that is shut.
    """

    catalogue: ReplicationCatalogue
    policy: Policy
    now: Callable[[], dt.datetime]
    patience: dt.timedelta = PATIENCE

    def reconcile(
        self,
        scope: str,
        pattern: str,
        *,
        abandoned_after: dt.timedelta = dt.timedelta(minutes=10),
        of_account: str = "",
        opened_since: dt.datetime | None = None,
        prune: bool = False,
        on_rule: Callable[[Did, str], None] = _silent,
        on_refused: Callable[[Action, CatalogueError], None] | None = None,
    ) -> BlockStates:
        """Make, change and end rules until the blocks of `pattern` have those that they must have.

        A block that is still open after `abandoned_after` was left by a crash, and is closed first. If its manifest
        cannot be written on site, the error is logged, the block stays open, and the others go on. Empty blocks, and
        blocks after their lifetime, need no rules.

        Parameters
        ----------
        scope, pattern
            The scope, and the names of the blocks, with ``*``.
        abandoned_after
            How old an open block must be to be closed here.
        of_account
            Close only blocks of this account; by default of all.
        opened_since
            Only blocks made since then (aware); by default all.
        prune
            End the rules of centres that do not keep a block any more, once all its copies are elsewhere.
        on_rule
            Called with block and RSE expression for each rule that is made.
        on_refused
            Called with an action that the catalogue refused, and the error; by default the first such error is raised
            after all other actions.

        Returns
        -------
        BlockStates
            The closed blocks with their rules.
        """
        blocks = self._blocks(scope, pattern, opened_since)
        abandoned = [
            block
            for block in blocks
            if block.is_open and self.now() - block.created >= abandoned_after and of_account in {"", block.account}
        ]
        for block in abandoned:
            try:
                close_block(self.catalogue, block.did)
            except (StorageError, UsageError, *OF_ONE_RULE) as error:
                _LOG.error("block %s stays open: %s", block.did, error)
        if abandoned:
            blocks = self._blocks(scope, pattern, opened_since)
        closed = [block for block in blocks if not block.is_open and block.n_files and not self._is_over(block)]
        rules = self._rules(scope, closed)
        refused: list[CatalogueError] = []
        say = on_refused or (lambda _action, error: refused.append(error))
        done = 0
        for block in closed:
            for action in self._actions(block, rules[block.did.name]):
                done += apply(self.catalogue, action, on_rule, say, prune=prune)
        if done:
            rules = self._rules(scope, closed)
        if refused:
            raise refused[0]
        return self._states(closed, rules)

    def compare(self, scope: str, pattern: str) -> Difference:
        """Return what `reconcile` would do, leave alone or wait for; change nothing."""
        closed = [block for block in self._closed(scope, pattern) if not self._is_over(block)]
        rules = self._rules(scope, closed)
        return Difference(action for block in closed for action in self._actions(block, rules[block.did.name]))

    def states(self, scope: str, pattern: str) -> BlockStates:
        """Return the closed blocks of `pattern` with their rules; change nothing."""
        closed = self._closed(scope, pattern)
        return self._states(closed, self._rules(scope, closed))

    def begin(
        self,
        blocks: Iterable[Did],
        *,
        on_rule: Callable[[Did, str], None] = _silent,
        on_refused: Callable[[Action, CatalogueError], None] | None = None,
    ) -> None:
        """Make the next rules of newly closed blocks, which have only their first rule.

        Parameters
        ----------
        blocks
            The blocks, made by the account that asks.
        on_rule, on_refused
            As in `reconcile`.
        """
        refused: list[CatalogueError] = []
        say = on_refused or (lambda _action, error: refused.append(error))
        for did in blocks:
            for action in difference(did, self._requirements().wanted(did, ()), ()):
                if action.kind is Kind.LATER and not action.rse_expression:
                    _LOG.warning("block %s: %s", did, action.why)
                if action.kind is Kind.MAKE and not action.source:
                    continue  # the first rule holds the files that are there already
                apply(self.catalogue, action, on_rule, say, prune=False)
        if refused:
            raise refused[0]

    def explain(self, scope: str = "", pattern: str = "", *, rule_id: str = "") -> Explanations:
        """Explain each missing copy of blocks; change nothing.

        Parameters
        ----------
        scope, pattern
            The scope, and the names of the blocks, with ``*``.
        rule_id
            Only this rule; scope and pattern are not needed then.
        """
        if rule_id:
            did = self.catalogue.rule(rule_id).did
            scope, pattern = did.scope, did.name
        blocks = [block for block in self.catalogue.blocks(scope, pattern) if not block.is_open and block.n_files]
        rules = self._rules(scope, blocks)
        return Explanations(
            each
            for block in blocks
            for each in explain_block(
                self.catalogue,
                block,
                rules[block.did.name],
                self._wanted(block, rules[block.did.name]) if is_block(block.did.name) else None,
                self.now(),
            )
            if rule_id in {"", each.rule_id}
        )

    def placement(self, did: Did, rules: Sequence[Rule] = ()) -> tuple[str, ...]:
        """Return the centres that keep a block with these rules, the first receiver first."""
        return self._requirements().placement(did, rules)

    def placement_of_night(self, site: Site, night: Night) -> tuple[str, ...]:
        """Return the centres that would keep permanent data of a night, placed now."""
        return self._requirements().placement_of_night(site, night)

    def centres(self) -> Centres:
        """Return the data centres with their state."""
        keep_free = self.policy.placement.keep_free_bytes
        return Centres(centres_by_name(self.catalogue.rses().values(), self.now(), self.patience, keep_free).values())

    def copied(self, block: Did, lfns: Iterable[Lfn]) -> set[Lfn]:
        """Return the files of a block that have an available replica at enough centres.

        Replicas are counted file by file, as the rules of a block with stuck files tell nothing about single files. A
        file that the catalogue does not know any more has no replica.
        """
        copies = self.policy.retention(BlockName.parse(block.name).retention).copies
        rses = self.catalogue.rses()
        found = set()
        for lfn, file in self.catalogue.files(lfns).items():
            good = {replica.rse for replica in file.replicas if replica.state is ReplicaState.AVAILABLE} & rses.keys()
            if len({rses[name].centre for name in good} - {""}) >= copies:
                found.add(lfn)
        return found

    def _requirements(self) -> Requirements:
        """Read the storage elements, and return what the policy requires with them."""
        rses = self.catalogue.rses()
        return Requirements(self.policy, rses, centres_by_name(rses.values(), self.now(), self.patience))

    def _blocks(self, scope: str, pattern: str, opened_since: dt.datetime | None = None) -> list[Block]:
        """Return the blocks of `pattern`, without datasets that are no blocks."""
        found = self.catalogue.blocks(scope, pattern, opened_since=opened_since)
        return [block for block in found if is_block(block.did.name)]

    def _closed(self, scope: str, pattern: str) -> list[Block]:
        """Return the closed blocks of `pattern` that are not empty."""
        return [block for block in self._blocks(scope, pattern) if not block.is_open and block.n_files]

    def _rules(self, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules of blocks by name."""
        found = self.catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}
        return {block.did.name: [_counted(rule, block) for rule in found[block.did.name]] for block in blocks}

    def _is_over(self, block: Block) -> bool:
        """Return whether the lifetime of a block is over."""
        lifetime = self.policy.retention(BlockName.parse(block.did.name).retention).lifetime
        return lifetime is not None and self.now() - block.created >= lifetime

    def _wanted(self, block: Block, rules: Sequence[Rule]) -> Wanted:
        """Return the rules that a block must have; of its own, only its owner's count."""
        ours = [rule for rule in rules if rule.account == block.account]
        return self._requirements().wanted(block.did, ours)

    def _actions(self, block: Block, rules: Sequence[Rule]) -> list[Action]:
        """Return the actions on the rules of a block."""
        return difference(block.did, self._wanted(block, rules), rules, block.account)

    def _states(self, blocks: Sequence[Block], rules: Mapping[str, Sequence[Rule]]) -> BlockStates:
        return BlockStates(
            state_of(block, self._wanted(block, rules[block.did.name]), rules[block.did.name]) for block in blocks
        )


def _counted(rule: Rule, block: Block) -> Rule:
    """Return a rule, as replicating if it lacks locks for some files of its block.

    A rule that is older than the files is ``ok`` until Rucio's judge has made their locks.
    """
    lacks_locks = rule.state is RuleState.OK and rule.locks.get("ok", 0) < block.n_files * rule.copies
    return attrs.evolve(rule, state=RuleState.REPLICATING) if lacks_locks else rule
