"""A night by commands, as an operator would: ours, and Rucio's own."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night
from tests.e2e.conftest import Shell, alive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.testing.dl0 import WrittenFile


def _rucio(shell: Shell, *arguments: str) -> str:
    """Run the stock client with the configuration that ``bdms status`` names."""
    (status,) = shell.json("status")
    return shell.run("rucio", *arguments, RUCIO_CONFIG=status["client_configs"]["reader"]).stdout


def _copies(shell: Shell, written: Sequence[WrittenFile]) -> None:
    """Check that each file is whole at each of the three places, and that nothing else is there."""
    for rse in ("CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"):
        root = shell.storage(rse)
        manifests = list(root.rglob("*.bagit.tar"))
        there = sorted(p for p in root.rglob("*") if p.is_file() and p not in manifests)
        assert there == sorted(root / str(w.lfn)[1:] for w in written)
        assert len(manifests) == 1
        for each in written:
            assert (root / str(each.lfn)[1:]).stat().st_size == each.size_bytes


def test_a_night_by_commands(shell: Shell, tmp_path: Path) -> None:
    assert "not running" not in shell.bdms("up", "--detach")
    written = write_night(shell.storage(), night_specs(12, megabytes=0.3))
    damage(written[0].path, Damage.BIT_FLIP)
    good = written[1:]

    scanned = shell.json("scan", *(str(w.path) for w in written), code=1)
    assert [row["verdict"] for row in scanned] == ["bad"] + ["good"] * 11
    assert scanned[1]["digests"] == {"adler32": good[0].adler32, "sha256": good[0].sha256}
    assert all(part["checksum"] == part["datasum"] == "ok" for part in scanned[1]["hdus"])

    outcomes = shell.json("ingest", str(shell.storage()), code=1)
    assert sorted(row["status"] for row in outcomes) == ["quarantined", *["registered"] * 11]
    (state,) = shell.json("reconcile", "--wait", "--night", "2026-11-21")
    assert {rule["state"] for rule in state["rules"]} == {"ok"}
    assert [row["did"] for row in shell.json("rules")] == [state["did"]]
    assert "1 of 1 blocks are complete" in shell.bdms("rules")
    _copies(shell, good)

    names = {str(w.lfn) for w in good if w.spec.lfn.parts[3] == "LSTN-02"}
    assert set(shell.bdms("query", "telescope=LSTN-02", "--lfns").split()) == names
    (row, *_) = shell.json("query", "level=DL0", "telescope=LSTN-02", "--limit", "1")
    assert row["metadata"]["instance__ae_id"] == 2
    _query(shell, sorted(str(w.lfn) for w in good))
    lfn = str(good[0].lfn)
    assert [row["where"] for row in shell.json("locate", lfn, "--near", "PIC")] == ["PIC", "CSCS", "CTAO-North"]
    fetched = shell.json("get", lfn, "--to", str(tmp_path / "got"))
    assert [row["status"] for row in fetched] == ["fetched"]
    assert (tmp_path / "got" / good[0].path.name).read_bytes() == good[0].path.read_bytes()
    words = ["get", "telescope=LSTN-02", "--to", str(tmp_path / "got"), "--tree"]
    assert {row["status"] for row in shell.json(*words)} == {"fetched"}
    assert {row["status"] for row in shell.json(*words)} == {"present"}

    assert _rucio(shell, "ping").strip().startswith("41.")
    assert "account    : reader" in _rucio(shell, "whoami")
    assert _rucio(shell, "rse", "list").split() == ["CSCS-DISK", "CTAO-NORTH-ONSITE", "PIC-DISK"]
    assert lfn in _rucio(shell, "did", "list", "--filter", "type=file", f"acada:{lfn[:-20]}*")
    replicas = _rucio(shell, "replica", "list", "file", f"acada:{lfn}")
    assert all(str(shell.storage(rse)) in replicas for rse in ("CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"))
    rules = _rucio(shell, "rule", "list", "--account", "bdms-ingest")
    assert rules.count("OK[12/0/0]") == 3
    _rucio(shell, "download", "--dir", str(tmp_path / "stock"), f"acada:{lfn}")
    (stock,) = (path for path in (tmp_path / "stock").rglob("*") if path.is_file())
    assert stock.read_bytes() == good[0].path.read_bytes()

    pids = shell.pids()
    assert all(alive(pid) for pid in pids)
    shell.bdms("down")
    assert not any(alive(pid) for pid in pids)
    shell.bdms("status", code=1)
    assert "bdms up" in shell.run("bdms", "down", code=1).stderr
    assert shell.run("bdms", "query", code=3).stderr.startswith("bdms: ")
    shell.bdms("up", "--detach")
    assert len(shell.json("query", "level=DL0")) == 11
    assert [row["did"] for row in shell.json("rules")] == [state["did"]]


def test_a_night_survives_a_kill_in_the_middle_of_its_replication(shell: Shell) -> None:
    shell.bdms("up", "--detach")
    written = write_night(shell.storage(), night_specs(60, megabytes=4))
    shell.bdms("ingest", str(shell.storage()))
    centres = [shell.storage(rse) for rse in ("PIC-DISK", "CSCS-DISK")]
    pids = shell.pids()  # the command takes seconds under load, in which all would be copied
    until = time.monotonic() + 200
    while not any(path.is_file() for centre in centres for path in centre.rglob("*")):
        assert time.monotonic() < until, "no copy has begun"
        time.sleep(0.02)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    copied = sum(path.is_file() for centre in centres for path in centre.rglob("*"))
    assert copied < 2 * len(written), "the kill came too late to be in the middle"

    shell.bdms("up", "--detach")
    (state,) = shell.json("reconcile", "--wait", "--timeout", "180")
    assert [rule["locks"] for rule in state["rules"]] == [{"ok": 61, "replicating": 0, "stuck": 0}] * 3
    _copies(shell, written)
    copies = shell.json("locate", *(str(w.lfn) for w in written))
    assert len(copies) == 180
    assert {copy["state"] for copy in copies} == {"available"}
    assert len(shell.json("query", "level=DL0")) == 60


def _query(shell: Shell, names: list[str]) -> None:
    """Ask for the products `names` in all the ways of the command line."""
    assert shell.bdms("query", "level=DL0", "--count").split() == [str(len(names))]
    assert shell.json("query", "telescope=LSTN-01..LSTN-04", "--count") == [{"count": str(names).count("/LSTN-")}]
    two = [name for name in names if "LSTN-02" in name or "LSTN-03" in name]
    assert shell.bdms("query", "telescope=LSTN-02", "or", "telescope=LSTN-03", "level=DL0", "--lfns").split() == two
    rows = [
        json.loads(line)
        for line in shell.bdms("query", "--sort=-start_time,lfn", "--limit", "3", "--json").splitlines()
    ]
    begins = [row["metadata"]["observation__coverage__time__t_min"] for row in rows]
    assert begins == sorted(begins, reverse=True)
    assert len(begins) == 3
    table = list(csv.DictReader(io.StringIO(shell.bdms("query", "--csv"))))
    assert [row["lfn"] for row in table] == names
    assert {row["level"] for row in table} == {"DL0"}
    assert shell.bdms("query", "copies=0", "--count").strip() == "0"
    assert shell.bdms("query", "release=latest", "--count").strip() == "0"
    shell.run("bdms", "query", "--lfns", "--csv", code=2)
    command = f"{Path(sys.executable).with_name('bdms')} query --lfns | head -n 1"
    head = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=shell.env, capture_output=True, text=True, check=True
    )
    assert (head.stdout.strip(), head.stderr) == (names[0], "")


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["query", "level=DLO"], 2, "did you mean 'DL0'"),
        (["query", "level=DL0", "or"], 2, "stands between"),
        (["query", "--sort", "size_"], 2, "did you mean 'size'"),
        (["query", "level=DL9"], 2, "DL9"),
        (["query", "telescop=1"], 2, "did you mean 'telescope'"),
        (["query", "DL0"], 2, "word=value"),
        (["get", "/ctao//x"], 2, "one file, one spelling"),
        (["get", "/ctao/acada/none"], 1, "does not know /ctao/acada/none"),
        (["get", "/ctao/acada/none", "level=DL0"], 2, "not both"),
        (["locate", "/ctao/acada/none"], 1, "does not know"),
        (["ingest", "/etc/hostname", "--rse", "MOON"], 2, "MOON"),
        (["rules", "--night", "tonight"], 2, "YYYY-MM-DD"),
        (["query", "--rucio-config", "/nowhere/rucio.cfg"], 2, "no archive at /nowhere/rucio.cfg"),
        (["up", "--database-url", "mysql://x"], 2, "PostgreSQL"),
        (["demo", "--files", "2"], 2, "4"),
        (["demo", "--keep", "/etc"], 2, "not empty"),
        (["nonsense"], 2, "nonsense"),
        (["scan"], 2, "FILE"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(running: Shell, arguments: list[str], code: int, hint: str) -> None:
    assert hint in running.run("bdms", *arguments, code=code).stderr.replace("\n", " ")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_runs_until_it_is_asked_to_stop(shell: Shell, ending: signal.Signals) -> None:
    command = [str(Path(sys.executable).with_name("bdms")), "up", "--json"]
    with subprocess.Popen(command, env=shell.env, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert json.loads(up.stdout.readline())["running"] is True
        pids = shell.pids()
        assert shell.json("query") == []
        up.send_signal(ending)
        assert up.wait(60) == 0
    assert not any(alive(pid) for pid in pids)
