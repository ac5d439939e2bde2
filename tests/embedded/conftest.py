"""What the tests of an embedded Rucio share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.embedded import INGEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.embedded import Instance


PRELUDE = """
import json, sys, time
from rucio.client import Client

client = Client()
arguments = json.load(sys.stdin)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.1)
"""


@pytest.fixture(scope="session")
def ask() -> Callable[..., Any]:
    """Run a program in a process of its own, with Rucio's own `client` and `arguments`; return its `answer`."""

    def function(instance: Instance, program: str, *arguments: object, account: str = INGEST) -> Any:  # noqa: ANN401
        done = subprocess.run(
            [sys.executable, "-c", f"{PRELUDE}\n{program}\nprint(json.dumps(answer, default=str))"],
            env=os.environ | {"RUCIO_CONFIG": str(instance.client_config(account))},
            input=json.dumps(arguments),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return function
