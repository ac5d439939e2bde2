"""Users upload into their own area, within their quota."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.errors import QuotaError, UsageError
from ctao_bdms.ingest import Status
from ctao_bdms.model import NewProduct, RetentionClass
from ctao_bdms.naming import BlockName

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.put.archive import Archive

    pass


def test_users_put_into_their_own_area_within_their_quota(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some thoughts")
    said = NewProduct.of(user="ada", folder="irf")
    archive.catalogue.quotas = dict.fromkeys(("PIC-DISK", "CSCS-DISK", "DESY-DISK"), 12)
    with pytest.raises(QuotaError, match="13 bytes are more than the 12"):
        archive.bdms.put(path, product=said)
    assert not archive.files_on_storage()
    archive.catalogue.quotas = {}
    (outcome,) = archive.bdms.put(path, product=said)
    assert (outcome.status, str(outcome.lfn)) == (Status.REGISTERED, "/ctao/user/a/ada/irf/notes.txt")
    assert outcome.block is not None
    assert outcome.block.scope == "user.ada"
    assert BlockName.parse(outcome.block.name).retention is RetentionClass.USER
    with pytest.raises(UsageError, match="for a while only"):
        archive.bdms.put(path, product=said, storage="archive")


def test_users_put_no_more_than_the_quota_of_the_policy(archive: Archive, tmp_path: Path) -> None:
    policy = archive.bdms.replication.policy
    terms = attrs.evolve(policy.retention(RetentionClass.USER), quota_bytes=30)
    policy = attrs.evolve(policy, retentions={**policy.retentions, RetentionClass.USER: terms})
    bdms = Bdms(archive.catalogue, now=lambda: archive.now, policy=policy)
    said = NewProduct.of(user="ada", folder="irf")
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for path in paths:
        path.write_text("some thoughts")
    with pytest.raises(QuotaError, match=r"39 bytes are more than the 30 .* keep 30 bytes, and 0 are kept"):
        bdms.put(paths, product=said)
    assert not archive.files_on_storage()
    bdms.put(paths[:1], product=said, near="PIC")
    archive.now += dt.timedelta(minutes=5)
    with pytest.raises(QuotaError, match=r"26 bytes are more than the 17 .* keep 30 bytes, and 13 are kept"):
        bdms.put(paths, product=said, near="DESY")
    (known, new) = bdms.put(paths[:2], product=said, near="DESY")
    assert (known.status, new.status) == (Status.KNOWN, Status.REGISTERED)
