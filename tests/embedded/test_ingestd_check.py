"""`bdms ingestd --check` with a real Rucio: all is well, and each thing that can be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import READER, ROOT
from tests.embedded.accounts import acting_as

if TYPE_CHECKING:
    from ctao_bdms.embedded import Instance

RSE = "CTAO-NORTH-ONSITE"
CHECKS = [
    "server", "account", "clock", "storage element", "storage root", "inbox", "state folder", "lease folder",
    "quarantine", "storage space", "state space", "policy", "quarantine's place", "time zone", "readers", "workers",
]  # fmt: skip


@pytest.fixture
def settings(embedded_rucio_instance: Instance, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "state").mkdir()
    return {
        "storage.root": str(embedded_rucio_instance.storage(RSE)),
        "storage.rse": RSE,
        "storage.site": "CTAO-North",
        "storage.low_disk_bytes": "1000000",
        "rucio.config": str(embedded_rucio_instance.client_config()),
        "state.folder": str(tmp_path / "state"),
    }


def check(settings: dict[str, str]) -> tuple[int, dict[str, dict[str, Any]]]:
    options = [f"--set={key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-c", "from ctao_bdms.cli import main; main()", "ingestd", "--check", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    findings = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    for finding in findings.values():
        assert finding["found"].endswith("."), finding
        assert bool(finding["remedy"]) is not finding["ok"], finding
    return done.returncode, findings


def wrong(findings: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {check: finding["found"] for check, finding in findings.items() if not finding["ok"]}


def test_all_is_well_and_nothing_is_left(settings: dict[str, str]) -> None:
    before = sorted(Path(settings["storage.root"]).parent.iterdir())
    code, findings = check(settings)
    assert (code, wrong(findings)) == (0, {})
    assert list(findings) == CHECKS
    assert "bdms-role is ingest" in findings["account"]["found"]
    assert sorted(Path(settings["storage.root"]).parent.iterdir()) == before
    assert list(Path(settings["state.folder"]).iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value", "where", "sentence"),
    [
        ("rucio.config", "/none/rucio.cfg", "server", "rucio"),
        ("storage.rse", "NOWHERE", "storage element", "There is no storage element NOWHERE."),
        ("storage.rse", "PIC-DISK", "storage element", "PIC-DISK is not on site."),
        ("storage.site", "CTAO-South", "storage element", f"{RSE} is at CTAO-North."),
        ("storage.low_disk_bytes", "1000000000000000000", "storage space", "GB are free, and at least"),
        ("state.folder", "/none", "state folder", "/none: No such file or directory."),
        ("storage.quarantine", "/dev/shm/bdms.quarantine", "quarantine", "cross-device link."),
    ],
)
def test_one_thing_is_wrong(settings: dict[str, str], key: str, value: str, where: str, sentence: str) -> None:
    code, findings = check(settings | {key: value})
    assert code == 1
    assert sentence in wrong(findings)[where]


def test_another_root_than_the_prefix(settings: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    root.mkdir()
    _, findings = check(settings | {"storage.root": str(root)})
    assert wrong(findings).keys() == {"storage element"}
    assert settings["storage.root"] in wrong(findings)["storage element"]


def test_a_quarantine_in_another_storage_element(settings: dict[str, str], embedded_rucio_instance: Instance) -> None:
    place = embedded_rucio_instance.storage("PIC-DISK") / "bad"
    _, findings = check(settings | {"storage.quarantine": str(place)})
    assert wrong(findings) == {"quarantine's place": f"{place} lies in PIC-DISK."}


def test_an_account_with_another_role(settings: dict[str, str], embedded_rucio_instance: Instance) -> None:
    config = str(embedded_rucio_instance.client_config(READER))
    _, findings = check(settings | {"rucio.config": config})
    assert wrong(findings) == {"account": "The account is reader, its bdms-role is user."}


def test_an_account_without_a_role(settings: dict[str, str], embedded_rucio_instance: Instance) -> None:
    with acting_as(embedded_rucio_instance.client_config(ROOT)) as root:
        try:
            root("delete_account_attribute", READER, "bdms-role")
            _, findings = check(settings | {"rucio.config": str(embedded_rucio_instance.client_config(READER))})
        finally:
            root("add_account_attribute", READER, "bdms-role", "user")
    assert wrong(findings) == {"account": "The account is reader, its bdms-role is none."}


def test_a_server_that_does_not_answer(
    settings: dict[str, str], embedded_rucio_instance: Instance, tmp_path: Path
) -> None:
    text = embedded_rucio_instance.client_config().read_text()
    config = tmp_path / "rucio.cfg"
    config.write_text(text.replace(embedded_rucio_instance.server_url, "http://127.0.0.1:1"))
    code, findings = check(settings | {"rucio.config": str(config)})
    assert code == 1
    assert wrong(findings).keys() == {"server"}
    assert list(findings) == ["server", *CHECKS[4:]]


def test_the_table_for_people_and_settings_that_do_not_hold(settings: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "ingestd.toml"
    path.write_text("[worker]\nnumber = 2\n", encoding="utf-8")
    command = [sys.executable, "-c", "from ctao_bdms.cli import main; main()", "ingestd", "--check"]
    env = os.environ | {f"BDMS_INGESTD_{key.replace('.', '_').upper()}": value for key, value in settings.items()}
    done = subprocess.run([*command, "--config", str(path)], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "worker is unknown; the nearest known one is workers" in done.stderr
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == ["check", "verdict", "found", "remedy"]
