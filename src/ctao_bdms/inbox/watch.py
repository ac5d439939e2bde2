"""Poll the inbox for new triggers.

Only polling works on network file systems: kernel events report changes by this machine, never those by other clients.
A poll is cheap because folders with an unchanged stamp are not listed again. Changes that a stamp can miss are found
by a full scan, which lists every folder from time to time, a few in each poll.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctao_bdms.causes import is_unforeseen
from ctao_bdms.inbox.files import local_file
from ctao_bdms.inbox.folders import Folder, FolderStamp, Round, folder_stamp, trigger_stamp
from ctao_bdms.inbox.sightings import Notice, Poll, Sighting
from ctao_bdms.inbox.triggers import TRIGGER_SUFFIX, contradiction, data_of
from ctao_bdms.inbox.troubles import Troubles
from ctao_bdms.model import DefectKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

__all__ = ["Watch"]

_log = logging.getLogger(__name__)

_SUFFIX = os.fsencode(TRIGGER_SUFFIX)

#: Transient defects: the trigger waits until they are over.
_PASSING = {DefectKind.MISSING, DefectKind.UNREADABLE}

#: Folders whose stamp is checked in one poll: half of them changed last, the others take turns.
_STATS_PER_POLL = 10_000

#: Waiting triggers that are checked in one poll.
_WAITING_PER_POLL = 10_000

#: One poll lists at most 1/n of the folders for the full scan.
_FULL_SCAN_PART = 20


class Watch:
    """Find the triggers below some folders, each once.

    No error is fatal: a folder that cannot be read is tried again at every poll. Links to folders are not followed.
    Not thread-safe.

    Parameters
    ----------
    roots
        The folders that are watched.
    root
        The storage root: files under it can be registered without a copy.
    full_scan_s
        Time in which every folder is listed again even if its stamp is unchanged, in seconds: for file systems whose
        folders keep their times, and for triggers that are touched in place.
    settle_s
        The longest tick of the file system's clock, in seconds. A folder with a new stamp is listed in every poll for
        this time.
    limit
        Approximate limit of sightings in one poll; the others follow in the next ones.
    monotonic
        The clock, in seconds. It is never compared with times of the file system.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        root: Path,
        *,
        full_scan_s: float = 600.0,
        settle_s: float = 3.0,
        limit: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roots = [os.fsencode(os.path.realpath(path)) for path in roots]
        self._root = Path(os.path.realpath(root))
        self._full_scan_s = full_scan_s
        self._settle_s = settle_s
        self._limit = limit
        self._monotonic = monotonic
        self._folders: dict[bytes, Folder] = {path: Folder() for path in self._roots}
        self._waiting: dict[bytes, str] = {}
        self._failures: dict[bytes, str] = {}
        #: The present problems.
        self.troubles = Troubles(self._roots)
        self._stat_turn, self._scan_turn, self._waiting_turn = Round(), Round(), Round()
        self._polled_s = monotonic()
        self._now_s = self._polled_s

    def waiting(self, limit: int | None = None) -> Mapping[Path, str]:
        """Return the reasons of waiting triggers, at most `limit`."""
        return {Path(os.fsdecode(path)): why for path, why in itertools.islice(self._waiting.items(), limit)}

    @property
    def n_waiting(self) -> int:
        """Number of waiting triggers."""
        return len(self._waiting)

    @property
    def known(self) -> int:
        """Number of known triggers."""
        return sum(map(len, self._folders.values()))

    @property
    def folders(self) -> int:
        """Number of watched folders."""
        return len(self._folders)

    def lacks(self, triggers: Iterable[Path]) -> Iterator[Path]:
        """Yield those of `triggers` that did not exist at the last poll.

        Triggers in folders that are not watched, not completely listed, or hidden are left out.
        """
        folders: dict[bytes, Collection[bytes] | None] = {}
        for trigger in triggers:
            above, name = os.path.split(os.fsencode(trigger))
            if above not in folders:
                folders[above] = self._known_in(above)
            known = folders[above]
            if known is not None and name not in known:
                yield trigger

    def look_again(self, trigger: Path) -> None:
        """Report a trigger as found again at the next poll, if it still exists."""
        above, name = os.path.split(os.fsencode(trigger))
        folder = self._folders.get(above)
        if folder is not None:
            folder.remember({known: stamp for known, stamp in folder.triggers().items() if known != name})
            folder.stamp = None
            self._folders[above] = self._folders.pop(above)  # folders that changed last are checked first

    def _known_in(self, path: bytes) -> Collection[bytes] | None:
        """Return the names of the triggers in a folder; None if they are unknown."""
        nearest = path
        while nearest not in self._folders:
            if nearest == os.path.dirname(nearest):  # noqa: PTH120
                return None
            nearest = os.path.dirname(nearest)  # noqa: PTH120
        folder = self._folders[nearest]
        if folder.stamp is None or self.troubles.hide(nearest):
            return None
        return folder.triggers() if nearest == path else ()

    def poll(self) -> Poll:
        """Return the changes since the last poll, each once."""
        poll = Poll()
        self._now_s = self._monotonic()
        due = self._due_for_full_scan()
        folders = list(dict.fromkeys([*self._roots, *self._due_for_stat(), *due]))
        forced = set(due)
        for path in folders:
            if len(poll.found) >= self._limit:
                poll.more = True
                break
            folders += self._look(path, forced=path in forced, poll=poll)
            forced.discard(path)
        self._look_at_waiting(poll)
        return poll

    def _due_for_full_scan(self) -> list[bytes]:
        """Return the next folders of the full scan, by the time since the last poll."""
        passed_s, self._polled_s = self._now_s - self._polled_s, self._now_s
        count = math.ceil(len(self._folders) * passed_s / self._full_scan_s)
        return self._scan_turn.take(self._folders, min(count, -(-len(self._folders) // _FULL_SCAN_PART)))

    def _due_for_stat(self) -> Iterable[bytes]:
        """Return the folders whose stamps are checked in this poll."""
        if len(self._folders) <= _STATS_PER_POLL:
            return list(self._folders)
        # The mapping is in the order of changes, the latest last.
        recent = list(itertools.islice(reversed(self._folders), _STATS_PER_POLL // 2))
        return dict.fromkeys([*recent, *self._stat_turn.take(self._folders, _STATS_PER_POLL // 2)])

    def _look(self, path: bytes, *, forced: bool, poll: Poll) -> list[bytes]:
        """Check the stamp of a folder, list it if needed; return new folders in it."""
        folder = self._folders.get(path)
        if folder is None or self.troubles.hide_from_above(path):
            return []
        try:
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(20, os.strerror(20))
            stamp = folder_stamp(status)
            if stamp == folder.stamp and folder.listed_s >= folder.unsettled_until_s and not forced:
                return []
            with os.scandir(path) as entries:
                listed = list(entries)
            if self._is_bare(path, folder, stamp, listed):
                return self._trouble(path, "is another one than before, and empty: is the storage mounted?", poll)
        except (FileNotFoundError, NotADirectoryError) as error:
            if path in self._roots:
                return self._trouble(path, f"cannot be read: {error.strerror}", poll)
            if self._is_removed(path):
                self._lose(path, poll)
            return []
        except OSError as error:
            folder.stamp = None
            return self._trouble(path, f"cannot be read: {error.strerror}", poll)
        if stamp != folder.stamp:
            folder.unsettled_until_s = self._now_s + self._settle_s
            self._folders[path] = self._folders.pop(path)
        folder.stamp, folder.place, folder.listed_s = stamp, stamp[:2], self._now_s
        return self._compare(path, folder, listed, poll)

    def _is_another(self, path: bytes, place: tuple[int, int], before: tuple[int, int]) -> bool:
        """Whether a root was replaced, or a folder is on another device than before."""
        return place != before if path in self._roots else place[0] != before[0]

    def _is_bare(self, path: bytes, folder: Folder, stamp: FolderStamp, listed: list[os.DirEntry[bytes]]) -> bool:
        """Whether a folder is the empty mount point of a storage that was mounted before."""
        if folder.place is None or not self._is_another(path, stamp[:2], folder.place):
            return False
        return not any(entry.is_dir(follow_symlinks=False) or entry.name.endswith(_SUFFIX) for entry in listed)

    def _is_removed(self, path: bytes) -> bool:
        """Whether a missing folder was removed, not hidden by an unmounted storage."""
        while path not in self._roots:
            path = os.path.dirname(path)  # noqa: PTH120
            folder = self._folders.get(path)
            if folder is None or folder.place is None:
                continue
            try:
                status = os.lstat(path)
            except OSError:
                continue
            return not self._is_another(path, (status.st_dev, status.st_ino), folder.place)
        return False

    def _compare(self, path: bytes, folder: Folder, listed: list[os.DirEntry[bytes]], poll: Poll) -> list[bytes]:
        """Compare a listing with the known triggers; return new folders in it."""
        before, now = folder.triggers(), dict[bytes, int]()
        odd: dict[bytes, str] = {}
        inner = []
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                if entry.path not in self._folders:
                    self._folders[entry.path] = Folder()
                    inner.append(entry.path)
                continue
            name = entry.name
            if not name.endswith(_SUFFIX):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since the listing: the folder's stamp has changed
            except OSError as error:
                folder.stamp = None
                odd[name] = f"the trigger cannot be looked at: {error.strerror}"
                if name in before:
                    now[name] = before[name]
                continue
            if name == _SUFFIX:
                odd[name] = "the name of a trigger is that of a data file and .trigger; here the data file's is missing"
            elif not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                odd[name] = "a trigger is a file or a link; this is neither"
            elif before.get(name) == (stamp := trigger_stamp(status)):
                now[name] = stamp
            elif len(poll.found) < self._limit:
                now[name] = stamp
                self._sight(entry.path, status, poll)
            else:
                folder.stamp = None
                poll.more = True
                if name in before:
                    now[name] = before[name]
        for name in before.keys() - now.keys():
            self._gone(os.path.join(path, name), poll)  # noqa: PTH118
        if before != now:
            folder.remember(now)
        poll.errors += self.troubles.tell(path, odd)
        return inner

    def _sight(self, trigger: bytes, status: os.stat_result, poll: Poll) -> None:
        """Report a trigger: as found if its data file exists, else as waiting."""
        path = Path(os.fsdecode(trigger))
        try:
            message = contradiction(os.fsdecode(trigger))
            if message is None:
                file = local_file(data_of(path), path, self._root)
                message = next((defect.message for defect in file.defects if defect.kind in _PASSING), None)
                if message is None:
                    poll.found.append(Sighting.of(file, trigger_ns=status.st_mtime_ns))
                    self._waiting.pop(trigger, None)
                    return
        except Exception as error:
            if not is_unforeseen(error):
                raise
            message = self._failure(trigger, error)
        if self._waiting.get(trigger) != message:
            self._waiting[trigger] = message
            _log.info("inbox: %a waits: %s", os.fspath(path), message)
            poll.waiting.append(Notice(path, message))

    def hold(self, trigger: Path, error: Exception) -> None:
        """Make a found trigger wait, because its file could not be recorded."""
        name = os.fsencode(trigger)
        self._waiting[name] = self._failure(name, error)

    def _failure(self, trigger: bytes, error: Exception) -> str:
        """Return the message of an unexpected error at a trigger; log its traceback once."""
        message = f"the software fails over it: {type(error).__name__}: {error}"
        if self._failures.get(trigger) != message:
            self._failures[trigger] = message
            _log.error("the software fails over the trigger %a; please report it", os.fsdecode(trigger), exc_info=error)
        return message

    def _look_at_waiting(self, poll: Poll) -> None:
        """Check whether the data files of waiting triggers exist now."""
        for trigger in self._waiting_turn.take(self._waiting, _WAITING_PER_POLL):
            if len(poll.found) >= self._limit:
                poll.more = True
                return
            try:
                status = os.lstat(trigger)
            except OSError:
                continue  # the trigger was removed; the next listing of its folder finds that
            self._sight(trigger, status, poll)

    def _lose(self, path: bytes, poll: Poll) -> None:
        """Forget a removed folder and its triggers."""
        for name in self._folders.pop(path).triggers():
            self._gone(os.path.join(path, name), poll)  # noqa: PTH118
        poll.errors += self.troubles.tell(path, {})

    def _gone(self, trigger: bytes, poll: Poll) -> None:
        self._failures.pop(trigger, None)
        self._waiting.pop(trigger, None)
        poll.gone.append(Path(os.fsdecode(trigger)))

    def _trouble(self, path: bytes, message: str, poll: Poll) -> list[bytes]:
        """Report that a folder cannot be read; its triggers stay known."""
        poll.errors += self.troubles.tell(path, {b"": f"the folder {message}"})
        return []
