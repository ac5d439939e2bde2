"""Track the copies of a file, a block or a night: place, time, rule, verification."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import AnnotationCatalogue, BlockCatalogue, FileCatalogue, RuleCatalogue, StorageCatalogue
from ctao_bdms.errors import NotFoundError
from ctao_bdms.model import Lfn, ReplicaState, Rse, Rule, RuleState
from ctao_bdms.naming import BlockName, is_block, scope_of
from ctao_bdms.preservation import BlockProofs, recorded_proofs
from ctao_bdms.replication import centre_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ctao_bdms.model import Block, Replica

__all__ = ["Tracked", "TrackedCopies", "track", "track_blocks", "track_file"]


class _TrackCatalogue(StorageCatalogue, FileCatalogue, BlockCatalogue, RuleCatalogue, AnnotationCatalogue, Protocol):
    """The catalogue verbs that track copies; none of them changes it."""


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
    complete_by
        When it was complete at the latest (aware): where the files entered, when its rule was made; elsewhere, when its
        rule changed last, for the catalogue does not keep when that was fulfilled. None if it is not, or nobody knows.
    rule_id
        The rule that holds it; empty if none does.
    evidence
        How it was verified: the evidence that is kept with the block, else what is true of every copy that came so.
    """

    name: str
    rse: str
    where: str
    state: str
    complete_by: dt.datetime | None = None
    rule_id: str = ""
    evidence: str = ""


class TrackedCopies(Rows[Tracked]):
    """Copies, one row each."""

    columns: ClassVar = (
        ("name", "name"),
        ("where", "where"),
        ("rse", "rse"),
        ("state", "state"),
        ("complete by", "complete_by"),
        ("rule", "rule_id"),
        ("verified", "evidence"),
    )


def track(catalogue: _TrackCatalogue, name: Lfn | str) -> TrackedCopies:
    """Return the copies of a file or of a block; see `track_file` and `track_blocks`."""
    if is_block(str(name)):
        return track_blocks(catalogue, scope_of(str(name)), str(name))
    return track_file(catalogue, name if isinstance(name, Lfn) else Lfn(name))


def track_file(catalogue: _TrackCatalogue, lfn: Lfn) -> TrackedCopies:
    """Return the copies of a file.

    Parameters
    ----------
    catalogue
        The archive; it is only asked.

    Raises
    ------
    NotFoundError
        If the archive does not have the file.
    """
    file = catalogue.files([lfn]).get(lfn)
    if file is None:
        raise NotFoundError(f"the archive does not know {lfn}")
    blocks = sorted(did for did in file.datasets if is_block(did.name))
    rules = [rule for did in blocks for rule in catalogue.rules(did.scope, [did.name])[did.name]]
    proofs = BlockProofs(proof for did in blocks for proof in recorded_proofs(catalogue, did))
    origins = {BlockName.parse(did.name).origin for did in blocks}
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
                state=_state(replica, rule),
                complete_by=_complete_by(rse, rule, origins),
                rule_id="" if rule is None else rule.id,
                evidence=_evidence(rse, rule, origins, proofs),
            )
        )
    return TrackedCopies(rows)


def track_blocks(catalogue: _TrackCatalogue, scope: str, pattern: str) -> TrackedCopies:
    """Return the copies of the blocks whose names match `pattern`, one row a block and rule.

    The evidence that is kept with it is asked for block by block.

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
    return TrackedCopies(
        _of_rule(block, rule, rses, proofs)
        for block in blocks
        for proofs in [recorded_proofs(catalogue, block.did) if rules[block.did.name] else BlockProofs(())]
        for rule in rules[block.did.name]
    )


def _of_rule(block: Block, rule: Rule, rses: Mapping[str, Rse], proofs: BlockProofs) -> Tracked:
    """Return the copy of a block that a rule asks for."""
    chosen = [rse for rse in rses.values() if _is_for(rule, rse)]
    chosen.sort(key=lambda rse: proofs.latest(rse.name) is None)
    first = chosen[0] if chosen else Rse(name=rule.rse_expression, prefix="")
    origins = {BlockName.parse(block.did.name).origin}
    return Tracked(
        name=block.did.name,
        rse=", ".join(rse.name for rse in chosen) or rule.rse_expression,
        where=first.centre or first.site,
        state=f"{rule.state.value}, {rule.locks.get('ok', 0)} of {block.n_files} files",
        complete_by=_complete_by(first, rule, origins),
        rule_id=rule.id,
        evidence=_evidence(first, rule, origins, proofs),
    )


def _state(replica: Replica, rule: Rule | None) -> str:
    """Return the state of a copy, and why it is missing."""
    if replica.state is ReplicaState.AVAILABLE or rule is None or not rule.has_stalled:
        return replica.state.value
    said = f": {rule.error}" if rule.error else ""
    return f"{replica.state.value}, {rule.state.value}{said}; what helps: bdms rules explain {rule.id}"


def _is_for(rule: Rule, rse: Rse) -> bool:
    """Whether a rule of ours asks for copies at a storage element."""
    parts = rule.rse_expression.split("&")
    centre = centre_of(rule.rse_expression)
    return rule.rse_expression == rse.name or (
        bool(centre) and centre == rse.centre and ("tape" not in parts or rse.is_tape)
    )


def _is_uploaded(rse: Rse, origins: Collection[str]) -> bool:
    """Whether files that entered at `origins` came to a storage element by upload, not by transfer."""
    return bool(rse.centre) and rse.centre in origins and not rse.is_tape


def _complete_by(rse: Rse, rule: Rule | None, origins: Collection[str]) -> dt.datetime | None:
    """Return the latest time at which a copy became complete."""
    if rule is None or rule.state is not RuleState.OK:
        return None
    return rule.created or rule.updated if rse.is_onsite or _is_uploaded(rse, origins) else rule.updated


def _evidence(rse: Rse, rule: Rule | None, origins: Collection[str], proofs: BlockProofs) -> str:
    """Return how a copy was verified."""
    proof = proofs.latest(rse.name)
    if proof is not None:
        return f"its block was read back on {proof.when:%Y-%m-%d %H:%M} UTC by {proof.who}: {proof.result}"
    if rse.is_onsite:
        return "read whole at ingest; its digests are in its metadata"
    if _is_uploaded(rse, origins):
        return "size and Adler-32 of what arrived, at upload; its digests are in its metadata"
    if rule is None or rule.state is not RuleState.OK:
        return ""
    if not rse.verifies_transfers:
        return "none: this storage element does not have its transfers verified"
    return "by its transfer: this storage element has size and Adler-32 of both ends compared"
