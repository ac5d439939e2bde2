"""Upload the files of a block, and check that all are there at the end."""

from __future__ import annotations

import datetime as dt
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import UploadError
from ctao_bdms.model import Defect, DefectKind
from ctao_bdms.upload.deliver import RECHECK_AFTER_S, deliver, recheck

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ctao_bdms.ingest import Described
    from ctao_bdms.model import Lfn
    from ctao_bdms.storage import Sink

__all__ = ["absent", "bring"]

_LOG = logging.getLogger(__name__)


def bring(
    items: Sequence[Described],
    sink: Sink,
    *,
    now: Callable[[], dt.datetime],
    jobs: int,
    brought: dict[Lfn, Described],
    renew: Callable[[], None],
    on_uploaded: Callable[[int], None] = lambda _: None,
) -> dict[Path, Described]:
    """Upload good files; return them by path, with a defect if the upload failed.

    Parameters
    ----------
    jobs
        Number of files that are uploaded at the same time.
    brought
        Output: uploaded files are added one by one, so that they are known even after an interruption.
    renew
        Renews the claims on the folders; called after a long upload.
    on_uploaded
        Called with the number of bytes after each uploaded piece.
    """
    begin = now()
    since: dict[Path, dt.datetime] = {}

    def upload(item: Described) -> Described:
        lfn, size_bytes, adler32 = _known(item)
        try:
            age_s = deliver(sink, item.file.path, lfn, size_bytes=size_bytes, adler32=adler32, on_bytes=on_uploaded)
        except (UploadError, OSError) as error:
            return absent(item, error)
        brought[lfn] = item
        since[item.file.path] = now() - dt.timedelta(seconds=age_s)
        return item

    def look_again(item: Described) -> Described:
        """Check a file again if another upload may have removed it as abandoned."""
        if item.defects or now() - since[item.file.path] < dt.timedelta(seconds=RECHECK_AFTER_S):
            return item
        lfn, size_bytes, adler32 = _known(item)
        try:
            recheck(sink, lfn, size_bytes=size_bytes, adler32=adler32)
        except (UploadError, OSError) as error:
            brought.pop(lfn, None)
            return absent(item, error)
        return item

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        uploaded = list(pool.map(upload, items))
        if now() - begin >= dt.timedelta(seconds=RECHECK_AFTER_S):
            renew()
        return {item.file.path: item for item in pool.map(look_again, uploaded)}


def _known(item: Described) -> tuple[Lfn, int, str]:
    """Return name, size in bytes and Adler-32 of a file."""
    assert item.file.lfn is not None  # a file without a name,
    assert item.facts is not None  # or one that could not be read, has a defect
    return item.file.lfn, item.facts.size_bytes, item.facts.adler32


def absent(item: Described, error: Exception) -> Described:
    """Return a file with the error of its upload as a defect."""
    _LOG.warning("%s", error)
    return attrs.evolve(item, defects=(*item.defects, Defect(DefectKind.STORAGE, str(error))))
