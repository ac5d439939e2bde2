"""Read the sidecar files of a file, and compare them with its content.

Three forms are read, all optional:

- ``<file>.<algorithm>``, as written by ``sha256sum``, also with ``--tag``, and similar tools: lines of digest, blanks
  and name, or ``SHA256 (name) = digest``; or a digest alone. Lines that begin with ``#`` are comments; an Adler-32 may
  lack its leading zeros, as ``%x`` prints it;
- a trigger that is a regular file with such lines, one for each algorithm, identified by its number of digits;
- a trigger that is a regular file with a JSON object of ``size_bytes`` and ``digests``.

A trigger with any other content is ignored, because the content of triggers was never agreed. A sidecar file that is
empty, cannot be read, or is no file is a defect.
"""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.causes import cause_of
from ctao_bdms.model import Defect, DefectKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctao_bdms.model import FileFacts

__all__ = ["DIGEST_SUFFIXES", "Statement", "compare_statement", "read_statement"]

#: Number of hexadecimal digits by algorithm.
_DIGITS = {"adler32": 8, "md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_ALGORITHMS = {digits: algorithm for algorithm, digits in _DIGITS.items()}

#: Suffixes that sidecar files add to the name of the data file.
DIGEST_SUFFIXES = frozenset(f".{algorithm}" for algorithm in _DIGITS)

#: Largest size of a sidecar file, in bytes: a statement has only a few lines.
_LONGEST = 65_536

_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{1,128})(?:[ \t]+\*?(?P<name>\S.*))?")
#: As ``sha256sum --tag`` and the tools of BSD write it.
_TAGGED = re.compile(r"(?P<algorithm>[A-Za-z0-9]+) \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{1,128})")


@attrs.frozen(kw_only=True)
class Statement:
    """A producer's statement about one file.

    Attributes
    ----------
    size_bytes
        The size; None if it is not given.
    digests
        Lower-case hexadecimal digests by algorithm.
    defects
        Errors in the statement itself.
    """

    size_bytes: int | None = None
    digests: dict[str, str] = attrs.Factory(dict)
    defects: tuple[Defect, ...] = ()

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The digests that a scan must compute for the comparison."""
        return tuple(dict.fromkeys(["adler32", "sha256", *self.digests]))


def read_statement(path: Path, trigger: Path | None = None) -> Statement:
    """Read the producer's statement about a file.

    Parameters
    ----------
    path
        The data file; it need not exist.
    trigger
        Its trigger; a link has no statement.

    Examples
    --------
    >>> from pathlib import Path
    >>> read_statement(Path("/no/such/file.fits"))
    Statement(size_bytes=None, digests={}, defects=())
    """
    sizes: list[int] = []
    digests: dict[str, str] = {}
    defects: list[Defect] = []
    for source, algorithm in _sources(path, trigger):
        try:
            text = _read(source) if algorithm or _is_file_with_content(source) else None
            if text is None:
                continue
            size_bytes, said = _parse(text, path.name, algorithm)
        except OSError as error:
            kind = DefectKind.SIDECAR if cause_of(error) is None else DefectKind.UNREADABLE
            defects.append(Defect(kind, f"{source.name} cannot be read: {error.strerror}"))
            continue
        except ValueError as error:
            defects.append(Defect(DefectKind.SIDECAR, f"{source.name} cannot be understood: {error}"))
            continue
        sizes += [] if size_bytes is None else [size_bytes]
        for name, digest in said.items():
            if digests.setdefault(name, digest) != digest:
                message = f"{source.name} says {name} {digest}, but {digests[name]} is said beside it"
                defects.append(Defect(DefectKind.SIDECAR, message))
    return Statement(size_bytes=sizes[0] if sizes else None, digests=digests, defects=tuple(defects))


def compare_statement(statement: Statement, facts: FileFacts) -> tuple[Defect, ...]:
    """Compare a producer's statement with the facts of the file (pure).

    Parameters
    ----------
    facts
        The facts, with the digests in `Statement.algorithms`.

    Returns
    -------
    tuple[Defect, ...]
        All differences; empty if the file could not be read.
    """
    if not facts.digests:
        return ()
    found = list(statement.defects)
    if statement.size_bytes not in (None, facts.size_bytes):
        message = f"the producer says {statement.size_bytes} bytes, but the file has {facts.size_bytes}"
        found.append(Defect(DefectKind.SIDECAR, message))
    for algorithm, digest in statement.digests.items():
        made = facts.digests.get(algorithm)
        if made is None:
            message = f"the producer says {algorithm} {digest}, but the scan did not make that digest"
            found.append(Defect(DefectKind.SIDECAR, message))
        elif made != digest:
            message = f"the producer says {algorithm} {digest}, but the file has {made}"
            found.append(Defect(DefectKind.SIDECAR, message))
    return tuple(found)


def _sources(path: Path, trigger: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield the possible sidecar files, each with the algorithm in its name."""
    if trigger is not None:
        yield trigger, ""
    for algorithm in _DIGITS:
        yield path.with_name(f"{path.name}.{algorithm}"), algorithm


def _is_file_with_content(trigger: Path) -> bool:
    """Whether a trigger may state something: a link, a FIFO or an empty file does not."""
    try:
        status = trigger.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _read(source: Path) -> str | None:
    """Return the text of a sidecar file; None if there is none."""
    try:
        status = source.stat()
    except FileNotFoundError:
        if source.is_symlink():
            msg = "it is a link to a file that does not exist"
            raise ValueError(msg) from None
        return None
    if not stat.S_ISREG(status.st_mode):
        msg = "it is not a regular file"
        raise ValueError(msg)
    if not status.st_size:
        msg = "it is empty"
        raise ValueError(msg)
    if status.st_size > _LONGEST:
        msg = f"it has {status.st_size} bytes, and at most {_LONGEST} are read"
        raise ValueError(msg)
    try:
        return source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = "it is no text"
        raise ValueError(msg) from None


def _parse(text: str, name: str, algorithm: str) -> tuple[int | None, dict[str, str]]:
    """Parse size and digests of a sidecar file; `algorithm` is empty for a trigger."""
    if not algorithm and text.lstrip().startswith("{"):
        return _parse_object(text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stated = [_parse_line(line, algorithm) for line in lines]
    if not algorithm and not all(stated):
        return None, {}
    digests = {}
    for each in stated:
        if each is None:
            msg = f"a line is no digest of {_DIGITS[algorithm]} hexadecimal digits with a name"
            raise ValueError(msg)
        made_by, digest, of = each
        if not of or of.rpartition("/")[2] == name:
            digests[made_by] = digest
    if algorithm and not digests:
        msg = f"it names other files, but not {name}" if stated else "it has no digest"
        raise ValueError(msg)
    return None, digests


def _parse_line(line: str, algorithm: str) -> tuple[str, str, str] | None:
    """Parse algorithm, digest and name of a line; None if it has no digest, or one of another `algorithm`."""
    match = _TAGGED.fullmatch(line) or _LINE.fullmatch(line)
    if match is None:
        return None
    digest = match["digest"].lower()
    if algorithm == "adler32":
        digest = digest.zfill(_DIGITS[algorithm])
    made_by = _ALGORITHMS.get(len(digest), "")
    tag = match.groupdict().get("algorithm", "").lower()
    if not made_by or (algorithm and made_by != algorithm) or (tag and tag != made_by):
        return None
    return made_by, digest, match["name"] or ""


def _parse_object(text: str) -> tuple[int | None, dict[str, str]]:
    """Parse size and digests of a JSON object."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        msg = "it begins as a JSON object, but is none"
        raise ValueError(msg) from None
    size_bytes, digests = document.get("size_bytes"), document.get("digests", {})
    if size_bytes is not None and (not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0):
        msg = f"size_bytes is {size_bytes!r}, not a number of bytes"
        raise ValueError(msg)
    if not isinstance(digests, dict):
        msg = "digests is no object of digests by algorithm"
        raise ValueError(msg)
    for algorithm, digest in digests.items():
        if algorithm not in _DIGITS:
            msg = f"{algorithm!r} is none of {', '.join(_DIGITS)}"
            raise ValueError(msg)
        if not isinstance(digest, str) or not re.fullmatch(f"[0-9a-fA-F]{{{_DIGITS[algorithm]}}}", digest):
            msg = f"{algorithm} is {digest!r}, not {_DIGITS[algorithm]} hexadecimal digits"
            raise ValueError(msg)
    return size_bytes, {algorithm: digest.lower() for algorithm, digest in digests.items()}
