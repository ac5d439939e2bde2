"""Where the copies of a file, a block or a night are, since when, held by which rule, and verified how."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import FindBlocks, FindRules, KnowStorage, Lookup
from ctao_bdms.errors import NotFoundError
from ctao_bdms.model import Did, Lfn, Rse, Rule, RuleState
from ctao_bdms.naming import is_block
from ctao_bdms.replication import centre_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.model import ArchivedFile, Block

__all__ = ["Tracked", "TrackedCopies", "track_blocks", "track_file"]


class _Asked(KnowStorage, Lookup, FindBlocks, FindRules, Protocol):
    """What tracking asks of a catalogue; it changes nothing there."""


@attrs.frozen(kw_only=True)
class Tracked:
    """One copy of a file or of a block.

    Attributes
    ----------
    name
        The file or the block.
    rse, where
        The storage element, and the centre or site that it belongs to.
    state
        What the catalogue says of it: of a block, how many of its files are there.
    since
        When it was complete (aware); None if it is not, or nobody knows.
    rule_id
        The rule that holds it; empty if none does.
    evidence
        How it was verified.
    """

    name: str
    rse: str
    where: str
    state: str
    since: dt.datetime | None = None
    rule_id: str = ""
    evidence: str = ""


class TrackedCopies(Rows[Tracked]):
    """Copies, one row each."""

    columns: ClassVar = (
        ("name", "name"),
        ("where", "where"),
        ("rse", "rse"),
        ("state", "state"),
        ("since", "since"),
        ("rule", "rule_id"),
        ("verified", "evidence"),
    )


def track_file(catalogue: _Asked, lfn: Lfn) -> TrackedCopies:
    """Return the copies of a file.

    Parameters
    ----------
    catalogue
        The archive; it is only asked.
    lfn
        The file.

    Raises
    ------
    NotFoundError
        If the archive does not have the file.
    """
    file = catalogue.files([lfn]).get(lfn)
    if file is None:
        raise NotFoundError(f"the archive does not know {lfn}")
    rules = _rules(catalogue, file)
    rses = catalogue.rses()
    rows = []
    for replica in file.replicas:
        rse = rses.get(replica.rse, Rse(name=replica.rse, prefix=""))
        rule = next((rule for rule in rules if _is_for(rule, rse)), None)
        rows.append(
            Tracked(
                name=str(lfn),
                rse=rse.name,
                where=rse.centre or rse.site,
                state=replica.state.value,
                since=_since(rule),
                rule_id="" if rule is None else rule.id,
                evidence=_evidence(rse, rule),
            )
        )
    return TrackedCopies(rows)


def track_blocks(catalogue: _Asked, scope: str, pattern: str) -> TrackedCopies:
    """Return the copies of the blocks whose names match `pattern`, one row a block and rule.

    Parameters
    ----------
    catalogue
        The archive; it is only asked.
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    """
    blocks = [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name)]
    if not blocks:
        return TrackedCopies(())
    rules = catalogue.rules(scope, [block.did.name for block in blocks])
    rses = catalogue.rses()
    return TrackedCopies(_of_rule(block, rule, rses) for block in blocks for rule in rules[block.did.name])


def _of_rule(block: Block, rule: Rule, rses: Mapping[str, Rse]) -> Tracked:
    """Return the copy of a block that a rule asks for."""
    chosen = [rse for rse in rses.values() if _is_for(rule, rse)]
    first = chosen[0] if chosen else Rse(name=rule.rse_expression, prefix="")
    return Tracked(
        name=block.did.name,
        rse=", ".join(rse.name for rse in chosen) or rule.rse_expression,
        where=first.centre or first.site,
        state=f"{rule.state.value}, {rule.locks.get('ok', 0)} of {block.n_files} files",
        since=_since(rule),
        rule_id=rule.id,
        evidence=_evidence(first, rule),
    )


def _rules(catalogue: FindRules, file: ArchivedFile) -> list[Rule]:
    """Return the rules that hold copies of a file: those of its block."""
    dids: Iterable[Did] = sorted(did for did in file.datasets if is_block(did.name))
    return [rule for did in dids for rule in catalogue.rules(did.scope, [did.name])[did.name]]


def _is_for(rule: Rule, rse: Rse) -> bool:
    """Whether a rule of ours asks for copies at a storage element."""
    parts = rule.rse_expression.split("&")
    centre = centre_of(rule.rse_expression)
    return rule.rse_expression == rse.name or (
        bool(centre) and centre == rse.centre and ("tape" not in parts or rse.is_tape)
    )


def _since(rule: Rule | None) -> dt.datetime | None:
    """Return when a copy was complete: a rule that is fulfilled changes no more."""
    return rule.updated if rule is not None and rule.state is RuleState.OK else None


def _evidence(rse: Rse, rule: Rule | None) -> str:
    """Say how a copy was verified."""
    if rse.is_onsite:
        return "read whole at ingest; its digests are in its metadata"
    if rule is None or rule.state is not RuleState.OK:
        return ""
    if not rse.verifies_transfers:
        return "none: this storage element does not have its transfers verified"
    return "Adler-32 at both ends of the transfer"
