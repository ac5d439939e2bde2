"""Who runs this process, where nobody has named the user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
from ctao_bdms.processes import person
print(ascii(person()))
"""


@pytest.mark.parametrize(
    ("env", "name"),
    [({}, f"uid-{os.getuid()}"), ({"LOGNAME": "ingest"}, "ingest"), ({"USER": "caf\udce9"}, "caf\\\\udce9")],
)
def test_user_without_a_name_is_told_by_number(env: dict[str, str], name: str) -> None:
    kept = {
        key: value for key, value in os.environ.items() if key not in {"LOGNAME", "USER", "LNAME", "USERNAME", "HOME"}
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=kept | env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == f"'{name}@{socket.gethostname()}'"
