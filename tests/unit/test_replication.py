"""Where copies belong, and the rules that bring them there."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import NotFoundError, UnreachableError, UsageError
from ctao_bdms.model import Did, Night, RetentionClass, Rse, Rule, RuleState, Site
from ctao_bdms.naming import BlockName, blocks_pattern
from ctao_bdms.replication import Follower, Policy, Replication, wanted_rules
from ctao_bdms.replication.difference import Kind
from ctao_bdms.replication.placement import centres_for, full_centres, shares_of
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctao_bdms.model import Block
    from ctao_bdms.replication import BlockStates

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
NIGHTS = [Night(dt.date(2026, 1, 1) + dt.timedelta(days=day)) for day in range(2000)]
SHARES = {"PIC": 1.0, "CSCS": 1.0, "DESY": 2.0, "Frascati": 1.0}


def at_now(archive: InMemoryCatalogue) -> Replication:
    """Return the replication of an archive at `NOW`, by the observatory's own policy."""
    return Replication(archive, Policy.load(), lambda: NOW)


def test_a_night_has_distinct_centres_and_always_the_same() -> None:
    for night in NIGHTS[:50]:
        chosen = centres_for(Site.NORTH, night, SHARES, 3)
        assert len(set(chosen)) == 3
        assert chosen == centres_for(Site.NORTH, night, dict(reversed(SHARES.items())), 3)


def test_each_centre_takes_its_share_of_first_copies() -> None:
    counts = Counter(centres_for(Site.NORTH, night, SHARES)[0] for night in NIGHTS)
    assert counts["DESY"] / len(NIGHTS) == pytest.approx(0.4, abs=0.05)
    assert counts["PIC"] / len(NIGHTS) == pytest.approx(0.2, abs=0.05)


def test_when_a_centre_joins_only_its_share_moves() -> None:
    for night in NIGHTS[:500]:
        before = set(centres_for(Site.NORTH, night, SHARES))
        after = set(centres_for(Site.NORTH, night, {**SHARES, "LAPP": 1.0}))
        assert after <= before | {"LAPP"}


@pytest.mark.parametrize(
    ("state", "locks", "awaits"),
    [
        (RuleState.REPLICATING, {"ok": 3, "replicating": 0, "stuck": 0}, True),
        (RuleState.REPLICATING, {"ok": 3, "replicating": 1, "stuck": 0}, False),
        (RuleState.STUCK, {"ok": 3, "replicating": 0, "stuck": 1}, False),
        (RuleState.OK, {"ok": 3}, False),
    ],
)
def test_rule_awaits_locks_that_no_transfer_brings(state: RuleState, locks: dict[str, int], awaits: bool) -> None:
    rule = Rule(id="1", did=Did("acada", "/x"), rse_expression="centre=PIC", copies=1, state=state, locks=locks)
    assert rule.awaits_locks is awaits


def test_too_few_centres_are_told() -> None:
    with pytest.raises(UsageError, match="2 copies need 2 centres, and there are 1: PIC"):
        centres_for(Site.NORTH, NIGHT, {"PIC": 1.0, "CSCS": 0.0})


def test_a_centre_with_several_storage_elements_counts_once() -> None:
    rses = [
        Rse(name="PIC-DISK", prefix="", centre="PIC", share=0.5),
        Rse(name="PIC-TAPE", prefix="", centre="PIC", share=2.0),
        Rse(name="ONSITE", prefix="", site="CTAO-North"),
    ]
    assert shares_of(rses) == {"PIC": 2.0}


def test_the_uplink_carries_a_block_once() -> None:
    assert [(rule.source, rule.rse_expression) for rule in wanted_rules(ONSITE, ["PIC", "CSCS"])] == [
        ("", ONSITE),
        (ONSITE, "centre=PIC"),
        ("centre=PIC", "centre=CSCS"),
    ]


@pytest.fixture
def archive(tmp_path: Path) -> InMemoryCatalogue:
    return InMemoryCatalogue(
        [
            Rse(name=ONSITE, prefix=str(tmp_path), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
            Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
        ],
        now=lambda: NOW,
    )


def _block(
    archive: InMemoryCatalogue, token: str = "00000001", *, closed: bool = True, policy: Policy | None = None
) -> Did:
    block = block_of("acada", token)
    files = [registration("acada", number) for number in range(4)]
    archive.ensure_directories([file.lfn for file in files])
    archive.open_block(block, (policy or Policy.load()).first_rule(block, ONSITE))
    archive.register(block, ONSITE, files)
    if closed:
        archive.close_block(block)
    return block


def _expressions(archive: InMemoryCatalogue, block: Did) -> list[str]:
    return [rule.rse_expression for rule in archive.rules("acada", [block.name])[block.name]]


def test_a_block_comes_to_both_centres_one_after_the_other(archive: InMemoryCatalogue) -> None:
    block = _block(archive)
    first, second = centres_for(Site.NORTH, NIGHT, {"PIC": 1.0, "CSCS": 1.0})
    pattern = blocks_pattern("ctao", "acada")
    at_now(archive).begin([block])
    assert _expressions(archive, block) == [ONSITE, f"centre={first}"]
    states = at_now(archive).reconcile("acada", pattern)
    assert (states.is_complete, states[0].complete_at) == (False, ())
    assert archive.transfer() == 4
    states = at_now(archive).reconcile("acada", pattern)
    assert (states.is_complete, states[0].complete_at) == (False, (first,))
    assert _expressions(archive, block) == [ONSITE, f"centre={first}", f"centre={second}"]
    archive.transfer()
    made: list[str] = []
    states = at_now(archive).reconcile("acada", pattern, on_rule=lambda _, rule: made.append(rule))
    assert (states.is_complete, states[0].complete_at, made) == (True, (first, second), [])
    assert at_now(archive).states("acada", pattern) == states
    assert f"centre={second}: ok (4 ok)" in states[0].progress


def test_what_a_crash_has_left_open_is_closed_after_a_while(archive: InMemoryCatalogue) -> None:
    block = _block(archive, closed=False)
    pattern = blocks_pattern("ctao", "acada")
    assert not Replication(archive, Policy.load(), lambda: NOW + dt.timedelta(minutes=9)).reconcile("acada", pattern)
    assert _expressions(archive, block) == [ONSITE]
    assert Replication(archive, Policy.load(), lambda: NOW + dt.timedelta(minutes=10)).reconcile("acada", pattern)
    assert len(_expressions(archive, block)) == 2


def test_a_block_that_cannot_be_closed_keeps_no_other_from_its_rules(
    archive: InMemoryCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    name, file = BlockName.parse(block_of("acada").name), registration("acada", 7)
    lame, block = attrs.evolve(name, site=Site.SOUTH).did, _block(archive, "00000002")
    archive.ensure_directories([file.lfn])
    archive.open_block(lame)
    archive.register(lame, ONSITE, [file])
    Replication(archive, Policy.load(), lambda: NOW + dt.timedelta(hours=1)).reconcile(
        "acada", blocks_pattern("ctao", "acada")
    )
    assert f"block {lame} stays open: site CTAO-South needs one storage element" in caplog.text
    assert _expressions(archive, block)[0] == ONSITE


def test_an_empty_block_and_a_foreign_dataset_get_no_rules(archive: InMemoryCatalogue) -> None:
    empty, foreign = block_of("acada", "00000002"), Did("acada", "/ctao/acada/blocks/mine")
    for did in (empty, foreign):
        archive.open_block(did)
        archive.close_block(did)
    assert not at_now(archive).reconcile("acada", blocks_pattern("ctao", "acada"))
    assert _expressions(archive, empty) == _expressions(archive, foreign) == []


def test_a_site_without_storage_is_told_and_keeps_no_other_block_from_its_rules(archive: InMemoryCatalogue) -> None:
    south = BlockName.parse(block_of("acada").name)
    lame, block = attrs.evolve(south, site=Site.SOUTH, token="00000002").did, _block(archive)
    file = registration("acada", 7)
    archive.ensure_directories([file.lfn])
    archive.open_block(lame)
    archive.register(lame, ONSITE, [file])
    archive.close_block(lame)
    pattern = blocks_pattern("ctao", "acada")
    for made in (
        lambda: at_now(archive).begin([lame]),
        lambda: at_now(archive).reconcile("acada", pattern),
    ):
        with pytest.raises(NotFoundError, match="site=CTAO-South"):
            made()
    assert _expressions(archive, lame) == []
    assert _expressions(archive, block)[0] == ONSITE
    assert not at_now(archive).states("acada", pattern).is_complete
    assert Kind.IMPOSSIBLE in {action.kind for action in at_now(archive).compare("acada", pattern)}


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += dt.timedelta(**duration)


def test_the_follower_makes_each_rule_when_its_time_has_come() -> None:
    clock = Clock()
    rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
    rses += [Rse(name=f"{centre}-DISK", prefix=f"/{centre}", centre=centre) for centre in ("PIC", "CSCS")]
    archive = InMemoryCatalogue(rses, now=clock)
    made: list[str] = []
    follower = Follower(
        Replication(archive, Policy.load(), clock), on_rule=lambda _, expression: made.append(expression)
    )
    follower.step()
    block = _block(archive)
    at_now(archive).begin([block])
    clock.pass_(seconds=5)
    follower.step()
    assert made == []
    archive.transfer()
    clock.pass_(seconds=5)
    follower.step()
    assert len(made) == 1
    archive.transfer()
    for _ in range(20):
        clock.pass_(seconds=5)
        follower.step()
    assert len(made) == 1
    assert Replication(archive, Policy.load(), clock).states("acada", blocks_pattern("ctao", "acada")).is_complete


def test_the_follower_finds_what_a_crash_has_left(tmp_path: Path) -> None:
    clock = Clock()
    rses = [Rse(name=ONSITE, prefix=str(tmp_path), site="CTAO-North")]
    rses += [Rse(name=f"{centre}-DISK", prefix=f"/{centre}", centre=centre) for centre in ("PIC", "CSCS")]
    archive = InMemoryCatalogue(rses, now=clock)
    follower = Follower(Replication(archive, Policy.load(), clock), everything_after=dt.timedelta(minutes=10))
    follower.step()
    block = _block(archive, closed=False)
    for _ in range(5):
        clock.pass_(minutes=2)
        follower.step()
    assert _expressions(archive, block)[0] == ONSITE


class Slow(InMemoryCatalogue):
    """An archive that takes its time to list blocks, and may be down."""

    clock: Clock
    listed = 0
    is_down = False

    def blocks(self, scope: str, pattern: str, *, opened_since: dt.datetime | None = None) -> Sequence[Block]:
        if self.is_down:
            raise UnreachableError("down")
        self.listed += 1
        self.clock.pass_(seconds=5)
        return super().blocks(scope, pattern, opened_since=opened_since)


def _slow() -> tuple[Slow, Follower]:
    """Return a slow archive, and one who follows it through 30 nights of which only one has anything."""
    clock = Clock()
    rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
    rses += [Rse(name=f"{centre}-DISK", prefix=f"/{centre}", centre=centre) for centre in ("PIC", "CSCS")]
    archive = Slow(rses, now=clock)
    archive.clock = clock
    nights = [("acada", f"/ctao/acada/blocks/CTAO-North/2026/10/{day:02d}/*") for day in range(1, 31)]
    return archive, Follower(Replication(archive, Policy.load(), clock), everything=lambda: nights)


def test_what_was_fulfilled_does_not_wait_for_the_end_of_a_look_at_everything() -> None:
    archive, follower = _slow()
    follower.step()
    block = _block(archive)
    Replication(archive, Policy.load(), archive.clock).begin([block])
    archive.transfer()
    follower.step()
    assert len(_expressions(archive, block)) == 3
    assert archive.listed < 10
    assert follower.is_everything_due
    while follower.is_everything_due:
        follower.step()
    assert archive.listed == 30 + 1


def test_a_look_at_everything_that_fails_begins_anew() -> None:
    archive, follower = _slow()
    follower.step()
    archive.is_down = True
    with pytest.raises(UnreachableError):
        follower.step()
    archive.is_down = False
    begin_listed = archive.listed
    while follower.is_everything_due:
        follower.step()
    assert archive.listed - begin_listed == 30


def _short_policy() -> Policy:
    """Return a policy in which permanent blocks live a day, with one copy."""
    policy = Policy.load()
    terms = attrs.evolve(
        policy.retention(RetentionClass.PERMANENT), copies=1, lifetime_s=86_400, activity="Express", priority=5
    )
    return attrs.evolve(policy, retentions={**policy.retentions, RetentionClass.PERMANENT: terms})


def test_rules_are_what_the_policy_says_and_not_made_again_when_their_time_is_over(archive: InMemoryCatalogue) -> None:
    policy, pattern = _short_policy(), blocks_pattern("ctao", "acada")
    block = _block(archive, policy=policy)
    Replication(archive, policy, lambda: NOW).begin([block])
    archive.transfer()
    rules = archive.rules("acada", [block.name])[block.name]
    assert {(rule.activity, rule.priority, rule.expires) for rule in rules} == {
        ("Express", 5, NOW + dt.timedelta(days=1))
    }
    made: list[str] = []
    states = Replication(archive, policy, lambda: NOW).reconcile(
        "acada", pattern, on_rule=lambda _, rule: made.append(rule)
    )
    assert (len(states), states.is_complete, made) == (1, True, [])
    later = NOW + dt.timedelta(days=1)
    assert not Replication(archive, policy, lambda: later).reconcile("acada", pattern)
    # What is permanent is not held by rules that end.
    assert not at_now(archive).states("acada", pattern).is_complete


def _centres(full: str = "", joins: str = "") -> InMemoryCatalogue:
    names = ["PIC", "CSCS", "DESY", *([joins] if joins else [])]
    rses = [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name, is_full=name == full) for name in names]
    return InMemoryCatalogue([Rse(name=ONSITE, prefix="/onsite", site="CTAO-North"), *rses], now=lambda: NOW)


def _fill(archive: InMemoryCatalogue, *centres: str, full: bool = True) -> None:
    for centre in centres:
        archive.set_rse(attrs.evolve(archive.rses()[f"{centre}-DISK"], is_full=full))


def _settled(archive: InMemoryCatalogue, pattern: str) -> BlockStates:
    for _ in range(3):
        states = at_now(archive).reconcile("acada", pattern)
        archive.transfer()
    return states


def test_full_centres_leave_as_many_copies_as_there_can_be(caplog: pytest.LogCaptureFixture) -> None:
    archive, pattern = _centres(), blocks_pattern("ctao", "acada")
    first, second, third = centres_for(Site.NORTH, NIGHT, dict.fromkeys(("PIC", "CSCS", "DESY"), 1.0), 3)
    old = _block(archive)
    assert _settled(archive, pattern).is_complete
    _fill(archive, first, second)
    new = _block(archive, "00000002")
    at_now(archive).begin([new])
    assert _expressions(archive, new) == [ONSITE, f"centre={third}"]
    shut = ", ".join(sorted((first, second)))
    short = f"only 1 of 2 centres can keep it: {shut} take nothing new"
    assert short in caplog.text
    states = _settled(archive, pattern)
    assert [(state.did, state.complete_at) for state in states] == [(old, (first, second)), (new, (third,))]
    assert [state.is_complete for state in states] == [True, False]
    bdms = Bdms(archive, policy=Policy.load(), now=lambda: NOW)
    assert {centre.name for centre in bdms.rules.centres() if centre.state == "full"} == {first, second}
    (why,) = bdms.rules.explain()
    assert (why.sentence, why.needs_somebody) == (f"{short}.", True)
    assert "lose" not in why.help, "a centre that is full is not lost"
    (missing,) = at_now(archive).compare("acada", pattern)
    assert (missing.did, missing.kind, missing.why) == (new, Kind.LATER, short)
    _fill(archive, first, second, full=False)
    assert _settled(archive, pattern).is_complete
    assert _expressions(archive, new) == [ONSITE, f"centre={third}", f"centre={first}"]


def test_if_all_centres_are_full_the_copy_on_site_is_held() -> None:
    archive, pattern = _centres(), blocks_pattern("ctao", "acada")
    _fill(archive, "PIC", "CSCS", "DESY")
    block = _block(archive)
    assert not _settled(archive, pattern).is_complete
    assert _expressions(archive, block) == [ONSITE]
    assert at_now(archive).placement(block) == ()


def test_of_centres_that_are_away_and_full_both_are_told() -> None:
    archive, pattern = _centres(), blocks_pattern("ctao", "acada")
    archive.set_rse(attrs.evolve(archive.rses()["PIC-DISK"], lost="a fire", is_readable=False, is_writable=False))
    _fill(archive, "CSCS")
    _block(archive)
    why = [action.why for action in at_now(archive).compare("acada", pattern) if not action.rse_expression]
    assert why == ["only 1 of 2 centres can keep it: PIC is marked as lost: a fire; CSCS takes nothing new"]


def _rule(expression: str) -> Rule:
    return Rule(
        id=expression,
        did=Did("acada", "/x"),
        rse_expression=expression,
        copies=1,
        state=RuleState.OK,
        locks={},
    )


def test_a_full_centre_gets_no_new_block_and_keeps_its_old_ones() -> None:
    usual = Replication(_centres(), Policy.load(), lambda: NOW).placement(block_of("acada"))
    full = _centres(full=usual[0])
    assert usual[0] not in Replication(full, Policy.load(), lambda: NOW).placement(block_of("acada"))
    held = [_rule(f"centre={centre}") for centre in usual]
    assert Replication(full, Policy.load(), lambda: NOW).placement(block_of("acada"), rules=held) == usual


def test_a_copy_on_tape_has_a_rule_for_it() -> None:
    policy = Policy.load()
    terms = attrs.evolve(policy.retention(RetentionClass.PERMANENT), tape=True)
    policy = attrs.evolve(policy, retentions={**policy.retentions, RetentionClass.PERMANENT: terms})
    wanted = wanted_rules(ONSITE, ["PIC", "CSCS"], terms, {"CSCS"})
    assert [(rule.rse_expression, rule.source) for rule in wanted] == [
        (ONSITE, ""),
        ("centre=PIC", ONSITE),
        ("centre=CSCS&tape", "centre=PIC"),
    ]
    archive = _centres()
    block, pattern = _block(archive), blocks_pattern("ctao", "acada")
    for _ in range(3):
        states = Replication(archive, policy, lambda: NOW).reconcile("acada", pattern)
        archive.transfer()
    assert len(states[0].complete_at) == 2, "copies on disk are worth more than none"
    assert not states.is_complete
    (lacking,) = Replication(archive, policy, lambda: NOW).compare("acada", pattern)
    assert (lacking.kind, lacking.rse_expression) == (Kind.LATER, "")
    assert "needs a centre that has tape" in lacking.why
    archive.set_rse(Rse(name="DESY-TAPE", prefix="/tape", centre="DESY", is_tape=True))
    for _ in range(3):
        states = Replication(archive, policy, lambda: NOW).reconcile("acada", pattern)
        archive.transfer()
    assert "DESY" in states[0].complete_at
    assert states.is_complete
    assert "centre=DESY&tape" in _expressions(archive, block)


def test_a_centre_with_room_on_one_storage_element_is_not_full() -> None:
    rses = [
        Rse(name="PIC-DISK", prefix="", centre="PIC", free_bytes=10),
        Rse(name="PIC-TAPE", prefix="", centre="PIC", free_bytes=1000),
        Rse(name="CSCS-DISK", prefix="", centre="CSCS", free_bytes=10),
        Rse(name="DESY-DISK", prefix="", centre="DESY", is_full=True),
        Rse(name=ONSITE, prefix="", site="CTAO-North", is_full=True),
    ]
    assert full_centres(rses, keep_free_bytes=100) == {"CSCS", "DESY"}
    assert full_centres(rses) == {"DESY"}
