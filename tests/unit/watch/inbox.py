"""A real inbox for tests of the watch; only its clock is manual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.inbox.sightings import Poll

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.inbox import Watch

NAME = "TEL001_SDH0001_20261121T221500_SBID2_OBSID2_CHUNK{:03d}.fits.fz"


class Clock:
    """A manual monotonic clock."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def add(folder: Path, number: int, content: bytes = b"x") -> Path:
    """Make a data file and its trigger; return the data file."""
    path = folder / NAME.format(number)
    path.write_bytes(content)
    trigger_of(path).touch()
    return path


def trigger_of(path: Path) -> Path:
    return path.with_name(path.name + ".trigger")


def paths(poll: Poll) -> list[Path]:
    return sorted(sighting.path for sighting in poll.found)


def is_silent(poll: Poll) -> bool:
    return not (poll.found or poll.gone or poll.waiting or poll.errors or poll.more)


def settle(watch: Watch, clock: Clock) -> None:
    """Poll until unchanged folders are no longer listed."""
    for _ in range(3):
        clock.now_s += 2
        assert is_silent(watch.poll())


def poll_all(watch: Watch, clock: Clock, count: int = 3) -> Poll:
    """Poll several times, with time in between; return the results together."""
    said = Poll()
    for _ in range(count):
        clock.now_s += 2
        poll = watch.poll()
        for name in ("found", "gone", "waiting", "errors"):
            getattr(said, name).extend(getattr(poll, name))
    return said


def add_deep(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True)
    return add(folder, number)
