"""Fixtures of the end-to-end ring: the installed commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.embedded import Instance

__all__ = ["Shell", "alive"]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@attrs.frozen
class Shell:
    """Runs commands in an environment of its own.

    Attributes
    ----------
    home
        The home of the embedded Rucio that the commands mean.
    env
        The environment.
    """

    home: Path
    env: dict[str, str]

    def run(self, *command: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment and check its exit code."""
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [str(program), *command[1:]], env=self.env | env, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == code, f"{command} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout
        return done

    def bdms(self, *arguments: str, code: int = 0) -> str:
        """Run ``bdms`` and return what it printed."""
        return self.run("bdms", *arguments, code=code).stdout

    def json(self, *arguments: str, code: int = 0) -> list[Any]:
        """Run ``bdms ... --json`` and return its objects."""
        return [json.loads(line) for line in self.bdms(*arguments, "--json", code=code).splitlines()]

    def storage(self, rse: str = "CTAO-NORTH-ONSITE") -> Path:
        """Return the folder of a storage element."""
        return self.home / "storage" / rse

    def pids(self) -> list[int]:
        """Return the processes of the embedded Rucio, the supervisor first."""
        (status,) = self.json("status")
        return [status["supervisor_pid"], *(part["pid"] for part in status["parts"])]


def _shell(home: Path, user: Path) -> Shell:
    user.mkdir()
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "TMPDIR"}}
    return Shell(home, {**kept, "HOME": str(user), "BDMS_HOME": str(home)})


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell with an empty HOME and no Rucio yet; stop the one that it has started."""
    shell = _shell(tmp_path / "rucio", tmp_path / "user")
    yield shell
    command = [str(Path(sys.executable).with_name("bdms")), "down"]
    subprocess.run(command, env=shell.env, capture_output=True, check=False)


@pytest.fixture
def running(embedded_rucio_instance: Instance, tmp_path: Path) -> Shell:
    """Give a shell with an empty HOME that means the Rucio of this session."""
    return _shell(embedded_rucio_instance.home.path, tmp_path / "user")
