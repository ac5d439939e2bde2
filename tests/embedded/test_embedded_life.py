"""How an embedded Rucio starts, survives and ends."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from ctao_bdms.embedded import INGEST, RSES, Instance, InstanceStatus, add_scope, run, start, status, stop
from ctao_bdms.embedded.state import State
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.errors import EmbeddedError, HomeInUseError, NotRunningError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.processes import ProcessId

ONSITE, PIC, CSCS = RSES


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.05)


def processes(home: Path) -> list[ProcessId]:
    record = RunRecord.load(home / "run.json")
    assert record is not None
    return [record.supervisor, *record.parts.values()]


def none_alive(found: list[ProcessId]) -> bool:
    return not any(process.alive for process in found)


def is_open(url: str | None) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(url or "").port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def scopes(home: Path) -> list[str]:
    """Ask the server for the scopes of the ingest account."""
    state = State.load(home / "state.json")
    assert state is not None
    connection = http.client.HTTPConnection("127.0.0.1", state.server_port, timeout=60)
    password = state.passwords[INGEST]
    login = {"X-Rucio-Account": INGEST, "X-Rucio-Username": INGEST, "X-Rucio-Password": password}
    try:
        connection.request("GET", "/auth/userpass", headers=login)
        answer = connection.getresponse()
        answer.read()
        token = {"X-Rucio-Auth-Token": str(answer.headers["X-Rucio-Auth-Token"])}
        connection.request("GET", f"/scopes/{INGEST}/scopes", headers=token)
        found: list[str] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


def part(now: InstanceStatus, name: str) -> int:
    return next(part.pid for part in now.parts if part.name == name)


def test_all_is_found_again_and_nothing_is_left(tmp_path: Path) -> None:
    home = tmp_path / "home"
    steps: list[str] = []
    with start(home, on_step=steps.append) as first:
        add_scope(home, "kept")
        up, here = status(home), processes(home)
        urls = [up.server_url, up.transfers_url]
        assert up.running
        assert all(map(is_open, urls))
    assert any("tables" in step for step in steps)
    assert none_alive(here)
    assert not any(map(is_open, urls))
    assert not status(home).running
    assert not (home / "run.json").exists()
    assert not (home / "socket").exists()
    first.stop()  # once more does no harm

    steps.clear()
    with start(home, on_step=steps.append):
        again = status(home)
        assert [again.server_url, again.transfers_url] == urls
        assert "kept" in scopes(home)
    assert not any("tables" in step for step in steps)


def test_a_port_in_use_is_replaced_and_rucio_is_told(ask: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start(home):
        before = status(home)
    with _occupied(before.server_url), _occupied(before.transfers_url), start(home) as rucio:
        now = status(home)
        assert now.running
        assert now.server_url != before.server_url
        assert now.transfers_url != before.transfers_url
        program = "answer = [client.list_rse_attributes(rse['rse'])['fts'] for rse in client.list_rses()]"
        assert ask(rucio, program) == [now.transfers_url] * len(RSES)
    with start(home):
        assert status(home).server_url == now.server_url
        assert status(home).transfers_url == now.transfers_url


def _occupied(url: str | None) -> socket.socket:
    return socket.create_server(("127.0.0.1", urlsplit(url or "").port or 0))


@pytest.fixture
def closed_block(ask: Callable[..., Any]) -> Callable[[Instance], list[dict[str, Any]]]:
    """Put 30 files into a closed dataset on the on-site RSE."""

    def make(rucio: Instance) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = []
        for number in range(30):
            name, data = f"/ctao/acada/block/file-{number:02d}.bin", os.urandom(5_000 + number)
            path = rucio.storage(ONSITE) / name[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            files.append({"scope": "acada", "name": name, "bytes": len(data), "adler32": f"{zlib.adler32(data):08x}"})
        program = """
dataset = {"scope": "acada", "name": "/ctao/acada/block"}
client.add_dataset(**dataset)
client.attach_dids(**dataset, dids=arguments[1], rse=arguments[0])
client.close(**dataset)
answer = None
"""
        ask(rucio, program, ONSITE, files)
        return files

    return make


RULE = """
dataset = {"scope": "acada", "name": "/ctao/acada/block"}
answer = client.add_replication_rule([dataset], 1, arguments[0], source_replica_expression=arguments[1])[0]
"""
OUTCOME = """
wait_for(lambda: client.get_replication_rule(arguments[0])["state"] == "OK")
dataset = {"scope": "acada", "name": "/ctao/acada/block"}
answer = [sorted(replica["rses"]) for replica in client.list_replicas([dataset], sort="random")]
"""


def test_a_killed_supervisor_loses_and_doubles_nothing(
    ask: Callable[..., Any], tmp_path: Path, closed_block: Callable[[Instance], list[dict[str, Any]]]
) -> None:
    home = tmp_path / "home"
    rucio = start(home)
    here = processes(home)
    os.kill(here[0].pid, signal.SIGKILL)
    wait_for(lambda: none_alive(here))  # all by themselves
    rucio.stop()

    rucio = start(home)
    files = closed_block(rucio)
    here = processes(home)
    daemons = part(status(home), "daemons")
    os.kill(daemons, signal.SIGSTOP)
    rule = ask(rucio, RULE, PIC, ONSITE)
    for pid in (here[0].pid, daemons):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: none_alive(here))
    rucio.stop()
    # what a daemon leaves that is killed while it submits, at its worst
    _as_if_killed_while_submitting(home, here)
    with start(home) as rucio:
        assert ask(rucio, OUTCOME, rule) == [sorted([ONSITE, PIC])] * len(files)
        copies = [path for path in rucio.storage(PIC).rglob("*") if path.is_file()]
        assert sorted(path.name for path in copies) == sorted(Path(file["name"]).name for file in files)
        sums = {file["name"]: file["adler32"] for file in files}
        for path in copies:
            assert f"{zlib.adler32(path.read_bytes()):08x}" == sums[f"/ctao/acada/block/{path.name}"]


def _as_if_killed_while_submitting(home: Path, dead: list[ProcessId]) -> None:
    """Start the database alone, and let the dead hold requests and shares of the work."""
    from ctao_bdms.embedded import Home
    from ctao_bdms.embedded.database.postgres import Postgres

    place = Home(home)
    postgres = Postgres(place)
    postgres.forget_the_dead(place.socket)
    with (home / "log" / "test.log").open("w") as log:
        server = subprocess.Popen(postgres.service(place.socket), stderr=log)
    try:
        url = f"postgresql://postgres@/postgres?host={place.socket}"
        wait_for(lambda: _answers(url))
        with psycopg.connect(url) as connection:
            taken = connection.execute(
                "update rucio.requests set state = 'G', last_processed_by = 'dead', last_processed_at = now()"
            )
            assert taken.rowcount == 30
            connection.execute(
                "insert into rucio.heartbeats (executable, readable, hostname, pid, thread_id, thread_name, "
                "created_at, updated_at) select distinct executable, readable, 'elsewhere', %s::bigint, 1, 'x', "
                "now(), now() from rucio.heartbeats",
                [dead[0].pid],
            )
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def healing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with start(tmp_path_factory.mktemp("healing") / "home") as instance:
        yield instance


@pytest.mark.parametrize("name", ["server", "daemons", "transfers", "postgres", "follower"])
def test_a_part_that_is_killed_comes_back(healing: Instance, name: str) -> None:
    home = healing.home.path
    before = part(status(home), name)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: status(home).running and part(status(home), name) != before)
    assert "acada" in scopes(home)
    assert is_open(status(home).transfers_url)


OWNER = """
import sys, signal
from ctao_bdms.embedded import start
instance = start(sys.argv[1])
print("up", flush=True)
signal.pause()
"""


def test_the_death_of_the_owner_ends_everything(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with subprocess.Popen([sys.executable, "-c", OWNER, home], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        here = processes(home)
        owner.kill()
    wait_for(lambda: none_alive(here))
    wait_for(lambda: not (home / "run.json").exists())


def test_a_detached_one_outlives_its_starter_and_is_stopped_by_anybody(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 10) / ("er" * 20) / "home"  # too long for a socket
    program = "import sys; from ctao_bdms.embedded import start; start(sys.argv[1], detach=True)"
    subprocess.run([sys.executable, "-W", "error", "-c", program, home], check=True, stdin=subprocess.DEVNULL)
    try:
        assert status(home).running
        here = processes(home)
        state = State.load(home / "state.json")
        assert state is not None
        socket_folder = Path(state.socket_folder or "")
        assert socket_folder.is_absolute()
        assert socket_folder.is_dir()
        with pytest.raises(HomeInUseError):
            start(home)
    finally:
        stop(home)
    assert none_alive(here)
    assert not socket_folder.exists()
    with pytest.raises(NotRunningError):
        stop(home)


def test_in_the_foreground_it_runs_until_interrupted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = """
import sys
from ctao_bdms.embedded import run
run(sys.argv[1], on_ready=lambda rucio: print(rucio.server_url, "answers", flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", program, home], stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        while "answers" not in foreground.stdout.readline():
            assert foreground.poll() is None
        here = processes(home)
        foreground.send_signal(signal.SIGTERM)
        assert foreground.wait(60) == 0
    assert none_alive(here)


def test_run_refuses_what_start_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be a PostgreSQL"):
        run(tmp_path / "home", database_url="sqlite:///rucio.db")
    assert not (tmp_path / "home").exists()


@pytest.fixture
def external(tmp_path: Path) -> Iterator[str]:
    """Run a PostgreSQL that is not ours, and return its URL: Debian's, or the wheel's where there is none."""
    from ctao_bdms.embedded.database import postgres
    from ctao_bdms.embedded.supervision import unprivileged

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = debian[-1] if debian else max(postgres._installed().items())[1]
    folder = tmp_path / "external"
    unprivileged.give(folder)
    secret = tmp_path / "secret"
    secret.write_text("s%3cr/t:@")
    if os.geteuid() == 0:
        os.chown(secret, 65534, 65534)
    data = folder / "data"
    options = ["-D", data, "-U", "boss", "-A", "scram-sha-256", f"--pwfile={secret}", "--locale=C", "--encoding=UTF8"]
    initdb = [programs / "initdb", *options]
    subprocess.run(unprivileged.unprivileged(list(map(str, initdb)), signal.SIGINT), check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = [programs / "postgres", "-D", data, "-k", "", "-h", "127.0.0.1", "-p", port]
    with (tmp_path / "external.log").open("w") as log:
        server = subprocess.Popen(unprivileged.unprivileged(list(map(str, service)), signal.SIGINT), stderr=log)
    url = f"postgresql://boss:s%253cr%2Ft%3A%40@127.0.0.1:{port}/postgres"
    try:
        wait_for(lambda: _answers(url))
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def test_a_database_of_ones_own(tmp_path: Path, external: str) -> None:
    home = tmp_path / "home"
    with start(home, database_url=external):
        now = status(home)
        assert {part.name for part in now.parts} == {"transfers", "server", "daemons", "follower"}
        assert now.database is not None
        assert "s%253cr" not in now.database
        add_scope(home, "kept")
        for part in now.parts:
            assert b"s%253cr" not in Path(f"/proc/{part.pid}/cmdline").read_bytes()
    assert not (home / "postgres").exists()
    assert _answers(external)
    with start(home):
        assert "kept" in scopes(home)
    with pytest.raises(EmbeddedError, match="choose another --home"):
        start(home, database_url="postgresql://elsewhere/rucio")
    with pytest.raises(EmbeddedError, match="already contains another Rucio"):
        start(tmp_path / "other", database_url=external)
    assert not status(tmp_path / "other").running


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(EmbeddedError, match="does not answer") as caught:
        start(tmp_path / "home", database_url=f"postgresql://boss:secret@127.0.0.1:{port}/rucio")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "home" / "run.json").exists()


def test_a_folder_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(EmbeddedError, match="not empty"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupted_first_start_begins_again(tmp_path: Path) -> None:
    home = tmp_path / "home"

    class Interrupted(Exception):  # noqa: N818
        pass

    def interrupt(step: str) -> None:
        if "tables" in step:
            raise Interrupted

    with pytest.raises(Interrupted):
        start(home, on_step=interrupt)
    state = State.load(home / "state.json")
    assert state is not None
    assert state.phase != "ready"
    assert not (home / "run.json").exists()
    with start(home):
        assert "acada" in scopes(home)


def test_an_ordinary_user_needs_no_more(tmp_path: Path) -> None:
    """Without root's rights nothing is missing; as root, another user is put on (who may read where Python lies)."""
    program = """
import os, sys
from ctao_bdms.embedded import start, status
with start(sys.argv[1]) as rucio:
    print(os.geteuid(), status(rucio.home.path).running)
"""
    folder = Path(tempfile.mkdtemp(prefix="bdms-user-"))
    command = [sys.executable, "-c", program, str(folder / "home")]
    user = os.geteuid()
    if user == 0:
        user = pwd.getpwnam("nobody").pw_uid
        os.chown(folder, user, user)
        reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *reading, *command]
    try:
        done = subprocess.run(
            command, env=os.environ | {"HOME": str(folder)}, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.stdout.split() == [str(user), "True"], done.stderr
        assert [path.name for path in folder.iterdir()] == ["home"]
    finally:
        shutil.rmtree(folder)
