"""One poll of the inbox in a large tree: seconds and memory, with nothing new.

Run ``python benchmarks/watch.py``. It makes a tree of empty files in a temporary folder and removes it again; with
``--known`` every second file is a trigger. Aims: a poll of a tree of 1,000,000 files with nothing new takes less than
0.1 s, and 1,000,000 known triggers (``--files 2000000 --known``) take less than 300 MB.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from ctao_bdms.inbox import Watch

NAME = "TEL001_SDH0001_20261121T221500_SBID0000000002_OBSID0000000002_CHUNK{:03d}.fits.fz"


def make(root: Path, folders: int, files: int, *, known: bool) -> None:
    """Fill `root` with so many folders, and so many files in all."""
    for number in range(folders):
        folder = root / f"ctao/acada/DL0/LSTN-{number % 4 + 1:02d}/u/events/2026/{number // 31:02d}/{number % 31:02d}"
        folder.mkdir(parents=True)
        for index in range(files // folders // (2 if known else 1)):
            (folder / NAME.format(index)).touch()
            if known:
                (folder / (NAME.format(index) + ".trigger")).touch()


def memory_mb() -> float:
    """Return what this process holds, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", type=int, default=2000)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--known", action="store_true", help="every second file is a trigger")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where to make the tree")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        make(root, options.folders, options.files, known=options.known)
        clock = [0.0]
        before_mb = memory_mb()
        watch = Watch([root], root, monotonic=lambda: clock[0])
        begin = time.perf_counter()
        found = 0
        more = True
        while more:
            poll = watch.poll()
            found += len(poll.found)
            more = poll.more
        first_s = time.perf_counter() - begin
        clock[0] += 10
        watch.poll()
        seconds = []
        for _ in range(options.rounds):
            clock[0] += 1  # so that each poll does its part of the full walk
            begin = time.perf_counter()
            watch.poll()
            seconds.append(time.perf_counter() - begin)
        print(f"{watch.folders} folders, {options.files} files, {watch.known} known triggers")
        print(f"first look       {first_s:8.3f} s, {found} found")
        print(f"poll, nothing new {statistics.median(seconds):7.3f} s median, {max(seconds):.3f} s longest")
        print(f"memory           {memory_mb():8.1f} MB, {memory_mb() - before_mb:.1f} MB of it for the watch")


if __name__ == "__main__":
    main()
