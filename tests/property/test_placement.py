"""Placement: distinct centres, fair shares, and nothing moves that need not."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.model import Night, Site
from ctao_bdms.replication.placement import centres_for

NAMES = ["PIC", "CSCS", "DESY", "Frascati", "LAPP", "CEA", "CNAF"]
#: The nights of five years.
YEARS = [Night(dt.date(2027, 1, 1) + dt.timedelta(days=day)) for day in range(1826)]

nights = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)).map(Night)
sites = st.sampled_from([Site.NORTH, Site.SOUTH])
shares = st.dictionaries(st.sampled_from(NAMES), st.floats(0.1, 10, allow_nan=False), min_size=3, max_size=len(NAMES))
copies = st.integers(1, 3)


@given(sites, nights, shares, copies)
def test_centres_are_distinct_and_always_the_same(
    site: Site, night: Night, shares: dict[str, float], copies: int
) -> None:
    chosen = centres_for(site, night, shares, copies)
    assert len(set(chosen)) == copies
    assert set(chosen) <= shares.keys()
    assert chosen == centres_for(site, night, dict(reversed(shares.items())), copies)


@given(sites, nights, shares, copies, st.floats(0.1, 10))
def test_who_joins_takes_nights_and_moves_none_between_others(
    site: Site, night: Night, shares: dict[str, float], copies: int, share: float
) -> None:
    before = centres_for(site, night, shares, copies)
    after = centres_for(site, night, {**shares, "NEW": share}, copies)
    assert after == before or ("NEW" in after and set(after) < {*before, "NEW"})
    # What was placed before it came stays where it is.
    assert set(centres_for(site, night, {**shares, "NEW": share}, copies, held=before)) == set(before)


@given(sites, nights, shares, copies, st.data())
def test_who_leaves_moves_only_what_it_kept(
    site: Site, night: Night, shares: dict[str, float], copies: int, data: st.DataObject
) -> None:
    left = {**shares, "NEW": 1.0}
    gone = data.draw(st.sampled_from(sorted(left)))
    rest = {centre: share for centre, share in left.items() if centre != gone}
    before = centres_for(site, night, left, copies)
    after = centres_for(site, night, rest, copies)
    assert set(before) - {gone} <= set(after)
    assert after == before or gone in before
    # The copies that are left serve as the source: they come first.
    held = [centre for centre in before if centre != gone]
    assert list(centres_for(site, night, rest, copies, held=held))[: len(held)] == held


@given(sites, nights, shares, copies, st.data())
def test_who_is_full_takes_nothing_and_keeps_what_it_has(
    site: Site, night: Night, shares: dict[str, float], copies: int, data: st.DataObject
) -> None:
    left = {**shares, "NEW": 1.0}
    full = data.draw(st.sampled_from(sorted(left)))
    before = centres_for(site, night, left, copies)
    after = centres_for(site, night, left, copies, closed={full})
    assert full not in after
    assert after == before or full in before
    assert centres_for(site, night, left, copies, closed={full}, held=before) == before


@given(sites, nights, shares, copies, st.data())
def test_an_order_wins_over_the_shares(
    site: Site, night: Night, shares: dict[str, float], copies: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sorted(shares)))[:copies]
    assert list(centres_for(site, night, shares, copies, order=order)) == order


@given(sites, nights, shares, copies, st.data())
def test_one_copy_is_on_tape_if_it_must(
    site: Site, night: Night, shares: dict[str, float], copies: int, data: st.DataObject
) -> None:
    tape = data.draw(st.sets(st.sampled_from(sorted(shares)), min_size=1))
    chosen = centres_for(site, night, shares, copies, tape=tape)
    assert len(set(chosen)) == copies
    assert tape & set(chosen)
    usual = centres_for(site, night, shares, copies)
    assert chosen[:-1] == usual[:-1]
    assert chosen == usual or not tape & set(usual)


def test_five_years_are_shared_as_the_shares_say() -> None:
    stated = {"PIC": 1.0, "CSCS": 2.0, "DESY": 1.0, "Frascati": 1.0}
    for site in (Site.NORTH, Site.SOUTH):
        first = Counter(centres_for(site, night, stated)[0] for night in YEARS)
        for centre, share in stated.items():
            part = share / 5
            # Five standard deviations of a fair draw.
            assert abs(first[centre] / len(YEARS) - part) < 5 * (part * (1 - part) / len(YEARS)) ** 0.5, first
        equal = Counter(c for night in YEARS for c in centres_for(site, night, dict.fromkeys(stated, 1.0)))
        for centre in stated:
            assert abs(equal[centre] / len(YEARS) - 0.5) < 5 * 0.5 / len(YEARS) ** 0.5, equal
