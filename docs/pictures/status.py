"""Draws the picture of `bdms status --watch`, from a daemon that works: python docs/pictures/status.py PICTURE."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctao_bdms import Night
from ctao_bdms.daemon.face import remote
from ctao_bdms.embedded import start
from ctao_bdms.errors import UnreachableError
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Callable

BDMS = (sys.executable, "-c", "from ctao_bdms.cli import main; main()")
SETTINGS = """\
[storage]
root = "{root}"
rse = "CTAO-NORTH-ONSITE"
site = "CTAO-North"
low_disk_bytes = 1000000
[rucio]
config = "{config}"
[state]
folder = "{state}"
[workers]
number = 2
[batches]
files = 40
[blocks]
files = 120
age_s = 10
[http]
port = 0
"""


def main(picture: Path) -> None:
    """Run Rucio and daemon, give them two nights to do, and save what the watch shows in the middle of the second."""
    with tempfile.TemporaryDirectory(prefix="bdms-picture-") as name, start(Path(name, "rucio")) as rucio:
        root, state = rucio.storage("CTAO-NORTH-ONSITE"), Path(name, "state")
        settings = Path(name, "ingestd.toml")
        settings.write_text(SETTINGS.format(root=root, config=rucio.client_config(), state=state))
        write(root, "2026-11-20", 60)
        with (
            Path(name, "log").open("wb") as log,
            subprocess.Popen([*BDMS, "ingestd", "--config", str(settings)], stderr=log) as daemon,
        ):
            address = state / "address"
            try:
                until(address, lambda said: said["files"]["replicated"]["files"] >= 58)
                write(root, "2026-11-21", 600)
                watch = [*BDMS, "status", "--config", str(settings), "--watch", "--interval", "0.3"]
                with subprocess.Popen([*watch, "--svg", str(picture)]) as watching:
                    until(address, lambda said: said["files"]["registered"]["files"] >= 150)
                    watching.send_signal(signal.SIGINT)
            finally:
                daemon.terminate()


def write(root: Path, night: str, files: int) -> None:
    """Write a night of which two files are bad; the triggers come last."""
    specs = night_specs(files, megabytes=0.3, night=Night.parse(night))
    written = [write_dl0(spec, root, trigger=False) for spec in specs]
    damage(written[3].path, Damage.TRUNCATED)
    damage(written[10].path, Damage.TRUNCATED)
    for file in written:
        file.trigger.touch()


def until(address: Path, is_so: Callable[[dict[str, Any]], bool], limit_s: float = 120.0) -> None:
    """Ask the daemon until something is so."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        try:
            said = remote.fetch_status(remote.read_address(address))
        except UnreachableError:
            said = {}
        if said and is_so(said):
            return
        time.sleep(0.1)
    raise SystemExit("the daemon did not come so far")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
