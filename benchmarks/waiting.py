"""A daemon that has a million files to see to, and an archive that does not answer: memory, and seconds of a poll.

Run ``python benchmarks/waiting.py``. It makes a tree of empty files with triggers in a temporary folder, and starts
``bdms ingestd`` on it with a server that refuses connections. When all files are in the journal, one more look at the
inbox costs what is shown. Aims: less than 300 MB, and less than 0.1 s a poll with nothing new.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ingestd import Ingestd
from machine import memory_mb

from ctao_bdms.testing.ingestd import IngestdFolder

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "TEL001_SDH0001_20261121T221500_SBID0000000002_OBSID0000000002_CHUNK{:03d}.fits.fz"
_SAMPLE_S = 1.0
_SETTINGS = """\
[storage]
root = "{root}"
rse = "CTAO-NORTH-ONSITE"
site = "CTAO-North"
[rucio]
config = "{folder}/rucio.cfg"
[state]
folder = "{folder}/state"
[http]
port = 0
[log]
level = "ERROR"
[workers]
number = {workers}
"""


def make(root: Path, folders: int, files: int) -> None:
    """Fill `root` with so many folders, and so many files with triggers in all."""
    for number in range(files):
        day = number % folders
        folder = root / f"ctao/acada/DL0/LSTN-{day % 4 + 1:02d}/u/events/2026/{day // 31:02d}/{day % 31:02d}"
        if number < folders:
            folder.mkdir(parents=True)
        file = folder / NAME.format(number // folders)
        file.touch()
        file.with_name(f"{file.name}.trigger").symlink_to(file.name)


def settings(folder: Path, workers: int) -> IngestdFolder:
    """Write settings for a daemon whose server refuses connections."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    (folder / "rucio.cfg").write_text(
        f"[client]\nrucio_host = {url}\nauth_host = {url}\nauth_type = userpass\nusername = u\npassword = p\n"
        "account = ingest\nrequest_retries = 1\n"
    )
    made = IngestdFolder(folder)
    made.config.write_text(_SETTINGS.format(root=folder / "onsite", folder=folder, workers=workers))
    return made


def known(daemon: Ingestd) -> int:
    """Return how many files the journal knows."""
    return sum(tally.files for tally in daemon.journal.tallies().values())


def memory_until(daemon: Ingestd, is_over: Callable[[], bool]) -> float:
    """Return the most memory that the daemon holds until something is so, in MB."""
    most_mb = 0.0
    while not is_over():
        time.sleep(_SAMPLE_S)
        most_mb = max(most_mb, memory_mb(daemon.pid)[0])
    return most_mb


def is_looked_through(daemon: Ingestd, files: int) -> bool:
    """Whether all files are in the journal, and the watch knows all triggers: the next look finds nothing new."""
    return known(daemon) == files and daemon.status().get("inbox", {}).get("triggers") == files


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", type=int, default=2000)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is looked at when all are known")
    parser.add_argument("--folder", type=Path, help="where to make the tree")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "onsite").mkdir()
        make(folder / "onsite", options.folders, options.files)
        begin_s = time.monotonic()
        with Ingestd(settings(folder, options.workers)) as daemon:
            most_mb = memory_until(daemon, lambda: is_looked_through(daemon, options.files))
            seen_s = time.monotonic() - begin_s
            looks, taken_s = (daemon.metric(f"inbox_poll_seconds_{what}") for what in ("count", "sum"))
            end_s = time.monotonic() + options.seconds
            most_mb = max(most_mb, memory_until(daemon, lambda: time.monotonic() >= end_s))
            looks = daemon.metric("inbox_poll_seconds_count") - looks
            taken_s = daemon.metric("inbox_poll_seconds_sum") - taken_s
            print(f"{known(daemon)} files in the journal, all of them after {seen_s:.0f} s")
            print(f"poll with nothing new {taken_s / looks:8.3f} s, mean of {looks:.0f}")
            print(f"memory of the daemon  {most_mb:8.1f} MB at the most, {memory_mb(daemon.pid)[0]:.1f} MB at the end")


if __name__ == "__main__":
    main()
