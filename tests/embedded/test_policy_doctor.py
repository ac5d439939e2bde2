"""The doctor of the policy: on a sound installation, and on one broken in each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import ROOT, RSES
from tests.embedded.accounts import acting_as

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.embedded import Instance

# What Python runs before everything else, to break what the doctor shall find broken.
BLOCKED = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name == "ctao_rucio_policy.pfn2lfn":
            raise ImportError("No module named 'something'")
sys.meta_path.insert(0, Wall())
"""
OLD = 'import ctao_rucio_policy\nctao_rucio_policy.SUPPORTED_VERSION = [">=38", "<39"]\n'
UNREGISTERED = """
import ctao_rucio_policy as ours
whole = ours.get_algorithms
ours.get_algorithms = lambda: {kind: table for kind, table in whole().items() if kind != "scope"}
"""
NO_SCHEMA = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name in {"ctao_rucio_policy.schema", "ctao_rucio_policy.permission"}:
            raise ModuleNotFoundError(name)
import ctao_rucio_policy
sys.meta_path.insert(0, Wall())
"""
HIDDEN = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "ctao_rucio_policy" else find_spec(name, *more)
"""


def doctor(config: Path, sabotage: Path | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command; return its exit code and the findings by check."""
    path = os.pathsep.join(filter(None, (str(sabotage or ""), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ctao_bdms.cli import main; main()",
            "policy",
            "doctor",
            "--rucio-config",
            str(config),
            "--json",
        ],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}


def wrong(findings: dict[str, dict[str, Any]]) -> list[str]:
    for finding in findings.values():
        assert finding["found"].endswith(".")
        assert bool(finding["remedy"]) is not finding["ok"], finding
    return [check for check, finding in findings.items() if not finding["ok"]]


def edited(instance: Instance, folder: Path, old: str, new: str) -> Path:
    """Return a copy of the client's configuration with one change."""
    text = instance.client_config().read_text()
    assert old in text
    path = folder / "rucio.cfg"
    path.write_text(text.replace(old, new))
    return path


def test_a_sound_installation(embedded_rucio_instance: Instance) -> None:
    code, findings = doctor(embedded_rucio_instance.client_config())
    assert wrong(findings) == []
    assert code == 0
    local = ["distributions", "package", "version", "algorithms", "settings", "schema", "permission", "scopes"]
    assert list(findings) == [*local, "server", *(f"server, {rse}" for rse in sorted(RSES))]


@pytest.mark.parametrize(
    ("package", "sentence"),
    [
        ("package = ctao_rucio_policy_2", "The configured policy package is ctao_rucio_policy_2"),
        ("", "No policy package is configured"),
    ],
)
def test_another_package_or_none(
    embedded_rucio_instance: Instance, tmp_path: Path, package: str, sentence: str
) -> None:
    config = edited(embedded_rucio_instance, tmp_path, "package = ctao_rucio_policy", package)
    code, findings = doctor(config)
    assert (code, wrong(findings)) == (1, ["package"])
    assert sentence in findings["package"]["found"]
    assert "package = ctao_rucio_policy" in findings["package"]["remedy"]


@pytest.mark.parametrize(
    ("sabotage", "checks", "sentence"),
    [
        (BLOCKED, ["package"], "cannot be imported (No module named 'something'), and Rucio ignores it"),
        (OLD, ["version"], "is outside of the supported range >=38,<39"),
        (UNREGISTERED, ["algorithms"], "Rucio's tables do not hold ctao_bdms for scope."),
        (NO_SCHEMA, ["schema", "permission"], "is rucio.common.schema.generic"),
    ],
    ids=["blocked", "version", "unregistered", "modules"],
)
def test_a_broken_package(
    embedded_rucio_instance: Instance, tmp_path: Path, sabotage: str, checks: list[str], sentence: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(sabotage)
    code, findings = doctor(embedded_rucio_instance.client_config(), tmp_path)
    assert (code, wrong(findings)) == (1, checks)
    assert sentence in findings[checks[0]]["found"]


def test_a_package_that_is_not_installed(embedded_rucio_instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    code, findings = doctor(embedded_rucio_instance.client_config(), tmp_path)
    assert (code, wrong(findings)) == (1, ["package"])
    assert "configured but not installed" in findings["package"]["found"]


def test_rucio_and_its_clients_of_different_versions(embedded_rucio_instance: Instance, tmp_path: Path) -> None:
    folder = tmp_path / "rucio_clients-41.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: rucio-clients\nVersion: 41.0.0\n")
    code, findings = doctor(embedded_rucio_instance.client_config(), tmp_path)
    assert (code, wrong(findings)) == (1, ["distributions"])
    assert "rucio-clients 41.0.0 are installed together" in findings["distributions"]["found"]


@pytest.mark.parametrize("option", ["lfn2pfn_algorithm_default", "extract_scope"])
def test_an_algorithm_that_is_not_chosen(embedded_rucio_instance: Instance, tmp_path: Path, option: str) -> None:
    config = edited(embedded_rucio_instance, tmp_path, f"{option} = ctao_bdms\n", "")
    code, findings = doctor(config)
    assert code == 1
    assert "settings" in wrong(findings)
    assert f"{option} is not set" in findings["settings"]["found"]


@pytest.mark.parametrize("algorithm", ["hash", "identity"])
def test_a_server_that_translates_otherwise(embedded_rucio_instance: Instance, algorithm: str) -> None:
    key = "lfn2pfn_algorithm"
    with acting_as(embedded_rucio_instance.client_config(ROOT)) as root:
        try:
            root("delete_rse_attribute", "CSCS-DISK", key)
            root("add_rse_attribute", "CSCS-DISK", key, algorithm)
            code, findings = doctor(embedded_rucio_instance.client_config())
        finally:
            root("delete_rse_attribute", "CSCS-DISK", key)
            root("add_rse_attribute", "CSCS-DISK", key, "ctao_bdms")
    assert (code, wrong(findings)) == (1, ["server, CSCS-DISK"])
    assert f"(now {algorithm}) to ctao_bdms" in findings["server, CSCS-DISK"]["remedy"]


def test_a_server_that_does_not_answer(embedded_rucio_instance: Instance, tmp_path: Path) -> None:
    config = edited(embedded_rucio_instance, tmp_path, embedded_rucio_instance.server_url, "http://127.0.0.1:1")
    code, findings = doctor(config)
    assert (code, wrong(findings)) == (1, ["server"])
    assert "does not answer" in findings["server"]["found"]
