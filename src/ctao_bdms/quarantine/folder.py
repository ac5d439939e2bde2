"""Where a file goes that may not enter the archive, with the reason beside it.

Each case is a folder of its own, ``<quarantine>/<UTC time>-<hash of the path>/``, with ``reason.json``, the file, and
its trigger: nothing is ever overwritten, nothing deleted. The quarantine lies outside the storage namespace. The reason
is written first, then the file is moved, then its trigger; a crash in between is repaired by walking again.
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
#: Where the documents of cases are whose file is no longer here.
CLOSED = "closed"


@attrs.frozen
class Quarantine:
    """The quarantine of one storage root.

    Attributes
    ----------
    folder
        Where the cases are.
    """

    folder: Path
    _by_token: dict[str, list[Path]] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    _is_listed: list[bool] = attrs.field(factory=list, init=False, eq=False, repr=False)

    @classmethod
    def beside(cls, root: Path) -> Quarantine:
        """Return the quarantine beside a storage root: ``<root>.quarantine``."""
        return cls(root.with_name(root.name + ".quarantine"))

    def admit(self, reject: Rejected, now: dt.datetime) -> Path:
        """Move the file of `reject`, and its trigger, into a case; return the case's folder.

        Across file systems the file is copied, the copy verified, and the original removed.

        Raises
        ------
        FileNotFoundError
            If the file has gone meanwhile.
        SourceChangedError
            If another one came into its place meanwhile, which stays there.
        """
        file = reject.item.file
        stamp = stamp_of(file.path)
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        earlier = list(self._about(file.path))
        for case in earlier:
            stored = case / stored_name(file.path)
            if is_stamped(file.path, reason_of(case).get("stamp")) and is_copy(stored, file.path):
                file.path.unlink()  # it was copied here, and only this was still to be done
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
        """Take a trigger whose file a crash has left in quarantine alone; return the case.

        Nothing happens if the trigger is another one than then: it speaks of a file that is still to come.
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
        """Return the cases that hold a file, the oldest first.

        One whose document cannot be read is logged as an error, and does not hide the others.
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
        """Move a case that holds no file any more to ``closed``."""
        closed = self.folder / CLOSED
        closed.mkdir(mode=0o750, exist_ok=True)
        target, number = closed / case.name, 2
        while os.path.lexists(target):
            target, number = closed / f"{case.name}-{number}", number + 1
        case.rename(target)

    def _merge(self, other: Path, case: Path, name: str) -> None:
        """Put an earlier case away whose file is not in it, because a crash came first, or is the one in `case`."""
        if other == case or not other.exists():
            return
        stored = other / name
        if stored.exists():
            if not stored.samefile(case / name):
                return
            stored.unlink()  # it was being released, and a crash came, or the same verdict
        if os.path.lexists(other / TRIGGER) and not os.path.lexists(case / TRIGGER):
            (other / TRIGGER).rename(case / TRIGGER)
        self.put_away(other)

    def _folders(self) -> Iterator[Path]:
        """Yield the folders of the cases, the oldest first."""
        names = sorted(os.listdir(self.folder)) if self.folder.exists() else []  # noqa: PTH208 - only names are needed
        yield from (self.folder / name for name in names if CASE_NAME.fullmatch(name))

    def _about(self, path: Path) -> Iterator[Path]:
        """Yield the folders of the cases about `path`.

        The folder is listed once: a night of which every file is bad has a case for each. What another process does
        meanwhile repairs nothing that would need to be known here.
        """
        if not self._is_listed:
            for folder in self._folders():
                self._remember(folder)
            self._is_listed.append(True)
        yield from list(self._by_token.get(case_token(path), ()))

    def _remember(self, folder: Path) -> None:
        """Remember which path the case in `folder` is about."""
        match = CASE_NAME.fullmatch(folder.name)
        if match is not None:
            self._by_token.setdefault(match["token"], []).append(folder)

    def _new_folder(self, path: Path, now: dt.datetime) -> Path:
        """Make the folder of a new case."""
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
    """Whether `stored` is there and holds the bytes of `source`."""
    if not stored.exists() or stored.stat().st_size != source.stat().st_size:
        return False
    algorithms = ("sha256",)
    return stored.samefile(source) or digest_file(stored, algorithms) == digest_file(source, algorithms)


def _move(source: Path, target: Path, facts: FileFacts | None) -> None:
    """Move a file, if it is the one that was read; across file systems copy and verify it first."""
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
            with suppress(FileExistsError):  # then a third file is there, and this one is kept in the case
                source.hardlink_to(target)
                target.unlink()
            raise SourceChangedError(os.fspath(source))


def _move_trigger(source: Path, target: Path) -> None:
    """Move a trigger, which may be a link, into a case; nothing happens if it has gone."""
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
