"""``bdms scan``, on files of every kind and in every state; no Rucio is needed."""

from __future__ import annotations

import gzip
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from astropy.io import fits

from ctao_bdms.cli.app import run
from ctao_bdms.model import Flag, Verdict
from ctao_bdms.testing.dl0 import Dl0Kind, night_specs, write_content
from ctao_bdms.testing.products import write_dl1, write_dl2, write_ecsv, write_netcdf

if TYPE_CHECKING:
    from collections.abc import Iterator

BDMS = str(Path(sys.executable).with_name("bdms"))


def dl0(kind: Dl0Kind) -> bytes:
    """Return the bytes of a genuine DL0 file."""
    spec = next(spec for spec in night_specs(3, telescopes=1, megabytes=0.2) if spec.kind is kind)
    write_content(spec, Path("made.fits.fz"))
    return Path("made.fits.fz").read_bytes()


def table(checksum: bool | str) -> bytes:
    """Return a plain FITS table whose data begin at byte 5760."""
    column = fits.Column(name="ENERGY", format="D", array=np.arange(1000.0))
    parts = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="EVENTS")])
    parts.writeto("made.fits", checksum=checksum, overwrite=True)
    with fits.open("made.fits") as written:
        assert written[1].fileinfo()["datLoc"] == 5760
    return Path("made.fits").read_bytes()


def flipped(content: bytes, position: int) -> bytes:
    """Return the bytes with one bit of one byte changed."""
    return content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]


def put(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)


@attrs.frozen(kw_only=True)
class Expected:
    """What is to be said of a file."""

    verdict: str
    defects: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    format: str = "fits"
    kind: str = ""
    #: CHECKSUM and DATASUM of each part, by their first letters.
    sums: str = ""


TELESCOPE = "DL0v1 Telescope"
SOUND = "oo oo oo oo"
FILES = {
    "telescope.fits.fz": Expected(verdict="good", kind=TELESCOPE, sums=SOUND),
    "subarray.fits.fz": Expected(verdict="good", kind="DL0v1 Subarray", sums="oo oo oo"),
    "trigger.fits.fz": Expected(verdict="good", kind="DL0v1 Trigger", sums="oo oo oo"),
    "table.fits": Expected(verdict="good", sums="oo oo"),
    "packed.fits.gz": Expected(verdict="good", flags=("gzipped",), sums="oo oo"),
    "images.dl1.h5": Expected(verdict="good", format="hdf5", kind="ctapipe DL1"),
    "events.dl2.h5": Expected(verdict="good", format="hdf5", kind="ctapipe DL2"),
    "weather.nc": Expected(verdict="unchecked", format="netcdf", kind="NetCDF-4"),
    "classic.nc": Expected(verdict="unchecked", format="netcdf", kind="NetCDF classic (CDF-1)"),
    "table.ecsv": Expected(verdict="unchecked", format="ecsv", kind="ECSV table"),
    "other.bin": Expected(verdict="unchecked", format="opaque", flags=("opaque",)),
    "empty.fits.fz": Expected(verdict="bad", defects=("empty",)),
    "text.fits.fz": Expected(verdict="bad", defects=("not-a-product",)),
    "wrapped.fits.fz": Expected(verdict="bad", defects=("not-a-product",)),
    "cut-in-data.fits.fz": Expected(verdict="bad", defects=("truncated",), kind=TELESCOPE, sums="oo oo oo bb"),
    "cut-at-border.fits.fz": Expected(
        verdict="bad", defects=("structure",), flags=("cut-at-hdu-border",), kind=TELESCOPE, sums="oo oo oo"
    ),
    "trailing.fits.fz": Expected(
        verdict="bad", defects=("trailing-bytes",), flags=("trailing-bytes",), kind=TELESCOPE, sums=SOUND
    ),
    "flipped.fits.fz": Expected(verdict="bad", defects=("corrupt",), kind=TELESCOPE, sums="oo oo oo bb"),
    "flipped-under-both.fits": Expected(verdict="bad", defects=("corrupt",), sums="oo bb"),
    "flipped-under-none.fits": Expected(verdict="unchecked", sums="aa aa"),
    "datasum-only.fits": Expected(verdict="unchecked", sums="ao ao"),
    "flipped-under-datasum.fits": Expected(verdict="bad", defects=("corrupt",), sums="ao ab"),
    "fifo.fits.fz": Expected(verdict="error", defects=("not-a-file",), format="opaque"),
    "folder.fits.fz": Expected(verdict="error", defects=("not-a-file",), format="opaque"),
    "absent.fits.fz": Expected(verdict="error", defects=("missing",), format="opaque"),
    "dangling.fits.fz": Expected(verdict="error", defects=("missing",), format="opaque"),
    "growing.bin": Expected(verdict="error", defects=("changing",), format="opaque"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make all files, and stand among them."""
    root = tmp_path_factory.mktemp("scan")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        telescope, plain, summed = dl0(Dl0Kind.TELESCOPE), table(True), table("datasum")
        put("telescope.fits.fz", telescope)
        put("subarray.fits.fz", dl0(Dl0Kind.SUBARRAY))
        put("trigger.fits.fz", dl0(Dl0Kind.TRIGGER))
        put("table.fits", plain)
        put("packed.fits.gz", gzip.compress(plain))
        write_dl1("images.dl1.h5")
        write_dl2("events.dl2.h5")
        write_netcdf("weather.nc")
        write_netcdf("classic.nc", version="NETCDF3_CLASSIC")
        write_ecsv("table.ecsv")
        put("other.bin", b"Wikipedia")
        put("empty.fits.fz", b"")
        put("text.fits.fz", b"The quick brown fox\n" * 500)
        put("wrapped.fits.fz", gzip.compress(telescope))
        put("cut-in-data.fits.fz", telescope[:-4000])
        put("cut-at-border.fits.fz", telescope[: telescope.rindex(b"XTENSION")])
        put("trailing.fits.fz", telescope + bytes(2880))
        put("flipped.fits.fz", flipped(telescope, len(telescope) - 100_000))
        put("flipped-under-both.fits", flipped(plain, 9000))
        put("flipped-under-none.fits", flipped(table(False), 9000))
        put("datasum-only.fits", summed)
        put("flipped-under-datasum.fits", flipped(summed, 9000))
        os.mkfifo("fifo.fits.fz")
        Path("folder.fits.fz").mkdir()
        Path("dangling.fits.fz").symlink_to("nowhere")
        put("growing.bin", b"")
        os.truncate("growing.bin", 512 * 1024 * 1024)  # a hole
        yield root


@pytest.fixture(scope="module", params=["1", "2"])
def scanned(folder: Path, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """Run the command once on all of them, while one grows; give its objects by path."""
    done = threading.Event()

    def grow() -> None:
        with (folder / "growing.bin").open("ab", buffering=0) as stream:
            while not done.wait(0.002):
                stream.write(b"+")

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        command = [BDMS, "scan", "--json", "--jobs", request.param, *FILES]
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    finally:
        done.set()
        grower.join()
    assert (process.returncode, process.stderr) == (1, "")
    objects = [json.loads(line) for line in process.stdout.splitlines()]
    assert [each["path"] for each in objects] == list(FILES)
    return {each["path"]: each for each in objects}


@pytest.mark.parametrize("name", FILES)
def test_what_is_said_of_a_file(scanned: dict[str, dict[str, Any]], name: str) -> None:
    found, expected = scanned[name], FILES[name]
    assert set(found) == {
        *("path", "verdict", "format", "kind", "flags", "defects", "size_bytes", "digests", "hdus", "trailing_bytes")
    }
    assert found["verdict"] == expected.verdict
    assert [defect["kind"] for defect in found["defects"]] == list(expected.defects)
    assert all(defect["message"] for defect in found["defects"])
    assert (found["flags"], found["format"], found["kind"]) == (list(expected.flags), expected.format, expected.kind)
    assert all(set(part) == {"index", "name", "checksum", "datasum"} for part in found["hdus"])
    assert " ".join(part["checksum"][0] + part["datasum"][0] for part in found["hdus"]) == expected.sums
    assert found["trailing_bytes"] == 2880 * (name == "trailing.fits.fz")
    if expected.verdict == "error":
        assert (found["size_bytes"], found["digests"]) == (0, {})
    else:
        assert found["size_bytes"] == Path(name).stat().st_size
        assert set(found["digests"]) == {"adler32", "sha256"}


def test_an_unreadable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # nobody cannot walk here, but can stand here
    put("secret.bin", b"secret")
    Path("secret.bin").chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    assert run(["scan", "--json", "nothing"]) == 1  # whatever is loaded late is loaded
    os.seteuid(user or 65534)
    try:
        assert run(["scan", "--json", "secret.bin"]) == 1
    finally:
        os.seteuid(user)
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (row["path"], row["verdict"], row["digests"]) == ("secret.bin", "error", {})
    assert [defect["kind"] for defect in row["defects"]] == ["unreadable"]


def test_the_exit_code_says_whether_all_are_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "telescope.fits.fz", "flipped-under-none.fits"]) == 0
    assert "2 of 2 sound" in capsys.readouterr().out
    assert run(["scan", "telescope.fits.fz", "text.fits.fz"]) == 1
    assert "1 of 2 sound" in capsys.readouterr().out
    for words, hint in (
        ([], "FILE"),
        (["--digest", "md6", "table.fits"], "md6"),
        (["--jobs", "0", "table.fits"], "jobs"),
        (["--nonsense", "table.fits"], "nonsense"),
    ):
        assert run(["scan", *words]) == 2
        assert hint in capsys.readouterr().err


def test_the_digests_are_those_that_were_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "other.bin", "--json", "--digest", "md5", "--digest", "sha512"]) == 0
    assert run(["scan", "--digest", "adler32", "other.bin", "--json"]) == 0
    both, one = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert list(both["digests"]) == ["adler32", "md5", "sha512"]
    assert one["digests"] == {"adler32": "11e60398"}


def test_the_page_tells_every_verdict_and_flag() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "scan.md").read_text()
    assert [word.value for word in (*Verdict, *Flag) if f"| `{word.value}` |" not in page] == []


def test_explain_shows_every_part_and_what_is_promised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "--explain", "flipped.fits.fz", "other.bin", "folder.fits.fz", "trailing.fits.fz"]) == 1
    said = capsys.readouterr().out
    size_bytes = Path("flipped.fits.fz").stat().st_size
    assert f"flipped.fits.fz: bad, fits, DL0v1 Telescope, {size_bytes} bytes" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["HDU", "name", "offset", "bytes", "rows", "DATASUM", "CHECKSUM"] in rows
    assert ["0", "PRIMARY", "0", "2880", "ok", "ok"] in rows
    assert ["1", "DataStream", "2880", "11520", "1", "ok", "ok"] in rows
    assert next(row for row in rows if row[:2] == ["3", "Events"])[-2:] == ["bad", "bad"]
    assert "corrupt: HDU 3 (Events): DATASUM is" in said
    assert "DL0v1 Telescope: has the tables DataStream (rows: 1), CameraConfiguration (rows: 1), Events." in said
    assert "In DL0 products (.fits.fz) every part has both." in said
    assert "flag: opaque\n  Opaque: the suffix defines no format" in said
    assert "flag: trailing-bytes (2880)" in said
    assert "folder.fits.fz: error\n  not-a-file: folder.fits.fz is a directory, not a file\n" in said


def test_explain_as_json_says_where_the_parts_lie(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "--explain", "--json", "table.fits"]) == 0
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    with fits.open("table.fits") as parts:
        assert [(part["offset"], part["rows"], str(part["data_sum32"])) for part in row["hdus"]] == [
            (0, None, parts[0].header["DATASUM"]),
            (parts[1].fileinfo()["hdrLoc"], 1000, parts[1].header["DATASUM"]),
        ]
    assert sum(part["size_bytes"] for part in row["hdus"]) == row["size_bytes"]


def test_what_stands_in_a_file_cannot_move_the_cursor(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\x1b[2Jb\n[c].fits"
    path.write_bytes(Path("table.fits").read_bytes().replace(b"'EVENTS  '", b"'E\x1b[2Jv  '"))
    assert run(["scan", str(path)]) == run(["scan", "--explain", str(path)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.count("a\\x1b[2Jb\\n[c].fits") == 2


def test_rows_come_as_they_are_known_and_an_interruption_leaves_no_process(folder: Path) -> None:
    os.truncate("growing.bin", 1 << 42)  # a hole of many minutes
    command = [BDMS, "scan", "--json", "--jobs", "2", "table.fits", "growing.bin"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["verdict"] == "good"
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [int(pid) for pid in listed.split()]
        assert children
        ends = [os.pidfd_open(pid) for pid in children]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    for end in ends:  # the last one, multiprocessing's own, ends when it sees that the command has ended
        assert select.select([end], [], [], 30)[0]
        os.close(end)
