"""Products of a job, put into a real Rucio whose centres are servers of Debian's XRootD."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctao_bdms.archive import Bdms
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn, ReplicaState
from ctao_bdms.naming import BlockName
from ctao_bdms.replication import Policy
from tests.debian import demand
from tests.embedded.storage_servers import is_there
from tests.embedded.test_put_rucio import make_jobs, write_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.testing.plugin import RucioNamespace

demand("xrootd-server", there=is_there())

CENTRES = ("PIC-DISK", "CSCS-DISK")


def test_a_product_goes_to_a_server_to_a_second_one_and_back(
    embedded_rucio_xrootd: RucioNamespace, tmp_path: Path
) -> None:
    (tmp_path / "accounts").mkdir()
    wms = make_jobs(embedded_rucio_xrootd.instance, tmp_path / "accounts")["wms"]
    folder = write_folder(tmp_path / "job", 2)
    answer = wms.put(folder, storage="archive", near="CSCS")
    assert [row[0] for row in answer.get("rows", ())] == ["registered"] * 2, answer
    (block,) = {row[2] for row in answer["rows"]}
    assert BlockName.parse(block).origin == "CSCS"

    bdms = Bdms(embedded_rucio_xrootd.catalogue, policy=Policy.load())
    until = time.monotonic() + 200
    while not (state := bdms.rules.states(wms.scope)[0]).is_complete:
        assert time.monotonic() < until, state
        time.sleep(0.3)
    held = bdms.catalogue.products_in(BlockName.parse(block).did)
    assert len(held) == 3, "two files and their manifest"
    for file in bdms.catalogue.files([product.lfn for product in held]).values():
        assert {r.rse: r.state for r in file.replicas} == dict.fromkeys(CENTRES, ReplicaState.AVAILABLE)

    # back again, and as it was
    lfns = [Lfn(row[1]) for row in answer["rows"]]
    fetched = bdms.retrieve(lfns, tmp_path / "back")
    assert not fetched.failed, fetched
    for path in sorted(folder.iterdir()):
        assert digest_file(tmp_path / "back" / path.name, ("sha256",)) == digest_file(path, ("sha256",))

    # the manifest says so at both centres
    checks = bdms.blocks.check_manifests(block, deep=True)
    assert {(check.rse, check.n_read) for check in checks} == {(rse, 2) for rse in CENTRES}
    assert [check.problems for check in checks] == [(), ()]

    again = wms.put(folder, storage="archive", near="PIC")
    assert [row[0] for row in again["rows"]] == ["known"] * 2
    assert not [path for rse in CENTRES for path in embedded_rucio_xrootd.instance.storage(rse).rglob(".bdms-*")]
