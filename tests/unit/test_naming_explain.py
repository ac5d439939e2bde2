"""What names mean, in words, and where they are wrong."""

from __future__ import annotations

import json

import pytest

from ctao_bdms.cli.app import run
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn
from ctao_bdms.naming import AcadaPath, BlockName, DppsPath, OtherPath, UserPath, explain_name, read_lfn

FILE = "TEL001_SDH0001_20261121T221500_SBID2000000001_OBSID2000000002_TEL_SHOWER_CHUNK003.fits.fz"
RAW = f"/ctao/acada/DL0/LSTN-01/ctao-n-acada/acada-adh/events/2026/11/21/{FILE}"
BLOCK = "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T031509-1a2b3c4d"
MADE = "/ctao/dpps/CalibPipe/DR1/CTAO-North/DL3/Event/dl3_evt_sub_Observation_ob2000000001.fits.gz"
GRID = (
    "/ctao/dpps/SimPipe/Prod8/CTAO-North/DL2/Event/He4/node-nsb05.0-zen020.0-az180.0/"
    "dl2_evt_sub_AirShowerSim_north_geometry+energy_sub003_He4_nsb05.0_zen020.0_az180.0.h5"
)


@pytest.mark.parametrize(
    ("lfn", "kind"),
    [
        (RAW, AcadaPath),
        (BLOCK, BlockName),
        (MADE, DppsPath),
        (GRID, DppsPath),
        ("/ctao/user/a/aeinstein/notes.txt", UserPath),
        ("/ctao/acada", OtherPath),
        ("/ctao/acada/DL0/LSTN-01", OtherPath),
        ("/ctao/acada/blocks/CTAO-North", OtherPath),
        ("/ctao/dpps/CalibPipe/DR1/CTAO-North/DL3/Event", OtherPath),
        ("/ctao/MC/PROD6/gamma/run1.simtel.zst", OtherPath),
    ],
)
def test_the_place_in_the_tree_says_which_grammar_applies(lfn: str, kind: type) -> None:
    assert type(read_lfn(Lfn(lfn))) is kind


@pytest.mark.parametrize(
    ("text", "what", "value", "meaning"),
    [
        (RAW, "night", "2026-11-21", "date of its evening"),
        (RAW, "directory of", "LSTN-01", "LSTN-01, large-sized telescope, CTAO-North"),
        (FILE, "observation block", "2000000002", "number 2 of ACADA NORTH, CTAO-North"),
        (FILE.replace("2000000002", "9000000002"), "observation block", "9000000002", "of no known creator"),
        (FILE.replace("2000000002", "2"), "observation block", "2", "number 2 of NONE"),
        (FILE.replace("TEL001", "SUB002"), "subarray", "SUB002", "CTAO-N LSTs"),
        (FILE.replace("TEL001", "TEL043"), "array element", "TEL043", "not a number of the array"),
        (
            "ACE025_CEILO_20261121_RUNID7_FILE1.nc",
            "array element",
            "ACE025",
            "CEIN-01, array common element, CTAO-North",
        ),
        ("LST-1.1.Run02005.0000.fits.fz", "local run", "02005", ""),
        (GRID, "particle", "He4", "PDG 1000020040"),
        (GRID, "subarray", "003", "CTAO-N MSTs 1st batch"),
        (GRID, "sublevels", "geometry+energy", ""),
        (GRID, "node of the simulation", "nsb05.0 zen020.0 az180.0", ""),
        (MADE, "release", "CalibPipe/DR1", "version DR1"),
        (
            "dl1_mon_tel_Calibration_north_night20251030_tel025_chunk001_SDH001.h5",
            "night",
            "2025-10-30",
            "date of its evening",
        ),
        (BLOCK, "kept", "permanent", ""),
        ("/ctao/user/a/aeinstein/notes.txt", "scope", "user.aeinstein", "of user aeinstein"),
        ("/ctao/MC/PROD6/run1.simtel.zst", "name", "PROD6/run1.simtel.zst", "no rule of the archive applies to it"),
    ],
)
def test_parts_are_explained(text: str, what: str, value: str, meaning: str) -> None:
    assert (what, value, meaning) in [(part.name, part.value, part.meaning) for part in explain_name(text).parts]


def test_identifiers_are_those_of_rucio() -> None:
    found = explain_name(RAW)
    assert (found.identifier, found.directory) == (f"acada:{RAW}", f"acada:{RAW.rpartition('/')[0]}")
    assert explain_name("/ctao/acada").directory == "root:/ctao"


@pytest.mark.parametrize("prefix", ["/data/onsite", "root://storage.example:1094//data", "file:///data"])
def test_a_storage_prefix_is_set_aside(prefix: str) -> None:
    assert explain_name(prefix + RAW) == explain_name(RAW)
    with pytest.raises(InvalidNameError) as caught:
        explain_name(prefix + RAW.replace("SDH", "sdh"))
    assert caught.value.position == len(prefix) + RAW.index("_SDH")


def test_another_virtual_organisation_is_named() -> None:
    lfn = "/ctao.test/acada/x"
    assert explain_name(f"/data{lfn}").text == lfn
    assert explain_name("/data/other/acada/x", vo="other").text == "/other/acada/x"


def test_the_command_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["name", "explain", RAW]) == 0
    shown = capsys.readouterr().out
    assert "LSTN-01, large-sized telescope, CTAO-North" in shown
    assert f"identifier: acada:{RAW}" in shown


def test_the_command_points_at_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["name", "explain", "TEL001_sdh[red]_20261121.fits", "/ctao"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["TEL001_sdh[red]_20261121.fits", "      ^"]
    assert lines[2].startswith("here should stand '_' and the source")
    assert lines[3:] == ["/ctao", "it must have at least two components, /<vo>/<scope>"]


def test_the_command_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["name", "explain", "--json", FILE, "x\ny"]) == 2
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert (good["valid"], good["parts"][0]["value"]) == (True, "TEL001")
    assert (bad["valid"], bad["position"], bad["text"]) == (False, 0, "x\ny")
