"""Names per second and core: parsed, made, and put into their scope.

Run ``python benchmarks/names.py``. The names are those of a night: different chunks, telescopes and blocks, so that no
name comes twice. Each line is the best and the median of several rounds over all names.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from ctao_bdms.model import Lfn
from ctao_bdms.naming import AcadaName, AcadaPath, DppsName, DppsPath, directories_of, pfn_path, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ACADA = "/ctao/acada/DL0/LSTN-{ae:02d}/ctao-n-acada/acada-adh/events/2026/11/21/"
ACADA += "TEL{ae:03d}_SDH0001_20261121T{hour:02d}1500_SBID{sb}_OBSID{ob}_TEL_SHOWER_CHUNK{chunk:03d}.fits.fz"
DPPS = "/ctao/dpps/DataPipe/Observation/DR1/CTAO-North/DL1/Event/2026/11/21/ob{ob}/"
DPPS += "dl1_evt_tel_AirShower_ob{ob}_tel{ae:03d}_chunk{chunk:03d}.h5"


def names(pattern: str, count: int) -> list[str]:
    """Return so many different names."""
    return [
        pattern.format(
            ae=1 + i % 4, hour=i % 24, sb=2_000_000_000 + i // 400, ob=2_000_000_000 + i // 100, chunk=i % 100 // 4
        )
        for i in range(count)
    ]


def rate(function: Callable[[Any], object], values: Sequence[object], rounds: int) -> tuple[float, float]:
    """Return the best and the median number of calls a second."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for value in values:
            function(value)
        seconds.append(time.perf_counter() - begin)
    return len(values) / min(seconds), len(values) / statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="how many names")
    parser.add_argument("--rounds", type=int, default=7, help="how many rounds")
    options = parser.parse_args()
    print(f"{'what':<34}{'best/s':>12}{'median/s':>12}")
    for kind, pattern, name_of, path_of in (
        ("ACADA", ACADA, AcadaName.parse, AcadaPath.parse),
        ("DPPS", DPPS, DppsName.parse, DppsPath.parse),
    ):
        texts = names(pattern, options.count)
        lfns = [Lfn(text) for text in texts]
        files = [lfn.name for lfn in lfns]
        parsed = [name_of(file) for file in files]
        paths = [path_of(lfn) for lfn in lfns]
        assert [str(name) for name in parsed] == files
        assert [path.lfn for path in paths] == lfns
        for what, function, values in (
            ("name: parse", name_of, files),
            ("name: compose", str, parsed),
            ("path: parse", path_of, lfns),
            ("path: compose", lambda path: path.lfn, paths),
            ("any text: to LFN", Lfn, texts),
            ("LFN: scope", scope_of, texts),
            ("LFN: directories", directories_of, lfns),
            ("LFN: place on storage", lambda text: pfn_path(text, "/data"), texts),
        ):
            best, median = rate(function, values, options.rounds)
            print(f"{kind + ' ' + what:<34}{best:>12,.0f}{median:>12,.0f}")


if __name__ == "__main__":
    main()
