"""The quarantine: a folder of cases, each with a rejected file and the reason.

Each case is a folder ``<quarantine>/<UTC time>-<hash of the path>/`` with ``reason.json``, the file, and its trigger.
Nothing is ever overwritten or deleted. The quarantine is outside the storage namespace. The reason is written first,
then the file is moved, then its trigger; after a crash in between, the next ingest of the file completes the case.
"""

from __future__ import annotations

import datetime as dt
import errno
import json
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.durable import replace_text, sync_folder
from ctao_bdms.errors import UsageError
from ctao_bdms.inbox import Stamp
from ctao_bdms.integrity import SourceChangedError, copy_verified, digest_file
from ctao_bdms.quarantine.cases import CASE_NAME, REASON, TRIGGER, Case, Cases, case_token, stored_name
from ctao_bdms.quarantine.reasons import Rejected, is_stamped, reason, reason_of, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.inbox import LocalFile
    from ctao_bdms.model import FileFacts

__all__ = ["CLOSED", "Quarantine", "is_copy"]

_LOG = logging.getLogger(__name__)
#: Folder of closed cases: their documents stay, their files were restored or moved.
CLOSED = "closed"


@attrs.frozen
class Quarantine:
    """The quarantine of one storage root.

    Attributes
    ----------
    folder
        The folder of the cases.
    """

    folder: Path
    _by_token: dict[str, list[Path]] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    _is_listed: list[bool] = attrs.field(factory=list, init=False, eq=False, repr=False)

    @classmethod
    def beside(cls, root: Path) -> Quarantine:
        """Return the quarantine beside a storage root: ``<root>.quarantine``."""
        return cls(root.with_name(root.name + ".quarantine"))

    def admit(self, reject: Rejected, now: dt.datetime) -> Path:
        """Move a rejected file and its trigger into a case; return the folder of the case.

        Across file systems the file is copied, the copy is verified, and the original is removed.

        Raises
        ------
        FileNotFoundError
            If the file was removed meanwhile.
        SourceChangedError
            If the file was replaced meanwhile; the new file stays where it is.
        """
        file = reject.item.file
        stamp = stamp_of(file.path)
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        earlier = list(self._about(file.path))
        for case in earlier:
            stored = case / stored_name(file.path)
            if is_stamped(file.path, reason_of(case).get("stamp")) and is_copy(stored, file.path):
                file.path.unlink()  # a crash came between the copy and this removal
                break
        else:
            case = self._new_folder(file.path, now)
            replace_text(case / REASON, json.dumps(reason(reject, stamp, now), indent=2) + "\n")
            _move(file.path, case / stored_name(file.path), reject.item.facts)
        sync_folder(case)
        if file.trigger is not None:
            _move_trigger(file.trigger, case / TRIGGER)
        for other in earlier:
            self._merge(other, case, stored_name(file.path))
        return case

    def settle(self, file: LocalFile) -> Path | None:
        """Move a trigger into the case of its file, after a crash; return the case.

        A new trigger stays: it announces a file that is still to come.
        """
        if file.trigger is None or not os.path.lexists(file.trigger):
            return None
        for case in self._about(file.path):
            is_kept = (case / stored_name(file.path)).exists()
            if is_kept and is_stamped(file.trigger, reason_of(case).get("trigger_stamp")):
                _move_trigger(file.trigger, case / TRIGGER)
                return case
        return None

    def cases(self) -> Cases:
        """Return the cases that hold a file, oldest first.

        A case with an unreadable document is logged as an error and left out.
        """
        cases = []
        for folder in self._folders():
            if not (folder / REASON).exists():
                continue
            try:
                case = Case.read(folder)
            except UsageError as error:
                _LOG.error("%s", error)
                continue
            if os.path.lexists(case.file):
                cases.append(case)
        return Cases(cases)

    def case(self, case_id: str) -> Case:
        """Return the case called `case_id`.

        Raises
        ------
        UsageError
            If there is none.
        """
        known = {folder.name: folder for folder in self._folders()}
        return Case.read(known.get(case_id, self.folder / Path(case_id).name))

    def put_away(self, case: Path) -> None:
        """Move a case that no longer holds a file to ``closed``."""
        closed = self.folder / CLOSED
        closed.mkdir(mode=0o750, exist_ok=True)
        target, number = closed / case.name, 2
        while os.path.lexists(target):
            target, number = closed / f"{case.name}-{number}", number + 1
        case.rename(target)

    def _merge(self, other: Path, case: Path, name: str) -> None:
        """Close an earlier case that has no file, or the same file as `case`."""
        if other == case or not other.exists():
            return
        stored = other / name
        if stored.exists():
            if not stored.samefile(case / name):
                return
            stored.unlink()  # a crash during a restore, or the same file rejected again
        if os.path.lexists(other / TRIGGER) and not os.path.lexists(case / TRIGGER):
            (other / TRIGGER).rename(case / TRIGGER)
        self.put_away(other)

    def _folders(self) -> Iterator[Path]:
        """Yield the folders of the cases, oldest first."""
        names = sorted(os.listdir(self.folder)) if self.folder.exists() else []  # noqa: PTH208 - only names are needed
        yield from (self.folder / name for name in names if CASE_NAME.fullmatch(name))

    def _about(self, path: Path) -> Iterator[Path]:
        """Yield the folders of the cases about `path`.

        The quarantine is listed only once, because a bad night can have thousands of cases. Cases that another process
        makes meanwhile are not needed here.
        """
        if not self._is_listed:
            for folder in self._folders():
                self._remember(folder)
            self._is_listed.append(True)
        yield from list(self._by_token.get(case_token(path), ()))

    def _remember(self, folder: Path) -> None:
        match = CASE_NAME.fullmatch(folder.name)
        if match is not None:
            self._by_token.setdefault(match["token"], []).append(folder)

    def _new_folder(self, path: Path, now: dt.datetime) -> Path:
        stem, number = f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{case_token(path)}", 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            folder = self.folder / name
            number += 1
            if os.path.lexists(self.folder / CLOSED / name):
                continue
            try:
                folder.mkdir(mode=0o750)
            except FileExistsError:
                continue
            self._remember(folder)
            return folder


def is_copy(stored: Path, source: Path) -> bool:
    """Whether `stored` exists with the same content as `source`."""
    if not stored.exists() or stored.stat().st_size != source.stat().st_size:
        return False
    algorithms = ("sha256",)
    return stored.samefile(source) or digest_file(stored, algorithms) == digest_file(source, algorithms)


def _move(source: Path, target: Path, facts: FileFacts | None) -> None:
    """Move a file that was not replaced; across file systems copy and verify it first."""
    status = source.stat()
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        digests = {} if facts is None else facts.digests
        copy_verified(source, target, adler32=digests.get("adler32"), sha256=digests.get("sha256"))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        if Stamp.of(source) != Stamp.from_status(status):
            target.unlink()
            raise SourceChangedError(os.fspath(source)) from None
        source.unlink()
    else:
        moved = target.lstat()
        if (moved.st_ino, moved.st_size, moved.st_mtime_ns) != (status.st_ino, status.st_size, status.st_mtime_ns):
            with suppress(FileExistsError):  # a third file is there: keep this one in the case
                source.hardlink_to(target)
                target.unlink()
            raise SourceChangedError(os.fspath(source))


def _move_trigger(source: Path, target: Path) -> None:
    """Move a trigger, which may be a link, into a case, if it still exists."""
    if not os.path.lexists(source):
        return
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        target.unlink(missing_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        source.unlink()
