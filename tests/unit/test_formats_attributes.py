from __future__ import annotations

import subprocess
import sys

import pytest

from ctao_bdms.integrity.formats.attributes import SPELLINGS, keywords_of
from ctao_bdms.model import METADATA


def test_every_spelling_leads_to_a_key_of_the_table() -> None:
    assert set(SPELLINGS.values()) <= METADATA.keys()


@pytest.mark.parametrize(
    ("levels", "level"),
    [("DL1_IMAGES,DL1_PARAMETERS", "DL1"), ("DL1_PARAMETERS,DL2", "DL2"), ("R1, DL1_MUON", "DL1"), ("new", "new")],
)
def test_of_several_levels_the_highest_counts(levels: str, level: str) -> None:
    assert keywords_of({"CTA PRODUCT DATA LEVELS": levels}) == ({"DATALEVL": level}, ())


@pytest.mark.parametrize(("name", "module", "blocked"), [("x.h5", "h5py", "h5py"), ("x.ecsv", "yaml", "yaml")])
def test_without_the_reader_it_says_what_to_install(name: str, module: str, blocked: str) -> None:
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == {blocked!r} else find(name, *rest)\n"
        "from ctao_bdms.errors import MissingExtraError\nfrom ctao_bdms.integrity import Scanner\n"
        f"try:\n    Scanner({name!r})\nexcept MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{module} is not installed; install it with: pip install 'ctao-bdms[formats]'"


def test_the_readers_are_loaded_when_needed() -> None:
    code = "import sys, ctao_bdms.integrity; print(sorted({'h5py', 'yaml', 'netCDF4'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
