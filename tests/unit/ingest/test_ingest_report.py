"""A whole ingest and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from tests.unit.ingest.samples import make_archive

from ctao_bdms.archive import Bdms
from ctao_bdms.ingest import CheckPolicy, Severity, Status
from ctao_bdms.model import DefectKind, RetentionClass
from ctao_bdms.naming import BlockName
from ctao_bdms.replication import Policy, ProductEntry
from ctao_bdms.testing.damage import Damage, damage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctao_bdms.testing.dl0 import WrittenFile


def test_warnings_are_in_the_report(root: Path, night: Sequence[WrittenFile]) -> None:
    place = night[0].path.with_name(night[0].path.name.replace("CHUNK000", "CHUNK007"))
    night[0].path.rename(place)
    (outcome,) = Bdms(make_archive(root), policy=Policy.load()).ingest(
        [place], checks=CheckPolicy(chunk=Severity.WARNING)
    )
    assert outcome.status is Status.REGISTERED
    assert [defect.kind for defect in outcome.warnings] == [DefectKind.NAME_MISMATCH]


def test_policy_decides_how_products_are_kept(root: Path, night: Sequence[WrittenFile]) -> None:
    entry = ProductEntry(retention=RetentionClass.SHORT_TERM)
    policy = attrs.evolve(Policy.load(), products=(entry,))
    terms = policy.retention(RetentionClass.SHORT_TERM)
    archive = make_archive(root)
    (outcome,) = Bdms(archive, policy=policy).ingest([night[0].path])
    assert outcome.block is not None
    assert BlockName.parse(outcome.block.name).retention is RetentionClass.SHORT_TERM
    rules = archive.rules("acada", [outcome.block.name])[outcome.block.name]
    assert len(rules) == 1 + terms.copies
    assert {(rule.activity, rule.priority) for rule in rules} == {(terms.activity, terms.priority)}
    assert all(rule.expires is not None for rule in rules)


def test_second_ingest_of_a_night_changes_nothing(root: Path, night: Sequence[WrittenFile]) -> None:
    damage(night[1].path, Damage.BIT_FLIP)
    bdms = Bdms(make_archive(root), policy=Policy.load())
    first = bdms.ingest(root)
    assert sorted(outcome.status.value for outcome in first) == ["quarantined", *["registered"] * 5]
    assert not list(root.rglob("*.trigger"))
    second = bdms.ingest([written.path for written in night])
    assert sorted(outcome.status.value for outcome in second) == [*["known"] * 5, "refused"]
    assert len(bdms.catalogue.blocks("acada", "*")) == 1
    assert len(bdms.query(level="DL0")) == 5


def test_report_is_a_table(root: Path, night: Sequence[WrittenFile]) -> None:
    damage(night[0].path, Damage.EMPTY)
    report = Bdms(make_archive(root), policy=Policy.load()).ingest(root)
    assert "<IngestReport: 6 rows>" in repr(report)
    assert "empty: " in repr(report)
    assert report._repr_html_().count("<tr>") == 7
    assert report.table.colnames == ["file", "status", "bytes", "adler32", "why"]
    assert len(report.archived) == 5
    assert [outcome.file for outcome in report.rejected] == [night[0].path.name]
