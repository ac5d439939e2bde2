"""The scan without I/O: everything that one pass over the bytes can say."""

from __future__ import annotations

from ctao_bdms.integrity.checksums import new_digests
from ctao_bdms.integrity.structure import format_of, structure_defects
from ctao_bdms.integrity.walk import FitsWalk
from ctao_bdms.model import Defect, DefectKind, FileFacts

__all__ = ["Scanner"]


class Scanner:
    """Proves a file in one pass, from bytes that come in pieces of any size.

    Parameters
    ----------
    name
        The name of the file; its end says what the content must be. Without one, nothing is demanded.
    algorithms
        The digests to make: ``adler32`` and those of `hashlib`.

    Raises
    ------
    ctao_bdms.errors.UsageError
        If there is no such digest.

    Examples
    --------
    >>> scanner = Scanner("notes.txt")
    >>> scanner.feed(b"Wiki")
    >>> scanner.feed(b"pedia")
    >>> facts = scanner.finish()
    >>> facts.adler32, facts.size_bytes, facts.verdict.value
    ('11e60398', 9, 'unchecked')
    """

    def __init__(self, name: str = "", *, algorithms: tuple[str, ...] = ("adler32", "sha256")) -> None:
        self._name = name
        self._format = format_of(name)
        self._digests = new_digests(algorithms)
        self._walk = FitsWalk()
        self._size_bytes = 0

    def feed(self, buffer: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. The buffer may be used again as soon as this returns.

        Parameters
        ----------
        buffer
            Any number of bytes.
        """
        data = memoryview(buffer).cast("B")
        for digest in self._digests.values():
            digest.update(data)
        self._walk.feed(data)
        self._size_bytes += len(data)

    def finish(self) -> FileFacts:
        """Say what the bytes fed so far are, as a whole file.

        Returns
        -------
        FileFacts
            With the name as path, and 0 as time of modification: bytes have none.
        """
        walked = self._walk.finish()
        defects: list[Defect] = []
        if not self._size_bytes:
            defects.append(Defect(DefectKind.EMPTY, "the file has no bytes"))
        elif self._format.is_fits and not walked.is_fits:
            message = f"the name ends in {self._format.suffix}, but the content does not begin as a FITS file does"
            defects.append(Defect(DefectKind.NOT_A_PRODUCT, message))
        elif walked.is_fits:
            defects += walked.defects
            defects += structure_defects(self._format, walked)
        return FileFacts(
            path=self._name,
            size_bytes=self._size_bytes,
            modified_ns=0,
            digests={algorithm: digest.hexdigest() for algorithm, digest in self._digests.items()},
            hdus=walked.hdus,
            trailing_bytes=walked.trailing_bytes,
            defects=tuple(defects),
        )
