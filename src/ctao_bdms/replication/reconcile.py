"""Reconcile the rules of blocks: what they must have, against what they have, and the difference done."""

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
    """What replication asks of a catalogue."""


def _silent(_did: Did, _expression: str) -> None:
    """Say nothing of a rule that is made."""


@attrs.frozen
class Replication:
    """The replication of blocks: which copies they must have, and the rules that bring them there.

    Attributes
    ----------
    catalogue
        The archive.
    policy
        How products are kept.
    now
        The clock (aware).
    patience
        How long a centre that is shut is waited for.
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
        opened_since: dt.datetime | None = None,
        prune: bool = False,
        on_rule: Callable[[Did, str], None] = _silent,
        on_refused: Callable[[Action, CatalogueError], None] | None = None,
    ) -> BlockStates:
        """Make, change and end rules so that the blocks of `pattern` have those that they must have.

        An open block that nobody has closed for `abandoned_after` is what a crash has left: it is closed first. If its
        manifest cannot be written on site, that is logged, the block stays open, and the others go on. An empty block
        needs no rules, nor does one whose time is over.

        Parameters
        ----------
        scope, pattern
            The scope, and the names of the blocks, with ``*``.
        abandoned_after
            How old an open block must be to be closed here.
        opened_since
            Only blocks that were made since (aware); by default all.
        prune
            End the rules of centres that keep a block no longer, once all its copies are elsewhere.
        on_rule
            Called with block and RSE expression for each rule that is made.
        on_refused
            Called with what could not be done about one rule, and why; by default the first such error is raised when
            all others have been seen to.

        Returns
        -------
        BlockStates
            The closed blocks with what they have now.
        """
        blocks = self._blocks(scope, pattern, opened_since)
        abandoned = [block for block in blocks if block.is_open and self.now() - block.created >= abandoned_after]
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
        """Return what `reconcile` would do, and what it leaves alone or waits for; nothing is changed."""
        closed = [block for block in self._closed(scope, pattern) if not self._is_over(block)]
        rules = self._rules(scope, closed)
        return Difference(action for block in closed for action in self._actions(block, rules[block.did.name]))

    def states(self, scope: str, pattern: str) -> BlockStates:
        """Return the closed blocks of `pattern` with the rules that they have; nothing is changed."""
        closed = self._closed(scope, pattern)
        return self._states(closed, self._rules(scope, closed))

    def begin(
        self,
        blocks: Iterable[Did],
        *,
        on_rule: Callable[[Did, str], None] = _silent,
        on_refused: Callable[[Action, CatalogueError], None] | None = None,
    ) -> None:
        """Make the next rules of blocks that were closed just now: they have the one with which they were opened.

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
                    continue  # what is there already, the first rule holds
                apply(self.catalogue, action, on_rule, say, prune=False)
        if refused:
            raise refused[0]

    def explain(self, scope: str = "", pattern: str = "", *, rule_id: str = "") -> Explanations:
        """Say of each copy that blocks must have and that is not there yet why; nothing is changed.

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
        if not blocks:
            return Explanations(())
        rules = self.catalogue.rules(scope, [block.did.name for block in blocks])
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
        """Return the centres that keep the copies of a block that has these rules, the first to receive them first."""
        return self._requirements().placement(did, rules)

    def placement_of_night(self, site: Site, night: Night) -> tuple[str, ...]:
        """Return the centres that keep for ever what is taken in a night, if it were placed now."""
        return self._requirements().placement_of_night(site, night)

    def centres(self) -> Centres:
        """Return the data centres, and what is expected of each now."""
        keep_free = self.policy.placement.keep_free_bytes
        return Centres(centres_by_name(self.catalogue.rses().values(), self.now(), self.patience, keep_free).values())

    def copied(self, block: Did, lfns: Iterable[Lfn]) -> set[Lfn]:
        """Return those files of a block that have a good copy at as many centres as must keep it.

        It is asked file by file: the rules of a block of which some files are stuck say it of none. A file that the
        catalogue does not know any more has no copy.
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
        """Return the policy, the storage elements and the centres, as they are now."""
        rses = self.catalogue.rses()
        return Requirements(self.policy, rses, centres_by_name(rses.values(), self.now(), self.patience))

    def _blocks(self, scope: str, pattern: str, opened_since: dt.datetime | None = None) -> list[Block]:
        """Return what `pattern` finds, if its name is that of a block."""
        found = self.catalogue.blocks(scope, pattern, opened_since=opened_since)
        return [block for block in found if is_block(block.did.name)]

    def _closed(self, scope: str, pattern: str) -> list[Block]:
        """Return the closed blocks of `pattern` that hold something."""
        return [block for block in self._blocks(scope, pattern) if not block.is_open and block.n_files]

    def _rules(self, scope: str, blocks: Sequence[Block]) -> Mapping[str, Sequence[Rule]]:
        """Return the rules of blocks by name."""
        found = self.catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}
        return {block.did.name: [_counted(rule, block) for rule in found[block.did.name]] for block in blocks}

    def _is_over(self, block: Block) -> bool:
        """Return whether the time for which a block is kept is over."""
        lifetime = self.policy.retention(BlockName.parse(block.did.name).retention).lifetime
        return lifetime is not None and self.now() - block.created >= lifetime

    def _wanted(self, block: Block, rules: Sequence[Rule]) -> Wanted:
        """Return what a block must have; of its rules, only its owner's count."""
        ours = [rule for rule in rules if rule.account == block.account]
        return self._requirements().wanted(block.did, ours)

    def _actions(self, block: Block, rules: Sequence[Rule]) -> list[Action]:
        """Return what is to be done about the rules of a block."""
        return difference(block.did, self._wanted(block, rules), rules, block.account)

    def _states(self, blocks: Sequence[Block], rules: Mapping[str, Sequence[Rule]]) -> BlockStates:
        return BlockStates(
            state_of(block, self._wanted(block, rules[block.did.name]), rules[block.did.name]) for block in blocks
        )


def _counted(rule: Rule, block: Block) -> Rule:
    """Return a rule with its state for all files of its block.

    A rule that is older than the files says ``ok`` until Rucio's judge has given them their locks.
    """
    lacks_locks = rule.state is RuleState.OK and rule.locks.get("ok", 0) < block.n_files * rule.copies
    return attrs.evolve(rule, state=RuleState.REPLICATING) if lacks_locks else rule
