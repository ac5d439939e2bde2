"""Simulated years: no byte is lost, and what moves is what must."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.cli.app import run
from ctao_bdms.errors import MissingExtraError, UsageError
from ctao_bdms.model import Night, RetentionClass, Site
from ctao_bdms.replication import CentreTerms, Policy
from ctao_bdms.replication.simulation.plot import plot
from ctao_bdms.replication.simulation.simulate import Change, ChangeKind, Simulation, simulate
from ctao_bdms.replication.simulation.volumes import dark_hours, nights_of

if TYPE_CHECKING:
    from pathlib import Path

FIRST = dt.date(2027, 1, 1)
JOIN = Change.parse(ChangeKind.JOINS, "CSCS@2028-01")
LEAVE = Change.parse(ChangeKind.LEAVES, "PIC@2028-06")
FULL = Change.parse(ChangeKind.FULL, "DESY@2028-03-15")


def _run(*changes: Change, even_out: bool = False, years: int = 2, policy: Policy | None = None) -> Simulation:
    return simulate(policy or Policy.load(), first=FIRST, years=years, changes=changes, even_out=even_out)


def _total(simulation: Simulation) -> int:
    return sum(size for nights in simulation.nights.values() for size in nights.values())


@pytest.mark.parametrize("even_out", [False, True])
@pytest.mark.parametrize("changes", [(), (JOIN,), (LEAVE,), (FULL,), (JOIN, LEAVE, FULL)])
def test_every_byte_is_at_two_centres(changes: tuple[Change, ...], even_out: bool) -> None:
    simulation = _run(*changes, even_out=even_out)
    total = _total(simulation)
    assert total == pytest.approx(2 * 3e15, rel=1e-9)
    assert sum(load.kept_bytes for load in simulation.centres) == 2 * total
    uplinks = [link for link in simulation.links if link.source in set(Site)]
    assert sum(link.new_bytes for link in uplinks) == total, "the uplink carries each byte once"
    assert not any(link.moved_bytes for link in uplinks)
    assert sum(link.new_bytes for link in simulation.links) == 2 * total
    for load in simulation.centres:
        received = load.first_bytes + load.other_bytes + load.moved_in_bytes
        assert load.kept_bytes == received - load.moved_out_bytes
    assert sum(link.moved_bytes for link in simulation.links) == sum(e.moved_bytes for e in simulation.effects)


def test_who_joins_moves_nothing_unless_it_is_asked_for() -> None:
    (effect,), (evened,) = _run(JOIN).effects, _run(JOIN, even_out=True).effects
    assert (effect.moved_bytes, effect.nights) == (0, 0)
    assert evened.moved_bytes == effect.even_bytes
    # Half of all nights at one of four centres, of the first year's 3 PB.
    assert effect.even_bytes == pytest.approx(1.5e15, rel=0.1)


def test_who_leaves_has_its_nights_copied_from_where_they_still_are() -> None:
    simulation = _run(LEAVE)
    (effect,) = simulation.effects
    gone = next(load for load in simulation.centres if load.centre == "PIC")
    assert (gone.kept_bytes, gone.share) == (0, 0.0)
    assert effect.moved_bytes == gone.first_bytes + gone.other_bytes
    assert not any(link.moved_bytes for link in simulation.links if "PIC" in {link.source, link.target})


def test_who_is_full_stays_as_it_is() -> None:
    simulation = _run(FULL)
    (effect,) = simulation.effects
    assert effect.moved_bytes == 0
    kept = [month["DESY"] for date, month in simulation.months.items() if date > FULL.date]
    assert len(set(kept)) == 1
    assert kept[0] > 0


def test_a_centre_of_the_policy_takes_its_nights() -> None:
    terms = {"PIC": CentreTerms(last_night=dt.date(2027, 6, 30))}
    simulation = _run(policy=attrs.evolve(Policy.load(), centres=terms))
    kept = [month["PIC"] for date, month in simulation.months.items() if date >= dt.date(2027, 7, 1)]
    assert len(set(kept)) == 1


def test_the_policy_says_copies_and_shares() -> None:
    policy = Policy.load()
    terms = attrs.evolve(policy.retention(RetentionClass.PERMANENT), copies=1, centres={"PIC": 3.0, "LAPP": 1.0})
    policy = attrs.evolve(policy, retentions={**policy.retentions, RetentionClass.PERMANENT: terms})
    simulation = _run(policy=policy)
    kept = {load.centre: load.kept_share for load in simulation.centres}
    assert kept == {"PIC": pytest.approx(0.75, abs=0.1), "LAPP": pytest.approx(0.25, abs=0.1)}
    assert len(simulation.links) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([Change(kind=ChangeKind.LEAVES, centre="NIX", date=dt.date(2028, 1, 1))], "there is no centre NIX"),
        ([Change(kind=ChangeKind.FULL, centre="PIC", date=dt.date(2026, 1, 1))], "not between 2027-01-01"),
        ([JOIN, attrs.evolve(JOIN, date=dt.date(2028, 2, 1))], "it is there already"),
        ([attrs.evolve(LEAVE, centre=name) for name in ("PIC", "DESY", "CSCS")], "2 copies need 2 centres"),
    ],
)
def test_what_cannot_be_is_told(changes: list[Change], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _run(*changes)


def test_nights_are_dark_and_without_moon() -> None:
    winter, summer = Night(dt.date(2027, 12, 28)), Night(dt.date(2027, 7, 4))
    assert dark_hours(Site.NORTH, winter) > dark_hours(Site.SOUTH, winter)
    assert dark_hours(Site.NORTH, summer) < dark_hours(Site.SOUTH, summer)
    assert dark_hours(Site.NORTH, Night(dt.date(2027, 1, 22))) == 0.0, "full Moon"
    nights = nights_of(Site.SOUTH, FIRST, 5, 1.5e15)
    assert sum(nights.values()) == pytest.approx(7.5e15)
    assert 300 < len(nights) / 5 < 330


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_picture_is_drawn_and_always_the_same(tmp_path: Path, name: str, begins: bytes) -> None:
    simulation = _run(JOIN, LEAVE, FULL)
    drawn = []
    for _ in range(2):
        plot(simulation, tmp_path / name)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0].startswith(begins)
    assert drawn[0] == drawn[1]


def test_what_a_picture_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"a picture ends in \.png or \.svg"):
        plot(_run(), tmp_path / "a.pdf")
    for module in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"ctao-bdms\[plot\]"):
        plot(_run(), tmp_path / "a.png")


def test_the_command_prints_tables_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["placement", "simulate", "--years", "1", "--join", "CSCS@2027-07", "--plot", str(tmp_path / "a.svg")]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "to even out, PB" in said
    assert "the largest brings" in said
    assert (tmp_path / "a.svg").exists()
    assert run([*words[:-2], "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert {load["centre"] for load in found["centres"]} == {"PIC", "CSCS", "DESY", "Frascati"}
    assert found["changes"][0]["what"] == "joins"
