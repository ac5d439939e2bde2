"""The command `bdms journal`."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from ctao_bdms.cli.app import run
from ctao_bdms.inbox import Sighting, Stamp
from ctao_bdms.journal import Journal, Rejected, Waiting
from ctao_bdms.model import Night

NOW = dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    path = tmp_path / "journal.sqlite"
    with Journal(path, by="daemon", now=lambda: NOW) as journal:
        nights = ["2026-11-20", "2026-11-21", "2026-11-21"]
        journal.observe(
            Sighting(path=Path(f"/data/{n}.fits.fz"), stamp=Stamp(1, n, 1000, n), night=Night.parse(night))
            for n, night in enumerate(nights)
        )
        journal.quarantined([Rejected(path=Path("/data/1.fits.fz"), why="corrupt: HDU 2 [Events]")])
        journal.waits([Waiting(path=Path("/data/2.fits.fz"), cause="storage", why="Input/output error")])
    return str(path)


def test_journal_command_prints_a_table(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "--journal", journal]) == 0
    shown = capsys.readouterr().out
    assert "1.fits.fz  2026-11-21  quarantined" in shown
    assert "corrupt: HDU 2 [Events]" in shown
    assert "all nights: 2 found, 1 quarantined" in shown
    assert "waiting: 1 for storage" in shown


def test_journal_is_found_by_the_settings(
    journal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "ingestd.toml"
    config.write_text('[storage]\nroot = "s"\nrse = "R"\nsite = "CTAO-North"\n[state]\nfolder = "."\n')
    assert run(["journal", "--config", str(config)]) == 0
    assert "2 found, 1 quarantined" in capsys.readouterr().out
    values = {"STORAGE_ROOT": "/s", "STORAGE_RSE": "R", "STORAGE_SITE": "CTAO-North", "STATE_FOLDER": str(tmp_path)}
    for key, value in values.items():
        monkeypatch.setenv(f"BDMS_INGESTD_{key}", value)
    assert run(["journal"]) == 0
    assert "2 found, 1 quarantined" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ([], ["0", "1", "2"]),
        (["--state", "quarantined"], ["1"]),
        (["--night", "2026-11-21"], ["1", "2"]),
        (["--path", "/data/[01].*"], ["0", "1"]),
        (["--waiting"], ["2"]),
        (["--night", "2026-11-20", "--waiting"], []),
    ],
)
def test_options_filter_the_files(
    journal: str, capsys: pytest.CaptureFixture[str], options: list[str], files: list[str]
) -> None:
    assert run(["journal", "--journal", journal, "--json", *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["path"]).name[0] for row in rows] == files


def test_journal_command_prints_events(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "--journal", journal, "--json", "--events", "--state", "quarantined"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["event"], row["by"]) for row in rows] == [("found", "daemon"), ("quarantined", "daemon")]
    assert run(["journal", "--journal", journal, "--events", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert "0.fits.fz  found" in shown
    assert "more match than the 1" in shown


def test_missing_journal_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "--journal", str(tmp_path / "none")]) == 1
    assert "there is no journal at" in capsys.readouterr().err
