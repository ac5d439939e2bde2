"""Local time on machines that know no zones, as minimal images are."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import datetime as dt
from ctao_bdms.model import Night, Site
noon = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
for site in Site:
    print(Night.of(noon + dt.timedelta(hours=2), site), Night.of(noon, site).start(site).hour)
"""
NO_PACKAGE = "import sys; sys.modules['tzdata'] = None"


def run(program: str, folder: Path, code: int = 0) -> str:
    env = {**os.environ, "PYTHONTZPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_nights_are_known_without_zone_data_of_the_machine(tmp_path: Path) -> None:
    others = "2026-11-21 12\n" * 4
    assert run(PROGRAM, tmp_path) == "2026-11-21 12\n2026-11-20 15\n" + others


def test_missing_zone_data_are_told(tmp_path: Path) -> None:
    said = run(NO_PACKAGE + PROGRAM, tmp_path, code=1)
    assert "MissingExtraError" in said
    assert "tzdata" in said
    assert "ctao-bdms[client]" in said
