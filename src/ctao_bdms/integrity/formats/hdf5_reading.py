"""Read one HDF5 file to the last chunk, in a separate process: ``python -m ...hdf5_reading PATH``.

The HDF5 library is written for files that it wrote itself. Damaged files can make it crash, loop or use any amount of
memory. So it runs here with limits on processor time and memory, and the findings are printed as one JSON object; see
`ctao_bdms.integrity.formats.hdf5`.

Arrays are not loaded. The library gives the offsets of the chunks. Their bytes are read in file order, in pieces of
bounded size, and summed here. Only chunks that are compressed and have no checksum are decoded by the library.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import sys
from array import array
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5s, h5t, h5z

from ctao_bdms.integrity.formats.fletcher import Fletcher32
from ctao_bdms.integrity.formats.superblock import read_superblock, superblock_defect

if TYPE_CHECKING:
    from typing import BinaryIO

    from h5py._objects import ObjectID

__all__ = ["Reading", "main", "read"]

#: Memory limit in addition to that of Python and the library, in bytes.
_MEMORY_BYTES = 1 << 30
#: The limit of processor time for any file, and the minimum speed for larger files, which extends it.
_PROCESSOR_S = 30
_PACE_BYTES_PER_S = 20_000_000

_PIECE_BYTES = 1 << 20
_MAX_OBJECTS = 100_000
_MAX_NAME = 1024
_MAX_ATTRIBUTE_BYTES = 1 << 16
_MAX_DEFECTS = 20

#: The exceptions of the library for invalid content.
_LIBRARY_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)


#: The errors of the operating system for failing storage.
_STORAGE_ERRNOS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO}


class Reading(TypedDict):
    """The printed findings.

    Attributes
    ----------
    defects
        Kind (a value of `ctao_bdms.model.DefectKind`) and message of each.
    checked
        Whether every byte that matters is covered by a checksum, and all agree.
    groups
        The paths of the groups.
    rows
        The length of the first axis of each dataset, by path; 1 for a scalar.
    attributes
        The attributes of the root group: text, numbers, booleans; None for other types.
    trailing_bytes
        The number of bytes after the end of the HDF5 file.
    unexamined
        Whether there are chunks without a checksum that this library cannot decode.
    """

    defects: list[tuple[str, str]]
    checked: bool
    groups: list[str]
    rows: dict[str, int]
    attributes: dict[str, str | int | float | bool | None]
    trailing_bytes: int
    unexamined: bool


class _StorageError(Exception):
    """The storage failed, not the content."""


class _TooMuch(Exception):  # noqa: N818 (not an error: its defect is recorded)
    """The reading stops: enough defects are known, or a limit is exceeded."""


class _Reader:
    """Reads one file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._size_bytes = os.fstat(source.fileno()).st_size
        self.found = Reading(
            defects=[], checked=True, groups=[], rows={}, attributes={}, trailing_bytes=0, unexamined=False
        )

    def defect(self, kind: str, message: str) -> None:
        """Record a defect."""
        self.found["defects"].append((kind, message))
        self.found["checked"] = False
        if len(self.found["defects"]) >= _MAX_DEFECTS:
            raise _TooMuch

    def read(self, path: str) -> None:
        """Read the whole file."""
        superblock = read_superblock(self._source, self._size_bytes)
        if defect := superblock_defect(superblock, self._size_bytes):
            self.defect(*defect)
        if isinstance(superblock, str) or defect:
            return
        self.found["trailing_bytes"] = self._size_bytes - superblock.end
        self.found["checked"] = superblock.version >= 3 and not self.found["trailing_bytes"]
        try:
            file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY)
            root = h5g.open(file, b"/")
        except _LIBRARY_ERRORS as error:
            _blame(error)
            self.defect("structure", f"the HDF5 library cannot open it: {_reason(error)}")
            return
        self._visit(root)

    def _visit(self, root: h5g.GroupID) -> None:
        """Visit every object that is linked from the root, each once."""
        waiting: list[tuple[str, ObjectID]] = [("/", root)]
        visited = set()
        while waiting:
            path, thing = waiting.pop()
            try:
                header = h5o.get_info(thing)
                if header.addr in visited:
                    continue
                visited.add(header.addr)
                if header.hdr.version < 2:
                    self.found["checked"] = False
                self._attributes(path, thing)
                if isinstance(thing, h5g.GroupID):
                    self.found["groups"].append(path)
                    waiting += self._members(path, thing)
                elif isinstance(thing, h5d.DatasetID):
                    self._dataset(path, thing)
            except _LIBRARY_ERRORS as error:
                _blame(error)
                self.defect("structure", f"{_shown(path)} cannot be read: {_reason(error)}")
            if len(visited) > _MAX_OBJECTS:
                self.defect("structure", f"there are more than {_MAX_OBJECTS} groups and datasets")
                raise _TooMuch

    def _members(self, path: str, group: h5g.GroupID) -> list[tuple[str, ObjectID]]:
        """Return the objects linked from a group; links to other files are defects, soft links are ignored."""
        members: list[tuple[str, ObjectID]] = []
        for name in group:
            if len(name) > _MAX_NAME or len(members) > _MAX_OBJECTS:
                self.defect("structure", f"{_shown(path)} has names that are too long, or too many")
                raise _TooMuch
            member = f"{path.rstrip('/')}/{name.decode('utf-8', 'backslashreplace')}"
            kind = group.links.get_info(name).type
            if kind == h5l.TYPE_EXTERNAL:
                self.defect("structure", f"{_shown(member)} is a link to another file; a product is one file")
            elif kind == h5l.TYPE_HARD:
                members.append((member, h5o.open(group, name)))
        return members[::-1]

    def _attributes(self, path: str, thing: ObjectID) -> None:
        """Read every attribute, and keep those of the root."""
        for index in range(h5a.get_num_attrs(thing)):
            attribute = h5a.open(thing, index=index)
            if _is_in_heap(attribute):
                self.found["checked"] = False
            if path != "/" or len(attribute.name) > _MAX_NAME:
                continue
            count = attribute.get_space().get_simple_extent_npoints()
            name = attribute.name.decode("utf-8", "backslashreplace")
            is_small = count * attribute.get_type().get_size() <= _MAX_ATTRIBUTE_BYTES
            self.found["attributes"][name] = _value(thing, attribute.name) if is_small else None

    def _dataset(self, path: str, dataset: h5d.DatasetID) -> None:
        """Check the location of the data of a dataset, and the checksums of its chunks."""
        self.found["rows"][path] = dataset.shape[0] if dataset.shape else 1
        if _is_in_heap(dataset):
            self.found["checked"] = False
        made = dataset.get_create_plist()
        layout = made.get_layout()
        if layout == h5d.VIRTUAL or (layout == h5d.CONTIGUOUS and made.get_external_count()):
            self.defect("structure", f"the data of {_shown(path)} lie in another file; a product is one file")
        elif layout == h5d.CHUNKED:
            self._chunks(path, dataset, made)
        elif layout == h5d.CONTIGUOUS and dataset.get_storage_size():
            self.found["checked"] = False
            offset = dataset.get_offset()
            if offset is not None and offset + dataset.get_storage_size() > self._size_bytes:
                self.defect("truncated", f"the data of {_shown(path)} reach beyond the end of the file")

    def _chunks(self, path: str, dataset: h5d.DatasetID, made: h5py.h5p.PropDCID) -> None:
        """Check every chunk, in file order."""
        places, sizes, masks, offsets = array("Q"), array("Q"), array("L"), array("Q")

        def note(chunk: h5d.StoreInfo) -> None:
            places.append(chunk.byte_offset)
            sizes.append(chunk.size)
            masks.append(chunk.filter_mask)
            offsets.extend(chunk.chunk_offset)

        dataset.chunk_iter(note)
        shape, rank = dataset.shape, len(dataset.shape)
        expected = prod(-(-length // chunk) for length, chunk in zip(shape, made.get_chunk(), strict=True))
        if len(places) != expected:  # missing chunks would silently read as the fill value
            self.found["checked"] = False
        filters = [made.get_filter(index)[0] for index in range(made.get_nfilters())]
        is_summed = bool(filters) and filters[-1] == h5z.FILTER_FLETCHER32
        can_decode = bool(filters) and not _is_in_heap(dataset) and all(map(h5z.filter_avail, filters))
        bad = 0
        first = ""
        for index in np.argsort(np.frombuffer(places, dtype=np.uint64), kind="stable").tolist():
            reason = ""
            if places[index] + sizes[index] > self._size_bytes:
                reason = "it reaches beyond the end of the file"
            elif is_summed and not masks[index] >> (len(filters) - 1) & 1:
                reason = self._sum(places[index], sizes[index])
            else:
                self.found["checked"] = self.found["checked"] and h5z.FILTER_FLETCHER32 in filters and not masks[index]
                if can_decode:
                    reason = _decode(dataset, tuple(offsets[index * rank : (index + 1) * rank]))
                else:
                    self.found["checked"] = False
                    self.found["unexamined"] = self.found["unexamined"] or bool(filters)
            if reason:
                bad += 1
                first = first or f"the first at byte {places[index]}: {reason}"
        if bad:
            self.defect("corrupt", f"{bad} of {len(places)} chunks of {_shown(path)} are damaged, {first}")

    def _sum(self, place: int, size: int) -> str:
        """Return what is wrong with a chunk that ends in a Fletcher-32; empty if it agrees."""
        if size < 4:
            return "it has no room for its Fletcher-32"
        total = Fletcher32()
        end = place + size - 4
        while place < end:
            piece = os.pread(self._source.fileno(), min(_PIECE_BYTES, end - place), place)
            if not piece:
                return "it ends before its size"
            place += len(piece)
            total.update(piece)
        stored = os.pread(self._source.fileno(), 4, end)
        return "" if total.agrees(stored) else "its Fletcher-32 does not agree"


def _is_in_heap(thing: h5a.AttrID | h5d.DatasetID) -> bool:
    """Whether values, or parts of them, are stored in a heap, which has no checksum.

    NumPy has no type for some of HDF5's (times, numbers of 128 bits); then any text counts, as it may be in a heap.
    """
    try:
        return bool(thing.dtype.hasobject)
    except (TypeError, ValueError):
        kind = thing.get_type()
        return any(kind.detect_class(each) for each in (h5t.VLEN, h5t.REFERENCE, h5t.STRING))


def _value(thing: ObjectID, name: bytes) -> str | int | float | bool | None:
    """Return the value of an attribute; None if it is not a single one, or of a type that NumPy does not have."""
    try:
        return _plain(h5py.Group(thing).attrs[name])
    except (TypeError, ValueError):
        return None


def _decode(dataset: h5d.DatasetID, offset: tuple[int, ...]) -> str:
    """Decode one chunk with the library, by reading one element of it; return what is wrong."""
    try:
        kind = dataset.get_type()
        where = dataset.get_space()
        where.select_hyperslab(offset, (1,) * len(offset))
        element = np.empty(kind.get_size(), dtype=np.uint8)
        dataset.read(h5s.create_simple((1,)), where, element, kind)
    except _LIBRARY_ERRORS as error:
        _blame(error)
        return f"it cannot be decoded: {_reason(error)}"
    return ""


def _plain(value: object) -> str | int | float | bool | None:
    """Return an attribute's value as text, number or boolean; None if it is not a single one of them."""
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return None
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else None


def _blame(error: BaseException) -> None:
    """Raise if an error comes from the storage."""
    number = error.errno if isinstance(error, OSError) else None
    told = re.search(r"errno = (\d+)", str(error))
    if (number or (told and int(told[1]))) in _STORAGE_ERRNOS:
        raise _StorageError(str(error)) from error


def _shown(path: str) -> str:
    return ascii(path)[1:-1]


def _reason(error: BaseException) -> str:
    """Return the message of the library, short and printable."""
    return ascii(str(error).strip("'\"") or type(error).__name__)[1:-1][:200]


def read(path: str) -> Reading:
    """Read a file in this process.

    Raises
    ------
    OSError
        If it cannot be opened or read.
    """
    with Path(path).open("rb") as source:
        reader = _Reader(source)
        with contextlib.suppress(_TooMuch):
            reader.read(path)
    return reader.found


def main() -> None:
    """Read the file of the command line, with limits, and print the findings."""
    path = sys.argv[1]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + _MEMORY_BYTES
    processor = _PROCESSOR_S + Path(path).stat().st_size // _PACE_BYTES_PER_S
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(read(path), sys.stdout)


if __name__ == "__main__":
    main()
