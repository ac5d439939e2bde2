"""A night from trigger to report with a real daemon: `bdms status`, `bdms night`, `bdms replay`, with a real Rucio."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ctao_bdms.daemon.face import remote
from ctao_bdms.errors import UnreachableError
from ctao_bdms.model import Night
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_dl0
from ctao_bdms.testing.plugin import RucioNamespace
from tests.database import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable


BDMS = (sys.executable, "-c", "from ctao_bdms.cli import main; main()")
NIGHT = "2031-03-14"
SETTINGS = """\
[inbox]
roots = ["{inbox}"]
[storage]
root = "{root}"
rse = "CTAO-NORTH-ONSITE"
site = "CTAO-North"
quarantine = "{root}.quarantine"
low_disk_bytes = 1000000
[rucio]
config = "{config}"
[state]
folder = "{state}"
lease = "{state}/lease"
[workers]
number = 1
[blocks]
age_s = 1
[http]
port = 0
[log]
form = "text"
"""


@attrs.frozen
class Site:
    """A site with a daemon that can be started and stopped."""

    rucio: RucioNamespace
    folder: Path

    @property
    def settings(self) -> str:
        return str(self.folder / "ingestd.toml")

    @property
    def address(self) -> Path:
        return self.folder / "state" / "address"

    def said(self) -> dict[str, Any]:
        try:
            return remote.fetch_status(remote.read_address(self.address))
        except UnreachableError:
            return {}

    def until(self, is_so: Callable[[dict[str, Any]], bool], limit_s: float = 400.0) -> dict[str, Any]:
        end_s = time.monotonic() + limit_s
        while not ((said := self.said()) and is_so(said)):
            if time.monotonic() > end_s:
                lines = (self.folder / "log").read_text().splitlines()[-40:]
                pytest.fail("\n".join([str(said), *lines, *unfinished(self.rucio.instance, self.rucio.scope)]))
            time.sleep(0.2)
        return said

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([*BDMS, "ingestd", "--config", self.settings], stderr=log)

    def bdms(self, command: str, *options: str, code: int) -> dict[str, Any]:
        """Run a command about the night, and return its one JSON object."""
        done = subprocess.run(
            [*BDMS, command, *options, "--scope", self.rucio.scope, "--config", self.settings, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def site(embedded_rucio: RucioNamespace, tmp_path: Path) -> Site:
    inbox = embedded_rucio.root / "ctao" / embedded_rucio.scope
    inbox.mkdir(parents=True)
    config = embedded_rucio.instance.client_config()
    values = {"inbox": inbox, "root": embedded_rucio.root, "config": config, "state": tmp_path / "state"}
    (tmp_path / "ingestd.toml").write_text(SETTINGS.format(**values))
    return Site(embedded_rucio, tmp_path)


@pytest.mark.timeout(600)  # a dozen processes, one after the other
def test_a_night_with_its_daemon(site: Site) -> None:
    specs = night_specs(10, megabytes=0.1, night=Night.parse(NIGHT), scope=site.rucio.scope)
    files = [write_dl0(spec, site.rucio.root, trigger=False) for spec in specs]
    bad, silent, gone, late = files[0], files[1], files[2], files[3]
    damage(bad.path, Damage.TRUNCATED)
    gone.path.unlink()
    for file in files:
        if file not in (silent, late):
            file.trigger.touch()
    report = site.bdms("night", NIGHT, code=1)
    assert report["stages"]["waiting"]["files"] == 9
    assert report["lags"] == {}

    daemon = site.start()
    try:
        said = site.until(lambda said: said["nights"].get(NIGHT, {}).get("replicated") == 6)
        assert said["files"]["quarantined"]["files"] == 1
        watch = [*BDMS, "status", "--config", site.settings, "--watch", "--interval", "0.2"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            assert "replicated, 1 quarantined" in watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 0
        refused = subprocess.run(
            [*BDMS, "replay", "--night", NIGHT, "--config", site.settings], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert f"process {daemon.pid}" in refused.stderr
    finally:
        daemon.terminate()
        assert daemon.wait(60) == 0

    report = site.bdms("night", NIGHT, code=1)
    assert {row["path"]: row["stage"] for row in report["unfinished"]} == {
        str(bad.path): "quarantined",
        str(silent.path): "waiting",
        str(gone.path): "missing",
        str(late.path): "waiting",
    }
    assert report["lags"]["trigger to replicated"]["files"] == 6
    assert report["lags"]["trigger to replicated"]["max_s"] >= report["lags"]["trigger to registered"]["p50_s"] > 0

    late.trigger.touch()
    dry = site.bdms("replay", "--night", NIGHT, "--dry-run", code=1)
    assert [Path(row["path"]) for row in dry["would_walk"]] == [late.path]
    assert {row["path"] for row in dry["left_alone"]} == {str(bad.path), str(silent.path), str(gone.path)}
    assert [event["event"] for event in dry["history"] if event["path"] == str(bad.path)] == [
        "found",
        "scanned",
        "quarantined",
    ]
    assert late.trigger.exists()

    walked = site.bdms("replay", "--night", NIGHT, code=1)
    assert [(Path(row["path"]), row["status"]) for row in walked["walked"]] == [(late.path, "registered")]
    silent.trigger.touch()
    site.bdms("replay", "--night", NIGHT, "--path", "*/LSTN-02/*", code=1)
    total = complete(site)["total"]
    assert (total["registered"], total["replicated"], total["open"], total["missing"]) == (8, 8, 0, 1)

    daemon = site.start()  # it takes over a journal in which all stands that the replay has done
    try:
        said = site.until(lambda said: said["nights"].get(NIGHT, {}).get("replicated") == 8)
        assert said["nights"][NIGHT].get("registered", 0) == 0
    finally:
        daemon.terminate()
        assert daemon.wait(60) == 0


def complete(site: Site, limit_s: float = 400.0) -> dict[str, Any]:
    """Wait until all copies are there, and have that written down."""
    end_s = time.monotonic() + limit_s
    while (report := site.rucio.bdms.nights.report(NIGHT, scope=site.rucio.scope)).open:
        assert time.monotonic() < end_s, report.files
        time.sleep(0.5)
    night: dict[str, Any] = site.bdms("replay", "--night", NIGHT, code=1)["night"]
    return night
