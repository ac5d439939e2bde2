"""What can go wrong, as sentences with facts.

Every error of this library is a `BdmsError`. Its text says what happened, to what, and what to do; the same facts stand
as attributes, so that no program has to read the text. Each kind also inherits the built-in exception that a caller
would catch, and says by `transient` whether trying again later can help.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

__all__ = [
    "AuthenticationError",
    "BdmsError",
    "BlockClosedError",
    "CatalogueError",
    "CatalogueRejectsAllError",
    "ConflictError",
    "CredentialsError",
    "EmbeddedError",
    "ForbiddenError",
    "HomeInUseError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidSettingsError",
    "JournalCorruptError",
    "JournalError",
    "JournalLostError",
    "JournalUnavailableError",
    "LeaseHeldError",
    "LeaseLostError",
    "ManifestError",
    "MissingExtraError",
    "NoRoomError",
    "NoSpaceError",
    "NoWorkerError",
    "NotFoundError",
    "NotRunningError",
    "OutsideRootError",
    "QuotaError",
    "RefusedError",
    "RetrievalError",
    "StorageError",
    "UnknownRseError",
    "UnreachableError",
    "UploadError",
    "UsageError",
    "WorkerLostError",
]


class BdmsError(Exception):
    """The root of all errors of ctao-bdms."""

    #: True if the same call can succeed later without anybody changing anything.
    transient: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[object, ...]]:
        """Let every kind cross to another process as it is, whatever its parameters are."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[BdmsError], arguments: tuple[object, ...], facts: dict[str, object]) -> BdmsError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(facts)
    return error


class UsageError(BdmsError, ValueError):
    """A request that makes no sense as it was put; the text says what would."""


class MissingExtraError(BdmsError, ImportError):
    """A part of the software that was asked for is not installed.

    Parameters
    ----------
    extra
        The extra of ``ctao-bdms`` that holds it.
    module
        The module that could not be imported.
    """

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"{module} is not installed; install it with: pip install 'ctao-bdms[{extra}]'")
        self.extra = extra
        self.module = module


class InvalidNameError(BdmsError, ValueError):
    """A text is not a name of the kind it should be.

    Parameters
    ----------
    text
        The text as it was given.
    reason
        What is wrong, as the end of a sentence.
    position
        The index of the first offending character, if there is one.
    """

    def __init__(self, text: str, reason: str, position: int | None = None) -> None:
        where = "" if position is None else f" (at character {position + 1})"
        super().__init__(f"{text!r} is not a valid name: {reason}{where}")
        self.text = text
        self.reason = reason
        self.position = position


class InvalidMetadataError(BdmsError, ValueError):
    """A metadata key does not exist or a value does not fit its key.

    Parameters
    ----------
    key
        The key, as it was given.
    reason
        What is wrong, as the end of a sentence.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"metadata {key!r}: {reason}")
        self.key = key
        self.reason = reason


class InvalidSettingsError(UsageError):
    """Settings do not hold; all that is wrong with them is said at once.

    Parameters
    ----------
    source
        The file; None if there is none.
    problems
        What is wrong, a sentence each.
    """

    def __init__(self, source: str | PathLike[str] | None, problems: Iterable[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        number = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        where = "the settings" if source is None else str(source)
        super().__init__("\n  ".join((f"{number} in {where}:", *self.problems)))


class OutsideRootError(BdmsError, ValueError):
    """A path does not lie under the storage root, directly or by a symbolic link.

    Parameters
    ----------
    path, root
        The path and the storage root that it should be under.
    target
        Where the path leads, if a symbolic link takes it out of the root.
    """

    def __init__(
        self, path: str | PathLike[str], root: str | PathLike[str], target: str | PathLike[str] | None = None
    ) -> None:
        detail = f"lies outside the storage root {root}"
        if target is not None:
            detail = f"is a link to {target}, which {detail}"
        super().__init__(f"{path} {detail}; only files under the root can be registered where they lie")
        self.path = path
        self.root = root
        self.target = target


class CatalogueError(BdmsError):
    """The catalogue answered with an error that has no kind of its own here."""


class UnreachableError(CatalogueError, ConnectionError):
    """The catalogue (or a storage service) does not answer, or says that it cannot serve now."""

    transient = True


class AuthenticationError(CatalogueError, PermissionError):
    """The catalogue does not accept the credentials."""


class ForbiddenError(CatalogueError, PermissionError):
    """The account may not do that."""


class NotFoundError(CatalogueError, LookupError):
    """Something that was named does not exist in the catalogue."""


class UnknownRseError(NotFoundError):
    """A storage element of that name does not exist.

    Parameters
    ----------
    rse
        The name that was given.
    known
        The names that exist.
    """

    def __init__(self, rse: str, known: Iterable[str]) -> None:
        self.rse = rse
        self.known = tuple(sorted(known))
        super().__init__(f"there is no storage element {rse!r}; the catalogue knows {', '.join(self.known) or 'none'}")


class ConflictError(CatalogueError):
    """The catalogue already holds something else under that name."""


class BlockClosedError(ConflictError):
    """A block takes no more files; it says nothing of the files that were to go into it."""


class NoRoomError(CatalogueError):
    """A storage element takes no more of the account's data: it is over quota, full, or shut for writing."""

    transient = True


class RefusedError(CatalogueError, ValueError):
    """The catalogue does not take a name or a value as it is."""


class CatalogueRejectsAllError(CatalogueError):
    """The catalogue rejects every file: its fault, not that of the files.

    Parameters
    ----------
    count
        Number of files rejected since the last accepted one.
    error
        The last rejection.
    """

    transient = True

    def __init__(self, count: int, error: CatalogueError) -> None:
        super().__init__(
            f"the catalogue has refused {count} files one after the other and taken none; that is taken for its own "
            f"fault, see to the server and its plugins; at last it said: {error}"
        )
        self.count = count


class RetrievalError(BdmsError, OSError):
    """No replica of a file could be fetched and verified.

    Parameters
    ----------
    name
        The logical file name.
    reasons
        One sentence for each replica that was tried.
    """

    def __init__(self, name: str, reasons: Iterable[str]) -> None:
        self.name = name
        self.reasons = tuple(reasons)
        super().__init__(f"{name} could not be retrieved: {'; '.join(self.reasons) or 'it has no replica'}")


class NoSpaceError(BdmsError, OSError):
    """There is not enough space for what was asked for.

    Parameters
    ----------
    folder
        Where it was to go.
    needed_bytes, free_bytes
        How much is needed there, and how much is free, in bytes.
    """

    def __init__(self, folder: str | PathLike[str], needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{folder} has {free_bytes / 1e9:,.3f} GB free, and {needed_bytes / 1e9:,.3f} GB are needed; "
            "make room, or choose another folder"
        )
        self.errno = errno.ENOSPC
        self.folder = folder
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class CredentialsError(BdmsError, PermissionError):
    """What shows a storage who asks, a proxy or a token, cannot be used.

    Parameters
    ----------
    where
        Where it was found: an environment variable, with the file that it names if it names one.
    reason
        What is wrong and what to do, as the end of a sentence.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where} {reason}")
        self.where = where
        self.reason = reason


class ManifestError(BdmsError, ValueError):
    """The manifest of a block is damaged, or is none; all that is wrong with it is said at once.

    Parameters
    ----------
    problems
        What is wrong, a sentence each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"this is no sound manifest of a block: {'; '.join(self.problems)}")


class StorageError(BdmsError, OSError):
    """A storage element on this machine cannot be written now: it is full, read-only, fails, or is not there.

    Parameters
    ----------
    path
        What was to be written.
    doing
        What it was for, as the beginning of a sentence.
    error
        What the operating system said.
    """

    transient = True

    def __init__(self, path: str | PathLike[str], doing: str, error: OSError) -> None:
        super().__init__(f"{doing} failed, {path} cannot be written: {error.strerror or error}")
        self.path = path
        self.errno = error.errno


class QuotaError(BdmsError, OSError):
    """An account may not keep as much as was asked for.

    Parameters
    ----------
    rse
        The storage element.
    wanted_bytes, room_bytes
        How much was asked for, and how much more it may keep, in bytes.
    quota_bytes
        How much the policy lets an account keep in all, in bytes, if it is this that is not enough.
    """

    def __init__(self, rse: str, wanted_bytes: int, room_bytes: int, quota_bytes: int | None = None) -> None:
        room = f"{wanted_bytes} bytes are more than the {max(0, room_bytes)} that this account may still keep"
        if quota_bytes is None:
            why = f" at {rse}; end rules that are no longer needed, or ask the archive administrator for a larger quota"
        else:
            why = (
                f": the policy lets each account keep {quota_bytes} bytes, and {quota_bytes - room_bytes} are kept "
                "already; end rules that are no longer needed, or ask the archive administrator to change the policy"
            )
        super().__init__(room + why)
        self.rse = rse
        self.wanted_bytes = wanted_bytes
        self.room_bytes = room_bytes
        self.quota_bytes = quota_bytes


class UploadError(BdmsError, OSError):
    """A file could not be brought to a storage element.

    Parameters
    ----------
    name
        The logical file name.
    reason
        What happened, as the end of a sentence.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} was not uploaded: {reason}")
        self.name = name
        self.reason = reason


class EmbeddedError(BdmsError, RuntimeError):
    """The embedded Rucio could not do what was asked."""


class HomeInUseError(EmbeddedError):
    """Another embedded Rucio runs in the same home folder.

    Parameters
    ----------
    home
        The folder.
    pid
        The process that holds it.
    """

    def __init__(self, home: str | PathLike[str], pid: int) -> None:
        super().__init__(
            f"{home} is in use by process {pid}; stop it with 'bdms down --home {home}' or choose another --home"
        )
        self.home = home
        self.pid = pid


class NotRunningError(EmbeddedError):
    """No embedded Rucio runs in the home folder.

    Parameters
    ----------
    home
        The folder.
    """

    def __init__(self, home: str | PathLike[str]) -> None:
        super().__init__(f"no embedded Rucio runs in {home}; start it with 'bdms up --home {home} --detach'")
        self.home = home


class JournalError(BdmsError):
    """The journal of the ingestion cannot be used as it is."""


class JournalUnavailableError(JournalError, OSError):
    """The journal cannot be read or written now: the disk is full, fails, or another process holds the file.

    Parameters
    ----------
    path
        The journal.
    reason
        What the database said.
    """

    transient = True

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"the journal {path} cannot be used now: {reason}")
        self.path = path
        self.reason = reason


class JournalCorruptError(JournalError, ValueError):
    """The file of the journal is damaged; it is set aside and begun anew when it is opened the next time.

    Parameters
    ----------
    path
        The journal.
    reason
        What the database said.
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"the journal {path} is damaged: {reason}")
        self.path = path
        self.reason = reason


class JournalLostError(JournalError):
    """The file of the journal was removed or replaced while a daemon wrote it: what it writes would be lost.

    Parameters
    ----------
    path
        The journal.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(
            f"the journal {path} was removed or replaced while this process wrote it; start the daemon again: it "
            "fills the journal from the archive and from the triggers"
        )
        self.path = path


class LeaseHeldError(BdmsError, RuntimeError):
    """Another daemon does the work already.

    Parameters
    ----------
    folder
        The folder of the lease.
    host, pid
        The machine and the process that hold it.
    age_s
        For how long it has held it, by its own count, in seconds.
    """

    def __init__(self, folder: str | PathLike[str], host: str, pid: int, age_s: float) -> None:
        super().__init__(
            f"process {pid} on {host} has been working with {folder} for {age_s:.0f} s; stop it, or give this one "
            "another state folder"
        )
        self.folder = folder
        self.host = host
        self.pid = pid
        self.age_s = age_s


class LeaseLostError(BdmsError, RuntimeError):
    """Another process has taken the place of this one, which must not write any more.

    Parameters
    ----------
    token
        The number of the lease that this process held.
    holder
        The number of the one that is valid now; lower if somebody has emptied the folder of the leases.
    """

    def __init__(self, token: int, holder: int) -> None:
        how = f"replaced by lease {holder}" if holder > token else "taken away: somebody has emptied its folder"
        super().__init__(f"lease {token} of this process has been {how}; it stops without writing")
        self.token = token
        self.holder = holder


class WorkerLostError(BdmsError, OSError):
    """The processes that worked at something died, hung, or took too much memory.

    Parameters
    ----------
    ends
        How each of them ended, as the end of a sentence that begins with the worker.
    """

    transient = True

    def __init__(self, ends: Iterable[str]) -> None:
        self.ends = tuple(ends)
        super().__init__("; ".join(f"worker {number} {how}" for number, how in enumerate(self.ends, start=1)))


class NoWorkerError(BdmsError, OSError):
    """No process could be started to work at something: the machine lacks memory or processes, or its Python is gone.

    Parameters
    ----------
    reason
        What happened, as the end of a sentence that begins with the worker.
    """

    transient = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"a worker could not be started, {reason}; see what else runs on this machine")
        self.reason = reason
