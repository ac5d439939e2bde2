"""Manifests are read and verified from each copy."""

from __future__ import annotations

import pytest
from tests.unit.space_release.kept import CSCS, ONSITE, PIC, Kept, corrupt_copy, damage_manifest

from ctao_bdms.errors import (
    InvalidNameError,
    ManifestError,
    NotFoundError,
)
from ctao_bdms.naming import is_manifest


def test_manifest_is_shown_and_verified_from_each_copy(kept: Kept) -> None:
    assert {file.lfn for file in kept.bdms.blocks.manifest(kept.block.name).files} == {w.lfn for w in kept.written}
    checks = kept.bdms.blocks.check_manifests(kept.block, deep=True)
    assert checks.ok
    assert [(check.rse, check.n_files, check.n_read) for check in checks] == [(CSCS, 3, 3), (ONSITE, 3, 3), (PIC, 3, 3)]
    corrupt_copy(kept)
    damage_manifest(kept)
    assert [check.rse for check in kept.bdms.blocks.check_manifests(kept.block) if not check.problems] == [ONSITE, PIC]
    wrong = {
        check.rse: check.verdict for check in kept.bdms.blocks.check_manifests(kept.block, deep=True) if check.problems
    }
    assert set(wrong) == {PIC, CSCS}
    assert str(kept.written[0].lfn) in wrong[PIC]
    with pytest.raises(ManifestError):
        kept.bdms.blocks.manifest(kept.block, rse=CSCS)
    with pytest.raises(NotFoundError, match="there is none at NOWHERE"):
        kept.bdms.blocks.manifest(kept.block, rse="NOWHERE")
    with pytest.raises(InvalidNameError, match="a block is called"):
        kept.bdms.blocks.manifest("/ctao/acada/DL0")


def test_block_without_a_manifest_is_reported(kept: Kept) -> None:
    (manifest,) = (each.lfn for each in kept.archive.products_in(kept.block) if is_manifest(each.lfn.text))
    kept.archive.remove_file(manifest)
    with pytest.raises(NotFoundError, match="has no manifest"):
        kept.bdms.blocks.manifest(kept.block)
    assert kept.bdms.blocks.check_manifests(kept.block, rse=ONSITE)[0].verdict == "the block has no manifest"
    other = kept.block.name[:-8] + "ffffffff"
    assert kept.bdms.blocks.check_manifests(other)[0].verdict == "the block is empty or does not exist"
