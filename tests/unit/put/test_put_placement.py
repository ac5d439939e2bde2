"""Products are uploaded to a centre that is available, and get rules there."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.unit.put.archive import NOW, SAID, Archive

from ctao_bdms.errors import UsageError
from ctao_bdms.ingest import Status
from ctao_bdms.model import RetentionClass
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    from pathlib import Path


def test_archived_product_is_kept_at_two_centres_first_where_uploaded(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="DESY")
    assert outcome.block is not None
    name = BlockName.parse(outcome.block.name)
    assert (name.retention, name.origin) == (RetentionClass.PERMANENT, "DESY")
    first, second = archive.catalogue.rules("dpps", [str(name)])[str(name)]
    assert (first.rse_expression, first.source, first.expires) == ("centre=DESY", "", None)
    assert (second.source, second.expires) == ("centre=DESY", None)
    archive.catalogue.transfer()
    (state,) = archive.bdms.rules.reconcile("dpps")
    assert state.is_complete
    assert state.centres[0] == "DESY"
    assert len(set(state.centres)) == 2


def test_copy_at_the_place_of_upload_can_be_temporary(archive: Archive, dl1: Path) -> None:
    """DESY takes uploads and has no share in the policy: the copies are made from there, one after the other."""
    desy = archive.catalogue.rses()["DESY-DISK"]
    archive.catalogue.set_rse(attrs.evolve(desy, share=0.0))
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="DESY")
    assert outcome.block is not None
    name = outcome.block.name
    holds, first = archive.catalogue.rules("dpps", [name])[name]
    assert (holds.rse_expression, holds.source) == ("centre=DESY", ""), "what was uploaded is held"
    assert (first.rse_expression in {"centre=PIC", "centre=CSCS"}, first.source) == (True, "centre=DESY")
    archive.bdms.rules.reconcile("dpps")
    assert archive.catalogue.rules("dpps", [name])[name] == [holds, first], "the second waits for the first"
    archive.catalogue.transfer()
    archive.bdms.rules.reconcile("dpps")
    *_, second = archive.catalogue.rules("dpps", [name])[name]
    assert second.source == first.rse_expression
    archive.catalogue.transfer()
    (state,) = archive.bdms.rules.reconcile("dpps", prune=True)
    assert (state.is_complete, set(state.centres)) == (True, {"PIC", "CSCS"})
    ended = [rule.rse_expression for rule in archive.catalogue.rules("dpps", [name])[name] if rule.expires is not None]
    assert ended == ["centre=DESY"], "once both centres have it, nothing holds it where it was uploaded"


def test_short_term_product_can_be_archived(archive: Archive, dl1: Path) -> None:
    (first,) = archive.bdms.put(dl1, product=SAID, storage="short-term", near="DESY")
    (second,) = archive.bdms.put(dl1, product=SAID, storage="archive", near="PIC")
    (third,) = archive.bdms.put(dl1, product=SAID, storage="short-term")
    assert [each.status for each in (first, second, third)] == [Status.REGISTERED, Status.REGISTERED, Status.KNOWN]
    assert second.lfn is not None
    kept = {block.retention: block.origin for block in archive.blocks_of(second.lfn)}
    assert kept == {RetentionClass.SHORT_TERM: "DESY", RetentionClass.PERMANENT: "DESY"}
    assert len(archive.files_on_storage()) == 1


def test_expired_short_term_block_gets_no_rules(archive: Archive, dl1: Path) -> None:
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="short-term")
    assert outcome.block is not None
    for rule in archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]:
        archive.catalogue.remove_rule(rule.id)  # Rucio's judge has ended it
    archive.now += dt.timedelta(days=400)
    archive.bdms.rules.reconcile("dpps")
    assert not archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]


def test_place_without_uploads_raises(archive: Archive, dl1: Path) -> None:
    with pytest.raises(UsageError, match="'ONSITE' takes no uploads; there are CSCS-DISK"):
        archive.bdms.put(dl1, product=SAID, rse="ONSITE")
    with pytest.raises(UsageError, match="no storage element at 'MOON'"):
        archive.bdms.put(dl1, product=SAID, near="MOON")
    with pytest.raises(UsageError, match="there is no file"):
        archive.bdms.put(dl1.with_name("nothing"), product=SAID)


@pytest.fixture
def belongs(dl1: Path, tmp_path: Path) -> str:
    """Return the centre that the product is uploaded to if all are available."""
    (outcome,) = Archive(tmp_path / "another").bdms.put(dl1, product=SAID)
    assert outcome.block is not None
    return BlockName.parse(outcome.block.name).origin


@pytest.mark.parametrize("why", ["lost", "shut", "unreadable for long"])
def test_product_is_uploaded_to_an_available_centre(archive: Archive, dl1: Path, belongs: str, why: str) -> None:
    rse = f"{belongs}-DISK"
    if why == "lost":
        archive.catalogue.mark_lost(rse, "fire")
        reason = f"{rse} is marked as lost: fire"
    elif why == "shut":
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_writable=False))
        reason = f"{rse} is shut: nothing can be written there"
    else:
        since = NOW - dt.timedelta(days=2)
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_readable=False, changed=since))
        reason = f"{belongs} cannot be read since 2026-11-20 09:00 UTC, longer than one waits"
    with pytest.raises(UsageError, match=f"'{rse}' takes no uploads now, for {reason}; there are "):
        archive.bdms.put(dl1, product=SAID, rse=rse)
    with pytest.raises(UsageError, match=f"at '{belongs}' takes uploads now, for {reason}; there are "):
        archive.bdms.put(dl1, product=SAID, near=belongs)
    assert not archive.files_on_storage()
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive")
    assert outcome.status is Status.REGISTERED
    assert outcome.block is not None
    origin = BlockName.parse(outcome.block.name).origin
    assert origin != belongs
    (stored,) = archive.files_on_storage()
    assert stored.startswith(f"{origin}/")


def test_one_available_centre_is_enough(archive: Archive, dl1: Path) -> None:
    for rse in ("PIC-DISK", "CSCS-DISK"):
        archive.catalogue.set_rse(attrs.evolve(archive.catalogue.rses()[rse], is_writable=False))
    (outcome,) = archive.bdms.put(dl1, product=SAID, storage="archive")
    assert outcome.block is not None
    assert BlockName.parse(outcome.block.name).origin == "DESY"
    rules = archive.catalogue.rules("dpps", [outcome.block.name])[outcome.block.name]
    assert [rule.rse_expression for rule in rules] == ["centre=DESY"], "the second copy waits for its centre"


def test_no_available_centre_raises(archive: Archive, dl1: Path) -> None:
    for rse in ("PIC-DISK", "CSCS-DISK", "DESY-DISK"):
        archive.catalogue.mark_lost(rse, "war")
    with pytest.raises(UsageError, match="takes uploads now: CSCS-DISK is marked as lost: war; DESY"):
        archive.bdms.put(dl1, product=SAID)
