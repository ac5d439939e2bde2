"""The accounts that work while the campaign runs: each is a process with its own client and configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.embedded import INGEST, READER, ROOT, WMS
from ctao_bdms.naming import blocks_pattern
from tests.embedded.accounts import acting_as, config

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from ctao_bdms.embedded import Instance
    from ctao_bdms.model import Night
    from ctao_bdms.testing.invariant import Expected

__all__ = ["Actors", "Report", "actors"]

_PERSON, _OPERATOR = "ada", "operator"
_RSES = ("CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK")
_TREE = Path(__file__).parents[2]


@attrs.frozen
class Report:
    """What the actors did in a round.

    Attributes
    ----------
    calls
        How many calls there were, by role, attempt and what came of it.
    products
        The digests of what they have in the archive, by name.
    said
        What went wrong for them that must not.
    """

    calls: Counter[tuple[str, str, str]]
    products: dict[str, str]
    said: list[str]

    def count(self, answer: str) -> int:
        """Return how many calls had an answer."""
        return sum(number for (*_, came), number in self.calls.items() if came == answer)


@attrs.frozen
class Actors:
    """All actors; make them with `actors`."""

    processes: dict[str, subprocess.Popen[str]]

    def begin(self, chance: random.Random, night: Night, files: Sequence[Expected]) -> None:
        """Let them act on the files of a round until `rest`."""
        blocks = blocks_pattern("ctao", "acada").removesuffix("*") + f"*/{night.date:%Y/%m/%d}/*"
        raw = [str(file.lfn) for file in files]
        for process in self.processes.values():
            _write(process, {"seed": chance.getrandbits(30), "raw": raw, "blocks": blocks})

    def rest(self) -> Report:
        """Have them stop; return what they did."""
        report = Report(Counter(), {}, [])
        for process in self.processes.values():
            _write(process, "rest")
        for role, process in self.processes.items():
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                report.said.append(f"the actor {role} ended with code {process.wait()}")
                continue
            answer = json.loads(line)
            report.calls.update({(role, attempt, came): number for attempt, came, number in answer["calls"]})
            report.products.update(answer["products"])
            report.said.extend(answer["said"])
        return report


def _write(process: subprocess.Popen[str], order: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()


@contextmanager
def actors(instance: Instance, folder: Path) -> Iterator[Actors]:
    """Make the accounts, and run their processes: the ingest account, the WMS, an operator and a person.

    Parameters
    ----------
    instance
        The embedded Rucio.
    folder
        Where their configuration and products are written.
    """
    folder.mkdir()
    operator_scope, person_scope = "picops", f"user.{_PERSON}"
    with ExitStack() as stack:
        with acting_as(instance.client_config(ROOT)) as root:
            for name, role, scope, top in (
                (_OPERATOR, "centre-operator", operator_scope, f"/ctao/{operator_scope}"),
                (_PERSON, "user", person_scope, f"/ctao/user/{_PERSON[0]}/{_PERSON}"),
            ):
                root("add_account", name, "USER", f"{name}@localhost")
                root("add_identity", name, name, "USERPASS", f"{name}@localhost", True, "secret")
                root("add_account_attribute", name, "bdms-role", role)
                for rse in _RSES:
                    root("set_local_account_limit", name, rse, 10**9)
                root("add_scope", name, scope)
                root("add_did", scope, top, "CONTAINER")
            root("add_account_attribute", _OPERATOR, "bdms-centre", "PIC")
        template = instance.client_config(READER)
        processes = {}
        for role, account, scope, cfg in (
            ("ingest", INGEST, "", instance.client_config(INGEST)),
            ("wms", WMS, "dpps", instance.client_config(WMS)),
            ("centre-operator", _OPERATOR, operator_scope, config(template, folder, _OPERATOR)),
            ("user", _PERSON, person_scope, config(template, folder, _PERSON)),
        ):
            about = {"account": account, "role": role, "scope": scope, "folder": str(folder / role)}
            processes[role] = stack.enter_context(_process(about, cfg, folder / f"{role}.log"))
        yield Actors(processes)


@contextmanager
def _process(about: dict[str, str], cfg: Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.actor", json.dumps(about)],
            cwd=_TREE,
            env=os.environ | {"RUCIO_CONFIG": str(cfg)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
