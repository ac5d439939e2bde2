"""Extreme values in the running loop: no file, folder or clock stops the others."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from astropy.io import fits
from tests.house import House, Reader

from ctao_bdms.causes import Cause
from ctao_bdms.cli.app import run
from ctao_bdms.daemon.stages.register import RegisterStage
from ctao_bdms.errors import UsageError
from ctao_bdms.model import METADATA
from ctao_bdms.quarantine import Quarantine
from ctao_bdms.testing.contract import NIGHT
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REAL = {name: getattr(os, name) for name in ("stat", "lstat", "fstat", "scandir")}
TIMES_NS = (-(2**80), -(2**63) - 1, -(2**63), -1, 0, 1, 2**63 - 1, 2**63, 2**64, 2**80)
IDS = (-(2**63), -1, 0, 2**63 - 1, 2**63, 2**64 - 1, 2**64 + 5)
SIZES = (-1, 0, 2**53 + 1, 2**62, 2**63 - 1, 2**64)
#: What the kernel lets a file have; where the file system holds less, that is taken.
UTIME_NS = tuple(second * 10**9 for second in (-(2**33), -(2**31), 0, 2**31, 2**32, 2**33, 9_223_372_037, 2**34, 2**40))


class Entry:
    """A directory entry with a changed status."""

    def __init__(
        self, entry: os.DirEntry[Any], changed: Callable[[os.stat_result, str | bytes], os.stat_result]
    ) -> None:
        self._entry, self._changed = entry, changed
        self.name, self.path, self.is_dir = entry.name, entry.path, entry.is_dir

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return self._changed(self._entry.stat(follow_symlinks=follow_symlinks), self._entry.path)


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str, int], None]:
    """Make the operating system report a status that no file system here can hold."""
    claims: dict[str, dict[str, int]] = {}

    def changed(status: os.stat_result, path: int | str | bytes | Path) -> os.stat_result:
        place = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else path
        said = claims.get(os.fsdecode(place))
        if said is None:
            return status
        values = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")} | said
        ten = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")
        rest = {name: value for name, value in values.items() if name not in ten}  # Python 3.13 refuses a name twice
        return os.stat_result([values[name] for name in ten] + [0, 0, 0], rest)

    def patched(name: str) -> Callable[..., os.stat_result]:
        return lambda path, *args, **kwargs: changed(REAL[name](path, *args, **kwargs), path)

    @contextmanager
    def scandir(path: bytes | str) -> Iterator[Iterator[Entry]]:
        with REAL["scandir"](path) as entries:
            yield (Entry(entry, changed) for entry in entries)

    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, patched(name))
    monkeypatch.setattr(os, "scandir", scandir)

    def add(path: Path, field: str, value: int) -> None:
        claims.setdefault(os.fspath(path), {})[field] = value

    return add


def _shown(house: House) -> None:
    """Check that the daemon and the commands can show every file."""
    json.dumps(dict(house.report.snapshot))
    assert house.metrics.exposition()
    house.journal.oldest_open()
    path = str(house.journal.path)
    for form in ([], ["--events"], ["--json"], ["--events", "--json"]):
        assert run(["journal", "--journal", path, *form]) == 0


def _went_on(house: House, caplog: pytest.LogCaptureFixture, others: int = 3) -> None:
    """Check that all other files were registered, and no bug was logged."""
    assert house.loop._held == {}
    assert "please report" not in caplog.text
    assert not house.circuits.open
    assert house.states()["registered"] >= others
    assert house.report.snapshot


FIELDS = dict.fromkeys(("st_mtime_ns", "st_ctime_ns", "st_atime_ns"), TIMES_NS) | dict.fromkeys(
    ("st_ino", "st_dev", "st_uid", "st_nlink"), IDS
)


@pytest.mark.parametrize("number", range(len(TIMES_NS)))
def test_file_with_an_extreme_status_is_registered(
    house: House, claim: Callable[[Path, str, int], None], caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Each field has its n-th value in one file, and all fields have it in the folders."""
    files = house.write(len(FIELDS) + 3)
    for odd, (field, values) in zip(files, FIELDS.items(), strict=False):
        sidecar = odd.path.with_name(odd.path.name + ".sha256")
        sidecar.write_text(f"{odd.sha256}  {odd.path.name}\n")
        for path in (odd.path, odd.trigger, sidecar, odd.path.parent, house.root):
            claim(path, field, values[number % len(values)])
    house.turn(8)
    _went_on(house, caplog)
    assert house.states() == {"registered": len(files)}
    _shown(house)


@pytest.mark.parametrize("value", SIZES)
def test_extreme_size_affects_its_file_only(
    house: House, claim: Callable[[Path, str, int], None], caplog: pytest.LogCaptureFixture, value: int
) -> None:
    files = house.write(6)
    for odd in files[:3]:
        claim(odd.path, "st_size", value)
        claim(odd.trigger, "st_size", value)
        claim(odd.path.parent, "st_size", value)
    house.turn(8)
    _went_on(house, caplog)
    assert sum(house.states().values()) == 6
    _shown(house)


@pytest.mark.parametrize("time_ns", UTIME_NS)
def test_file_with_an_extreme_time_is_registered(house: House, caplog: pytest.LogCaptureFixture, time_ns: int) -> None:
    files = house.write(4)
    for path in (files[0].path, files[0].trigger, files[0].path.parent, house.root):
        os.utime(path, ns=(time_ns, time_ns))
    house.turn(8)
    _went_on(house, caplog)
    assert house.states() == {"registered": 4}
    _shown(house)


def test_trigger_with_a_far_time_is_found_again(house: House, claim: Callable[[Path, str, int], None]) -> None:
    (file,) = house.write(1)
    claim(file.trigger, "st_mtime_ns", 2**70)
    house.turn(6)
    assert not file.trigger.exists()
    file.trigger.touch()
    claim(file.trigger, "st_mtime_ns", 2**71)
    house.turn(6)
    assert not file.trigger.exists()


NAMES = (
    b"\xff\xfe", b"caf\xc3\xa9", b"line\nfeed", b"tab\tbell\x07", b"[bold]a[link]", b"%s %d {0}", b"-rf", b" ",
    b"*?[a]", b"\xf0\x9f\x94\xad", b"\xe2\x80\xaertl", b"'\"`$(x)", b"\\", b"x" * 247, b"\xff" * 247,
    b"\xed\xa0\x80",
)  # fmt: skip


def test_odd_names_are_quarantined_and_shown(
    house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    files = house.write(3)
    for name in map(os.fsdecode, NAMES):
        folder = house.root / name[:200]
        folder.mkdir()
        for path in (files[0].path.with_name(name), folder / "a.fits.fz"):
            path.write_bytes(b"x")
            path.with_name(path.name + ".trigger").touch()
    house.turn(10)
    _went_on(house, caplog)
    assert house.states() == {"registered": 3, "quarantined": 2 * len(NAMES)}
    _shown(house)
    assert len(Quarantine(house.settings.quarantine).cases()) == 2 * len(NAMES)
    for form in ([], ["--json"]):
        assert run(["quarantine", "list", "--folder", str(house.settings.quarantine), *form]) == 0
    assert run(["journal", "--journal", str(house.journal.path), "--path", "*\udcff*"]) == 0
    capsys.readouterr()


HEADER_VALUES: tuple[Any, ...] = (10**60, "", "nan", True, "9999-12-31T23:59:59.999999", "10000-01-01T00:00:00")
KEYWORDS = sorted({row.keywords[0] for row in METADATA.values() if row.keywords})


@pytest.mark.filterwarnings("ignore:Card is too long")
@pytest.mark.parametrize("value", HEADER_VALUES)
def test_extreme_header_value_affects_its_file_only(
    house: House, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    house.write(3)
    specs = night_specs(3 + len(KEYWORDS), megabytes=0.02, night=NIGHT)[3:]
    for spec, keyword in zip(specs, KEYWORDS, strict=True):
        file = write_dl0(spec, house.root)
        with fits.open(file.path, mode="update") as hdus:
            for hdu in hdus:
                hdu.header[keyword] = value
                hdu.add_checksum()
    house.turn(12)
    _went_on(house, caplog)
    states = house.states()
    assert sum(states.values()) == 3 + len(KEYWORDS)
    assert states.keys() <= {"registered", "quarantined"}
    _shown(house)


ODD_LINES = ("[" * 100_000, "[]", "7", '"x"', "\x00", '{"what": "registered", "block": null, "path": "/a", "when": 7}')


def test_foreign_files_in_the_quarantine_stop_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (bad,) = house.write(1)
    bad.path.write_bytes(b"x")
    house.turn(6)
    case = house.case
    said = json.loads((case.folder / "reason.json").read_text())
    for number, path in enumerate(("/a\0b", "", "x" * 5000, "/" + "\udcff" * 3)):
        folder = case.folder.with_name(f"20261121T00000{number}Z-00000000")
        folder.mkdir()
        (folder / "reason.json").write_text(json.dumps({**said, "path": path, "trigger": f"{path}.trigger"}))
        with contextlib.suppress(OSError, ValueError):
            Path(str(folder) + "/" + Path(path).name).write_bytes(b"x")
    naive = json.dumps({"what": "registered", "block": None, "path": str(case.path), "when": "2026-11-21T00:00:00"})
    log = case.folder.parent / "events.jsonl"
    log.write_text("\n".join([*ODD_LINES, naive, ""]))
    house.register._registrar = None
    house.write(4)
    house.turn(10)
    assert house.loop._held == {}
    assert house.states() == {"registered": 4}


JUMPS = [dt.timedelta(hours=5), dt.timedelta(hours=-5), dt.timedelta(days=15_000), dt.timedelta(days=-15_000)]


@pytest.mark.parametrize("jump", JUMPS)
def test_clock_that_jumps_stalls_nothing(house: House, caplog: pytest.LogCaptureFixture, jump: dt.timedelta) -> None:
    files = house.write(4)
    house.archive.refused[""] = UsageError("not now")
    house.turn(5)
    house.clock.ahead += jump
    house.archive.refused.clear()
    house.turn(90)
    assert house.states() == {"registered": 4}
    house.clock.ahead -= jump
    late = write_dl0(night_specs(5, megabytes=0.02, night=NIGHT)[4], house.root)
    house.turn(6)
    assert house.states().get("registered", 0) + house.states().get("replicated", 0) == 5
    house.clock.ahead += jump
    house.turn(3, seconds=61)
    for _ in range(4):
        house.turn(3, seconds=31)
        house.archive.transfer()
    house.turn(4, seconds=31)
    assert house.states() == {"replicated": 5}
    assert not any(os.path.lexists(file.trigger) for file in (*files, late))
    assert house.loop._held == {}
    _shown(house)


def _raise(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, odd: str) -> list[int]:
    """Make a function fail on one file while the returned list is empty."""
    real, mended = getattr(owner, name), list[int]()

    def failing(*args: object, **kwargs: object) -> object:
        if not mended and any(odd in str(each) for each in (*args, *kwargs.values())):
            raise OverflowError("nobody has thought of this")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    return mended


PLACES: Mapping[str, tuple[object, str]] = {
    "the trigger is looked at": (import_module("ctao_bdms.inbox.watch"), "contradiction"),
    "the place of the file is looked at": (import_module("ctao_bdms.inbox.watch"), "local_file"),
    "the sighting is written down": (import_module("ctao_bdms.journal.observing"), "observe"),
    "the file is given to a worker": (Reader, "submit"),
    "what it says is written down": (import_module("ctao_bdms.journal.journal"), "facts_to_bytes"),
    "what it says is described": (import_module("ctao_bdms.daemon.stages.register"), "local_file"),
    "the plan is made": (import_module("ctao_bdms.ingest.plan"), "_conflicts"),
    "it is registered": (import_module("ctao_bdms.ingest.execute"), "_is_as_read"),
    "what became of it is counted": (RegisterStage, "_count"),
}


@pytest.mark.parametrize("place", PLACES)
def test_software_failure_on_one_file_affects_it_only(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.INFO)
    files = house.write(4)
    odd = files[1].path.name.removesuffix(".fits.fz")
    mended = _raise(monkeypatch, *PLACES[place], odd)
    house.turn(60)
    assert house.states()["registered"] >= 3
    assert house.loop._held == {}
    waits = [*house.journal.entries(waiting=True)]
    held = [str(path) for path in house.discover.watch.waiting()]
    told = [entry.why for entry in waits] + list(house.discover.watch.waiting().values())
    assert len(waits) + len(held) == 1
    assert "OverflowError: nobody has thought of this" in told[0]
    assert all(entry.cause == Cause.FAILED for entry in waits)
    tracebacks = [record for record in caplog.records if record.exc_info and "please report" in record.message]
    assert len(tracebacks) == 1
    mended.append(1)
    house.turn(90)
    assert house.states() == {"registered": 4}
