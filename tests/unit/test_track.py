"""Where copies are, since when, verified how; and how long they took."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.cli.access.track import show_lag
from ctao_bdms.cli.output import Output
from ctao_bdms.errors import NoRoomError, NotFoundError
from ctao_bdms.model import Night, Rse, Site
from ctao_bdms.naming import BlockName
from ctao_bdms.nights import Lag
from ctao_bdms.preservation import BlockProof
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration

if TYPE_CHECKING:
    from ctao_bdms.model import Did

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)


@pytest.fixture
def archive() -> InMemoryCatalogue:
    rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
    rses += [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in ("PIC", "CSCS")]
    return InMemoryCatalogue(rses, now=lambda: NOW)


@pytest.fixture
def block(archive: InMemoryCatalogue) -> Did:
    block, files = block_of("acada"), [registration("acada", number) for number in range(3)]
    archive.ensure_directories([file.lfn for file in files])
    archive.open_block(block)
    archive.register(block, ONSITE, files)
    archive.close_block(block)
    return block


def test_a_block_is_tracked_from_rule_to_rule(archive: InMemoryCatalogue, block: Did) -> None:
    bdms = Bdms(archive, policy=Policy.load(), now=lambda: NOW)
    assert list(bdms.track(block.name)) == []
    bdms.rules.reconcile("acada")
    site, first = bdms.track(block.name)
    assert (site.rse, site.state, site.complete_by, site.where) == (ONSITE, "ok, 3 of 3 files", NOW, "CTAO-North")
    assert (first.state, first.complete_by, first.evidence) == ("replicating, 0 of 3 files", None, "")
    for _ in range(2):
        archive.transfer()
        bdms.rules.reconcile("acada")
    tracked = bdms.nights.track(NIGHT, site=Site.NORTH)
    assert [copy.complete_by for copy in tracked] == [NOW] * 3
    assert {copy.where for copy in tracked} == {"CTAO-North", "PIC", "CSCS"}
    assert tracked[2].evidence.startswith("by its transfer")
    assert list(bdms.nights.track("2026-01-01")) == []


@pytest.fixture
def scattered() -> InMemoryCatalogue:
    """Blocks of two nights, two sites and two scopes."""
    rses = [Rse(name=site.value, prefix=f"/{site}", site=site.value) for site in (Site.NORTH, Site.SOUTH)]
    rses += [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in ("PIC", "CSCS")]
    archive = InMemoryCatalogue(rses, scopes=("acada", "dpps"), now=lambda: NOW)
    for number, (scope, site, night) in enumerate(itertools.product(("acada", "dpps"), SITES, (NIGHT, OTHER))):
        name = attrs.evolve(BlockName.parse(block_of(scope).name), site=site, night=night)
        file = registration(scope, number)
        archive.ensure_directories([file.lfn])
        archive.open_block(name.did)
        archive.register(name.did, site.value, [file])
        archive.close_block(name.did)
    return archive


SITES = (Site.NORTH, Site.SOUTH)
OTHER = Night.parse("2026-01-01")


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ({}, 8),
        ({"scope": "dpps"}, 4),
        ({"site": Site.SOUTH}, 4),
        ({"night": OTHER}, 4),
        ({"night": OTHER, "site": Site.SOUTH}, 2),
        ({"night": OTHER, "site": Site.SOUTH, "scope": "acada"}, 1),
    ],
)
def test_all_sites_scopes_and_nights_are_meant_unless_some_are_named(
    scattered: InMemoryCatalogue, words: dict[str, Any], number: int
) -> None:
    bdms = Bdms(scattered, policy=Policy.load(), now=lambda: NOW)
    assert len({action.did for action in bdms.rules.compare(**words)}) == number
    assert len({row.did for row in bdms.rules.explain(**words)}) == number
    assert len(bdms.rules.states(**words)) == number
    assert len(bdms.rules.reconcile(**words)) == number
    ruled = {state.did for state in bdms.rules.states() if state.rules}
    assert len(ruled) == number
    if "night" in words:
        assert {copy.name for copy in bdms.nights.track(**words)} == {did.name for did in ruled}


def test_what_is_refused_in_one_scope_does_not_keep_the_others(
    scattered: InMemoryCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule = scattered.add_rule

    def refuse(did: Did, **terms: Any) -> None:  # noqa: ANN401 - as of the archive in memory
        if did.scope == "acada":
            raise NoRoomError("there is no room")
        add_rule(did, **terms)

    monkeypatch.setattr(scattered, "add_rule", refuse)
    bdms = Bdms(scattered, policy=Policy.load(), now=lambda: NOW)
    with pytest.raises(NoRoomError):
        bdms.rules.reconcile()
    assert {state.did.scope for state in bdms.rules.states() if state.rules} == {"dpps"}


def test_a_file_is_tracked_with_the_rules_of_its_block(archive: InMemoryCatalogue, block: Did) -> None:
    bdms, lfn = Bdms(archive, policy=Policy.load(), now=lambda: NOW), registration("acada", 0).lfn
    (site,) = bdms.track(lfn)
    assert (site.rule_id, site.complete_by, site.state) == ("", None, "available")
    for _ in range(3):
        bdms.rules.reconcile("acada")
        archive.transfer()
    rules = {rule.id for rule in archive.rules("acada", [block.name])[block.name]}
    copies = bdms.track(str(lfn))
    assert {copy.rule_id for copy in copies} == rules
    assert "read whole at ingest" in copies[0].evidence
    archive.set_rse(attrs.evolve(archive.rses()["PIC-DISK"], verifies_transfers=False))
    (pic,) = (copy for copy in bdms.track(lfn) if copy.where == "PIC")
    assert pic.evidence.startswith("none")


def test_the_evidence_that_is_kept_comes_first(archive: InMemoryCatalogue, block: Did) -> None:
    bdms, lfn = Bdms(archive, policy=Policy.load(), now=lambda: NOW), registration("acada", 0).lfn
    for _ in range(3):
        bdms.rules.reconcile("acada")
        archive.transfer()
    for number, problems in enumerate((("a file was lost",), ())):
        proof = BlockProof(
            block=block,
            what="verified",
            rse="PIC-DISK",
            centre="PIC",
            who="ada@desk",
            when=NOW + dt.timedelta(days=number),
            how="file",
            n_files=3,
            size_bytes=30,
            digest="0",
            problems=problems,
        )
        archive.annotate(block, {f"evidence-{number}": proof.to_wire()})
        said = f"its block was read back on {proof.when:%Y-%m-%d} 06:00 UTC by ada@desk: {proof.result}"
        for rows in (bdms.track(lfn), bdms.track(block.name)):
            evidence = {row.where: row.evidence for row in rows}
            assert evidence["PIC"] == said
            assert evidence["CSCS"].startswith("by its transfer")
            assert evidence["CTAO-North"].startswith("read whole at ingest")


def test_what_was_uploaded_to_a_centre_had_no_transfer_there(archive: InMemoryCatalogue) -> None:
    times = (NOW + dt.timedelta(hours=hour) for hour in itertools.count())
    archive = InMemoryCatalogue(archive.rses().values(), now=lambda: next(times))
    block = attrs.evolve(BlockName.parse(block_of("acada").name), origin="PIC").did
    file = registration("acada", 0)
    archive.ensure_directories([file.lfn])
    archive.open_block(block)
    archive.register(block, "PIC-DISK", [file])
    archive.close_block(block)
    bdms = Bdms(archive, policy=Policy.load(), now=lambda: NOW)
    bdms.rules.reconcile("acada")
    made = archive.rules("acada", [block.name])[block.name][0]
    archive.transfer()
    for rows in (bdms.track(file.lfn), bdms.track(block.name)):
        (pic, cscs) = rows
        assert pic.evidence.startswith("size and Adler-32 of what arrived, at upload")
        assert pic.complete_by == made.created != made.updated, "it was there before the rule"
        assert cscs.evidence.startswith("by its transfer")
        assert cscs.complete_by is not None


def test_a_file_that_nobody_knows(archive: InMemoryCatalogue) -> None:
    with pytest.raises(NotFoundError, match="the archive does not know"):
        Bdms(archive, policy=Policy.load()).track(registration("acada", 9).lfn)


def test_a_distribution_has_a_bar_for_each_span(capsys: pytest.CaptureFixture[str]) -> None:
    lag = Lag.of([0.5, 20.0, 25.0, 30.0, 200.0])
    assert lag is not None
    assert [(span.end_s, span.files) for span in lag.spans] == [(1, 1), (10, 0), (30, 3), (60, 0), (300, 1)]
    show_lag(Output(), "trigger to replicated", lag)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "trigger to replicated: 50 % 25.0 s, 95 % 200.0 s, all 200.0 s, of 5 files"
    assert lines[1].split() == ["up", "to", "1", "s", "1", "#" * 13]
    assert lines[2].split() == ["up", "to", "10", "s", "0"]
    assert lines[5].split() == ["up", "to", "5", "min", "1", "#" * 13]
    slow = Lag.of([4e6])
    assert slow is not None
    assert slow.spans[-1].label == "over 30 d"
