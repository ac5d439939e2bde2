"""The table of formats, and the formats that other packages bring."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.cli.app import run
from ctao_bdms.errors import MissingExtraError
from ctao_bdms.integrity import Scanner, format_of, scan
from ctao_bdms.integrity.formats import formats
from ctao_bdms.model import DefectKind, Flag, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OTHER = """
from pathlib import Path

from ctao_bdms.errors import MissingExtraError
from ctao_bdms.integrity import Findings
from ctao_bdms.model import Defect, DefectKind

class Recording:
    def __init__(self, name):
        self.seen = b""
    def feed(self, piece):
        self.seen += piece
        if piece == b"raise":
            raise ValueError("no such piece")
    def finish(self, path):
        if path is not None:
            assert Path(path).read_bytes() == self.seen
        if self.seen == b"nothing":
            return None
        if self.seen != b"good":
            return Findings(defects=(Defect(DefectKind.CORRUPT, "it is not good"),))
        return Findings(kind="a tape", checked=True, keywords={"OBS_ID": 7})

class Tape:
    name = "tape"
    suffixes = (".tape", ".long.tape")
    promise = "Tape: nothing is lost."
    def begin(self, name):
        return Recording(name)

class Absent(Tape):
    suffixes = (".absent",)
    def begin(self, name):
        raise MissingExtraError("tapes", "tapelib")

class Thief(Tape):
    suffixes = (".fits.fz", ".tape", ".thief")

class Dotless(Tape):
    suffixes = ("tape",)

tape, absent, thief, dotless, number = Tape(), Absent(), Thief(), Dotless(), 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Install a package with entry points as pip leaves it: modules, and a ``.dist-info`` beside."""

    def install(points: dict[str, str]) -> None:
        (tmp_path / "other_formats.py").write_text(OTHER)
        (tmp_path / "broken_formats.py").write_text("raise RuntimeError('out of tape')")
        record = tmp_path / "other_formats-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: other-formats\nVersion: 1.0\n")
        lines = [f"{name} = {target}\n" for name, target in points.items()]
        (record / "entry_points.txt").write_text("[ctao_bdms.formats]\n" + "".join(lines))
        monkeypatch.syspath_prepend(tmp_path)
        formats.cache_clear()

    yield install
    formats.cache_clear()
    for name in ("other_formats", "broken_formats"):
        sys.modules.pop(name, None)


def scanned(content: bytes, name: str) -> Scanner:
    scanner = Scanner(name, algorithms=("adler32",))
    scanner.feed(content)
    return scanner


def test_the_longest_end_of_a_name_counts() -> None:
    assert [format_of(name).name for name in ("a.fits", "a.fits.fz", "a.fz", "a.fitsx", "", "a.FITS")] == [
        "fits",
        "fits",
        "opaque",
        "opaque",
        "opaque",
        "opaque",
    ]
    lengths = [len(suffix) for suffix in formats()]
    assert lengths == sorted(lengths, reverse=True)


def test_an_opaque_file_has_digests_and_says_that_it_is_opaque() -> None:
    facts = scanned(b"Wikipedia", "notes.txt").finish()
    assert (facts.format, facts.flags, facts.verdict, facts.adler32) == (
        "opaque",
        (Flag.OPAQUE,),
        Verdict.UNCHECKED,
        "11e60398",
    )


def test_another_package_adds_a_format(installed: Callable[[dict[str, str]], None], tmp_path: Path) -> None:
    installed({"tape": "other_formats:tape"})
    facts = scanned(b"good", "x.tape").finish()
    assert (facts.format, facts.kind, facts.verdict, dict(facts.keywords)) == (
        "tape",
        "a tape",
        Verdict.GOOD,
        {"OBS_ID": 7},
    )
    file = tmp_path / "x.long.tape"
    file.write_bytes(b"bad")
    assert [defect.kind for defect in scan(file).defects] == [DefectKind.CORRUPT]
    assert scan(file).format == "tape"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("broken_formats:it", "format x of other-formats is ignored: RuntimeError: out of tape"),
        ("no_such_module:it", "format x of other-formats is ignored: ModuleNotFoundError: No module named"),
        ("other_formats:nothing", "format x of other-formats is ignored: AttributeError"),
        ("other_formats:number", "format x of other-formats is ignored: AttributeError"),
        ("other_formats:dotless", "format x of other-formats is ignored: UsageError: other_formats:dotless must have"),
    ],
)
def test_a_format_that_cannot_be_loaded_is_reported_in_one_sentence(
    installed: Callable[[dict[str, str]], None], caplog: pytest.LogCaptureFixture, target: str, said: str
) -> None:
    installed({"x": target, "z": "other_formats:tape"})
    assert scanned(b"good", "x.tape").finish().verdict is Verdict.GOOD
    assert scanned(b"more", "y.tape").finish().verdict is Verdict.BAD
    (record,) = caplog.records
    assert record.getMessage().startswith(said)
    assert "\n" not in record.getMessage()


def test_an_end_that_has_a_reader_keeps_it(
    installed: Callable[[dict[str, str]], None], caplog: pytest.LogCaptureFixture
) -> None:
    installed({"tape": "other_formats:tape", "thief": "other_formats:thief"})
    assert format_of("x.fits.fz").name == "fits"
    assert ".thief" in formats()
    assert [record.getMessage() for record in caplog.records] == [
        "format thief of other-formats is not used for .fits.fz, which already has a format",
        "format thief of other-formats is not used for .tape, which already has a format",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"raise", "ValueError: no such piece"), (b"nothing", "TypeError: NoneType is no Findings")],
)
def test_a_reader_that_fails_is_an_error_of_that_file_alone(
    installed: Callable[[dict[str, str]], None], content: bytes, said: str
) -> None:
    installed({"tape": "other_formats:tape"})
    facts = scanned(content, "x.tape").finish()
    assert facts.verdict is Verdict.ERROR
    assert [str(defect) for defect in facts.defects] == [f"unexamined: the reader of tape files failed: {said}"]
    assert facts.digests


def test_a_library_that_is_not_installed_is_named(installed: Callable[[dict[str, str]], None]) -> None:
    installed({"absent": "other_formats:absent"})
    with pytest.raises(MissingExtraError, match=r"tapelib is not installed; .*ctao-bdms\[tapes\]"):
        Scanner("x.absent")


def test_a_library_that_is_not_installed_ends_the_scan_of_its_files_only(
    installed: Callable[[dict[str, str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed({"absent": "other_formats:absent", "tape": "other_formats:tape"})
    files = [tmp_path / "x.absent", tmp_path / "x.tape"]
    for file in files:
        file.write_bytes(b"good")
    assert run(["scan", "--explain", *map(str, files)]) == 1
    said = capsys.readouterr().out
    assert "x.absent: error\n  unexamined: tapelib is not installed; install it with: pip install " in said
    assert "x.tape: good, tape, a tape, 4 bytes" in said
    assert "  Tape: nothing is lost.\n" in said
    assert scan(files[0]).digests == {}
