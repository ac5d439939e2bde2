"""A writer killed at any moment loses nothing that it had reported as written."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
from typing import TYPE_CHECKING

from ctao_bdms.journal import FileState, Journal

if TYPE_CHECKING:
    from pathlib import Path

#: Files go all the way in batches of ten; what is said on the standard output has been written before.
WRITER = """
import datetime as dt, sys
from pathlib import Path
from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.journal import FileState, Journal, Scanned
from ctao_bdms.model import Did, FileFacts

journal = Journal(Path(sys.argv[1]), by="writer", now=lambda: dt.datetime.now(dt.UTC))
assert journal.damaged is None
number = sum(tally.files for tally in journal.tallies().values())
print("open", number, flush=True)
while True:
    stamps = {Path(f"/data/{n}"): Stamp(1, n, 100, n) for n in range(number, number + 10)}
    journal.observe(Sighting(path=path, stamp=stamp) for path, stamp in stamps.items())
    print("found", number + 10, flush=True)
    journal.scanned(
        Scanned(path=path, stamp=stamp, facts=FileFacts(
            path=str(path), size_bytes=100, modified_ns=stamp.modified_ns, digests={"adler32": "00000001"}))
        for path, stamp in stamps.items()
    )
    block = Did("acada", f"/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T010000-{number:08x}")
    journal.registered(stamps, block)
    print("registered", number + 10, flush=True)
    journal.replicated([entry.path for entry in journal.entries(block=block)])
    if number % 200 == 0:
        journal.compact(thin_before=dt.datetime.now(dt.UTC))
    number += 10
"""


def test_journal_survives_a_writer_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    dice = random.Random(20261122)
    written = 0
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["open", str(written)]
        lines = [process.stdout.readline().split() for _ in range(dice.randrange(1, 60))]
        process.kill()
        rest = process.stdout.read().splitlines(keepends=True)
        lines += [line.split() for line in rest if line.endswith("\n")]  # it may die in the middle of a line
        process.wait()
        process.stdout.close()
        said = {word: int(number) for word, number in lines}
        with Journal(path, by="test", now=lambda: dt.datetime.now(dt.UTC)) as journal:
            assert journal.damaged is None
            tallies = {state: tally.files for state, tally in journal.tallies().items()}
            written = sum(tallies.values())
            assert written % 10 == 0, "a batch is written whole or not at all"
            assert said.get("found", 0) <= written <= said.get("found", written) + 10
            through = tallies[FileState.REGISTERED] + tallies[FileState.REPLICATED]
            assert through >= said.get("registered", 0) - _unfinished(tallies)
            for state, count in tallies.items():
                assert count == len(list(journal.entries(state=state)))
    assert written > 500


def _unfinished(tallies: dict[FileState, int]) -> int:
    """Return how many files earlier writers left unfinished when they were killed."""
    return tallies[FileState.FOUND] + tallies[FileState.SCANNED]
