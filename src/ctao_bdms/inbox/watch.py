"""The inbox that is looked at again and again.

Polling is the only way that is right on network file systems: events of the kernel tell of what this machine did, never
of what others wrote. It is cheap because a folder that has not changed is not listed again: its stamp says so. What a
stamp can miss is caught by listing every folder from time to time, a few in each poll.
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

#: What may be over by itself: such a file is waited for.
_PASSING = {DefectKind.MISSING, DefectKind.UNREADABLE}

#: In one poll, so many folders are asked whether they changed: first those that changed last, then the others in turn.
_ASKED = 10_000

#: In one poll, so many triggers whose file is missing are looked at again.
_WAITING = 10_000

#: In one poll, at most this part of the folders is listed for the full walk, in 1/n.
_WALK_PART = 20


class Watch:
    """Finds triggers below some folders, each once.

    Nothing is fatal: what cannot be read now is tried again at every poll. Links to folders are not followed. It
    belongs to one thread.

    Parameters
    ----------
    roots
        The folders to be watched.
    root
        The storage root: what lies under it can be registered where it lies.
    full_walk_s
        Within this time every folder is listed again even if it looks unchanged, in seconds: for file systems whose
        folders keep their times, and for triggers that were touched where they are.
    settle_s
        The longest tick of the file system's clock, in seconds. So long a folder with a new stamp is listed in every
        poll.
    limit
        About the most sightings in one poll; the others come with the next ones.
    monotonic
        The clock, in seconds. Only its differences are used: no time of the file system is compared with a time here.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        root: Path,
        *,
        full_walk_s: float = 600.0,
        settle_s: float = 3.0,
        limit: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roots = [os.fsencode(os.path.realpath(path)) for path in roots]
        self._root = Path(os.path.realpath(root))
        self._full_walk_s = full_walk_s
        self._settle_s = settle_s
        self._limit = limit
        self._monotonic = monotonic
        self._folders: dict[bytes, Folder] = {path: Folder() for path in self._roots}
        self._waiting: dict[bytes, str] = {}
        self._failures: dict[bytes, str] = {}
        #: What is wrong now.
        self.troubles = Troubles(self._roots)
        self._ask, self._walk, self._wait = Round(), Round(), Round()
        self._polled_s = monotonic()
        self._now_s = self._polled_s

    def waiting(self, limit: int | None = None) -> Mapping[Path, str]:
        """Return why triggers stand for nothing, by trigger; at most `limit` of them."""
        return {Path(os.fsdecode(path)): why for path, why in itertools.islice(self._waiting.items(), limit)}

    @property
    def n_waiting(self) -> int:
        """How many triggers stand for nothing."""
        return len(self._waiting)

    @property
    def known(self) -> int:
        """How many triggers are known."""
        return sum(map(len, self._folders.values()))

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return len(self._folders)

    def lacks(self, triggers: Iterable[Path]) -> Iterator[Path]:
        """Yield those triggers that are not there, by the last look; each is told as found when it comes.

        Nothing is said of those whose folder is none of ours, has not been listed whole, or is hidden.
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
        """Tell a trigger once more as found, if it still stands at the next look."""
        above, name = os.path.split(os.fsencode(trigger))
        folder = self._folders.get(above)
        if folder is not None:
            folder.remember({known: stamp for known, stamp in folder.triggers().items() if known != name})
            folder.stamp = None
            self._folders[above] = self._folders.pop(above)  # those that changed last are asked first

    def _known_in(self, path: bytes) -> Collection[bytes] | None:
        """Return the names of the triggers in a folder; None if nobody can say."""
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
        """Look, and say what is new since the last look.

        Returns
        -------
        Poll
            What is new; everything in it is told once.
        """
        poll = Poll()
        self._now_s = self._monotonic()
        due = self._due_for_the_walk()
        folders = list(dict.fromkeys([*self._roots, *self._asked(), *due]))
        forced = set(due)
        for path in folders:
            if len(poll.found) >= self._limit:
                poll.more = True
                break
            folders += self._look(path, forced=path in forced, poll=poll)
            forced.discard(path)
        self._look_at_waiting(poll)
        return poll

    def _due_for_the_walk(self) -> list[bytes]:
        """Return the folders whose turn it is to be listed, in proportion to the time since the last poll."""
        passed_s, self._polled_s = self._now_s - self._polled_s, self._now_s
        count = math.ceil(len(self._folders) * passed_s / self._full_walk_s)
        return self._walk.take(self._folders, min(count, -(-len(self._folders) // _WALK_PART)))

    def _asked(self) -> Iterable[bytes]:
        """Return the folders to be asked for their stamps; those that changed last come last in the mapping."""
        if len(self._folders) <= _ASKED:
            return list(self._folders)
        recent = list(itertools.islice(reversed(self._folders), _ASKED // 2))
        return dict.fromkeys([*recent, *self._ask.take(self._folders, _ASKED // 2)])

    def _look(self, path: bytes, *, forced: bool, poll: Poll) -> list[bytes]:
        """Ask one folder whether it changed, and list it if need be; return the folders in it that are new."""
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
        """Whether what lies at a path is no longer what was there: a root, or what lies on another device."""
        return place != before if path in self._roots else place[0] != before[0]

    def _is_bare(self, path: bytes, folder: Folder, stamp: FolderStamp, listed: list[os.DirEntry[bytes]]) -> bool:
        """Whether a folder is the mount point of a storage that was there, and is not: nothing is in it to be seen."""
        if folder.place is None or not self._is_another(path, stamp[:2], folder.place):
            return False
        return not any(entry.is_dir(follow_symlinks=False) or entry.name.endswith(_SUFFIX) for entry in listed)

    def _is_removed(self, path: bytes) -> bool:
        """Whether a folder that is not there was removed, and is not hidden together with what it lies on."""
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
        """Compare the content of a folder with what is known of it; return the folders in it that are new."""
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
                continue  # removed since the listing: the folder has another stamp by now
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
        """Say what a trigger stands for that is new, was made again, or has waited."""
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
        """Take back a trigger that was told as found: its file cannot be taken note of, and is told again."""
        name = os.fsencode(trigger)
        self._waiting[name] = self._failure(name, error)

    def _failure(self, trigger: bytes, error: Exception) -> str:
        """Say how this software itself fails over a trigger; the log has the traceback, once."""
        message = f"the software fails over it: {type(error).__name__}: {error}"
        if self._failures.get(trigger) != message:
            self._failures[trigger] = message
            _log.error("the software fails over the trigger %a; please report it", os.fsdecode(trigger), exc_info=error)
        return message

    def _look_at_waiting(self, poll: Poll) -> None:
        """Look whether the files of waiting triggers have come."""
        for trigger in self._wait.take(self._waiting, _WAITING):
            if len(poll.found) >= self._limit:
                poll.more = True
                return
            try:
                status = os.lstat(trigger)
            except OSError:
                continue  # the folder will say so
            self._sight(trigger, status, poll)

    def _lose(self, path: bytes, poll: Poll) -> None:
        """Forget a folder that is no longer there."""
        for name in self._folders.pop(path).triggers():
            self._gone(os.path.join(path, name), poll)  # noqa: PTH118
        poll.errors += self.troubles.tell(path, {})

    def _gone(self, trigger: bytes, poll: Poll) -> None:
        self._failures.pop(trigger, None)
        self._waiting.pop(trigger, None)
        poll.gone.append(Path(os.fsdecode(trigger)))

    def _trouble(self, path: bytes, message: str, poll: Poll) -> list[bytes]:
        """Tell that a folder cannot be read; what is known of it stays known."""
        poll.errors += self.troubles.tell(path, {b"": f"the folder {message}"})
        return []
