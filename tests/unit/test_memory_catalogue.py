"""Tests seed the archive in memory in public, and it stays consistent."""

from __future__ import annotations

import datetime as dt

import attrs
import pytest

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import NotFoundError, UnknownRseError
from ctao_bdms.model import Block, Did, Replica, ReplicaState, Rse, RuleState
from ctao_bdms.testing.contract import ONSITE, block_of, registration

NOW = dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC)
BLOCK = block_of("acada")
FILE = registration("acada")


@pytest.fixture
def archive() -> InMemoryCatalogue:
    rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North"), Rse(name="PIC-DISK", prefix="/pic", centre="PIC")]
    archive = InMemoryCatalogue(rses, now=lambda: NOW)
    archive.ensure_directories([FILE.lfn])
    archive.open_block(BLOCK)
    archive.register(BLOCK, ONSITE, [FILE])
    archive.add_rule(BLOCK, rse_expression="centre=PIC")
    return archive


def test_changed_file_keeps_its_metadata(archive: InMemoryCatalogue) -> None:
    file = archive.files([FILE.lfn])[FILE.lfn]
    (before,) = archive.products_in(BLOCK)
    bad = tuple(attrs.evolve(replica, state=ReplicaState.BAD) for replica in file.replicas)
    archive.set_file(attrs.evolve(file, replicas=bad))
    assert archive.files([FILE.lfn])[FILE.lfn].replicas == bad
    assert archive.products_in(BLOCK) == [before]


def test_added_file_needs_metadata_and_known_storage(archive: InMemoryCatalogue) -> None:
    other = registration("acada", 1)
    file = attrs.evolve(archive.files([FILE.lfn])[FILE.lfn], lfn=other.lfn)
    with pytest.raises(NotFoundError, match="give its metadata"):
        archive.set_file(file)
    nowhere = Replica(rse="NOWHERE", state=ReplicaState.AVAILABLE, pfn="file:///x")
    with pytest.raises(UnknownRseError):
        archive.set_file(attrs.evolve(file, replicas=(nowhere,)), other.metadata)
    archive.set_file(file, other.metadata)
    assert {product.lfn for product in archive.products_in(BLOCK)} == {FILE.lfn, other.lfn}


def test_removed_file_is_in_no_block(archive: InMemoryCatalogue) -> None:
    archive.remove_file(FILE.lfn)
    assert (archive.files([FILE.lfn]), archive.products_in(BLOCK)) == ({}, [])
    with pytest.raises(NotFoundError):
        archive.remove_file(FILE.lfn)


def test_block_can_be_made_at_another_time(archive: InMemoryCatalogue) -> None:
    (block,) = archive.blocks("acada", "*")
    archive.set_block(attrs.evolve(block, created=NOW - dt.timedelta(days=9)))
    assert archive.blocks("acada", "*", opened_since=NOW - dt.timedelta(days=1)) == []
    unknown = Did("acada", "/ctao/acada/blocks/none")
    with pytest.raises(NotFoundError):
        archive.set_block(Block(did=unknown, is_open=True, n_files=0, size_bytes=0, created=NOW, account="bdms-ingest"))


def test_rule_can_be_given_another_state_and_removed(archive: InMemoryCatalogue) -> None:
    archive.transfer()
    (rule,) = archive.rules("acada", [BLOCK.name])[BLOCK.name]
    archive.set_rule(attrs.evolve(rule, state=RuleState.STUCK))
    assert archive.unfulfilled("acada") == {BLOCK}
    archive.set_rule(attrs.evolve(rule, state=RuleState.OK))
    assert archive.fulfilled_since(NOW - dt.timedelta(seconds=1)) == {BLOCK: {rule.id}}
    archive.remove_rule(rule.id)
    assert archive.rules("acada", [BLOCK.name])[BLOCK.name] == []
    assert archive.files([FILE.lfn])[FILE.lfn].at("PIC-DISK") is not None, "the reaper has not come"
    with pytest.raises(NotFoundError):
        archive.set_rule(rule)
