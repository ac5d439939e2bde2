"""Rucio's reaper deletes files of an embedded storage element, and forgets none that it could not delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms.model import Lfn
from tests.embedded.storage_servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.testing.plugin import RucioNamespace

PIC = "PIC-DISK"
KEEP = """
scope, name = arguments
file = {"scope": scope, "name": name}
for rse in ("CSCS-DISK", "PIC-DISK"):  # two, as the policy lets nobody end the last one
    client.add_replicas(rse, [file | {"bytes": 1, "adler32": "00790079"}])
    (answer,) = client.add_replication_rule([file], 1, rse)
"""
END = """
answer = client.update_replication_rule(arguments[0], {"lifetime": -1})
"""
DELETE = """
from rucio.common.exception import ServiceUnavailable, SourceNotFound
from rucio.rse import rsemanager

protocol = rsemanager.create_protocol(rsemanager.get_rse_info("PIC-DISK", vo="def"), "delete", scheme="file")


def delete(path):
    try:
        protocol.delete(f"file://localhost{path}")
    except (ServiceUnavailable, SourceNotFound) as error:
        return type(error).__name__
    return "deleted"


prefix, *names = arguments
answer = [delete(protocol.attributes["prefix"].rstrip("/") + name) for name in names]
protocol.attributes["prefix"] = prefix
answer.append(delete(f"{prefix}/ctao/file"))
"""


def test_missing_file_is_told_from_one_that_cannot_be_deleted(
    embedded_rucio: RucioNamespace, ask: Callable[..., Any], tmp_path: Path
) -> None:
    instance, name = embedded_rucio.instance, f"/ctao/{embedded_rucio.scope}"
    folder = Path(f"{instance.storage(PIC)}{name}")
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x")
    (folder / "other").write_bytes(b"x")
    (folder / "blocked").mkdir()
    names = [f"{name}/{each}" for each in ("file", "file", "blocked", "other/file")]
    # the last answer is of a storage that is not mounted: nothing there counts as deleted
    assert ask(instance, DELETE, str(tmp_path / "unmounted"), *names, account="root") == [
        "deleted",
        "SourceNotFound",
        "ServiceUnavailable",
        "ServiceUnavailable",
        "ServiceUnavailable",
    ]
    assert not (folder / "file").exists()


def test_copy_that_cannot_be_deleted_stays_in_the_catalogue_until_it_can(
    embedded_rucio: RucioNamespace, ask: Callable[..., Any]
) -> None:
    space, lfn = embedded_rucio, Lfn(f"/ctao/{embedded_rucio.scope}/DL3/file.fits")
    rule = ask(space.instance, KEEP, space.scope, str(lfn), account="root")
    path = Path(f"{space.instance.storage(PIC)}{lfn}")
    path.mkdir(parents=True)  # what lies there cannot be deleted as a file

    def is_known() -> bool:
        return PIC in {replica.rse for replica in space.catalogue.files([lfn])[lfn].replicas}

    ask(space.instance, END, rule, account="root")
    wait_until(lambda: "Is a directory" in (space.instance.home.log / "daemons.log").read_text(), 120)
    assert is_known()
    path.rmdir()
    path.write_bytes(b"x")
    wait_until(lambda: not is_known(), 120)
    assert not path.exists()
