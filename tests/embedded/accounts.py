"""Accounts of a real Rucio, several in one test.

Rucio's client reads its configuration once in a process, and with it the file of the token. Each account therefore gets
a process of its own that makes the calls that it is told.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKER = """
import json, sys
from rucio.client import Client
from rucio.common.exception import RucioException
client = Client()
for line in sys.stdin:
    method, arguments, keywords = json.loads(line)
    try:
        result = getattr(client, method)(*arguments, **keywords)
        answer = {"result": list(result) if hasattr(result, "__next__") else result}
    except RucioException as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer, default=str), flush=True)
"""


class RefusedError(Exception):
    """What Rucio's client raised, by name, with its sentence."""


@attrs.frozen
class Account:
    """Rucio's client in a process of its own."""

    process: subprocess.Popen[str]

    def __call__(self, method: str, *arguments: object, **keywords: object) -> Any:  # noqa: ANN401 (JSON)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([method, arguments, keywords]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RefusedError(f"{answer['error']}: {' '.join(answer['text'].split())}")
        return answer["result"]

    def when_locked(self, method: str, *arguments: object, **keywords: object) -> Any:  # noqa: ANN401 (JSON)
        """Call, and again while the policy waits for the locks that Rucio's evaluator has still to make."""
        end_s = time.monotonic() + 60
        while True:
            try:
                return self(method, *arguments, **keywords)
            except RefusedError as error:
                if "has not yet made all locks" not in str(error) or time.monotonic() > end_s:
                    raise
            time.sleep(0.2)


@contextmanager
def acting_as(config: Path) -> Iterator[Account]:
    """Run a client with the `rucio.cfg` of an account."""
    environment = os.environ | {"RUCIO_CONFIG": str(config)}
    command = [sys.executable, "-c", WORKER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield Account(process)


def config(template: Path, folder: Path, account: str) -> Path:
    """Write the `rucio.cfg` of an account."""
    parser = configparser.RawConfigParser()
    parser.read(template)
    token = {"auth_token_file_path": str(folder / f"{account}.token")}
    parser["client"].update({"account": account, "username": account, "password": "secret"} | token)
    path = folder / f"{account}.cfg"
    with path.open("w") as file:
        parser.write(file)
    return path
