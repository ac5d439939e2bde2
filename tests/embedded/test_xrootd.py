"""A real Rucio on storage that is servers of Debian's XRootD: a night, the uplink, and what goes wrong on the way."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import Instance, InstanceStatus, start, status, stop
from ctao_bdms.embedded.state import State
from ctao_bdms.embedded.xrootd.webdav import WebDav
from ctao_bdms.errors import EmbeddedError, UsageError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn, ReplicaState
from ctao_bdms.preservation import Decision, SpacePolicy
from ctao_bdms.preservation.proofs import prove
from ctao_bdms.preservation.verifiers import VERIFIERS
from ctao_bdms.processes import ProcessId
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night
from tests.debian import demand
from tests.embedded.storage_servers import Proxy, is_there, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.replication import BlockStates
    from ctao_bdms.testing.plugin import RucioNamespace

demand("xrootd-server", there=is_there())

ONSITE, CENTRES = "CTAO-NORTH-ONSITE", ("PIC-DISK", "CSCS-DISK")
PROTOCOL = """
rse, port = arguments
(row,) = [row for row in client.get_protocols(rse) if row["scheme"] == "http"]
client.delete_protocols(rse, "http", hostname=row["hostname"], port=row["port"])
kept = {key: row[key] for key in ("scheme", "hostname", "prefix", "impl", "domains")}
client.add_protocol(rse, kept | {"port": port})
answer = row["port"]
"""
RULES = """
answer = [
    {key: row[key] for key in ("id", "state", "error", "locks_ok_cnt", "locks_stuck_cnt", "rse_expression")}
    for row in client.list_replication_rules({"scope": arguments[0]})
]
"""


@pytest.fixture
def uplink(embedded_rucio_xrootd_instance: Instance, ask: Callable[..., Any]) -> Iterator[Proxy]:
    """What leaves the site by HTTP, and nothing else does, goes through this proxy."""
    instance = embedded_rucio_xrootd_instance
    proxy = Proxy(port(status(instance.home.path), ONSITE, "http"))
    before = ask(instance, PROTOCOL, ONSITE, proxy.port, account="root")
    yield proxy
    ask(instance, PROTOCOL, ONSITE, before, account="root")
    proxy.close()


def port(state: InstanceStatus, rse: str, scheme: str) -> int:
    return int(state.storage_urls[rse][scheme].split("/")[2].partition(":")[2])


def pid(home: Path, name: str) -> int:
    """Return the process of a part; 0 if it is being started again."""
    return next((part.pid for part in status(home).parts if part.name == name and part.alive), 0)


def complete(space: RucioNamespace, timeout_s: float = 120) -> BlockStates:
    """Reconcile until every copy is there."""
    until = time.monotonic() + timeout_s
    while not (states := space.bdms.rules.reconcile(space.scope)).is_complete or not states:
        assert time.monotonic() < until, states
        time.sleep(0.3)
    return states


def ingested(space: RucioNamespace, files: int, megabytes: float = 0.3) -> dict[Lfn, WrittenFile]:
    """Write a night and ingest it."""
    written = write_night(space.root, night_specs(files, megabytes=megabytes, scope=space.scope))
    report = space.bdms.ingest(space.root / "ctao" / space.scope)
    assert [outcome.status.value for outcome in report] == ["registered"] * files
    return {each.lfn: each for each in written}


def assert_whole(space: RucioNamespace, written: dict[Lfn, WrittenFile]) -> None:
    """Check each copy, in the catalogue and on the disks."""
    found = space.catalogue.files(written)
    assert set(found) == set(written)
    for lfn, file in found.items():
        assert {r.rse: r.state for r in file.replicas} == dict.fromkeys((ONSITE, *CENTRES), ReplicaState.AVAILABLE)
        for rse in (ONSITE, *CENTRES):
            size, digests = digest_file(Path(f"{space.instance.storage(rse)}{lfn}"), ("sha256",))
            assert (size, digests["sha256"]) == (written[lfn].size_bytes, written[lfn].sha256), (rse, lfn)
    assert not [path for rse in CENTRES for path in space.instance.storage(rse).rglob(".bdms-*")]


def test_a_night_from_triggers_to_two_centres_uses_the_uplink_once(
    embedded_rucio_xrootd: RucioNamespace, uplink: Proxy, tmp_path: Path
) -> None:
    space = embedded_rucio_xrootd
    written = ingested(space, 12)
    (block,) = complete(space)
    assert_whole(space, written)

    # the uplink: each file was read from the site once, and no more bytes went than it has, but for HTTP's own
    held = {product.lfn: product.size_bytes for product in space.catalogue.products_in(block.did)}
    assert len(held) == len(written) + 1, "the files and their manifest"
    assert sorted(uplink.read) == sorted(f"/{ONSITE}{lfn}" for lfn in held)
    total = sum(held.values())
    print(f"uplink: {len(held)} files of {total} bytes; {uplink.returned} bytes left the site")
    assert total <= uplink.returned <= total + 2000 * len(held)

    urls = status(space.instance.home.path).storage_urls
    for number, (lfn, each) in enumerate(written.items()):
        original, copy = each.path.read_bytes(), tmp_path / f"{number}"
        for rse in CENTRES:
            subprocess.run(["xrdcp", "--silent", f"{urls[rse]['root']}{lfn}", copy], check=True)
            assert copy.read_bytes() == original
            copy.unlink()
            pieces: list[bytes] = []
            WebDav().fetch(f"{urls[rse]['http']}{lfn}", pieces.append)
            assert b"".join(pieces) == original

    # Rucio names root:// first; where XRootD's bindings are missing, the copies are read through the other door
    without = {scheme: each for scheme, each in VERIFIERS.items() if scheme not in {"root", "roots"}}
    proof = prove(space.catalogue, block.did, "PIC-DISK", "PIC", now=lambda: dt.datetime.now(dt.UTC), verifiers=without)
    assert (proof.result, proof.how) == ("sound", "http")

    # two centres hold what was read back there, through their servers: the copy on site can go
    (row,) = space.bdms.nights.release(space.scope, policy=SpacePolicy(older_than=dt.timedelta()), apply=True)
    assert row.verdict is Decision.ENDED, row
    hows = [proof.how for proof in space.bdms.blocks.evidence(block.did) if proof.rse in CENTRES]
    assert {how for each in hows for how in each.split(", ")} <= {"http", "root"}
    wait_until(lambda: not any(each.path.exists() for each in written.values()), 200)
    wait_until(lambda: all(len(file.replicas) == 2 for file in space.catalogue.files(written).values()), 200)
    assert {r.rse for file in space.catalogue.files(written).values() for r in file.replicas} == set(CENTRES)
    assert total <= uplink.returned <= total + 2000 * len(held), "nothing more has left the site"


def test_rucio_knows_folders_on_site_and_servers_everywhere(embedded_rucio_xrootd: RucioNamespace) -> None:
    space = embedded_rucio_xrootd
    elements = space.catalogue.rses()
    assert elements[ONSITE].prefix == str(space.instance.storage(ONSITE))
    assert {elements[rse].prefix for rse in CENTRES} == {""}
    urls = status(space.instance.home.path).storage_urls
    for lfn, file in space.catalogue.files(ingested(space, 4, 0.01)).items():
        assert {r.pfn for r in file.replicas if r.rse == ONSITE} == {f"{urls[ONSITE]['root']}{lfn}"}


def test_bytes_are_freed_by_rucio(embedded_rucio_xrootd: RucioNamespace, ask: Callable[..., Any]) -> None:
    space = embedded_rucio_xrootd
    written = ingested(space, 4, 0.01)
    complete(space)
    # Without a lock there is nothing to end, and the copy would stay: the evaluator may still be at it.
    program = """
rows = client.list_replication_rules({"scope": arguments[0]})
(rule,) = [row["id"] for row in rows if row["rse_expression"] == arguments[1]]
wait_for(lambda: client.get_replication_rule(rule)["locks_ok_cnt"] == 5, 150)  # four files and the manifest
answer = client.update_replication_rule(rule, {"lifetime": -1})
"""
    ask(space.instance, program, space.scope, ONSITE, account="root")
    paths = {rse: [Path(f"{space.instance.storage(rse)}{lfn}") for lfn in written] for rse in (ONSITE, *CENTRES)}
    wait_until(lambda: not any(path.exists() for path in paths[ONSITE]), 200)
    assert all(path.exists() for rse in CENTRES for path in paths[rse])
    wait_until(lambda: all(len(file.replicas) == 2 for file in space.catalogue.files(written).values()), 200)


@pytest.mark.parametrize("scheme", ["root", "http"])
def test_stock_rucio_puts_and_gets(
    embedded_rucio_xrootd: RucioNamespace, ask: Callable[..., Any], scheme: str, tmp_path: Path
) -> None:
    space = embedded_rucio_xrootd
    source, name = tmp_path / "source", f"/ctao/{space.scope}/{scheme}/file+1"
    source.write_bytes(os.urandom(300_000))
    program = """
from rucio.client.downloadclient import DownloadClient
from rucio.client.uploadclient import UploadClient
path, scope, name, scheme, folder = arguments
UploadClient(client).upload(
    [{"path": path, "rse": "PIC-DISK", "did_scope": scope, "did_name": name, "force_scheme": scheme}]
)
item = {"did": f"{scope}:{name}", "base_dir": folder, "force_scheme": scheme, "no_subdir": True}
(answer,) = [row["dest_file_paths"][0] for row in DownloadClient(client).download_dids([item])]
"""
    got = ask(space.instance, program, str(source), space.scope, name, scheme, str(tmp_path / "got"), account="root")
    assert Path(got).read_bytes() == source.read_bytes()
    assert Path(f"{space.instance.storage('PIC-DISK')}{name}").read_bytes() == source.read_bytes()


def test_bits_turned_over_on_the_uplink_end_in_a_correct_copy(
    embedded_rucio_xrootd: RucioNamespace, uplink: Proxy
) -> None:
    space = embedded_rucio_xrootd
    uplink.flips = 2
    written = ingested(space, 4)
    complete(space)
    assert uplink.flips == 0
    assert_whole(space, written)
    assert len(uplink.read) > len(written)
    log = (space.instance.home.log / "transfers.log").read_text()
    assert "DESTINATION CHECKSUM MISMATCH Destination and user-defined ADLER32 do not match" in log


def test_bytes_that_changed_after_registration_go_nowhere(
    embedded_rucio_xrootd: RucioNamespace, ask: Callable[..., Any]
) -> None:
    space = embedded_rucio_xrootd
    written = ingested(space, 4, 0.01)
    bad, *good = written
    path = written[bad].path
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, (1e9, 1e9))

    def errors() -> list[str]:
        space.bdms.rules.reconcile(space.scope)
        return [row["error"] for row in ask(space.instance, RULES, space.scope) if row["error"]]

    wait_until(errors, 120)
    print(*errors(), sep="\n")
    assert any("SOURCE CHECKSUM MISMATCH Source and user-defined ADLER32 do not match" in text for text in errors())
    replicas = space.catalogue.files([bad])[bad].replicas
    assert {r.rse for r in replicas if r.state is ReplicaState.AVAILABLE} == {ONSITE}
    assert not any(Path(f"{space.instance.storage(rse)}{bad}").exists() for rse in CENTRES)
    path.write_bytes(content)  # and repaired
    complete(space)
    assert_whole(space, written)
    assert good


def test_a_stale_file_at_a_centre_is_replaced(embedded_rucio_xrootd: RucioNamespace) -> None:
    space = embedded_rucio_xrootd
    specs = night_specs(4, megabytes=0.01, scope=space.scope)
    written = {each.lfn: each for each in write_night(space.root, specs)}
    for rse in CENTRES:
        stale = Path(f"{space.instance.storage(rse)}{next(iter(written))}")
        stale.parent.mkdir(parents=True)
        stale.write_bytes(b"half of")
    space.bdms.ingest(space.root / "ctao" / space.scope)
    complete(space)
    assert_whole(space, written)


@pytest.mark.parametrize("rse", [ONSITE, *CENTRES])
def test_a_server_that_is_killed_comes_back_where_it_was(
    embedded_rucio_xrootd: RucioNamespace, uplink: Proxy, rse: str
) -> None:
    space = embedded_rucio_xrootd
    home, name = space.instance.home.path, f"xrootd-{rse}"
    uplink.delay_s = 0.02  # so that it dies in the middle
    written = ingested(space, 4, 2)
    space.bdms.rules.reconcile(space.scope)
    wait_until(lambda: uplink.returned > 100_000, 200)
    before, urls = pid(home, name), status(home).storage_urls
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: status(home).running and pid(home, name) not in {0, before}, 200)
    uplink.delay_s = 0
    assert status(home).storage_urls == urls
    complete(space)
    assert_whole(space, written)


def test_the_transfer_service_is_killed(embedded_rucio_xrootd: RucioNamespace, uplink: Proxy) -> None:
    space = embedded_rucio_xrootd
    home = space.instance.home.path
    uplink.delay_s = 0.02
    written = ingested(space, 4, 2)
    space.bdms.rules.reconcile(space.scope)
    wait_until(lambda: uplink.returned > 100_000, 200)
    before = pid(home, "transfers")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: status(home).running and pid(home, "transfers") not in {0, before}, 200)
    uplink.delay_s = 0
    complete(space)
    assert_whole(space, written)


def test_the_kind_of_storage_is_kept(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 10) / ("er" * 20) / "home"
    with start(home, storage="xrootd") as instance:
        first = status(home)
        assert first.running
        kept = instance.storage("PIC-DISK") / "kept"
        kept.write_bytes(b"bytes")
    assert not status(home).running
    with pytest.raises(EmbeddedError, match="of the kind xrootd, not files; choose another --home"):
        start(home, storage="files")
    servers: list[ProcessId | None] = []
    with start(home):
        again = status(home)
        assert again.storage_urls == first.storage_urls
        assert WebDav().size(f"{again.storage_urls['PIC-DISK']['http']}/kept") == 5
        servers += [ProcessId.of(part.pid) for part in again.parts if part.name.startswith("xrootd-")]
        os.kill(again.supervisor_pid or 0, signal.SIGKILL)
        wait_until(lambda: not any(server and server.alive for server in servers))
    assert len(servers) == 3


def test_a_home_of_an_earlier_release_has_folders(tmp_path: Path) -> None:
    State(server_port=1).save(tmp_path / "state.json")
    text = (tmp_path / "state.json").read_text()
    lines = [line for line in text.splitlines() if '"storage' not in line]
    (tmp_path / "state.json").write_text("\n".join(lines).replace('"socket_folder": null,', '"socket_folder": null'))
    state = State.load(tmp_path / "state.json")
    assert state is not None
    assert (state.storage, state.storage_ports, state.server_port) == ("files", {}, 1)


def test_other_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown storage 'tape'; known are files and xrootd"):
        start(tmp_path / "home", storage="tape")  # type: ignore[arg-type]


def test_a_home_that_xrootd_cannot_name(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"my archive; choose another --home"):
        start(tmp_path / "my archive", storage="xrootd")


def test_packages_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "setpriv").symlink_to(shutil.which("setpriv") or "")
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(EmbeddedError, match="apt-get install xrootd-server xrootd-client") as caught:
        start(tmp_path / "home", storage="xrootd")
    assert "needs xrootd and xrdcp and xrdfs" in str(caught.value)
    assert not (tmp_path / "home" / "run.json").exists()


def test_the_command_line_starts_it(tmp_path: Path) -> None:
    def bdms(*arguments: str, code: int = 0) -> str:
        program = "import sys; from ctao_bdms.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, *arguments, "--home", str(tmp_path / "home")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    try:
        shown = bdms("up", "--detach", "--storage", "xrootd")
        assert "root://127.0.0.1:" in shown
        assert "xrootd-PIC-DISK" in shown
    finally:
        stop(tmp_path / "home")
    refused = bdms("up", "--detach", "--storage", "files", code=1)
    assert "choose another --home" in refused
    assert "Traceback" not in refused
