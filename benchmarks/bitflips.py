"""Flip single bits of the smallest genuine DL0 file of each kind, and show what the scan says of it.

    python benchmarks/bitflips.py [--full]

Every 97th bit is flipped, with `--full` every bit there is (714 240 at this writing; minutes). Every flip is told by a
`Scanner`: it is copied before the block in which the bit lies, is fed what follows up to the end of the part, and if
it has found no sum that is wrong by then (a defect never goes away again), the rest of the file.
"""

from __future__ import annotations

import argparse
import copy
import datetime as dt
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import DefectKind, FileFacts, HduFacts, Night, Verdict
from ctao_bdms.testing.dl0 import Dl0Kind, Dl0Spec, write_content

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["genuine", "scanned", "table"]

_BLOCK_BYTES = 2880
_STEP = 97
_NAME = "x.fits.fz"


def genuine(kind: Dl0Kind) -> bytes:
    """Return the smallest file of a kind: one event of one pixel."""
    start = dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC)
    spec = Dl0Spec(
        kind=kind,
        ae_id=1,
        night=Night(start.date()),
        start=start,
        obs_id=2_000_000_001,
        sb_id=2_000_000_001,
        events=1,
        pixels=1,
        samples=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _NAME
        write_content(spec, path)
        return path.read_bytes()


def scanned(content: bytes) -> FileFacts:
    """Return what the scan says of `content` under the name of a DL0 file."""
    scanner = Scanner(_NAME, algorithms=())
    scanner.feed(content)
    return scanner.finish()


def _flips(content: bytes, hdu: HduFacts, step: int) -> Iterator[tuple[int, int, Verdict, str]]:
    """Yield place, bit, verdict and first kind of defect of each flip in one part."""
    end = hdu.offset + hdu.header_bytes + hdu.data_bytes
    before = Scanner(_NAME, algorithms=())
    before.feed(content[: hdu.offset])
    for block in range(hdu.offset, end, _BLOCK_BYTES):
        part, rest = bytearray(content[block:end]), content[end:]
        for number in range(-8 * block % step, 8 * _BLOCK_BYTES, step):
            place, bit = divmod(number, 8)
            scanner = copy.deepcopy(before)
            part[place] ^= 1 << bit
            scanner.feed(part)
            part[place] ^= 1 << bit
            facts = scanner.finish()
            if all(defect.kind is not DefectKind.CORRUPT for defect in facts.defects):
                scanner.feed(rest)
                facts = scanner.finish()
            yield block + place, bit, facts.verdict, facts.defects[0].kind.value if facts.defects else ""
        before.feed(part[:_BLOCK_BYTES])


def _told(kind: Dl0Kind, index: int, step: int) -> list[tuple[str, int, int, Verdict, str]]:
    """Return what was flipped in one part, and what the scan said."""
    content = genuine(kind)
    hdu = scanned(content).hdus[index]
    data = hdu.offset + hdu.header_bytes
    return [
        (f"{hdu.name} {'header' if place < data else 'data'}", place, bit, verdict, defect)
        for place, bit, verdict, defect in _flips(content, hdu, step)
    ]


def table(kind: Dl0Kind, *, step: int = _STEP, workers: int | None = None) -> tuple[list[str], int]:
    """Flip every `step`-th bit; return the lines of the table, and how many flips passed as sound."""
    content = genuine(kind)
    facts = scanned(content)
    assert facts.verdict is Verdict.GOOD, facts.defects
    parts = [hdu.index for hdu in facts.hdus]
    arguments = ([kind] * len(parts), parts, [step] * len(parts))
    if workers == 1:
        told = [flip for some in map(_told, *arguments) for flip in some]
    else:
        with ProcessPoolExecutor(workers) as executor:
            told = [flip for some in executor.map(_told, *arguments) for flip in some]
    caught = Counter((where, defect) for where, *_, verdict, defect in told if verdict is Verdict.BAD)
    passed = [flip for flip in told if flip[3] is not Verdict.BAD]
    lines = [
        f"DL0v1 {kind.value}: {len(content)} bytes, {len(told)} of {8 * len(content)} bits flipped, "
        f"{len(told) - len(passed)} caught, {len(passed)} passed"
    ]
    lines += [f"  {count:8}  {where}: {defect}" for (where, defect), count in caught.items()]
    lines += [f"  passed as {verdict}: bit {bit} of byte {place}, {where}" for where, place, bit, verdict, _ in passed]
    return lines, len(passed)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="flip every bit")
    step = 1 if parser.parse_args().full else _STEP
    for kind in Dl0Kind:
        print("\n".join(table(kind, step=step)[0]), flush=True)


if __name__ == "__main__":
    main()
