"""The life of a copy on a real Rucio, while accounts of every role try whatever could end it.

Blocks are opened, filled, closed, copied, released and split, centres are lost. Between any two steps somebody makes a
call, permitted or not, and Rucio's own daemons act on it. The test reads the database and the disks, never the answers:
each preserved file must have a sound copy that nothing can free.

``pytest tests`` runs a few examples; ``--copy-examples 200`` as many as it says, with the table at the end.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.embedded.copies.machine import CopyMachine
from tests.embedded.copies.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.embedded import Instance
    from tests.embedded.copies.small_archive import SmallArchive

EXAMPLES, STEPS = 4, 25
#: How long Rucio's evaluator may take for a new file, in seconds, also when it has met a lock.
EVALUATED_S = 120
#: How long it takes until cleaner, undertaker and reaper have done all that follows from a call, in seconds.
SETTLED_S = 15


@pytest.fixture(scope="module")
def world(embedded_rucio_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(embedded_rucio_instance, tmp_path_factory.mktemp("accounts")) as world:
        yield world


def test_no_call_of_any_role_ends_the_last_sound_copy(
    world: World, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    examples = request.config.getoption("--copy-examples") or EXAMPLES
    archives: list[SmallArchive] = []
    machine = type("Machine", (CopyMachine,), {"world": world, "archives": archives})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
        end = time.monotonic() + EVALUATED_S
        while (unheld := [name for archive in archives for name in archive.unheld()]) and (time.monotonic() < end):
            time.sleep(1)
        time.sleep(SETTLED_S)
        assert [lost for archive in archives if (lost := archive.violations())] == []
        assert unheld == []
    finally:
        record_property("copies", json.dumps(_table(world, archives)))


def _table(world: World, archives: list[SmallArchive]) -> list[str]:
    """Return what was tried, as the table at the end of the run has it."""
    n_files = sum(len(archive.preserved) for archive in archives)
    lines = [f"{len(archives)} archives with {n_files} preserved files", "role  permitted  refused  failed"]
    for actor in world.accounts:
        counts = [
            sum(n for (who, _, answer), n in world.answers.items() if (who, answer) == (actor, kind))
            for kind in ("permitted", "refused", "failed")
        ]
        lines.append(f"{actor:<16}{counts[0]:>8}{counts[1]:>8}{counts[2]:>8}")
    return lines
