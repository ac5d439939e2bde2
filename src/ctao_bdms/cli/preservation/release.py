"""bdms release."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive, Timeout, between
from ctao_bdms.cli.output import size_text
from ctao_bdms.errors import UnreachableError, UsageError
from ctao_bdms.model import Night
from ctao_bdms.preservation import Decision, SpacePolicy, SpaceReleases

if TYPE_CHECKING:
    from ctao_bdms.archive import Bdms

__all__ = ["release"]

_LOOK_S = 1.0


def release(
    *,
    scope: Annotated[str, Parameter(help="The scope of the blocks.")] = "acada",
    night: Annotated[str, Parameter(help="Only this night, the date of its evening; by default all.")] = "",
    rse: Annotated[str, Parameter(help="The storage element on site; by default the only one.")] = "",
    older_than: Annotated[
        float | None,
        Parameter(
            validator=between(0, 100_000),
            help="The minimum days since a block was opened; by default as in the policy.",
        ),
    ] = None,
    to_low_water: Annotated[str, Parameter(help="Stop when the storage is filled to this level, e.g. 70%.")] = "",
    apply: Annotated[bool, Parameter(negative="", help="Apply it; otherwise it is only reported.")] = False,
    wait: Annotated[bool, Parameter(negative="", help="Wait until the files are deleted from disk.")] = False,
    timeout_s: Timeout = 3600.0,
    archive: Archive = DEFAULT_ARCHIVE,
) -> int:
    """Free space on site: delete on-site copies of blocks that have verified copies at two centres.

    Nothing is changed without `--apply`. With it, the copies at the centres are read back first, the evidence is
    stored with the block, and the rule of the copy on site is ended, so that Rucio deletes it. If a block cannot be
    released, the table says why, the next one takes its place, and the exit code is 1. If the archive becomes
    unreachable, the table shows what was done until then, and the exit code is 3.

    Example: `bdms release --older-than 60 --to-low-water 70% --apply`
    """
    output, bdms = archive.output, archive.connect()
    policy = None if older_than is None else SpacePolicy(older_than=dt.timedelta(days=older_than))
    low_water = _fraction(to_low_water)
    only = Night.parse(night) if night else None

    def look(*, do: bool) -> SpaceReleases:
        with output.bytes_bar("read back", None) as on_bytes:
            return bdms.nights.release(
                scope, rse=rse, night=only, policy=policy, low_water=low_water, apply=do, on_bytes=on_bytes
            )

    rows = look(do=False)
    gone = {row.did for row in rows.of(Decision.ENDED)}
    could = rows.of(Decision.RELEASE, Decision.VERIFY)
    rows = look(do=True) if apply else rows
    stopped, failed = rows.stopped, rows.of(Decision.FAILED)
    unreached = rows.of(Decision.RELEASE, Decision.VERIFY)
    if wait and stopped is None:
        rows = _after_deletion(bdms, rows, rse, timeout_s)
    output.rows(rows)
    if apply:
        done = SpaceReleases(row for row in rows.of(Decision.ENDED, Decision.RELEASED) if row.did not in gone)
        tried = len(done) + len(failed) + len(unreached)
        output.line(f"{len(done)} of {tried} blocks released, {size_text(done.size_bytes)}")
    else:
        output.line(f"{len(could)} blocks could be released; --apply does it")
    if stopped is not None:
        raise stopped
    if wait and any(row.verdict is Decision.ENDED for row in rows):
        raise UnreachableError(
            f"not all files are deleted after {timeout_s:g} s; see above, and check that Rucio's reaper runs"
        )
    return 1 if failed else 0


def _after_deletion(bdms: Bdms, rows: SpaceReleases, rse: str, timeout_s: float) -> SpaceReleases:
    """Wait until all blocks whose rules have ended are deleted on site; return all rows, updated."""
    ended, until = rows.of(Decision.ENDED), time.monotonic() + timeout_s
    while True:
        with suppress(UnreachableError):  # retried in the next iteration
            ended = bdms.nights.left_on_site(ended, rse=rse)
        if not ended.of(Decision.ENDED) or time.monotonic() >= until:
            break
        time.sleep(min(_LOOK_S, timeout_s))
    left = {row.did: row for row in ended}
    return SpaceReleases(left.get(row.did, row) for row in rows)


def _fraction(text: str) -> float | None:
    """Return a percentage as a fraction; None if empty."""
    if not text:
        return None
    number = text.removesuffix("%")
    if not number.replace(".", "", 1).isdigit() or not 0 <= float(number) <= 100:
        raise UsageError(f"{text!r} is not a percentage; write for instance --to-low-water 70%")
    return float(number) / 100
