"""Free space on site: verify the copies of a block at centres, then end its rule on site.

Nothing is deleted here: Rucio's reaper deletes what no rule holds. Catalogue and storages are checked again right
before a rule is ended, and Rucio itself refuses to end it unless two centres hold the whole block.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.catalogue import RuleCatalogue, RuleEndingCatalogue
from ctao_bdms.errors import AuthenticationError, BdmsError, CatalogueError, NotFoundError, UnreachableError
from ctao_bdms.model import ReplicaState
from ctao_bdms.naming import is_block
from ctao_bdms.preservation.decide import CENTRES, ENOUGH, choose, decide, holders
from ctao_bdms.preservation.onsite_disk import above_low_water
from ctao_bdms.preservation.proofs import BlockProof, ProofCatalogue, digest_of, prove, record_proof, recorded_proofs
from ctao_bdms.preservation.space_release import Decision, HeldBlock, SpacePolicy, SpaceRelease, SpaceReleases
from ctao_bdms.preservation.verifiers import VERIFIERS, ask
from ctao_bdms.processes import person

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ctao_bdms.model import Block, Did, Rse, Rule
    from ctao_bdms.preservation.verifiers import Verifier

__all__ = ["SpaceCatalogue", "plan_space_release", "end_onsite_rules", "release_space"]

_LOG = logging.getLogger(__name__)
#: After so many blocks in a row without an answer, the catalogue is taken to be unreachable.
_UNANSWERED = 2


class SpaceCatalogue(RuleCatalogue, RuleEndingCatalogue, ProofCatalogue, Protocol):
    """The catalogue verbs that space release needs."""


def release_space(
    catalogue: SpaceCatalogue,
    onsite: Rse,
    scope: str,
    pattern: str,
    policy: SpacePolicy,
    *,
    now: Callable[[], dt.datetime],
    low_water: float | None = None,
    apply: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> SpaceReleases:
    """Free space on site, or return what would be freed; skip blocks without a file on site.

    Parameters
    ----------
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    policy
        When a copy on site may be deleted.
    low_water
        Stop when the file system is filled to this fraction, 0 to 1; by default free all that can be.
    apply
        Whether to end the rules; otherwise nothing is changed.
    catalogue, onsite, now, on_bytes
        As of `end_onsite_rules`.
    """
    everything = float("inf")
    to_free = everything if low_water is None else above_low_water(Path(onsite.prefix), low_water)
    # A planned block can still fail its verification; then the next one must take its place.
    planned_bytes = everything if apply else to_free
    rows = plan_space_release(catalogue, onsite, scope, pattern, policy, now(), to_free_bytes=planned_bytes)
    if apply:
        rows = end_onsite_rules(catalogue, onsite, rows, policy, now=now, to_free_bytes=to_free, on_bytes=on_bytes)
    return SpaceReleases((row for row in rows if row.verdict is not Decision.RELEASED), rows.stopped)


def plan_space_release(
    catalogue: SpaceCatalogue,
    onsite: Rse,
    scope: str,
    pattern: str,
    policy: SpacePolicy,
    now: dt.datetime,
    *,
    to_free_bytes: float = float("inf"),
) -> SpaceReleases:
    """Plan a space release; change nothing, and read no replica.

    Parameters
    ----------
    scope, pattern
        The scope, and the names of the blocks, with ``*``.
    policy, now, to_free_bytes
        As of `ctao_bdms.preservation.decide.choose`.
    """
    return choose(_known(catalogue, onsite, scope, pattern), policy, now, to_free_bytes=to_free_bytes)


def end_onsite_rules(
    catalogue: SpaceCatalogue,
    onsite: Rse,
    planned: SpaceReleases,
    policy: SpacePolicy,
    *,
    now: Callable[[], dt.datetime],
    to_free_bytes: float = float("inf"),
    on_bytes: Callable[[int], None] = lambda _: None,
    verifiers: Mapping[str, Verifier] = VERIFIERS,
) -> SpaceReleases:
    """Verify blocks at their centres, and end the rules that hold them on site.

    A block that fails says why, and the next one takes its place. Only a catalogue that does not answer ends the run.

    Parameters
    ----------
    catalogue, onsite, policy
        The archive, the storage element on site, and when a copy there can be deleted.
    planned
        The plan of `plan_space_release` for all blocks, made without `to_free_bytes`.
    to_free_bytes
        Free no more than this; by default all that can be. Blocks that fail do not count.
    on_bytes
        Called with the number of bytes after each piece that was read.
    verifiers
        Verifiers by the scheme of URLs.

    Returns
    -------
    SpaceReleases
        The result for each block: ``rule ended`` if its copy on site will now be deleted, ``not released`` if it
        failed.
    """
    rows: list[SpaceRelease] = []
    freed = planned.of(Decision.ENDED).size_bytes
    unanswered: list[BdmsError] = []
    for row in planned:
        became = row
        if row.verdict in {Decision.RELEASE, Decision.VERIFY}:
            if len(unanswered) == _UNANSWERED:
                became = attrs.evolve(row, why="it was not reached")
            elif freed >= to_free_bytes:
                became = attrs.evolve(row, verdict=Decision.KEEP, why=ENOUGH)
            else:
                try:
                    became = _end_onsite_rule(catalogue, onsite, row, policy, now, on_bytes, verifiers)
                    unanswered = []
                except (UnreachableError, AuthenticationError) as error:
                    unanswered.append(error)
                    became = _failed(row, error)
                except (BdmsError, OSError) as error:
                    unanswered = []
                    became = _failed(row, error)
                freed += became.size_bytes if became.verdict is Decision.ENDED else 0
        rows.append(became)
    return SpaceReleases(rows, unanswered[-1] if len(unanswered) == _UNANSWERED else None)


def _failed(row: SpaceRelease, why: object) -> SpaceRelease:
    return attrs.evolve(row, verdict=Decision.FAILED, why=str(why))


def _end_onsite_rule(
    catalogue: SpaceCatalogue,
    onsite: Rse,
    row: SpaceRelease,
    policy: SpacePolicy,
    now: Callable[[], dt.datetime],
    on_bytes: Callable[[int], None],
    verifiers: Mapping[str, Verifier],
) -> SpaceRelease:
    """Verify one block and end its rule on site, if the decision still holds."""
    block = _one(catalogue, onsite, row.did)
    unsound = []
    if decide(block, policy, now()).verdict is Decision.VERIFY:
        for centre, rse in sorted(holders(block)[0].items()):
            proof = block.proofs.latest(rse)
            if proof is None or not proof.is_sound or now() - proof.when > policy.proof_age:
                proof = prove(catalogue, block.did, rse, centre, now=now, on_bytes=on_bytes, verifiers=verifiers)
                record_proof(catalogue, proof)
                unsound += [] if proof.is_sound else [f"{centre}: {proof.result}"]
        block = _one(catalogue, onsite, row.did)
    decided = decide(block, policy, now())
    if decided.verdict is not Decision.RELEASE:
        return _failed(decided, "; ".join(unsound) or decided.why)
    if problems := _gone(catalogue, block, decided.verified, verifiers):
        return _failed(decided, "; ".join(problems))
    said = [text for rule in block.onsite_rules if rule.expires is None for text in _end(catalogue, block, rule, now)]
    why = f"{decided.why}; the reaper deletes its copy on site"
    return attrs.evolve(decided, verdict=Decision.ENDED, why="; ".join([why, *said]))


def _end(catalogue: SpaceCatalogue, block: HeldBlock, rule: Rule, now: Callable[[], dt.datetime]) -> list[str]:
    """End a rule that holds a copy on site; record the decision before, so that a crash cannot lose it.

    Returns
    -------
    list of str
        Problems to report.
    """
    record_proof(catalogue, _proof("releasing", block, rule, now()))
    catalogue.end_rule(rule.id)
    _LOG.info("the copy of %s at %s is released", block.did, block.onsite.name)
    try:
        record_proof(catalogue, _proof("released", block, rule, now()))
    except CatalogueError as error:
        return [f"the decision is kept, that it was done is not: {error}"]
    return []


def _gone(
    catalogue: SpaceCatalogue, block: HeldBlock, centres: Sequence[str], verifiers: Mapping[str, Verifier]
) -> list[str]:
    """Return problems with files that have vanished or changed size since the read-back."""
    bad: dict[str, list[str]] = {}
    rses = {rse: centre for centre, rse in holders(block)[0].items() if centre in centres}
    for file in catalogue.content([product.lfn for product in block.held]).values():
        for replica in (replica for replica in file.replicas if replica.rse in rses):
            try:
                _, size_bytes = ask(replica, lambda verifier, url: verifier.size_bytes(url), verifiers)
            except OSError as error:
                bad.setdefault(rses[replica.rse], []).append(f"{file.lfn}: {error}")
            else:
                if size_bytes != file.size_bytes:
                    said = f"{file.lfn}: {size_bytes} bytes instead of {file.size_bytes}"
                    bad.setdefault(rses[replica.rse], []).append(said)
    if len(set(centres) - bad.keys()) >= CENTRES:
        return []
    return [f"{centre}: {len(said)} files are not as they were read back; {said[0]}" for centre, said in bad.items()]


def _proof(what: str, block: HeldBlock, rule: Rule, when: dt.datetime) -> BlockProof:
    return BlockProof(
        block=block.did,
        what=what,
        rse=block.onsite.name,
        centre="",
        who=person(),
        when=when,
        how=f"rule {rule.id}",
        n_files=len(block.held),
        size_bytes=block.size_bytes,
        digest=digest_of(block.held),
    )


def _one(catalogue: SpaceCatalogue, onsite: Rse, did: Did) -> HeldBlock:
    """Read the current state of one block from the catalogue."""
    for block in _known(catalogue, onsite, did.scope, did.name):
        return block
    raise NotFoundError(f"there is no block {did} any more, or it is empty")


def _known(catalogue: SpaceCatalogue, onsite: Rse, scope: str, pattern: str) -> Iterator[HeldBlock]:
    """Read the state of blocks from the catalogue."""
    blocks = [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name) and block.n_files]
    rules = catalogue.rules(scope, [block.did.name for block in blocks]) if blocks else {}
    for block in blocks:
        yield _held(catalogue, onsite, block, tuple(rules[block.did.name]))


def _held(catalogue: SpaceCatalogue, onsite: Rse, block: Block, rules: tuple[Rule, ...]) -> HeldBlock:
    """Read the content and the replicas of a block."""
    held = tuple(catalogue.products_in(block.did))
    there = Counter(
        replica.rse
        for file in catalogue.files([product.lfn for product in held]).values()
        for replica in file.replicas
        if replica.state is ReplicaState.AVAILABLE or replica.rse == onsite.name
    )
    offsite = [rse for rse in catalogue.rses().values() if rse.centre]
    shut = tuple(rse for rse in offsite if not rse.can_be_read)
    return HeldBlock(
        did=block.did,
        account=block.account,
        is_open=block.is_open,
        held=held,
        onsite=onsite,
        n_onsite=there[onsite.name],
        rules=rules,
        complete={rse.name: rse.centre for rse in offsite if rse not in shut and held and there[rse.name] == len(held)},
        shut=shut,
        proofs=recorded_proofs(catalogue, block.did),
    )
