"""Decide which blocks can be deleted on site (pure).

A block can be deleted on site if it is older than its retention time and its replicas at two distinct centres were read
back and are sound. The oldest go first, and no more than it takes to reach the low-water mark.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.model import RuleState
from ctao_bdms.naming import BlockName
from ctao_bdms.preservation.proofs import digest_of
from ctao_bdms.preservation.space_release import Decision, HeldBlock, SpacePolicy, SpaceRelease, SpaceReleases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctao_bdms.model import Rule

__all__ = ["CENTRES", "ENOUGH", "choose", "holders", "decide"]

#: A block is deleted on site only if so many centres hold it.
CENTRES = 2
#: Why a block stays that could go.
ENOUGH = "the low-water mark is reached without it"
#: A rule that ends later than this from now has not been ended to free space: its block is waited for by nobody.
_SOON = dt.timedelta(hours=1)


def decide(block: HeldBlock, policy: SpacePolicy, now: dt.datetime) -> SpaceRelease:
    """Decide whether the copy of a block on site can be deleted."""
    decision, why, verified = _decision(block, policy, now)
    return SpaceRelease(
        did=block.did,
        n_files=len(block.held),
        size_bytes=block.size_bytes,
        verdict=decision,
        verified=verified,
        why=why,
    )


def _decision(block: HeldBlock, policy: SpacePolicy, now: dt.datetime) -> tuple[Decision, str, tuple[str, ...]]:
    """Return the decision, its reason, and the centres with a verified copy."""
    if block.is_open:
        return Decision.KEEP, "the block is open", ()
    if others := block.others_on_site(now):
        return Decision.KEEP, "; ".join(f"a rule of {account} holds it on site" for account in others), ()
    standing = [rule for rule in block.onsite_rules if rule.expires is None]
    if not standing:
        return _ended(block, now)
    name = BlockName.parse(block.did.name)
    age, stays = now - name.opened, policy.stays(name.retention)
    if stays is None:
        return Decision.KEEP, f"what is {name.retention} stays on site", ()
    if age < stays:
        return Decision.KEEP, f"it is {age.days} days old, and stays for {stays.days}", ()
    holding, lacking = holders(block)
    if len(holding) < CENTRES:
        return Decision.KEEP, f"{_names(holding)} of {CENTRES} centres {_hold(holding)} all of it: {lacking}", ()
    proven, unproven = _proven(block, policy, now)
    if len(proven) >= CENTRES:
        return Decision.RELEASE, f"verified at {_names(proven)}", proven
    return Decision.VERIFY, "; ".join(f"{centre}: {why}" for centre, why in unproven.items()), proven


def _ended(block: HeldBlock, now: dt.datetime) -> tuple[Decision, str, tuple[str, ...]]:
    """Decide about a copy that no rule holds any more."""
    if not block.n_onsite:
        return Decision.RELEASED, "nothing of it is on site", ()
    left = f"{block.n_onsite} files are still on site"
    ends = [rule.expires for rule in block.onsite_rules if rule.expires is not None]
    if ends and max(ends) > now + _SOON:
        return Decision.KEEP, f"it goes by itself on {max(ends):%Y-%m-%d}, when its rule ends", ()
    if ends and max(ends) > now:
        return Decision.ENDED, f"its rule ends at {max(ends):%Y-%m-%d %H:%M:%S}; {left}", ()
    if ends:
        return Decision.ENDED, f"its rule has ended, and {left}: Rucio's judge-cleaner has not removed the rule", ()
    return Decision.ENDED, f"no rule holds it, and {left}: Rucio's reaper has not deleted them", ()


def holders(block: HeldBlock) -> tuple[dict[str, str], str]:
    """Return the centres that hold a whole block by a rule that is OK and does not expire.

    Of several storage elements of a centre, the first one with a sound proof is taken.

    Returns
    -------
    tuple
        Storage elements by centre, and the reason why there are no others.
    """
    holding: dict[str, str] = {}
    said = []
    for rule in block.our_rules:
        if rule in block.onsite_rules:
            continue
        places = {rse: centre for rse, centre in block.complete.items() if _is_about(rule, rse, centre)}
        shut = [rse for rse in block.shut if _is_about(rule, rse.name, rse.centre)]
        if rule.expires is not None:
            said.append(f"the rule for {rule.rse_expression} ends")
        elif rule.state is not RuleState.OK:
            said.append(f"the rule for {rule.rse_expression} is {rule.state.value}")
        elif not places and shut:
            said += [
                f"{rse.name} is marked as lost: {rse.lost}" if rse.lost else f"{rse.name} cannot be read"
                for rse in shut
            ]
        elif not places:
            said.append(f"by the catalogue not every file is at {rule.rse_expression}")
        if rule.state is RuleState.OK and rule.expires is None:
            for rse in sorted(places, key=lambda rse: (not _is_proven(block, rse), rse)):
                holding.setdefault(places[rse], rse)
    return holding, "; ".join(said) or "there is no rule for another one"


def _is_proven(block: HeldBlock, rse: str) -> bool:
    proof = block.proofs.latest(rse)
    return proof is not None and proof.is_sound


def _is_about(rule: Rule, rse: str, centre: str) -> bool:
    """Return whether a rule is about a storage element or its centre."""
    return rule.rse_expression in {rse, f"centre={centre}"} or rule.rse_expression.startswith(f"centre={centre}&")


def _proven(block: HeldBlock, policy: SpacePolicy, now: dt.datetime) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the centres with a verified copy, and for the others the reason why it is not."""
    proven, unproven = [], {}
    for centre, rse in sorted(holders(block)[0].items()):
        proof = block.proofs.latest(rse)
        if proof is None:
            unproven[centre] = "its copy was never read back"
        elif proof.digest != digest_of(block.held) or proof.n_files != len(block.held):
            unproven[centre] = "its copy was read back when the catalogue said something else of the block"
        elif now - proof.when > policy.proof_age:
            unproven[centre] = f"its copy was read back last on {proof.when:%Y-%m-%d}"
        elif not proof.is_sound:
            unproven[centre] = proof.result
        else:
            proven.append(centre)
    return tuple(proven), unproven


def _names(centres: Iterable[str]) -> str:
    return ", ".join(sorted(centres)) or "none"


def _hold(centres: Mapping[str, str]) -> str:
    return "holds" if len(centres) == 1 else "hold"


def choose(
    blocks: Iterable[HeldBlock], policy: SpacePolicy, now: dt.datetime, *, to_free_bytes: float = float("inf")
) -> SpaceReleases:
    """Decide about the copy of each block on site, the oldest first.

    Parameters
    ----------
    policy
        When a copy on site can be deleted.
    now
        The time (aware).
    to_free_bytes
        Free no more than this; by default all that can be. Blocks whose rule has already ended count.
    """
    dated = sorted(blocks, key=lambda block: (BlockName.parse(block.did.name).opened, block.did))
    decided = SpaceReleases(decide(block, policy, now) for block in dated)
    rows = []
    freed = decided.of(Decision.ENDED).size_bytes
    for row in decided:
        is_free = row.verdict in {Decision.RELEASE, Decision.VERIFY}
        if is_free and freed >= to_free_bytes:
            rows.append(attrs.evolve(row, verdict=Decision.KEEP, why=ENOUGH))
        else:
            freed += row.size_bytes if is_free else 0
            rows.append(row)
    return SpaceReleases(rows)
