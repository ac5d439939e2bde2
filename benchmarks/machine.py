"""What processes of this machine have used: CPU seconds and memory, with all that they have started."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _CPU, _RSS = 1, slice(11, 15), 21  # fields of /proc/<pid>/stat after the command's name


def _stats() -> dict[int, list[str]]:
    """Return the fields of all processes by number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
    return found


def _tree(stats: dict[int, list[str]], top: int) -> set[int]:
    """Return a process and all below it."""
    tree, more = set[int](), {top} & stats.keys()
    while more:
        tree |= more
        more = {pid for pid, fields in stats.items() if int(fields[_PARENT]) in more} - tree
    return tree


def cpu_s(top: int) -> float:
    """Return the CPU seconds of a process, of all below it, and of their children that have ended."""
    stats = _stats()
    return sum(int(ticks) for pid in _tree(stats, top) for ticks in stats[pid][_CPU]) * _TICK_S


def memory_mb(top: int) -> tuple[float, float]:
    """Return the resident memory of a process, and of all below it together, in MB."""
    stats = _stats()
    tree = _tree(stats, top)
    sizes = {pid: int(stats[pid][_RSS]) * _PAGE / 1e6 for pid in tree}
    return sizes.pop(top, 0.0), sum(sizes.values())


def busy_s() -> float:
    """Return the CPU seconds of the whole machine so far."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, interrupt, soft, *_ = map(int, fields)
    return (user + nice + system + interrupt + soft) * _TICK_S
