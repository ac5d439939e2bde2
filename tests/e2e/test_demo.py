"""The demonstration: what it shows must be so, whatever it is asked for, and it leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import alive

if TYPE_CHECKING:
    from tests.e2e.conftest import Shell

PICTURE = Path(__file__).parents[2] / "docs" / "_static" / "demo.svg"


@pytest.mark.parametrize(("files", "options"), [(24, []), (9, ["--seed", "7", "--megabytes", "0.3"])])
def test_every_count_is_as_described(shell: Shell, tmp_path: Path, files: int, options: list[str]) -> None:
    keep = tmp_path / "kept"
    (shown,) = shell.json("demo", "--files", str(files), "--keep", str(keep), *options)
    good = files - 2
    assert shown["ok"] is True
    assert shown["problems"] == []
    counts = shown["counts"]
    assert (counts["files"], counts["registered"], counts["quarantined"]) == (files, good, 2)
    assert (counts["copies verified"], counts["retrieved"], counts["blocks"]) == (3 * good, good, 1)
    assert counts["found"] > 0
    damaged = [file for file in shown["files"] if file["damage"]]
    assert [file["status"] for file in damaged] == ["quarantined"] * 2
    assert {file["why"].partition(":")[0] for file in damaged} == {"corrupt", "truncated"}
    for file in shown["files"]:
        assert sorted(file["copies"]) == ([] if file["damage"] else ["CSCS", "CTAO-North", "PIC"])
        place = keep / "retrieved" / file["lfn"].rpartition("/")[2]
        assert place.exists() is not bool(file["damage"])
        for rse in ("PIC-DISK", "CSCS-DISK"):
            assert (keep / "rucio" / "storage" / rse / file["lfn"][1:]).exists() is not bool(file["damage"])


def test_the_same_seed_writes_the_same_night(shell: Shell) -> None:
    first, second, other = (
        shell.json("demo", "--files", "5", "--megabytes", "0.2", "--seed", seed)[0] for seed in ("3", "3", "4")
    )
    sums = [[file["sha256"] for file in shown["files"]] for shown in (first, second, other)]
    assert sums[0] == sums[1]
    assert not set(sums[0]) & set(sums[2])


def test_an_interrupt_cleans_up(shell: Shell, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    command = [str(Path(sys.executable).with_name("bdms")), "demo", "--files", "24"]
    with subprocess.Popen(
        command, env=shell.env | {"TMPDIR": str(scratch)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "observe" in line:
                break
        (record,) = scratch.glob("bdms-demo-*/rucio/run.json")
        pids = [int(pid) for pid in re.findall(r'"pid": (\d+)', record.read_text())]
        assert pids
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=60)
    assert (demo.returncode, said.strip()) == (130, "bdms: interrupted")
    until = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.05)
    assert not list(scratch.iterdir())


def _lines(svg: str) -> list[str]:
    """Return what a picture shows, without what differs from one run to the next."""
    texts = re.findall(r"<text [^>]*y=\"([\d.]+)\"[^>]*>(.*?)</text>", svg, re.DOTALL)
    lines: dict[str, str] = {}
    for y, text in texts:
        lines[y] = lines.get(y, "") + unescape(text)
    plain = [" ".join(line.replace("\xa0", " ").split()) for line in lines.values()]
    plain = [re.sub(r"127\.0\.0\.1:\d+|\d+\.\d s\b", "~", line) for line in plain]
    return [re.sub(r"^(CSCS-DISK|PIC-DISK).*", "~", line) for line in plain if line]


def test_the_picture_in_the_readme_is_what_the_demonstration_shows(shell: Shell, tmp_path: Path) -> None:
    now = tmp_path / "now.svg"
    shell.bdms("demo", "--svg", str(now))
    shown, kept = _lines(now.read_text()), _lines(PICTURE.read_text())
    assert shown == kept, "draw it anew: nox -s picture"
    assert json.dumps(kept).count("CTAO-North, CSCS, PIC") == 22
