"""The kinds of defects of a file."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["Defect", "DefectKind"]


class DefectKind(StrEnum):
    """The kinds of reasons for which a file does not enter the archive.

    The value is the stable word used in reason documents, metrics and ``--json``.
    """

    #: The name is outside the grammar, not canonical or not ASCII.
    INVALID_NAME = "invalid-name"
    #: The path, or the target of a symbolic link, lies outside the storage root.
    OUTSIDE_ROOT = "outside-root"
    #: There is no such file.
    MISSING = "missing"
    #: A directory, FIFO, device or socket.
    NOT_A_FILE = "not-a-file"
    #: The operating system refuses to read it, or fails to.
    UNREADABLE = "unreadable"
    #: Size or modification time moved while it was read.
    CHANGING = "changing"
    #: The software that reads its format failed: what the content is, is not known.
    UNEXAMINED = "unexamined"
    #: The processes that scanned it died, hung, or took too much memory.
    WORKER = "worker"
    #: No process could be started to scan it, which is the machine's fault.
    MACHINE = "machine"
    #: It has no bytes.
    EMPTY = "empty"
    #: The bytes are not of the format that the name says.
    NOT_A_PRODUCT = "not-a-product"
    #: It ends before its own headers say.
    TRUNCATED = "truncated"
    #: A checksum inside the file does not agree with the bytes.
    CORRUPT = "corrupt"
    #: A required checksum is absent.
    UNCHECKED = "unchecked"
    #: A part that such a product must have is absent or does not agree with the others.
    STRUCTURE = "structure"
    #: There are bytes behind the last part.
    TRAILING_BYTES = "trailing-bytes"
    #: A required metadata key is absent.
    MISSING_METADATA = "missing-metadata"
    #: A metadata value has the wrong type or form.
    INVALID_METADATA = "invalid-metadata"
    #: Name and content disagree.
    NAME_MISMATCH = "name-mismatch"
    #: It is not what its producer says it is, in the trigger or in a file of digests beside it.
    SIDECAR = "sidecar"
    #: The archive holds other content under the same name.
    CONFLICT = "conflict"
    #: The catalogue does not take it, for the reason that it gives.
    CATALOGUE = "catalogue"
    #: It could not be brought where it belongs: to a storage element, or into quarantine.
    STORAGE = "storage"


@attrs.frozen
class Defect:
    """One reason for which a file does not enter the archive.

    Attributes
    ----------
    kind
        The kind of reason.
    message
        A sentence for people: what, where, and the numbers.
    """

    kind: DefectKind
    message: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.message}"
