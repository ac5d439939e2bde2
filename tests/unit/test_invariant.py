"""The check of the invariant finds each violation that is made on purpose, and no other."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import ArchivedFile, DefectKind, Did, ProductMetadata, ReplicaState, Rse, Rule, RuleState
from ctao_bdms.naming import directories_of, is_block, is_manifest, path_of_lfn
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.testing.contract import registration
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night
from ctao_bdms.testing.invariant import Expected, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
ACCOUNT = "bdms-ingest"


@attrs.define
class Rest:
    """A finished ingest of one bad file and two sound ones."""

    archive: InMemoryCatalogue
    expected: list[Expected]
    storages: dict[str, Path]
    quarantine: Path

    @property
    def bad(self) -> Expected:
        return self.expected[0]

    @property
    def good(self) -> Expected:
        return self.expected[1]

    @property
    def case(self) -> Path:
        (case,) = self.quarantine.glob("2*")
        return case

    @property
    def block(self) -> Did:
        return next(did for did in self.file.datasets if is_block(did.name))

    @property
    def file(self) -> ArchivedFile:
        """What the archive says of the good file."""
        return self.archive.files([self.good.lfn])[self.good.lfn]

    @property
    def metadata(self) -> ProductMetadata:
        """The metadata of the good file."""
        return next(each.metadata for each in self.archive.products_in(self.block) if each.lfn == self.good.lfn)

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules of the block."""
        return self.archive.rules(self.block.scope, [self.block.name])[self.block.name]

    def manifest(self, name: str) -> Path:
        (path,) = (self.storages[name] / "ctao/acada/blocks").rglob("*.bagit.tar")
        return path

    def change(self, **changes: Any) -> None:  # noqa: ANN401
        """Change what the archive says of the good file."""
        self.archive.set_file(attrs.evolve(self.file, **changes))

    def change_block(self, **changes: Any) -> None:  # noqa: ANN401
        """Change what the archive says of the block."""
        (block,) = self.archive.blocks(self.block.scope, self.block.name)
        self.archive.set_block(attrs.evolve(block, **changes))

    def violations(self) -> list[str]:
        return violations(
            self.expected,
            self.archive,
            rse=ONSITE,
            storages=self.storages,
            quarantine=self.quarantine,
            account=ACCOUNT,
            policy=Policy.load(),
        )


@pytest.fixture
def rest(tmp_path: Path) -> Rest:
    root = tmp_path / ONSITE
    written = write_night(root, night_specs(3, telescopes=1, megabytes=0.001))
    damage(written[0].path, Damage.BIT_FLIP)
    expected = [Expected.of(written[0], DefectKind.CORRUPT), *map(Expected.of, written[1:])]
    storages = {name: tmp_path / name for name in (ONSITE, PIC, CSCS)}
    archive = InMemoryCatalogue(
        [
            Rse(name=ONSITE, prefix=str(root), site="CTAO-North"),
            Rse(name=PIC, prefix=str(storages[PIC]), centre="PIC"),
            Rse(name=CSCS, prefix=str(storages[CSCS]), centre="CSCS"),
        ],
        account=ACCOUNT,
    )
    bdms = Bdms(archive, policy=Policy.load())
    bdms.ingest(root)
    for _ in range(2):
        archive.transfer()
        Replication(archive, Policy.load(), lambda: dt.datetime.now(dt.UTC)).reconcile("acada", "*")
    archive.transfer()
    for centre in (PIC, CSCS):
        shutil.copytree(root, storages[centre])
    return Rest(archive, expected, storages, bdms.quarantine.at().folder)


def test_sound_archive_has_no_violations(rest: Rest) -> None:
    assert rest.violations() == []


def test_data_of_other_accounts_are_no_violation(rest: Rest) -> None:
    dataset = Did("dpps", "/ctao/dpps/blocks/other")
    own = directories_of(registration("dpps").lfn)[-1].did
    rest.change(datasets=rest.file.datasets | {dataset, own})
    rest.archive.add_rule(rest.block, rse_expression=PIC, account="wms")
    rest.archive.add_rule(rest.block, rse_expression=ONSITE, lifetime_s=1, account="wms")
    product = registration("dpps")
    rest.archive.set_file(attrs.evolve(rest.file, lfn=product.lfn, datasets=frozenset({own})), product.metadata)
    path = Path(path_of_lfn(product.lfn, rest.storages[PIC]))
    path.parent.mkdir(parents=True)
    path.touch()
    assert rest.violations() == []


def test_rule_of_another_account_does_not_replace_one_of_the_ingest(rest: Rest) -> None:
    (rule,) = (rule for rule in rest.rules if rule.rse_expression == ONSITE)
    rest.archive.set_rule(attrs.evolve(rule, account="wms"))
    (violation,) = rest.violations()
    assert violation == f"{rest.block}: it has no rule for {ONSITE}"


def test_large_file_is_compared_by_its_size(rest: Rest) -> None:
    rest.expected[0] = attrs.evolve(rest.bad, sha256="")
    assert rest.violations() == []
    _quarantined_bytes(rest)
    (violation,) = rest.violations()
    assert "its bytes differ from the original" in violation


def _replicas(rest: Rest, name: str, state: ReplicaState | None) -> None:
    """Change the state of the copy at a storage element, or remove it."""
    replicas = rest.file.replicas
    kept = [replica for replica in replicas if replica.rse != name]
    changed = [attrs.evolve(replica, state=state) for replica in replicas if replica.rse == name and state]
    rest.change(replicas=(*kept, *changed))


def _forget_at_site(rest: Rest) -> None:
    _replicas(rest, ONSITE, None)
    rest.good.path.unlink()


def _detach(rest: Rest) -> None:
    rest.change(datasets=frozenset({rest.block}))


def _strange_dataset(rest: Rest) -> None:
    rest.change(datasets=rest.file.datasets | {directories_of(registration("acada").lfn)[-1].did})


def _digest(rest: Rest) -> None:
    rest.archive.set_file(rest.file, ProductMetadata({**rest.metadata, "integrity__sha256": "0" * 64}))


def _stranger(rest: Rest) -> None:
    file = registration("acada", 7)
    rest.archive.ensure_directories([file.lfn])
    _open(rest)
    rest.archive.register(rest.block, ONSITE, [file])


def _bad_one_in(rest: Rest) -> None:
    """Register the bad file as it is, in no block."""
    bad = attrs.evolve(rest.file, lfn=rest.bad.lfn, replicas=(), datasets=frozenset())
    rest.archive.set_file(bad, rest.metadata)


def _open(rest: Rest) -> None:
    rest.change_block(is_open=True)


def _miscounted(rest: Rest) -> None:
    rest.change_block(n_files=4)


def _no_rule(rest: Rest) -> None:
    rest.archive.remove_rule(rest.rules[-1].id)


def _stuck(rest: Rest) -> None:
    rest.archive.set_rule(attrs.evolve(rest.rules[-1], state=RuleState.STUCK))


def _unwanted_rule(rest: Rest) -> None:
    rest.archive.add_rule(rest.block, rse_expression=PIC)


def _bytes(rest: Rest) -> None:
    with Path(path_of_lfn(rest.good.lfn, rest.storages[CSCS])).open("r+b") as stream:
        stream.write(b"s")


def _lost_copy(rest: Rest) -> None:
    Path(path_of_lfn(rest.good.lfn, rest.storages[PIC])).unlink()


def _case_twice(rest: Rest) -> None:
    shutil.copytree(rest.case, rest.case.with_name(f"{rest.case.name}-2"), symlinks=True)


def _reason(rest: Rest) -> None:
    document = json.loads((rest.case / "reason.json").read_text())
    document["defects"][0]["kind"] = "empty"
    (rest.case / "reason.json").write_text(json.dumps(document))


def _not_bad(rest: Rest) -> None:
    document = json.loads((rest.case / "reason.json").read_text())
    case = shutil.copytree(rest.case, rest.case.with_name("20260101T000000Z-00000000"), symlinks=True)
    (case / rest.bad.path.name).rename(case / rest.good.path.name)
    (case / "reason.json").write_text(json.dumps({**document, "path": str(rest.good.path)}))


def _quarantined_bytes(rest: Rest) -> None:
    (rest.case / rest.bad.path.name).write_bytes(b"other")


def _closed_with_a_file(rest: Rest) -> None:
    (rest.quarantine / "closed" / "x").mkdir(parents=True)
    (rest.quarantine / "closed" / "x" / "data").touch()


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda rest: rest.good.trigger.symlink_to("x"), "the trigger still exists"),
        (lambda rest: _replicas(rest, PIC, ReplicaState.BAD), "its copy at PIC-DISK is bad"),
        (lambda rest: _replicas(rest, ONSITE, ReplicaState.UNAVAILABLE), "its copy at CTAO-NORTH-ONSITE is unavail"),
        (_forget_at_site, "it has no copy on site"),
        (_detach, "it is not attached to its directory"),
        (_strange_dataset, "it is also in acada:/ctao/acada/DL0/LSTN-01/events"),
        (_open, "the block is open"),
        (_miscounted, "the catalogue counts 4 files, and 3 of those given are in it"),
        (_no_rule, "it has no rule for centre="),
        (_stuck, "is stuck"),
        (_unwanted_rule, "it has unexpected rules, for PIC-DISK"),
        (_bytes, "its bytes at CSCS-DISK differ"),
        (_lost_copy, "in the catalogue but not on disk"),
        (
            lambda rest: rest.manifest(CSCS).unlink(),
            "bagit.tar: its copy at CSCS-DISK is in the catalogue but not on disk",
        ),
        (
            lambda rest: (rest.storages[PIC] / ".part").touch(),
            "it is at PIC-DISK and not in the catalogue",
        ),
        (_case_twice, "2 cases of the quarantine are about it"),
        (_reason, "the reason is empty instead of corrupt"),
        (_not_bad, "which is not bad"),
        (_quarantined_bytes, "its bytes differ from the original"),
        (lambda rest: (rest.case / "trigger").unlink(), "the trigger is not in the case"),
        (lambda rest: (rest.case / "more").touch(), "it is in the quarantine and belongs to no case"),
        (_closed_with_a_file, "it is in the quarantine and belongs to no case"),
    ],
)
def test_each_violation_is_found(rest: Rest, breaks: Callable[[Rest], object], said: str) -> None:
    breaks(rest)
    (violation,) = rest.violations()
    assert said in violation


@pytest.mark.parametrize(
    ("breaks", "said", "more"),
    [
        (lambda rest: rest.change(size_bytes=7), "it has 7 bytes in the catalogue instead of", "and the catalogue 7,"),
        (_digest, "its metadata have sha256 0000", "it says other metadata of"),
        (lambda rest: rest.manifest(ONSITE).unlink(), "No such file", "in the catalogue but not on disk"),
        (lambda rest: rest.manifest(ONSITE).write_bytes(b"x"), "no sound manifest", "its bytes at CTAO-NORTH-ONSITE"),
    ],
)
def test_violation_is_also_found_against_the_manifest(
    rest: Rest, breaks: Callable[[Rest], object], said: str, more: str
) -> None:
    breaks(rest)
    first, second = rest.violations()
    assert said in first
    assert more in second


def test_block_without_a_manifest_is_found(rest: Rest) -> None:
    (lfn,) = (each.lfn for each in rest.archive.products_in(rest.block) if is_manifest(each.lfn.text))
    rest.archive.remove_file(lfn)
    assert f"{rest.block}: it has no manifest" in rest.violations()


def test_unexpected_files_in_the_catalogue_are_found(rest: Rest) -> None:
    _stranger(rest)
    _bad_one_in(rest)
    found = "\n".join(rest.violations())
    assert f"{rest.bad.lfn}: it is bad and in the catalogue" in found
    assert "and no such sound file was given" in found
    assert "file0007.fits.fz: a query for the night 2026-11-21 finds it" in found


def test_sound_file_missing_from_the_catalogue_is_found(rest: Rest) -> None:
    rest.archive.remove_file(rest.good.lfn)
    found = "\n".join(rest.violations())
    assert f"{rest.good.lfn}: it is sound and not in the catalogue" in found
    assert f"{rest.good.lfn}: a query for the night 2026-11-21 does not find it" in found
    assert f"{rest.good.path}: it is at {ONSITE} and not in the catalogue" in found


def test_file_in_no_block_or_without_a_copy_is_found(rest: Rest) -> None:
    rest.change(datasets=frozenset(did for did in rest.file.datasets if not is_block(did.name)))
    assert "it is in 0 blocks instead of one: none" in "\n".join(rest.violations())
    _replicas(rest, CSCS, None)
    assert "there are copies at PIC instead of" in "\n".join(rest.violations())


def test_bad_file_missing_from_quarantine_is_found(rest: Rest) -> None:
    shutil.rmtree(rest.quarantine)
    (violation,) = rest.violations()
    assert violation == f"{rest.bad.path}: it is bad, and 0 cases of the quarantine are about it"
    os.link(rest.good.path, rest.bad.path)
    assert len(rest.violations()) == 2
