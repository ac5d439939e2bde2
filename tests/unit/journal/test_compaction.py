"""Old nights take little space."""

from __future__ import annotations

from pathlib import Path

from tests.unit.journal.samples import LFN, NOW, Clock, replicate, seen, states

from ctao_bdms.journal import Journal
from ctao_bdms.model import Lfn


def test_compaction_keeps_blocks_digests_and_times(journal: Journal, clock: Clock) -> None:
    old, mixed = [seen(n, "2026-11-01") for n in range(3)], [seen(n, "2026-11-02") for n in range(3, 6)]
    replicate(journal, old)
    replicate(journal, mixed[:2])
    journal.observe(mixed)
    clock.pass_s(86400)
    assert journal.compact(thin_before=NOW) == 0, "not yet"
    assert journal.compact(thin_before=clock()) == 3
    assert journal.compact(thin_before=clock()) == 0
    (event,) = journal.events(old[0].path)
    assert (event.event, event.detail) == ("thinned", "found scanned registered replicated")
    assert journal.facts(old[0].path) is None
    assert journal.facts(mixed[0].path) is not None, "a file of that night is still on its way"
    entry = journal.entry(old[0].path)
    assert entry is not None
    assert entry.registered == NOW
    assert journal.observe(old).known == 3
    assert journal.compact(thin_before=clock(), forget_before=clock()) == 3
    assert states(journal) == {"replicated": 2, "found": 1}
    assert journal.events(old[0].path) == []


def test_size_of_a_night_is_bounded(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.sqlite"
    files = [
        seen(n, path=Path("/data/onsite" + LFN.format(n)), lfn=Lfn(LFN.format(n)), trigger=Path(f"/data/{n}.trigger"))
        for n in range(5000)
    ]
    with Journal(path, by="daemon", now=clock) as journal:
        replicate(journal, files)
        journal.compact(thin_before=clock())
        full = path.stat().st_size / len(files)
        clock.pass_s(1)
        journal.compact(thin_before=clock())
        thinned = path.stat().st_size / len(files)
        journal.compact(thin_before=clock(), forget_before=clock())
        assert path.stat().st_size < 200_000
    assert thinned < 1000 < full < 2000, "bytes an entry"
