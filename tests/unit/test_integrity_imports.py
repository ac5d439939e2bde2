from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_without_the_fast_library_the_digest_is_the_same() -> None:
    code = (
        "import sys, zlib; sys.modules['zlib_ng'] = None\n"
        "from ctao_bdms.integrity import Scanner, checksums\n"
        "s = Scanner(); s.feed(b'Wiki'); s.feed(b'pedia'); print(checksums.adler32 is zlib.adler32, s.finish().adler32)"
    )
    assert run(code) == "True 11e60398"


def test_without_numpy_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from ctao_bdms.errors import MissingExtraError\n"
        "try:\n    import ctao_bdms.integrity\nexcept MissingExtraError as error:\n    print(error)"
    )
    assert run(code) == "numpy is not installed; install it with: pip install 'ctao-bdms[client]'"


def test_heavy_libraries_are_not_loaded() -> None:
    code = "import sys, ctao_bdms.integrity; print(sorted({'astropy', 'rucio', 'protozfits'} & set(sys.modules)))"
    assert run(code) == "[]"
