"""Rounds of files and faults, while other accounts work; after each, the invariant holds on disks and catalogue.

``pytest tests`` runs a short campaign; ``nox -s campaign -- --rounds 50`` a long one, with the table at the end.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.embedded import Home, start
from ctao_bdms.model import DefectKind, Night
from ctao_bdms.naming import path_of_lfn
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night
from ctao_bdms.testing.invariant import Expected
from tests.campaign.actors import Actors, actors
from tests.campaign.extremes import TIMES_S, copy_hollow, hollow, set_time, tiny
from tests.campaign.faults import CORE, FAULTS, ON_MOUNT, mounted
from tests.campaign.locks import LockWatch
from tests.campaign.site import Site, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.testing.dl0 import WrittenFile

    Fault = Callable[[Site, random.Random], None]

pytestmark = pytest.mark.timeout(7200)

SEED = 1
#: How long nothing may change before an ingest that is not through counts as one that never will be, in seconds.
PATIENCE_S = 60.0
#: The same while only Rucio has still to do something, give locks or replace a copy that was declared bad: its daemons
#: work at low priority and come late on a loaded machine.
#: `LockWatch` sees that no copy can be deleted meanwhile.
RUCIO_PATIENCE_S = 300.0
#: How long others act on files that have all their copies, in seconds.
_AFTERWARDS_S = 3.0
_BAD = {
    Damage.BIT_FLIP: DefectKind.CORRUPT,
    Damage.TRUNCATED: DefectKind.TRUNCATED,
    Damage.CUT_AT_BORDER: DefectKind.STRUCTURE,
    Damage.EMPTY: DefectKind.EMPTY,
    Damage.GARBAGE: DefectKind.NOT_A_PRODUCT,
    Damage.TRAILING_BYTES: DefectKind.TRAILING_BYTES,
    Damage.WRONG_NAME: DefectKind.NAME_MISMATCH,
    Damage.MISSING_HEADERS: DefectKind.MISSING_METADATA,
}


@attrs.frozen(kw_only=True)
class Row:
    """What came of a round."""

    number: int
    fault: str
    n_files: int
    n_bad: int
    permitted: int
    refused: int
    recovered_s: float
    said: tuple[str, ...]

    def __str__(self) -> str:
        calls = f"{self.permitted:11d}{self.refused:9d}"
        head = f"{self.number:5d}  {self.fault:28}{self.n_files:5d}{self.n_bad:5d}{calls}{self.recovered_s:11.1f}"
        return "\n        ".join([f"{head}{len(self.said):12d}", *self.said])


@attrs.frozen
class Arrival:
    """A file that arrives: where it was written, what it will be, and its time of modification if it has an own one."""

    source: Path
    file: Expected
    time_s: int | None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Actors, bool]]:
    folder = tmp_path_factory.mktemp("campaign")
    home = Home(folder / "home")
    storage = home.path / "storage"
    storage.mkdir(parents=True)
    home.lock_file.touch()  # which says that the folder is a home, though it is not empty
    state = folder / "state"
    state.mkdir()
    mounts = [place for place, megabytes in ((storage, 256), (state, 64)) if mounted(place, megabytes)]
    is_mounted = bool(mounts)
    try:
        with start(home.path) as instance:
            site = Site(instance, folder)
            # It makes rules, too. Here the daemon must.
            site.signal_part("follower", signal.SIGSTOP)
            try:
                with actors(instance, folder / "actors") as others:
                    yield site, others, is_mounted
            finally:
                site.daemon.kill()
                site.daemon.wait()
                site.signal_part("follower", signal.SIGCONT)
    finally:
        for place in mounts:
            subprocess.run(["umount", place], check=True)


def _night(number: int) -> Night:
    return Night(dt.date(2026, 1, 1) + dt.timedelta(days=number))


def _written(site: Site, scratch: Path, number: int, chance: random.Random) -> list[Arrival]:
    """Write the files of a round, each a night of its own, out of sight; return what will arrive."""
    specs = night_specs(chance.randint(5, 9), megabytes=0.01, seed=chance.getrandbits(30), night=_night(number))
    prepared = []
    bad = set(chance.sample(range(len(specs)), chance.randint(0, 2)))
    for index, written in enumerate(write_night(scratch, specs)):
        file = _damaged(written, chance, index) if index in bad else Expected.of(written)
        path = Path(path_of_lfn(written.lfn, site.root))
        file = attrs.evolve(file, path=path, trigger=path.with_name(written.trigger.name))
        time_s = chance.choice(TIMES_S) if chance.random() < 0.3 else None
        prepared.append(Arrival(written.path, file, time_s))
    chance.shuffle(prepared)
    return prepared


def _damaged(written: WrittenFile, chance: random.Random, seed: int) -> Expected:
    """Damage a file, in any of the ways."""
    extreme = {"hollow": hollow, "tiny": tiny}
    kind = chance.choice((*_BAD, *extreme))
    if isinstance(kind, Damage):
        damage(written.path, kind, seed=seed)
        return Expected.of(written, _BAD[kind])
    return extreme[kind](written, chance)


def _arrive(prepared: list[Arrival], pauses_s: list[float]) -> None:
    """Put files and their triggers into the storage, as one who writes does: again, if the storage fails."""
    for arrival, pause_s in zip(prepared, pauses_s, strict=True):
        time.sleep(pause_s)
        while not _put(arrival):
            time.sleep(0.1)


def _put(arrival: Arrival) -> bool:
    file = arrival.file
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        if file.sha256:
            shutil.copyfile(arrival.source, file.path)
        else:
            copy_hollow(arrival.source, file.path)
        if arrival.time_s is not None:
            set_time(file.path, arrival.time_s)
        file.trigger.symlink_to(file.path.name)
        if arrival.time_s is not None:
            set_time(file.trigger, arrival.time_s)
    except OSError:
        return False
    return True


def _at_rest(site: Site, expected: list[Expected], products: dict[str, str]) -> tuple[str, ...]:
    """Wait until the invariant holds and nothing is on its way; return what is wrong if it never does."""
    last: object = None
    since_s = time.monotonic()
    while True:
        site.keep_daemon()
        on_its_way = site.open_files()
        said = [] if on_its_way else [*site.violations(expected, products), *site.misremembered(expected)]
        if not on_its_way and not said:
            return ()
        if (on_its_way, said) != last:
            last, since_s = (on_its_way, said), time.monotonic()
        elif time.monotonic() - since_s > (RUCIO_PATIENCE_S if _waits_for_rucio(said) else PATIENCE_S):
            stuck = [f"on its way for ever: {on_its_way}"] if on_its_way else []
            return (*stuck, *said, *site.violations(expected, products))
        time.sleep(0.3)


def _waits_for_rucio(said: list[str]) -> bool:
    """Return whether nothing is wrong but what Rucio has still to do: locks to make, bad copies to replace."""
    return bool(said) and all(
        re.search(r"its rule for .* (holds|is replicating)|its copy at .* is copying", s) for s in said
    )


def _replicated(site: Site) -> None:
    """Wait until the daemon has done with all files, or cannot, and a while: others act until then."""
    end_s = time.monotonic() + PATIENCE_S
    while site.open_files() and time.monotonic() < end_s:
        site.keep_daemon()
        time.sleep(0.3)
    time.sleep(_AFTERWARDS_S)


def _table(calls: Counter[tuple[str, str, str]]) -> Iterator[str]:
    """Yield lines that say what the actors did."""
    yield f"{'role':17}{'attempt':22}answers"
    for role, attempt in sorted({key[:2] for key in calls}):
        answers = sorted((came, number) for (*key, came), number in calls.items() if key == [role, attempt])
        yield f"{role:17}{attempt:22}{', '.join(f'{came} {number}' for came, number in answers)}"


def _faults(rounds: int, chance: random.Random, is_mounted: bool) -> Iterator[Fault]:
    """Yield faults: the most important ones first, then all, in ever new orders."""
    core: list[Fault] = list(CORE)
    others: list[Fault] = list(FAULTS)
    if is_mounted:
        core += ON_MOUNT
    chance.shuffle(core)
    yield from core
    chance.shuffle(others)
    yield from others
    for _ in range(rounds):
        every = core + others
        chance.shuffle(every)
        yield from every


def test_whatever_breaks_no_file_is_lost_doubled_or_half_registered(
    site: tuple[Site, Actors, bool],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    place, others, is_mounted = site
    rounds = request.config.getoption("--rounds") or len(CORE) + is_mounted * len(ON_MOUNT)
    seed = request.config.getoption("--campaign-seed")
    seed = SEED if seed is None else seed
    chance = random.Random(seed)
    faults: Iterator[Fault] = _faults(rounds, chance, is_mounted)
    if only := request.config.getoption("--fault"):
        faults = itertools.repeat({fault.__name__: fault for fault in (*CORE, *FAULTS, *ON_MOUNT)}[only])
    expected: list[Expected] = []
    products: dict[str, str] = {}
    calls: Counter[tuple[str, str, str]] = Counter()
    rows: list[Row] = []
    try:
        for number, fault in zip(range(1, rounds + 1), faults, strict=False):
            prepared = _written(place, tmp_path / str(number), number, chance)
            files = [arrival.file for arrival in prepared]
            expected += files
            pauses_s = [chance.uniform(0, 0.5) for _ in prepared]
            arrival = threading.Thread(target=_arrive, args=(prepared, pauses_s))
            with LockWatch(place.instance) as watch:
                arrival.start()
                others.begin(chance, _night(number), files)
                time.sleep(chance.uniform(0, 2))
                fault(place, chance)
                begin_s = time.monotonic()
                arrival.join()
                _replicated(place)
                did = others.rest()
                products = did.products
                said = (*_at_rest(place, expected, products), *did.said)
            until(watch.look, 30, "the database answers")
            said = (*said, *watch.said)
            calls.update(did.calls)
            rows.append(
                Row(
                    number=number,
                    fault=fault.__name__.replace("_", " "),
                    n_files=len(files),
                    n_bad=sum(not file.is_sound for file in files),
                    permitted=did.count("permitted"),
                    refused=did.count("refused"),
                    recovered_s=time.monotonic() - begin_s,
                    said=(*said, *place.complaints),
                )
            )
            place.complaints.clear()
            shutil.rmtree(tmp_path / str(number))
            if os.environ.get("BDMS_CAMPAIGN_TELL"):
                print(rows[-1], flush=True)
            if said:
                break
        assert place.end_daemon(signal.SIGTERM) == 0
        assert place.violations(expected, products) == []
        assert "Traceback" not in place.log.read_text(encoding="utf-8", errors="replace")
    finally:
        kinds = "with" if is_mounted else "without"
        title = f"campaign of {len(rows)} rounds, seed {seed}, {kinds} a file system of its own"
        head = "round  fault                       files  bad  permitted  refused  recovery s  violations"
        record_property("campaign", json.dumps([title, head, *map(str, rows), *_table(calls)]))
    assert [row for row in rows if row.said] == []
    assert len(rows) == rounds
