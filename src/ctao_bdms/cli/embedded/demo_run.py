"""The steps of the demonstration and the checks of their results; `demo` displays them."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ctao_bdms.access import Fetching
from ctao_bdms.cli.embedded.demo_result import DemoFile, DemoResult
from ctao_bdms.errors import UnreachableError
from ctao_bdms.ingest import IngestReport, Status
from ctao_bdms.model import ArrayElement, Lfn
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import Dl0Kind, WrittenFile, write_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ctao_bdms.archive import Bdms
    from ctao_bdms.embedded import Instance
    from ctao_bdms.testing.dl0 import Dl0Spec

__all__ = ["Display", "play"]

ONSITE = "CTAO-NORTH-ONSITE"
#: Time limit in seconds for the replication of a night of this size.
_PATIENCE_S = 600.0


class Display(Protocol):
    """The display of the demonstration."""

    def step(self, name: str, aim: str) -> AbstractContextManager[Callable[[str], None]]:
        """Announce and time a step; yields a function that takes the result as a sentence."""

    def bar(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show progress; yields a function that takes the number of completed items."""

    def rejected(self, report: IngestReport) -> None:
        """Show the files in quarantine, and the reasons."""


def play(
    start: Callable[[Callable[[str], None]], Instance],
    connect: Callable[[Path], Bdms],
    specs: Sequence[Dl0Spec],
    folder: Path,
    display: Display,
) -> DemoResult:
    """Run the demonstration and return the results.

    Parameters
    ----------
    start
        Starts an embedded Rucio, which is stopped at the end.
    connect
        Connects to it.
    specs
        The files of the night.
    folder
        The folder of retrieved files.
    """
    result = DemoResult(home="")

    @contextmanager
    def step(name: str, aim: str) -> Iterator[Callable[[str], None]]:
        begin = time.monotonic()
        with display.step(name, aim) as say:
            yield say
        result.seconds[name] = round(time.monotonic() - begin, 2)

    with step("start", "a real Rucio: database, server, daemons, transfers") as say:
        instance = start(lambda _: None)
        say(f"Rucio answers at {instance.server_url}")
    with instance:
        result.home = str(instance.home.path)
        bdms = connect(instance.client_config())
        root = instance.storage(ONSITE)
        with step("observe", "DL0 files as the telescopes write them") as say:
            written = _observe(root, specs, display)
            result.files = [
                DemoFile(lfn=str(w.lfn), size_bytes=w.size_bytes, adler32=w.adler32, sha256=w.sha256) for w in written
            ]
            say(f"{len(written)} files, {_megabytes(sum(w.size_bytes for w in written))}, on {ONSITE}")
        with step("damage", "two of them") as say:
            for text in _damage(written, result):
                say(text)
        with step("ingest", "check, register where they lie") as say:
            report = _ingest(bdms, root, result, display)
            say(", ".join(f"{number} {status}" for status, number in Counter(o.status.value for o in report).items()))
        display.rejected(report)
        with step("replicate", "to two distinct data centres, one after the other") as say:
            say(_replicate(bdms, result, display))
        with step("verify", "read every copy back from disk") as say:
            say(_verify(bdms, result, display))
        with step("query", "what a physicist would ask") as say:
            say(_query(bdms, specs, result))
        with step("retrieve", "from the data centres, and compare") as say:
            say(_retrieve(bdms, folder, result, display))
    return result


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _observe(root: Path, specs: Sequence[Dl0Spec], display: Display) -> list[WrittenFile]:
    """Write the files of the night."""
    with display.bar("writing", len(specs)) as done:
        return write_night(root, specs, on_file=lambda _: done(1))


def _damage(written: Sequence[WrittenFile], result: DemoResult) -> Iterator[str]:
    """Damage two files, as disks and networks do."""
    for place, kind in ((1, Damage.BIT_FLIP), (len(written) // 2, Damage.TRUNCATED)):
        damage(written[place].path, kind, seed=place)
        result.files[place].damage = kind.value
        yield f"{kind.value}: {written[place].path.name}"


def _ingest(bdms: Bdms, root: Path, result: DemoResult, display: Display) -> IngestReport:
    """Ingest the night, and compare the status of each file with its damage."""
    total = sum(file.size_bytes for file in result.files)
    with display.bar("reading", total) as done:
        report = bdms.ingest(root, on_bytes=done)
    outcomes = {str(outcome.lfn): outcome for outcome in report}
    for file in result.files:
        outcome = outcomes.get(file.lfn)
        file.status = outcome.status.value if outcome else "not found"
        file.why = outcome.why if outcome else ""
        wanted = Status.QUARANTINED if file.damage else Status.REGISTERED
        result.expect(file.status == wanted.value, f"{file.lfn} is {file.status}, not {wanted.value}")
        if outcome and file.damage:
            is_kept = outcome.case is not None and {p.name for p in outcome.case.iterdir()} > {"reason.json"}
            result.expect(is_kept, f"{file.lfn} is not in quarantine with its reason")
    known = bdms.catalogue.files(Lfn(file.lfn) for file in result.files if file.damage)
    result.expect(not known, f"the catalogue knows {', '.join(map(str, known))}")
    result.counts = {"files": len(result.files), **Counter(outcome.status.value for outcome in report)}
    result.counts["blocks"] = len({outcome.block for outcome in report if outcome.block})
    return report


def _replicate(bdms: Bdms, result: DemoResult, display: Display) -> str:
    """Wait until both centres have all files; make each rule when it is due."""
    until = time.monotonic() + _PATIENCE_S
    # The manifest of each block is copied, too.
    with display.bar("copying", 2 * (result.counts.get("registered", 0) + result.counts["blocks"])) as done:
        copied = 0
        while True:
            states = bdms.rules.reconcile("acada")
            before = copied
            copied = sum(r.locks["ok"] for state in states for r in state.rules if r.rse_expression != ONSITE)
            done(copied - before)
            if states.is_complete:
                break
            if time.monotonic() > until:
                raise UnreachableError(f"the copies were not there after {_PATIENCE_S:.0f} s: {states!r}")
            time.sleep(0.5)
    ways = {" -> ".join(["site", *state.centres]) for state in states}
    return f"{len(states)} block{'s' if len(states) > 1 else ''}, {'; '.join(sorted(ways))}"


def _verify(bdms: Bdms, result: DemoResult, display: Display) -> str:
    """Read back every copy and compare it with the original bytes."""
    sound = {file.lfn: file for file in result.files if not file.damage}
    rses = bdms.catalogue.rses()
    total = 3 * sum(file.size_bytes for file in sound.values())
    with display.bar("reading back", total) as done:
        evidence = bdms.verify(sound, on_bytes=done)
    for each in evidence:
        file = sound[str(each.lfn)]
        if not each.problem and each.sha256 == file.sha256:
            file.copies.append(rses[each.rse].centre or rses[each.rse].site)
    centres = {rse.centre for rse in rses.values() if rse.centre}
    for file in sound.values():
        file.copies.sort(key=lambda place: (place in centres, place))  # the site first
        enough = len(centres & set(file.copies)) >= 2 and len(file.copies) > 2
        result.expect(enough, f"{file.lfn} has verified copies only at {', '.join(file.copies) or 'no place'}")
    result.counts["copies verified"] = sum(len(file.copies) for file in sound.values())
    read_back = _megabytes(sum(each.size_bytes for each in evidence))
    return f"{result.counts['copies verified']} copies, {read_back}, compared with what was written"


def _query(bdms: Bdms, specs: Sequence[Dl0Spec], result: DemoResult) -> str:
    """Query one telescope in a part of the night, and compare the result with the written files."""
    damaged = {file.lfn for file in result.files if file.damage}
    telescopes = [spec for spec in specs if spec.kind is Dl0Kind.TELESCOPE]
    number = max(spec.ae_id for spec in telescopes)
    begin = min(spec.start for spec in specs)
    end = begin + dt.timedelta(minutes=20)
    name = ArrayElement(number).name
    found = bdms.query(level="DL0", night=specs[0].night, telescope=name, time=(begin, end))
    names = {str(product.lfn) for product in found}
    meant = {str(spec.lfn) for spec in telescopes if spec.ae_id == number and spec.start < end}
    expected = meant - damaged
    result.counts["found"] = len(found)
    result.expect(names == expected, f"the query found {len(found)} of {len(expected)}")
    return f"DL0 of {name} on {specs[0].night}, {begin:%H:%M} to {end:%H:%M} UTC: {len(found)} files, as written"


def _retrieve(bdms: Bdms, folder: Path, result: DemoResult, display: Display) -> str:
    """Retrieve every sound file by a query, and compare it with the original bytes."""
    from ctao_bdms.integrity import digest_file

    sound = {file.lfn: file for file in result.files if not file.damage}
    with display.bar("fetching", sum(file.size_bytes for file in sound.values())) as done:
        found = bdms.query(level="DL0")
        fetched = bdms.retrieve(found, folder, on_bytes=done)
    equal = 0
    for each in fetched:
        file = sound.get(str(each.lfn))
        is_equal = (
            file is not None
            and each.status is Fetching.FETCHED
            and digest_file(each.path, ("sha256",)).digests["sha256"] == file.sha256
        )
        result.expect(is_equal, f"{each.lfn} did not come back as it was: {each.error or each.status}")
        if file is not None and is_equal:
            file.fetched_from = each.rse
            equal += 1
    result.expect(equal == len(sound), f"{equal} of {len(sound)} files came back")
    result.counts["retrieved"] = equal
    rses = Counter(each.rse for each in fetched)
    return f"{equal} files equal the originals, from " + ", ".join(f"{rse} ({n})" for rse, n in rses.items())
