"""What is to be done about the rules of a block, as centres come, go and stay away."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import attrs
import pytest

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import NoRoomError, UnreachableError
from ctao_bdms.model import Did, RetentionClass, Rse, Rule, RuleState, Site
from ctao_bdms.naming import blocks_pattern
from ctao_bdms.replication import Centre, Difference, Policy, Replication, centres_by_name, wanted_rules
from ctao_bdms.replication.difference import Kind, Wanted, difference
from ctao_bdms.replication.placement import centres_for
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
BLOCK = block_of("acada")
PATTERN = blocks_pattern("ctao", "acada")
NAMES = ("PIC", "CSCS", "DESY")
LOST: dict[str, Any] = {
    "is_readable": False,
    "is_writable": False,
    "is_lost": True,
    "is_closed": True,
    "why": "PIC is lost",
}
DOWN: dict[str, Any] = {"is_readable": False, "is_writable": False, "why": "PIC cannot be read"}


def at_now(archive: InMemoryCatalogue) -> Replication:
    """Return the replication of an archive at `NOW`, by the observatory's own policy."""
    return Replication(archive, Policy.load(), lambda: NOW)


def _rule(
    expression: str, state: str = "ok", *, source: str = "", expires: dt.datetime | None = None, account: str = ""
) -> Rule:
    return Rule(
        id=f"{expression}-{account}-{expires}",
        did=BLOCK,
        rse_expression=expression,
        copies=1,
        state=RuleState(state),
        locks={},
        source=source,
        expires=expires,
        account=account,
    )


def _wanted(existing: list[Rule], ranking: tuple[str, ...] = ("PIC", "CSCS"), **pic: Any) -> Wanted:  # noqa: ANN401
    """Return what is wanted if PIC is as `pic` says; the ranking stands for the placement."""
    centres = {name: Centre(name=name, rses=(f"{name}-DISK",)) for name in ranking}
    centres["PIC"] = Centre(name="PIC", **pic)
    whole = {rule.rse_expression for rule in existing if rule.state is RuleState.OK}
    able = [
        name
        for name in ranking
        if not centres[name].is_lost and (not centres[name].is_closed or f"centre={name}" in whole)
    ]
    return Wanted(rules=wanted_rules(ONSITE, able[:2]), copies=2, centres=centres, onsite=ONSITE)


def _said(existing: list[Rule], *ranking: tuple[str, ...], **pic: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401
    actions = difference(BLOCK, _wanted(existing, *ranking, **pic), existing)
    return [(action.kind.value, action.rse_expression, action.source) for action in actions]


SITE, PIC, CSCS, DESY = ONSITE, "centre=PIC", "centre=CSCS", "centre=DESY"
CHAIN = [_rule(SITE), _rule(PIC)]


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], [("make", SITE, ""), ("make", PIC, SITE), ("make later", CSCS, PIC)]),
        ([_rule(SITE)], [("make", PIC, SITE), ("make later", CSCS, PIC)]),
        ([_rule(SITE), _rule(PIC, "replicating")], [("make later", CSCS, PIC)]),
        ([_rule(SITE), _rule(PIC, "stuck")], [("make later", CSCS, PIC)]),
        (CHAIN, [("make", CSCS, PIC)]),
        ([*CHAIN, _rule(CSCS, "stuck", source=PIC)], []),
        ([*CHAIN, _rule(CSCS)], []),
        # the copy on site was released: it is not asked for again
        ([_rule(PIC), _rule(CSCS)], []),
        ([_rule(PIC)], [("make", CSCS, PIC)]),
        # what preserves has no end
        ([_rule(SITE), _rule(PIC, expires=NOW)], [("prolong", PIC, ""), ("make", CSCS, PIC)]),
        ([_rule(SITE), _rule(PIC, expires=NOW), _rule(PIC)], [("make", CSCS, PIC)]),
        # others' rules
        ([*CHAIN, _rule(CSCS), _rule("tier=1")], [("foreign", "tier=1", "")]),
        (
            [_rule(SITE), _rule(PIC, account="someone")],
            [("make", PIC, SITE), ("make later", CSCS, PIC), ("foreign", PIC, "")],
        ),
    ],
)
def test_rules_are_made_when_they_are_missing_and_their_time_has_come(
    existing: list[Rule], expected: list[tuple[str, str, str]]
) -> None:
    assert _said(existing) == expected


THREE = ("PIC", "CSCS", "DESY")


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], [("make", SITE, ""), ("make", CSCS, SITE), ("make later", DESY, CSCS)]),
        (CHAIN, [("make", CSCS, SITE), ("make later", DESY, CSCS), ("keep for now", PIC, "")]),
        # the copy that reads from the lost centre reads from the site, which still has one
        (
            [*CHAIN, _rule(CSCS, "stuck", source=PIC)],
            [("read elsewhere", CSCS, SITE), ("make later", DESY, CSCS), ("keep for now", PIC, "")],
        ),
        ([*CHAIN, _rule(CSCS)], [("make", DESY, CSCS), ("keep for now", PIC, "")]),
        ([*CHAIN, _rule(CSCS), _rule(DESY, "replicating", source=CSCS)], [("keep for now", PIC, "")]),
        ([*CHAIN, _rule(CSCS), _rule(DESY)], [("end", PIC, "")]),
        # released on site, and one of two centres lost: the other one serves
        ([_rule(PIC), _rule(CSCS)], [("make", DESY, CSCS), ("keep for now", PIC, "")]),
    ],
)
def test_a_lost_centre_is_replaced_by_the_next(existing: list[Rule], expected: list[tuple[str, str, str]]) -> None:
    assert _said(existing, THREE, **LOST) == expected


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        # The site serves the other centre meanwhile: a copy that is away is worth more than a byte saved.
        ([_rule(SITE)], [("make later", PIC, SITE), ("make", CSCS, SITE)]),
        ([_rule(SITE), _rule(PIC, "stuck", source=SITE)], [("make", CSCS, SITE)]),
        ([_rule(SITE), _rule(CSCS)], [("make later", PIC, CSCS)]),
        (CHAIN, [("make", CSCS, SITE)]),
        ([*CHAIN, _rule(CSCS)], []),
    ],
)
def test_a_centre_that_is_away_for_a_while_is_waited_for(
    existing: list[Rule], expected: list[tuple[str, str, str]]
) -> None:
    assert _said(existing, THREE, **DOWN) == expected


def test_a_centre_that_takes_nothing_new_keeps_what_it_has() -> None:
    full: dict[str, Any] = {"is_writable": False, "is_closed": True, "why": "PIC cannot be written"}
    assert _said([*CHAIN, _rule(CSCS)], THREE, **full) == []
    assert _said([_rule(SITE)], THREE, **full)[0] == ("make", CSCS, SITE)


def test_without_another_centre_it_says_what_is_missing() -> None:
    existing = [_rule(SITE), _rule(CSCS)]
    (short,) = difference(BLOCK, _wanted(existing, **LOST), existing)
    assert (short.kind, short.why) == (Kind.LATER, "only 1 of 2 centres can keep it: PIC is lost")


def _entered(
    existing: list[Rule], *placed: str, tape: set[str] | None = None, away: bool = False
) -> list[tuple[str, str, str]]:
    """Return what is to be done about a block that entered at PIC."""
    centres = {name: Centre(name=name) for name in THREE} | {"PIC": Centre(name="PIC", **(DOWN if away else {}))}
    terms = attrs.evolve(Policy.load().retention(RetentionClass.PERMANENT), tape=tape is not None)
    rules = wanted_rules("", placed, terms, tape or (), origin="PIC")
    wanted = Wanted(rules=rules, copies=len(placed), centres=centres, entered=PIC)
    return [(action.kind.value, action.rse_expression, action.source) for action in difference(BLOCK, wanted, existing)]


def test_what_entered_at_a_centre_that_keeps_it_is_held_there_and_read_from_there() -> None:
    assert _entered([], "PIC", "CSCS") == [("make", PIC, ""), ("make", CSCS, PIC)]
    assert _entered([_rule(PIC)], "PIC", "CSCS") == [("make", CSCS, PIC)]


def test_what_entered_at_a_centre_that_keeps_no_copy_goes_from_there_to_one_after_the_other() -> None:
    assert _entered([], "CSCS", "DESY") == [("make", CSCS, PIC), ("make later", DESY, CSCS)]
    under_way = [_rule(CSCS, "replicating", source=PIC)]
    assert _entered(under_way, "CSCS", "DESY") == [("make later", DESY, CSCS)]
    assert _entered([_rule(CSCS, source=PIC)], "CSCS", "DESY") == [("make", DESY, CSCS)]
    assert _entered([], "CSCS", "DESY", away=True) == [("make later", CSCS, ""), ("make later", DESY, "")]
    # a rule that was made there, when the policy was another, counts until two others hold it
    assert _entered([_rule(PIC)], "CSCS", "DESY") == [
        ("make", CSCS, PIC),
        ("make later", DESY, CSCS),
        ("keep for now", PIC, ""),
    ]


def test_a_copy_on_tape_is_made_also_where_the_files_entered_on_disk() -> None:
    tape = f"{PIC}&tape"
    assert _entered([], "PIC", "CSCS", tape={"PIC"}) == [("make", tape, PIC), ("make later", CSCS, tape)]
    assert _entered([], "DESY", tape={"DESY"}) == [("make", f"{DESY}&tape", PIC)]


STATES = ["ok", "replicating", "stuck", None]


@pytest.mark.parametrize("pic", [{}, LOST, DOWN])
def test_nothing_is_ever_ended_before_two_others_hold_it(pic: dict[str, Any]) -> None:
    """All states of all rules: an end needs two complete centres, and it is never the copy on site."""
    for states in itertools.product(STATES, repeat=4):
        rules = [_rule(e, s) for e, s in zip((SITE, PIC, CSCS, DESY), states, strict=True) if s is not None]
        complete = {rule.rse_expression for rule in rules if rule.state is RuleState.OK} - {SITE}
        actions = difference(BLOCK, _wanted(rules, THREE, **pic), rules)
        for action in actions:
            if action.kind is Kind.END:
                assert action.rse_expression != SITE
                assert len(complete - {action.rse_expression}) >= 2
            if action.kind in {Kind.MAKE, Kind.REDIRECT} and action.rse_expression != SITE:
                assert action.source in {SITE, *complete} - {action.rse_expression}
                assert action.source != PIC or not pic, "nothing is read from a centre that cannot be read"
            if action.kind is Kind.MAKE:
                assert action.rse_expression not in {rule.rse_expression for rule in rules}
        sources = [a.source for a in actions if a.kind is Kind.MAKE]
        assert sources.count(SITE) <= 1, "the uplink carries a block once"


@pytest.mark.parametrize(
    ("rse", "state", "why"),
    [
        ({}, "in use", ""),
        ({"is_full": True}, "full", ""),
        ({"is_full": True, "is_readable": False, "changed": NOW - HOUR}, "waited for", "PIC cannot be read"),
        ({"is_readable": False, "changed": NOW - HOUR}, "waited for", "until 2026-11-23 05:00 UTC"),
        ({"is_readable": False, "changed": NOW - 24 * HOUR}, "lost", "since 2026-11-21 06:00 UTC, longer"),
        ({"is_writable": False, "changed": NOW - HOUR}, "waited for", "PIC cannot be written since 2026-11-22 05:00"),
        ({"is_writable": False, "changed": NOW - 25 * HOUR}, "closed", "PIC cannot be written"),
        ({"lost": "a fire"}, "lost", "PIC is marked as lost: a fire"),
    ],
)
def test_what_is_expected_of_a_centre(rse: dict[str, Any], state: str, why: str) -> None:
    pic = Rse(name="PIC-DISK", prefix="", centre="PIC", **rse)
    centre = centres_by_name([pic], NOW)["PIC"]
    assert centre.state == state
    assert why in centre.why
    tape = Rse(name="PIC-TAPE", prefix="", centre="PIC")
    assert centres_by_name([pic, tape], NOW)["PIC"].state == "in use", "one of its storage elements is enough"


class Archive(InMemoryCatalogue):
    """Three centres; calls that change something can be made to fail."""

    def __init__(self) -> None:
        rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
        rses += [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in NAMES]
        super().__init__(rses, now=lambda: NOW)
        self.calls_left = 10_000
        self.no_room: set[str] = set()

    def add_rule(self, did: Did, **terms: Any) -> None:  # noqa: ANN401 - as of the archive in memory
        self._count()
        if terms["rse_expression"] in self.no_room:
            raise NoRoomError(f"there is no room in {terms['rse_expression']}")
        super().add_rule(did, **terms)

    def prolong_rule(self, rule_id: str) -> None:
        self._count()
        super().prolong_rule(rule_id)

    def _count(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise UnreachableError("the server has gone")


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    files = [registration("acada", number) for number in range(4)]
    archive.ensure_directories([file.lfn for file in files])
    for block, few in ((BLOCK, files[:2]), (block_of("acada", "00000002"), files[2:])):
        archive.open_block(block)
        archive.register(block, ONSITE, few)
        archive.close_block(block)
    return archive


def _settle(archive: Archive, *, prune: bool = False) -> None:
    """Reconcile and copy until nothing changes."""
    for _ in range(8):
        at_now(archive).reconcile("acada", PATTERN, prune=prune)
        archive.transfer()


def _where(archive: Archive) -> list[set[str]]:
    rules = archive.rules("acada", [block.did.name for block in archive.blocks("acada", PATTERN)])
    return [{rule.rse_expression for rule in each} for each in rules.values()]


RANKING = centres_for(Site.NORTH, NIGHT, dict.fromkeys(NAMES, 1.0), 3)


@pytest.mark.parametrize("calls", range(7))
def test_a_server_that_goes_between_two_calls_leaves_nothing_to_repair_by_hand(archive: Archive, calls: int) -> None:
    archive.calls_left = calls
    if calls < 4:  # two rules for each of two blocks
        with pytest.raises(UnreachableError):
            at_now(archive).reconcile("acada", PATTERN)
    archive.calls_left = 10_000
    _settle(archive)
    assert _where(archive) == [{ONSITE, f"centre={RANKING[0]}", f"centre={RANKING[1]}"}] * 2
    assert not list(at_now(archive).compare("acada", PATTERN))
    assert at_now(archive).states("acada", PATTERN).is_complete


def test_a_comparison_changes_nothing(archive: Archive) -> None:
    archive.calls_left = 0
    found = at_now(archive).compare("acada", PATTERN)
    assert [len(found.of(kind)) for kind in (Kind.MAKE, Kind.LATER)] == [4, 2]
    assert _where(archive) == [set(), set()]
    assert "make later" in repr(found)


def test_what_is_refused_of_one_rule_does_not_keep_the_others(archive: Archive) -> None:
    archive.no_room = {f"centre={RANKING[0]}"}
    with pytest.raises(NoRoomError):
        at_now(archive).reconcile("acada", PATTERN)
    assert _where(archive) == [{ONSITE}, {ONSITE}]
    refused: list[str] = []
    at_now(archive).reconcile("acada", PATTERN, on_refused=lambda a, _: refused.append(a.rse_expression))
    assert refused == [f"centre={RANKING[0]}"] * 2


def test_a_centre_is_lost_and_its_copies_are_made_elsewhere(archive: Archive) -> None:
    _settle(archive)
    first, second, third = RANKING
    lost = archive.rses()[f"{first}-DISK"]
    archive.set_rse(attrs.evolve(lost, lost="flood", is_readable=False, is_writable=False))
    assert not at_now(archive).states("acada", PATTERN).is_complete
    _settle(archive)
    assert _where(archive) == [{ONSITE, *(f"centre={name}" for name in RANKING)}] * 2
    assert at_now(archive).states("acada", PATTERN)[0].complete_at == (second, third)
    (ended, _) = at_now(archive).compare("acada", PATTERN)
    assert (ended.kind, ended.rse_expression) == (Kind.END, f"centre={first}")
    assert "marked as lost: flood" in ended.why
    _settle(archive, prune=True)
    archive.reap()
    assert _where(archive) == [{ONSITE, f"centre={second}", f"centre={third}"}] * 2
    archive.set_rse(lost)
    _settle(archive)
    assert not list(at_now(archive).compare("acada", PATTERN)), "what centres keep they go on keeping"


def test_of_a_rule_that_ends_the_end_is_taken_away(archive: Archive) -> None:
    archive.add_rule(BLOCK, rse_expression=ONSITE)
    archive.add_rule(BLOCK, rse_expression=f"centre={RANKING[0]}", source=ONSITE, lifetime_s=3600)
    assert Kind.PROLONG in {action.kind for action in at_now(archive).compare("acada", PATTERN)}
    _settle(archive)
    rules = archive.rules("acada", [BLOCK.name])[BLOCK.name]
    assert [rule.expires for rule in rules] == [None] * 3


def test_rules_of_others_are_left_alone(archive: Archive) -> None:
    archive.add_rule(BLOCK, rse_expression=f"centre={RANKING[2]}", lifetime_s=3600, account="somebody")
    _settle(archive, prune=True)
    archive.reap()
    (foreign,) = at_now(archive).compare("acada", PATTERN)
    assert (foreign.kind, foreign.account) == (Kind.FOREIGN, "somebody")
    assert Difference([foreign]).of(Kind.FOREIGN) == [foreign]


def _stuck(expression: str, ok: int, stuck: int, replicating: int = 0, *, source: str = ONSITE) -> Rule:
    locks = {"ok": ok, "replicating": replicating, "stuck": stuck}
    return attrs.evolve(_rule(expression, "stuck", source=source), locks=locks)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        # the sound files go on from the first centre
        ([_rule(SITE), _stuck(PIC, 13, 1)], [("make", CSCS, PIC)]),
        # others may still come
        ([_rule(SITE), _stuck(PIC, 13, 1, replicating=4)], [("make later", CSCS, PIC)]),
        # nothing is there that could go on
        ([_rule(SITE), _stuck(PIC, 0, 14)], [("make later", CSCS, PIC)]),
        # the second has all that the first has: the rest is looked for where it entered
        ([_rule(SITE), _stuck(PIC, 13, 1), _stuck(CSCS, 13, 1, source=PIC)], [("read elsewhere", CSCS, SITE)]),
        ([_rule(SITE), _stuck(PIC, 13, 1), _stuck(CSCS, 5, 1, replicating=8, source=PIC)], []),
        ([_rule(SITE), _stuck(PIC, 13, 1), _stuck(CSCS, 13, 1)], []),
        # the copy on site was released, and only the first centre is left to read from
        ([_stuck(PIC, 13, 1), _stuck(CSCS, 12, 2, source=PIC)], [("make", SITE, ""), ("read elsewhere", CSCS, SITE)]),
    ],
)
def test_stuck_file_keeps_no_other_from_its_second_copy(
    existing: list[Rule], expected: list[tuple[str, str, str]]
) -> None:
    assert _said(existing) == expected


def test_third_centre_reads_from_a_centre_that_has_everything() -> None:
    existing = [_rule(SITE), _stuck(PIC, 13, 1), _rule(CSCS)]
    wanted = _wanted(existing)
    wanted = attrs.evolve(wanted, rules=wanted_rules(ONSITE, ("PIC", "CSCS", "DESY")), copies=3)
    assert [(a.kind.value, a.rse_expression, a.source) for a in difference(BLOCK, wanted, existing)] == [
        ("make", DESY, CSCS)
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1, [("try again", CSCS, PIC)]), (-1, [])],
    ids=["the first is complete since then", "it was tried since then"],
)
def test_stuck_rule_is_tried_again_when_its_source_has_everything(
    seconds: int, expected: list[tuple[str, str, str]]
) -> None:
    first = attrs.evolve(_rule(PIC), updated=NOW + dt.timedelta(seconds=seconds))
    second = attrs.evolve(_stuck(CSCS, 13, 1, source=PIC), updated=NOW)
    assert _said([_rule(SITE), first, second]) == expected
