"""Pack and unpack BagIt bags (RFC 8493) without payload, as tar files (pure).

A bag is a base directory with tag files and a payload directory. Here the payload directory is empty, and
``fetch.txt`` lists the payload files. The same tag files always give the same bytes: fixed order, one timestamp, no
owner.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from typing import TYPE_CHECKING

from ctao_bdms.errors import ManifestError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

__all__ = ["TAG_MANIFEST", "lines_of", "pack", "unpack"]

TAG_MANIFEST = "tagmanifest-sha256.txt"
_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_LINE = re.compile(r"([0-9a-f]+)  (.+)", re.ASCII)


def pack(base: str, tags: Mapping[str, str], time: dt.datetime) -> bytes:
    """Return a bag as the bytes of a tar file.

    Parameters
    ----------
    base
        The name of the base directory.
    tags
        The tag files by name, without ``bagit.txt`` and the tag manifest, which are added.
    time
        The timestamp of all entries (aware).
    """
    files = {"bagit.txt": _DECLARATION, **tags}
    lines = (f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(files.items()))
    files[TAG_MANIFEST] = "".join(lines)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in (f"{base}/", f"{base}/data/"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, int(time.timestamp())
            tar.addfile(folder)
        for name, text in sorted(files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(f"{base}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o644, int(time.timestamp())
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def unpack(content: bytes) -> tuple[str, dict[str, str]]:
    """Return base directory and tag files of a bag, verified with the tag manifest.

    Raises
    ------
    ManifestError
        If `content` is no such bag, or a tag file does not match the tag manifest; it lists all problems.
    """
    base, raw = _members(content)
    problems, files = [], {}
    for name, piece in raw.items():
        try:
            files[name] = piece.decode()
        except UnicodeDecodeError:
            problems.append(f"{name} is no UTF-8 text")
    if files.get("bagit.txt") != _DECLARATION:
        problems.append("bagit.txt is not that of BagIt 1.0")
    said = dict(lines_of(files, TAG_MANIFEST, problems))
    problems += [f"{name} is absent" for name in sorted(said.keys() - raw.keys())]
    problems += [f"{name} is in no tag manifest" for name in sorted(raw.keys() - said.keys() - {TAG_MANIFEST})]
    for name in sorted(said.keys() & raw.keys()):
        if hashlib.sha256(raw[name]).hexdigest() != said[name]:
            problems.append(f"{name} is not what the tag manifest says")
    if problems:
        raise ManifestError(problems)
    return base, files


def lines_of(files: Mapping[str, str], name: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and digest of each line of a manifest; append errors to `problems`."""
    if name not in files:
        problems.append(f"{name} is absent")
        return
    seen = set()
    for number, line in enumerate(files[name].splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            problems.append(f"line {number} of {name} is no digest with a path")
        elif match[2] in seen:
            problems.append(f"{name} names {match[2]} twice")
        else:
            seen.add(match[2])
            yield match[2], match[1]


def _members(content: bytes) -> tuple[str, dict[str, bytes]]:
    """Return the base directory of a tar file and the contents of its files."""
    found: dict[str, bytes] = {}
    bases = set()
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for entry in tar:
                base, _, name = entry.name.partition("/")
                bases.add(base)
                piece = tar.extractfile(entry) if entry.isfile() else None
                if piece is not None and name not in found:
                    found[name] = piece.read()
                elif not entry.isdir():
                    raise ManifestError([f"{entry.name} is there twice, or is no file"])
    except (tarfile.TarError, ValueError, EOFError) as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError([f"it is no tar file that can be read: {error}"]) from error
    if len(bases) != 1:
        raise ManifestError([f"it has {len(bases)} base directories instead of one"])
    return bases.pop(), found
