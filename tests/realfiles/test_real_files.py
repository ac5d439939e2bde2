"""Files that other packages ship, read beside the packages' own readers: nox -s realfiles.

What our reader does not know is not the file's fault: a file is bad only if the table below says why.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.integrity import scan
from ctao_bdms.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The packages, and how many files each ships at least: a package that ships none any more is no test.
PACKAGES = {"astropy": 50, "fitsio": 3, "h5py": 4, "protozfits": 6, "regions": 3, "scipy": 3, "tables": 40}
SUFFIXES = (".fits", ".fits.gz", ".fits.fz", ".h5", ".hdf5", ".nc", ".ecsv")

#: Files that are bad, with a part of the reason: their packages keep them for that, or read over it.
BAD = {
    "astropy/io/fits/tests/data/chandra_time.fits": "DATASUM",
    "astropy/io/fits/tests/data/checksum_false.fits": "DATASUM",
    "astropy/io/fits/tests/data/memtest.fits": "DATASUM",
    "astropy/io/fits/tests/data/verify.fits": "its card 2 must be BITPIX",
    "astropy/modeling/tests/data/idcompspec.fits": "does not begin as a FITS file",
    "astropy/wcs/tests/data/header_newlines.fits": "DATASUM",
    "astropy/wcs/tests/data/header_with_time.fits": "SIMPLE is False",
    "astropy/wcs/tests/data/header_with_time_wcslib71.fits": "SIMPLE is False",
    "astropy/wcs/tests/data/validate.fits": "DATASUM",
    "regions/io/fits/tests/data/regions_wcs.fits": "DATASUM",
    "tables/tests/elink.h5": "a link to another file",
}


def _files() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        assert found is not None, f"{package} is not installed: nox -s realfiles"
        assert found.origin is not None
        folder = Path(found.origin).parent
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name.endswith(SUFFIXES):
                yield f"{package}/{path.relative_to(folder)}", path


FILES = dict(_files())


def test_packages_still_ship_their_files(record_property: Callable[[str, object], None]) -> None:
    there = Counter(name.partition("/")[0] for name in FILES)
    assert {package: there[package] for package in PACKAGES if there[package] < PACKAGES[package]} == {}
    assert [name for name in BAD if name not in FILES] == []
    verdicts = {name: scan(path) for name, path in FILES.items()}
    counts: Counter[tuple[str, str]] = Counter()
    for name, facts in verdicts.items():
        words = (facts.verdict.value, *(flag.value for flag in facts.flags))
        counts[name.partition("/")[0], ", ".join(words)] += 1
    lines = [f"{package:12}{words:44}{number:5}" for (package, words), number in sorted(counts.items())]
    record_property("realfiles", json.dumps([f"{len(FILES)} real files of {len(PACKAGES)} packages", *lines]))


@pytest.mark.parametrize("name", FILES)
def test_file_is_bad_only_for_a_reason(name: str) -> None:
    facts = scan(FILES[name])
    said = "; ".join(defect.message for defect in facts.defects)
    if name in BAD:
        assert facts.verdict is Verdict.BAD
        assert BAD[name] in said
    else:
        assert facts.verdict in {Verdict.GOOD, Verdict.UNCHECKED}, said


@pytest.mark.parametrize("name", [name for name in FILES if name not in BAD and FILES[name].stat().st_size > 10_000])
def test_cut_file_is_not_good(name: str, tmp_path: Path) -> None:
    """And never an error of ours: half of any file gets a verdict."""
    content = FILES[name].read_bytes()
    path = tmp_path / FILES[name].name
    path.write_bytes(content[: len(content) // 2])
    assert scan(path).verdict is Verdict.BAD
