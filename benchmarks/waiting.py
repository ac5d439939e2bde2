"""A daemon that has a million files to see to, and an archive that does not answer: memory, and seconds of a poll.

Run ``python benchmarks/waiting.py``. It makes a tree of empty files with triggers in a temporary folder, and starts
``bdms ingestd`` on it with a server that refuses connections. When all files are in the journal, one more look at the
inbox costs what is shown. Aims: less than 300 MB, and less than 0.1 s a poll with nothing new.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

from machine import memory_mb

from ctao_bdms.errors import BdmsError
from ctao_bdms.ingest.journal import FileState, JournalReader
from ctao_bdms.testing.ingestd import IngestdFolder

NAME = "TEL001_SDH0001_20261121T221500_SBID0000000002_OBSID0000000002_CHUNK{:03d}.fits.fz"
_SETTLE_S = 15.0
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


def polls(folder: Path) -> tuple[float, float]:
    """Return how many looks at the inbox the daemon has made, and the seconds they took together."""
    address = (folder / "state/address").read_text().strip()
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    number, seconds = (
        float(re.search(rf"^bdms_ingestd_inbox_poll_seconds_{what} (\S+)", text, re.MULTILINE)[1])  # type: ignore[index]
        for what in ("count", "sum")
    )
    return number, seconds


def known(folder: Path) -> int:
    """Return how many files the journal knows."""
    try:
        with JournalReader(folder / "state/journal.sqlite") as journal:
            tallies = journal.tallies()
    except BdmsError:
        return 0
    return sum(tallies[state].files for state in FileState)


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
        daemon = settings(folder, options.workers).start()
        try:
            most_mb = 0.0
            while known(folder) < options.files and daemon.poll() is None:
                time.sleep(2)
                most_mb = max(most_mb, memory_mb(daemon.pid)[0])
            seen_s = time.monotonic() - begin_s
            time.sleep(_SETTLE_S)  # the last look at what was new may not have ended
            before = polls(folder)
            end_s = time.monotonic() + options.seconds
            while time.monotonic() < end_s:
                time.sleep(1)
                most_mb = max(most_mb, memory_mb(daemon.pid)[0])
            after = polls(folder)
            looks, taken_s = after[0] - before[0], after[1] - before[1]
            print(f"{known(folder)} files in the journal, all of them after {seen_s:.0f} s")
            print(f"poll with nothing new {taken_s / looks:8.3f} s, mean of {looks:.0f}")
            print(f"memory of the daemon  {most_mb:8.1f} MB at the most, {memory_mb(daemon.pid)[0]:.1f} MB at the end")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


if __name__ == "__main__":
    main()
