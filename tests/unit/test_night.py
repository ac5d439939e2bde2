"""What is said of a night, with the archive in memory and real files."""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.cli.ingest.night import show
from ctao_bdms.cli.output import Output
from ctao_bdms.daemon.config.settings import Checks
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.replay import replay, replayable_files
from ctao_bdms.errors import LeaseHeldError
from ctao_bdms.inbox import Sighting, survey
from ctao_bdms.journal import Journal, JournalReader, Waiting
from ctao_bdms.model import Lfn, Night, Rse
from ctao_bdms.naming import AcadaPath
from ctao_bdms.nights import FileStage, Lag, NightFile, NightReport
from ctao_bdms.nights.report import gaps
from ctao_bdms.replication import Policy
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from pathlib import Path

NIGHT = Night.parse("2026-11-21")
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "onsite").mkdir()
    return tmp_path / "onsite"


@pytest.fixture
def written(root: Path) -> list[WrittenFile]:
    return write_night(root, night_specs(8, telescopes=2, megabytes=0.1))


@pytest.fixture
def archive(root: Path) -> InMemoryCatalogue:
    return InMemoryCatalogue(
        [
            Rse(name="CTAO-NORTH-ONSITE", prefix=str(root), site="CTAO-North"),
            Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
            Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
        ],
        now=lambda: NOW,
    )


@pytest.fixture
def bdms(archive: InMemoryCatalogue) -> Bdms:
    return Bdms(archive, policy=Policy.load(), now=lambda: NOW)


def replicate(bdms: Bdms, archive: InMemoryCatalogue) -> None:
    for _ in range(2):
        archive.transfer()
        bdms.rules.reconcile("acada")
    archive.transfer()


def of(report: NightReport, path: Path) -> NightFile:
    (file,) = (file for file in report.files if file.path == path)
    return file


def trigger(path: Path) -> Path:
    return path.with_name(path.name + ".trigger")


def test_from_trigger_to_replicated(bdms: Bdms, archive: InMemoryCatalogue, written: list[WrittenFile]) -> None:
    report = bdms.nights.report(NIGHT)
    assert {file.stage for file in report.files} == {FileStage.WAITING}
    assert (report.total.found, report.total.open, report.is_complete) == (8, 8, False)
    bdms.ingest([file.path for file in written])
    report = bdms.nights.report("2026-11-21")
    assert (report.total.registered, report.total.replicated, report.total.open) == (8, 0, 8)
    first, second = report.centres
    assert {file.reasons for file in report.files} == {
        (
            f"no copy at {first}: the rule of its block is replicating",
            f"no copy at {second}: its block has no rule for it yet",
        )
    }
    archive.transfer()
    assert {file.centres for file in bdms.nights.report(NIGHT).files} == {(first,)}
    replicate(bdms, archive)
    report = bdms.nights.report(NIGHT)
    assert report.is_complete
    assert [(row.telescope, row.stream, row.found, row.replicated) for row in report] == [
        ("ARRAY", "subarray events", 2, 2),
        ("ARRAY", "telescope triggers", 2, 2),
        ("LSTN-01", "telescope events", 2, 2),
        ("LSTN-02", "telescope events", 2, 2),
    ]
    assert report.stages[FileStage.REPLICATED].size_bytes == sum(file.path.stat().st_size for file in written)
    assert report.verdict.startswith("Complete: 8 found, 8 registered, 8 replicated at 2 centres (")


def test_what_keeps_files_out(bdms: Bdms, root: Path, written: list[WrittenFile]) -> None:
    bad, silent, gone, left, *_ = (file.path for file in written)
    damage(bad, Damage.TRUNCATED)
    trigger(silent).unlink()
    gone.unlink()
    bdms.ingest(root / "ctao")
    trigger(left).touch()
    report = bdms.nights.report(NIGHT)
    assert of(report, bad).stage is FileStage.QUARANTINED
    assert of(report, bad).reasons[0].startswith("truncated")
    assert of(report, silent).reasons == ("it has no trigger: its producer has not said that it is complete",)
    assert of(report, gone).stage is FileStage.MISSING
    assert of(report, gone).reasons == ("its trigger stands, and there is no such file",)
    assert of(report, left).reasons[-1] == "its trigger still stands"
    total = report.total
    assert (total.found, total.registered, total.quarantined, total.missing, total.open) == (8, 5, 1, 1, 6)


def test_where_the_storage_contradicts_the_archive(
    bdms: Bdms, archive: InMemoryCatalogue, written: list[WrittenFile]
) -> None:
    bdms.ingest([file.path for file in written])
    replicate(bdms, archive)
    lost, longer = written[0].path, written[1].path
    lost.unlink()
    with longer.open("ab") as stream:
        stream.write(b"x")
    report = bdms.nights.report(NIGHT)
    assert not report.is_complete
    assert of(report, lost).reasons == ("the archive says that a copy is at CTAO-NORTH-ONSITE, and there is none",)
    size_bytes = longer.stat().st_size
    assert of(report, longer).reasons == (
        f"its size is {size_bytes} at CTAO-NORTH-ONSITE, and {size_bytes - 1} in the archive",
    )
    assert report.total.replicated == 8


def test_other_content_under_a_name_is_a_file_of_its_own(
    bdms: Bdms, archive: InMemoryCatalogue, written: list[WrittenFile]
) -> None:
    bdms.ingest([file.path for file in written])
    replicate(bdms, archive)
    spec = attrs.evolve(written[0].spec, seed=99)
    written[0].path.unlink()
    (again,) = write_night(written[0].path.parents[len(spec.lfn.parts) - 1], [spec])
    bdms.ingest(again.path)
    report = bdms.nights.report(NIGHT)
    assert [file.stage for file in report.files if file.path == again.path] == [
        FileStage.QUARANTINED,
        FileStage.REPLICATED,
    ]
    assert report.total.found == 9


def test_only_the_night_and_the_scope(bdms: Bdms, root: Path, written: list[WrittenFile]) -> None:
    write_night(root, night_specs(4, megabytes=0.1, night=Night.parse("2026-11-20")))
    stranger = root / "ctao/other/DL0/LSTN-01/u/events/2026/11/21/x.fits.fz"
    private = root / "ctao/user/a/alice/2026/11/21/x.fits.fz"
    for path in (stranger, private):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    (stranger.parent / ".being-written").touch()
    (stranger.parent / "link").symlink_to(stranger)
    report = bdms.nights.report(NIGHT)
    assert {file.path for file in report.files} == {file.path for file in written} | {stranger}
    assert next(row.stream for row in report) == "other"
    assert bdms.nights.report(NIGHT, scope="acada").total.found == 8
    assert bdms.nights.report("2026-11-19").verdict == "Of the night 2026-11-19 at CTAO-North nothing is known."


def test_a_producer_speaks_by_digests_too(bdms: Bdms, written: list[WrittenFile]) -> None:
    path = written[0].path
    path.with_name(path.name + ".sha256").write_text("0" * 64 + "\n")
    path.unlink()
    trigger(path).unlink()
    assert of(bdms.nights.report(NIGHT), path).reasons == ("its producer's digests are there, and it is not",)


def test_what_the_journal_has_seen(bdms: Bdms, root: Path, written: list[WrittenFile], tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    files = survey([root], root)
    gone, withdrawn, waits, through, *_ = (file.path for file in files)
    with Journal(path, by="test", now=lambda: NOW) as journal:
        journal.observe(Sighting.of(file) for file in files)
        journal.withdrawn([withdrawn])
        journal.waits([Waiting(path=waits, cause="no-file", why="Input/output error")])
        journal.registered([through], None)
    for each in (gone, withdrawn):
        each.unlink()
        trigger(each).unlink()
    assert bdms.nights.report(NIGHT).total.found == 6
    with JournalReader(path) as reader:
        report = bdms.nights.report(NIGHT, journal=reader)
    assert of(report, gone).reasons == ("the journal says that it was found, and it is nowhere",)
    assert of(report, withdrawn).reasons == ("its trigger has gone, and so has the file",)
    assert of(report, waits).reasons == ("it waits for no-file: Input/output error",)
    assert of(report, through).reasons == ("the journal says that it was registered, and the archive does not know it",)
    assert of(report, gone).size_bytes
    assert (report.total.found, report.total.missing) == (8, 2)
    assert report.lags["trigger to registered"].files == 1
    assert "trigger to replicated" not in report.lags


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], None),
        ([3.0], Lag(files=1, p50_s=3, p95_s=3, max_s=3)),
        (range(1, 101), Lag(files=100, p50_s=50, p95_s=95, max_s=100)),
    ],
)
def test_lags(seconds: list[float], expected: Lag | None) -> None:
    assert Lag.of(seconds) == expected


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([0, 1, 2], []),
        ([1, 2], []),
        ([0, 1, 3], [(2, 2)]),
        ([5], [(1, 4)]),
        ([0, 4, 9], [(1, 3), (5, 8)]),
    ],
)
def test_gaps(chunks: list[int], expected: list[tuple[int, int]]) -> None:
    specs = [attrs.evolve(night_specs(1)[0], chunk=chunk) for chunk in chunks]
    found = gaps(AcadaPath.parse(spec.lfn) for spec in specs)
    assert [(gap.first, gap.last) for gap in found] == expected
    assert all("LSTN-01" in str(gap) and f"{len(chunks)} others" in str(gap) for gap in found)


def test_other_observations_and_telescopes_leave_no_gaps() -> None:
    first = night_specs(2, telescopes=2)
    others = [attrs.evolve(first[0], obs_id=first[0].obs_id + 1), attrs.evolve(first[1], chunk=1)]
    assert gaps(AcadaPath.parse(spec.lfn) for spec in (*first, *others)) == []


def test_a_gap_keeps_a_night_from_being_complete(bdms: Bdms, archive: InMemoryCatalogue, root: Path) -> None:
    specs = [spec for spec in night_specs(8, telescopes=2, megabytes=0.1) if spec.chunk]
    bdms.ingest([file.path for file in write_night(root, [attrs.evolve(spec, chunk=2) for spec in specs])])
    replicate(bdms, archive)
    report = bdms.nights.report(NIGHT)
    assert report.total.open == report.total.missing == 0
    assert not report.is_complete
    assert report.verdict.endswith("4 perhaps missing.")


def test_replay_walks_what_is_not_complete(
    bdms: Bdms, archive: InMemoryCatalogue, root: Path, written: list[WrittenFile], tmp_path: Path
) -> None:
    through, silent, *rest = (file.path for file in written)
    bdms.ingest(through)
    trigger(through).touch()
    trigger(silent).unlink()
    damage(rest[0], Damage.TRUNCATED)
    path = tmp_path / "journal.sqlite"
    with Journal(path, by="daemon", now=lambda: NOW) as journal:
        journal.observe(Sighting.of(file) for file in survey([rest[0]], root))
    assert set(replayable_files(bdms.nights.report(NIGHT))) == {through, *rest}
    done = replay(bdms, NIGHT, journal=path)
    assert {outcome.path: outcome.status.value for outcome in done.report} == {
        through: "known",
        rest[0]: "quarantined",
        **dict.fromkeys(rest[1:], "registered"),
    }
    assert not trigger(through).exists()
    assert (done.after.total.registered, done.after.total.quarantined, done.after.total.open) == (6, 1, 7)
    assert of(done.after, silent).stage is FileStage.WAITING
    with JournalReader(path) as reader:
        assert {entry.path: entry.state.value for entry in reader.entries()} == {
            through: "registered",
            rest[0]: "quarantined",
            **dict.fromkeys(rest[1:], "registered"),
        }
        assert "replay" in reader.events(rest[1])[-1].by
    archive.transfer()
    assert len(replay(bdms, NIGHT, journal=path).blocks) == 2
    archive.transfer()
    again = replay(bdms, NIGHT, journal=path)
    assert len(again.report) == 0
    assert again.blocks.is_complete
    assert again.after.total.replicated == 6
    with JournalReader(path) as reader:
        assert {entry.state.value for entry in reader.entries()} == {"replicated", "quarantined"}


def test_replay_checks_as_the_daemon_does(bdms: Bdms, written: list[WrittenFile]) -> None:
    """A file whose name says another chunk, and one whose producer gives a wrong digest: by the settings both enter."""
    named, said = written[0].path, written[1].path
    wrong = named.with_name(named.name.replace("CHUNK000", "CHUNK007"))
    assert wrong != named
    named.rename(wrong)
    trigger(named).rename(trigger(wrong))
    said.with_name(said.name + ".md5").write_text("0" * 32)
    done = replay(bdms, NIGHT, checks=Checks(ignore=("chunk",)).policy, sidecars=False)
    assert {outcome.status.value for outcome in done.report} == {"registered"}
    assert {wrong, said} <= {outcome.path for outcome in done.report}
    assert done.after.total.quarantined == 0


def test_replay_closes_what_a_crash_left_open(
    bdms: Bdms, archive: InMemoryCatalogue, written: list[WrittenFile]
) -> None:
    dry = bdms.plan([file.path for file in written])
    (block,) = dry.blocks
    bdms.ingest(written[0].path)
    archive.open_block(block.did)
    lfn = Lfn(str(written[0].spec.lfn))
    assert lfn in archive.files([lfn])
    replay(bdms, NIGHT)
    assert not any(each.is_open for each in archive.blocks("acada", "*"))


def test_replay_only_of_what_matches(bdms: Bdms, written: list[WrittenFile]) -> None:
    done = replay(bdms, NIGHT, pattern="*/LSTN-01/*")
    assert {outcome.lfn.parts[3] for outcome in done.report if outcome.lfn} == {"LSTN-01"}
    assert done.after.total.open == 8
    assert done.after.total.registered == 2


def test_no_replay_while_a_daemon_works(bdms: Bdms, root: Path, written: list[WrittenFile]) -> None:
    stop = threading.Event()
    with Lease.claim(root.with_name(root.name + ".lease"), beat_every_s=0.01) as held:

        def work() -> None:
            while not stop.wait(0.005):
                held.beat()

        daemon = threading.Thread(target=work)
        daemon.start()
        try:
            with pytest.raises(LeaseHeldError, match="stop it"):
                replay(bdms, NIGHT, lease_silent_s=5.0)
        finally:
            stop.set()
            daemon.join()
    assert bdms.nights.report(NIGHT).total.registered == 0
    assert replay(bdms, NIGHT).after.total.registered == 8


def test_what_people_are_shown(bdms: Bdms, written: list[WrittenFile], capsys: pytest.CaptureFixture[str]) -> None:
    trigger(written[0].path).unlink()
    written[1].path.unlink()
    report = bdms.nights.report(NIGHT)
    show(Output(), report, names=False)
    shown = capsys.readouterr().out
    assert shown.startswith("night 2026-11-21 at CTAO-North\n")
    assert "1 waiting: it has no trigger" in shown
    assert f"1 missing: its trigger stands, and there is no such file\n  {written[1].spec.lfn}\n" in shown
    assert "6 waiting: its trigger stands, and it is not registered" in shown
    assert shown.endswith("0 quarantined, 7 open, 1 missing.\n")


def test_a_night_with_too_few_centres_is_not_complete(
    bdms: Bdms, archive: InMemoryCatalogue, written: list[WrittenFile]
) -> None:
    archive.mark_lost("PIC-DISK", "a fire")
    bdms.ingest([file.path for file in written])
    replicate(bdms, archive)
    report = bdms.nights.report(NIGHT)
    assert report.total.replicated == 0
    assert {(file.centres, file.reasons) for file in report.files} == {
        (("CSCS",), ("only 1 of 2 centres can keep it: the others are away",))
    }
    archive.mark_lost("PIC-DISK", "")
    replicate(bdms, archive)
    assert bdms.nights.report(NIGHT).is_complete
