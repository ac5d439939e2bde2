"""Time, CPU and memory of one scan, beside plain reading, separate passes, and single digests.

Run ``python benchmarks/scan.py``. Files are made in a temporary folder (``--folder`` says where) and removed: plain
tables where a file is smaller than 1 MB, genuine DL0 files of one telescope otherwise. All ways take turns in one run,
in another order every round; shown are the medians over the rounds, and the median of the ratios within a round.

* plain read: every byte once, into one buffer.
* ours: `scan_many` with Adler-32 alone, then the metadata; with SHA-256 too. All in one process.
* passes: what takes the place of it elsewhere: astropy's ``verify_checksum`` and ``verify_datasum``, all headers by
  astropy, and Rucio's own Adler-32, one after the other.
* one digest alone over a plain read: the fastest Adler-32 there is here, and SHA-256.

Cold: each file is written through and dropped from this machine's page cache before every turn (``posix_fadvise``).
Directory entries stay, and if the machine is a virtual one, its host may still hold the bytes.
Memory is that of a process of its own, at its peak, above a Python that does nothing; so the libraries count too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ctao_bdms.integrity import scan, scan_many
from ctao_bdms.model import ProductMetadata, Verdict
from ctao_bdms.testing.dl0 import night_specs, write_content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BLOCK = 1024 * 1024
MIB = 1024 * 1024


def plain(path: str, update: Callable[[memoryview], object] = lambda piece: None) -> None:
    """Read every byte once, into one buffer."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(min(BLOCK, os.fstat(descriptor).st_size + 1)))
        while count := os.readv(descriptor, [buffer]):
            update(buffer[:count])
    finally:
        os.close(descriptor)


def ours(paths: Sequence[str], *algorithms: str) -> None:
    """Prove files and say what they are."""
    for facts in scan_many(paths, ("adler32", *algorithms)):
        assert facts.verdict is Verdict.GOOD, facts
        ProductMetadata.from_keywords(facts.keywords)


def passes(path: str) -> None:
    """Do the same with what there is elsewhere."""
    from astropy.io import fits
    from rucio.common.checksum import adler32

    with fits.open(path, disable_image_compression=True) as parts:
        for part in parts:
            assert part.verify_checksum() == part.verify_datasum() == 1
    with fits.open(path) as parts:
        assert [dict(part.header) for part in parts]
    adler32(path)


def adler_alone(path: str) -> None:
    """Make the fastest Adler-32 alone."""
    from zlib_ng.zlib_ng import adler32

    value = 1

    def update(piece: memoryview) -> None:
        nonlocal value
        value = adler32(piece, value)

    plain(path, update)


def each(way: Callable[[str], None]) -> Callable[[Sequence[str]], None]:
    """Return what goes from file to file."""

    def go(paths: Sequence[str]) -> None:
        for path in paths:
            way(path)

    return go


WAYS: dict[str, Callable[[Sequence[str]], None]] = {
    "plain read": each(plain),
    "ours": ours,
    "ours + sha256": lambda paths: ours(paths, "sha256"),
    "passes": each(passes),
    "adler32 alone": each(adler_alone),
    "sha256 alone": each(lambda path: plain(path, hashlib.sha256().update)),
}


@attrs.frozen
class Turn:
    """What one turn of one way took, in seconds."""

    wall_s: float
    cpu_s: float


def turn(way: Callable[[Sequence[str]], None], paths: Sequence[str], *, cold: bool) -> Turn:
    """Let one way go through all files."""
    for path in paths if cold else ():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    wall, cpu = time.perf_counter(), time.process_time()
    way(paths)
    return Turn(time.perf_counter() - wall, time.process_time() - cpu)


def measure(paths: Sequence[str], rounds: int, *, cold: bool) -> dict[str, list[Turn]]:
    """Let all ways take turns."""
    names = list(WAYS)
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in (*names[at:], *names[:at]):
            turns[name].append(turn(WAYS[name], paths, cold=cold))
    return turns


def ratio(turns: dict[str, list[Turn]], way: str, to: str) -> float:
    """Return the median of the ratios of wall time within the rounds."""
    return statistics.median(a.wall_s / b.wall_s for a, b in zip(turns[way], turns[to], strict=True))


@attrs.frozen
class Memory:
    """Peaks of a process, in bytes: in all, of its own, and of files mapped into it."""

    peak: int
    anonymous: int
    mapped: int


def status() -> dict[str, int]:
    """Return what the kernel says of this process's memory, in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def watch(way: Callable[[Sequence[str]], None], paths: Sequence[str]) -> Memory:
    """Run one way and watch this process's memory meanwhile."""
    peaks = {"RssAnon": 0, "RssFile": 0}
    done = threading.Event()

    def sample() -> None:
        while True:
            now = status()
            peaks.update({word: max(peak, now[word]) for word, peak in peaks.items()})
            if done.wait(0.002):
                return

    thread = threading.Thread(target=sample)
    thread.start()
    way(paths)
    done.set()
    thread.join()
    return Memory(status()["VmHWM"], peaks["RssAnon"], peaks["RssFile"])


def memory(way: str, paths: Sequence[str]) -> Memory:
    """Return the peaks of one way in a process of its own, above those of a Python that does nothing."""
    idle = "lines = (line.split() for line in open('/proc/self/status')); "
    idle += "print(*(int(w[1]) * 1024 for w in lines if w[0] in ('VmHWM:', 'RssAnon:', 'RssFile:')))"
    bare = Memory(*map(int, subprocess.check_output([sys.executable, "-c", idle], text=True).split()))
    said = subprocess.check_output([sys.executable, __file__, "--watch", way], input="\n".join(paths), text=True)
    full = Memory(**json.loads(said))
    return Memory(full.peak - bare.peak, full.anonymous - bare.anonymous, full.mapped - bare.mapped)


def make(megabytes: float, count: int, folder: Path) -> list[str]:
    """Make files; return their paths."""
    from astropy.io import fits

    paths = [folder / f"{megabytes:g}-{number}.fits{'.fz' if megabytes >= 1 else ''}" for number in range(count)]
    random = np.random.default_rng(0)
    for path in paths:
        if megabytes >= 1:
            write_content(night_specs(1, telescopes=1, megabytes=megabytes)[0], path)
            continue
        rows = round(megabytes * 1e6 / 40)
        columns = [fits.Column(name=f"C{i}", format="D", array=random.normal(size=rows)) for i in range(5)]
        table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, checksum=True)
    return [str(path) for path in paths]


def metadata_ms(paths: Sequence[str]) -> tuple[float, float]:
    """Return what metadata cost a file beyond the pass, ms: to read the cards, and to make metadata of them."""
    from ctao_bdms.integrity.cards import parse_header

    headers, merge = [], []
    for path in paths[:100]:
        facts = scan(path, ("adler32",))
        with Path(path).open("rb") as stream:
            cards = []
            for hdu in facts.hdus:
                stream.seek(hdu.offset)
                cards.append(stream.read(hdu.header_bytes))
        begin = time.perf_counter()
        for header in cards:
            parse_header(header)
        between = time.perf_counter()
        ProductMetadata.from_keywords(facts.keywords)
        headers.append(between - begin)
        merge.append(time.perf_counter() - between)
    return 1000 * statistics.median(headers), 1000 * statistics.median(merge)


def show(turns: dict[str, list[Turn]], memories: dict[str, Memory], total_bytes: int) -> None:
    """Print the table of one size and one state of the cache."""
    head = f"{'way':<15}{'wall s':>9}{'MB/s':>8}{'CPU s':>9}{'to plain':>10}{'to ours':>9}{'range':>14}"
    print(head + (f"{'peak MiB':>10}{'anonymous':>11}{'mapped':>8}" if memories else ""))
    for way, taken in turns.items():
        wall = statistics.median(each.wall_s for each in taken)
        cpu = statistics.median(each.cpu_s for each in taken)
        each_round = sorted(a.wall_s / b.wall_s for a, b in zip(taken, turns["ours"], strict=True))
        low, high = each_round[0], each_round[-1]
        text = f"{way:<15}{wall:>9.3f}{total_bytes / wall / 1e6:>8.0f}{cpu:>9.3f}"
        text += (
            f"{ratio(turns, way, 'plain read'):>10.2f}{ratio(turns, way, 'ours'):>9.2f}{f'{low:.2f}-{high:.2f}':>14}"
        )
        if memories:
            used = memories[way]
            text += f"{used.peak / MIB:>10.0f}{used.anonymous / MIB:>11.0f}{used.mapped / MIB:>8.0f}"
        print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["0.1x1000", "200", "1000"], help="sizes in MB, or MBxFILES")
    parser.add_argument("--rounds", type=int, default=6, help="how many turns each way takes; half for 1 GB")
    parser.add_argument("--folder", type=Path, help="where to make the files; else the folder for temporary files")
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds, to see that it works")
    parser.add_argument("--watch", choices=list(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        print(json.dumps(attrs.asdict(watch(WAYS[options.watch], sys.stdin.read().split("\n")))))
        return
    sizes = ["0.1x50", "5"] if options.quick else options.sizes
    rounds = 2 if options.quick else options.rounds
    aims: list[tuple[str, float, str, float]] = []
    for size in sizes:
        megabytes, _, count = size.partition("x")
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            paths = make(float(megabytes), int(count or 1), Path(folder))
            total = sum(Path(path).stat().st_size for path in paths)
            title = f"{len(paths)} file{'s' * (len(paths) > 1)} of {total / len(paths) / 1e6:.1f} MB"
            for name in WAYS:  # imports, and bytes that were just written
                turn(WAYS[name], paths[:10], cold=True)
            memories = {name: memory(name, paths) for name in WAYS}
            turns = max(2, rounds // 2) if total >= 9e8 else rounds
            warm = measure(paths, turns, cold=False)
            print(f"\n{title}, warm, {turns} rounds")
            show(warm, memories, total)
            cold = measure(paths, turns, cold=True)
            print(f"\n{title}, cold, {turns} rounds")
            show(cold, {}, total)
            headers, merge = metadata_ms(paths)
            print(f"\nmetadata, a file: cards {headers:.3f} ms, from cards to metadata {merge:.3f} ms")
            faster = 15.0 if float(megabytes) < 1 else 3.0
            aims += [
                (f"{title}: warm, times faster than passes", ratio(warm, "passes", "ours"), "at least", faster),
                (f"{title}: cold, time to plain read", ratio(cold, "ours", "plain read"), "at most", 1.1),
                (f"{title}: peak MiB", memories["ours + sha256"].peak / MIB, "at most", 64),
                (f"{title}: metadata ms a file", headers + merge, "at most", 1),
            ]
    print(f"\n{'aim':<58}{'measured':>10}{'':>10}{'aim':>6}")
    for what, value, word, aim in aims:
        reached = value >= aim if word == "at least" else value <= aim
        print(f"{what:<58}{value:>10.2f}{word:>10}{aim:>6g}  {'reached' if reached else 'NOT reached'}")


if __name__ == "__main__":
    main()
