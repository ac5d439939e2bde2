"""What a running embedded Rucio is: one instance, many looks at it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import INGEST, READER, ROOT, RSES, Instance, add_scope, start, status
from ctao_bdms.errors import ConflictError, EmbeddedError, HomeInUseError, NotRunningError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONSITE, PIC, CSCS = RSES


@pytest.fixture(scope="module")
def rucio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with start(tmp_path_factory.mktemp("rucio") / "home") as instance:
        yield instance


@pytest.mark.parametrize("account", [ROOT, INGEST, READER])
def test_each_account_can_log_in(ask: Callable[..., Any], rucio: Instance, account: str) -> None:
    answer = ask(rucio, "answer = [client.ping()['version'], client.whoami()['account']]", account=account)
    assert answer[0].startswith("41.")
    assert answer[1] == account


def test_status_says_what_runs(rucio: Instance) -> None:
    now = status(rucio.home.path)
    assert now.running
    assert {part.name for part in now.parts} == {"postgres", "transfers", "server", "daemons", "follower"}
    assert all(part.alive for part in now.parts)
    assert now.server_url == rucio.server_url
    assert set(now.rses) == set(rucio.rses)
    assert all(folder.is_dir() for folder in now.rses.values())
    assert all(config.is_file() for config in now.client_configs.values())


def test_secrets_are_for_the_owner_only(rucio: Instance) -> None:
    home = rucio.home
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    files = [home.state_file, home.server_config, *status(home.path).client_configs.values()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def _listening() -> Iterator[tuple[str, str]]:
    """Yield inode and address of each listening TCP socket of the machine."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[9], fields[1].split(":")[0]


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _descendants(int(child))


def test_everything_listens_on_loopback_only(rucio: Instance) -> None:
    supervisor = status(rucio.home.path).supervisor_pid
    assert supervisor is not None
    inodes = set()
    for pid in _descendants(supervisor):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    addresses = [address for inode, address in _listening() if inode in inodes]
    assert len(addresses) >= 2
    assert set(addresses) == {"0100007F"}


def test_the_server_opens_no_control_socket(rucio: Instance) -> None:
    assert status(rucio.home.path).running
    assert "gunicorn" not in Path("/proc/net/unix").read_text()


def test_a_second_start_in_the_same_home_is_refused(rucio: Instance) -> None:
    with pytest.raises(HomeInUseError) as caught:
        start(rucio.home.path)
    assert caught.value.pid == status(rucio.home.path).supervisor_pid
    assert status(rucio.home.path).running


def test_the_storage_elements_are_as_the_topology_says(ask: Callable[..., Any], rucio: Instance) -> None:
    program = """
answer = {}
for rse in client.list_rses():
    name = rse["rse"]
    answer[name] = client.list_rse_attributes(name), client.get_protocols(name)
"""
    found = ask(rucio, program, account=READER)
    assert set(found) == set(RSES)
    for name, (attributes, protocols) in found.items():
        expected = RSES[name].all_attributes(status(rucio.home.path).transfers_url or "")
        assert {key: attributes[key] for key in expected} == expected
        assert [protocol["prefix"] for protocol in protocols] == [f"{rucio.storage(name)}/"]


def test_the_tree_begins_at_the_vo(ask: Callable[..., Any], rucio: Instance) -> None:
    program = "answer = [[c['scope'], c['name'], c['type']] for c in client.list_content('root', '/ctao')]"
    assert ["acada", "/ctao/acada", "CONTAINER"] in ask(rucio, program, account=READER)


def test_ingest_and_root_have_no_quota(ask: Callable[..., Any], rucio: Instance) -> None:
    program = "answer = client.get_local_account_limits(arguments[0])"
    for account in (ROOT, INGEST):
        limits = ask(rucio, program, account, account=account)
        assert set(limits) == set(RSES)
        assert all(limit == float("inf") for limit in limits.values())


def test_metadata_go_to_our_plugin(ask: Callable[..., Any], rucio: Instance) -> None:
    program = """
client.add_dataset("acada", "/ctao/acada/metadata")
client.set_metadata("acada", "/ctao/acada/metadata", "data__level", "DL0")
answer = client.get_metadata("acada", "/ctao/acada/metadata", plugin="ALL")["data__level"]
"""
    assert ask(rucio, program, account=ROOT) == "DL0"


def test_a_scope_of_ones_own(ask: Callable[..., Any], rucio: Instance) -> None:
    name = add_scope(rucio.home.path, "mine")
    assert name == "/ctao/mine"
    program = """
client.add_dataset("mine", "/ctao/mine/set")
client.attach_dids("mine", "/ctao/mine", [{"scope": "mine", "name": "/ctao/mine/set"}])
members = [member["name"] for member in client.list_content("root", "/ctao")]
answer = list(client.list_scopes_for_account("bdms-ingest")), members
"""
    scopes, top = ask(rucio, program, account=INGEST)
    assert "mine" in scopes
    assert "/ctao/mine" in top
    with pytest.raises(ConflictError):
        add_scope(rucio.home.path, "mine")
    with pytest.raises(EmbeddedError, match="rejected"):
        add_scope(rucio.home.path, "No Scope")


def test_a_scope_needs_a_running_rucio(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        add_scope(tmp_path, "mine")


def test_there_is_no_configuration_for_a_stranger(rucio: Instance) -> None:
    with pytest.raises(UsageError, match=r"'nobody'.*bdms-ingest"):
        rucio.client_config("nobody")


def test_rules_move_bytes_and_their_end_frees_them(ask: Callable[..., Any], rucio: Instance) -> None:
    files = []
    for number in range(5):
        name, data = f"/ctao/acada/moved/file-{number}.bin", os.urandom(20_000 + number)
        path = rucio.storage(ONSITE) / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        files.append({"scope": "acada", "name": name, "bytes": len(data), "adler32": f"{zlib.adler32(data):08x}"})
    program = """
dataset = {"scope": "acada", "name": "/ctao/acada/moved"}
onsite, pic, cscs, files = arguments
client.add_dataset(**dataset)
client.attach_dids(**dataset, dids=files, rse=onsite)
client.close(**dataset)
rules = []
for source, destination in ((onsite, pic), (pic, cscs)):
    rules += client.add_replication_rule([dataset], 1, destination, source_replica_expression=source)
    wait_for(lambda: client.get_replication_rule(rules[-1])["state"] == "OK")
answer = rules, [replica["rses"] for replica in client.list_replicas([dataset], sort="random")]
"""
    rules, replicas = ask(rucio, program, ONSITE, PIC, CSCS, files, account=INGEST)
    found = sorted(pfn for rses in replicas for pfns in rses.values() for pfn in pfns)
    expected = sorted(f"file://localhost{rucio.storage(rse)}{file['name']}" for rse in RSES for file in files)
    assert found == expected
    for rse in RSES:
        for file in files:
            data = (rucio.storage(rse) / str(file["name"])[1:]).read_bytes()
            assert f"{zlib.adler32(data):08x}" == file["adler32"]

    gone = [rucio.storage(CSCS) / str(file["name"])[1:] for file in files]
    program = f"""
import pathlib
client.update_replication_rule(arguments[0], {{"lifetime": -1}})
wait_for(lambda: not any(pathlib.Path(path).exists() for path in arguments[1]))
names = [dict(scope="acada", name="/ctao/acada/moved")]
wait_for(lambda: not any("{CSCS}" in replica["rses"] for replica in client.list_replicas(names, sort="random")))
answer = [sorted(replica["rses"]) for replica in client.list_replicas(names, sort="random")]
"""
    left = ask(rucio, program, rules[1], [str(path) for path in gone], account=ROOT)
    assert left == [sorted([ONSITE, PIC])] * len(files)
    assert all((rucio.storage(PIC) / str(file["name"])[1:]).exists() for file in files)


def test_the_stock_command_downloads_by_lfn(ask: Callable[..., Any], rucio: Instance, tmp_path: Path) -> None:
    name, data = "/ctao/acada/fetched/file.bin", os.urandom(30_000)
    path = rucio.storage(ONSITE) / name[1:]
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    file = {"scope": "acada", "name": name, "bytes": len(data), "adler32": f"{zlib.adler32(data):08x}"}
    program = """
client.add_dataset("acada", "/ctao/acada/fetched")
client.attach_dids("acada", "/ctao/acada/fetched", [arguments[1]], rse=arguments[0])
answer = None
"""
    ask(rucio, program, ONSITE, file)
    command = [str(Path(sys.executable).parent / "rucio"), "download", "--dir", str(tmp_path), name]
    environment = os.environ | {"RUCIO_CONFIG": str(rucio.client_config(READER))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "acada" / name[1:]).read_bytes() == data
