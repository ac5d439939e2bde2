"""What passes by itself, and what does not."""

from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import pytest

from ctao_bdms import errors
from ctao_bdms.causes import Cause, cause_of, cause_of_defects
from ctao_bdms.integrity.errors import SourceChangedError, UnreadableError
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.model import Defect, DefectKind


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.UnreachableError("503"), Cause.CATALOGUE),
        (ConnectionResetError("peer"), Cause.CATALOGUE),
        (errors.AuthenticationError("the token has expired"), Cause.CREDENTIALS),
        (OSError(errno.EIO, "Input/output error"), Cause.STORAGE),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.STORAGE),
        (OSError(errno.EROFS, "Read-only file system"), Cause.STORAGE),
        (OSError(errno.ESTALE, "Stale file handle"), Cause.STORAGE),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), Cause.STORAGE),
        (UnreadableError("/data/x", 17, OSError(errno.EIO, "Input/output error")), Cause.STORAGE),
        (OSError(errno.EMFILE, "Too many open files"), Cause.MACHINE),
        (errors.JournalUnavailableError("/state/journal", "database or disk is full"), Cause.JOURNAL),
        (BrokenProcessPool("a worker died"), Cause.WORKER),
        (TimeoutError(), Cause.WORKER),
        (MemoryError(), Cause.WORKER),
        (SourceChangedError("/data/x"), Cause.CHANGING),
        (errors.ForbiddenError("no"), None),
        (errors.ConflictError("other content"), None),
        (errors.CatalogueError("InvalidObject"), None),
        (errors.JournalCorruptError("/state/journal", "malformed"), None),
        (errors.JournalLostError("/state/journal"), None),
        (errors.LeaseLostError(1, 2), None),
        (PermissionError(errno.EACCES, "Permission denied"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), None),
        (ValueError("a defect of ours"), None),
    ],
)
def test_causes(error: Exception, cause: Cause | None) -> None:
    assert cause_of(error) is cause


@pytest.mark.parametrize(
    ("kinds", "cause"),
    [
        ([], None),
        ([DefectKind.UNREADABLE], Cause.STORAGE),
        ([DefectKind.CHANGING], Cause.CHANGING),
        ([DefectKind.MISSING], Cause.NO_FILE),
        ([DefectKind.CORRUPT], None),
        ([DefectKind.UNREADABLE, DefectKind.INVALID_NAME], None),
    ],
)
def test_causes_of_defects(kinds: list[DefectKind], cause: Cause | None) -> None:
    assert cause_of_defects(Defect(kind, "") for kind in kinds) is cause


def test_the_journal_has_the_same_word() -> None:
    assert Cause.NO_FILE.value == NO_FILE
    assert not Cause.NO_FILE.is_shared
