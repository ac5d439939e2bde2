"""Explain each part of a name in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import ArrayElement, Lfn, Night, ObservationId, Subarray
from ctao_bdms.naming.acada import AcadaName
from ctao_bdms.naming.acada_path import AcadaPath
from ctao_bdms.naming.blocks import BlockName, ManifestName
from ctao_bdms.naming.dpps import DppsName
from ctao_bdms.naming.dpps_path import DppsPath
from ctao_bdms.naming.lst import LstName
from ctao_bdms.naming.parse import read_lfn, read_name
from ctao_bdms.naming.tree import scope_of
from ctao_bdms.naming.users import UserPath, username_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.naming.parse import OtherPath

__all__ = ["Explained", "NamePart", "explain_name"]


@attrs.frozen
class NamePart:
    """A part of a name.

    Attributes
    ----------
    name
        The kind of the part.
    value
        Its text in this name.
    meaning
        Its meaning, if the value is not clear by itself.
    """

    name: str
    value: str
    meaning: str = ""


@attrs.frozen
class Explained:
    """The explanation of a name.

    Attributes
    ----------
    text
        The name, without what stood in front of it.
    kind
        The grammar that it follows.
    parts
        Its parts, in reading order.
    identifier, directory
        The Rucio identifiers of the file and of the directory that holds it; empty for a file's own name.
    """

    text: str
    kind: str
    parts: tuple[NamePart, ...]
    identifier: str = ""
    directory: str = ""


def explain_name(text: str, vo: str = "ctao") -> Explained:
    """Explain a logical file name, a path or URL that ends in one, or a file name.

    Parameters
    ----------
    text
        The name. What stands before the component `vo`, or one that begins with `vo` and a dot, is a storage prefix.
    vo
        The virtual organisation.

    Raises
    ------
    InvalidNameError
        If it is none; the error points into `text`.

    Examples
    --------
    >>> found = explain_name(
    ...     "TEL001_SDH0001_20261121T221500_SBID2000000001_OBSID2000000002_TEL_SHOWER_CHUNK003.fits.fz"
    ... )
    >>> found.kind
    'file of the acquisition (ACADA)'
    >>> found.parts[0]
    NamePart(name='array element', value='TEL001', meaning='LSTN-01, large-sized telescope, CTAO-North')
    """
    if "/" not in text:
        name = read_name(text)
        return Explained(text, _KINDS[type(name)], tuple(_file(name)))
    begin = _begin(text, vo)
    try:
        lfn = Lfn(text[begin:])
        path = read_lfn(lfn)
    except InvalidNameError as error:
        position = None if error.position is None else error.position + begin
        raise InvalidNameError(text, error.reason, position) from error
    above = lfn.parent.text if len(lfn.parts) > 2 else f"/{lfn.vo}"
    return Explained(
        text=lfn.text,
        kind=_KINDS.get(type(path), "logical file name"),
        parts=tuple(_path(lfn, path)),
        identifier=f"{scope_of(lfn.text)}:{lfn}",
        directory=f"{scope_of(above)}:{above}",
    )


def _begin(text: str, vo: str) -> int:
    """Return the start of the logical name, after a storage prefix."""
    position = 0
    for part in text.split("/"):
        if position > 0 and (part == vo or part.startswith(f"{vo}.")):
            return position - 1
        position += len(part) + 1
    return 0


_KINDS: dict[type, str] = {
    AcadaName: "file of the acquisition (ACADA)",
    AcadaPath: "file of the acquisition (ACADA)",
    BlockName: "block",
    DppsName: "file of processing or simulation (DPPS)",
    DppsPath: "file of processing or simulation (DPPS)",
    LstName: "file of LST-1 before ACADA",
    ManifestName: "manifest of a block",
    UserPath: "file of a user",
}


def _path(lfn: Lfn, path: AcadaPath | DppsPath | UserPath | BlockName | ManifestName | OtherPath) -> Iterator[NamePart]:
    """Yield the parts of a logical file name."""
    scope = scope_of(lfn.text)
    user = username_of(scope)
    yield NamePart("virtual organisation", lfn.vo)
    yield NamePart("scope", scope, f"of user {user}" if user else "")
    if isinstance(path, AcadaPath):
        yield NamePart("level", "DL0", "archived raw data")
        yield NamePart("directory of", path.element, _element_named(path.element))
        yield NamePart("written by", path.user)
        yield NamePart("stream", path.kind)
        yield _night(path.night)
        yield from _file(path.name)
    elif isinstance(path, DppsPath):
        yield from (NamePart("area", area) for area in path.area)
        yield NamePart("release", path.release.text, f"version {path.release.version}")
        yield NamePart("site", path.site.value)
        if path.night is not None:
            yield _night(path.night)
        yield from _file(path.name)
    elif isinstance(path, UserPath):
        yield NamePart("user", path.username)
        yield NamePart("name", path.rest)
    elif isinstance(path, ManifestName):
        yield from _block(path.block)
        yield NamePart("number", str(path.number), "the highest counts")
    elif isinstance(path, BlockName):
        yield from _block(path)
    else:
        yield NamePart("name", "/".join(lfn.parts[2:]), "no rule of the archive applies to it")


def _block(name: BlockName) -> Iterator[NamePart]:
    """Yield the parts of the name of a block."""
    yield NamePart("site", name.site.value)
    yield _night(name.night)
    yield NamePart("kept", name.retention.value)
    yield NamePart("opened", name.opened.isoformat(), "UTC")
    yield NamePart("token", name.token, "makes the name unique")


def _file(name: AcadaName | DppsName | LstName) -> Iterator[NamePart]:
    """Yield the parts of a file's own name."""
    if isinstance(name, AcadaName):
        yield from _acada(name)
    elif isinstance(name, DppsName):
        yield from _dpps(name)
    else:
        yield NamePart("array element", f"LST-{name.ae_id}", _element(name.ae_id))
        yield NamePart("stream", name.stream)
        yield NamePart("local run", name.run)
        yield NamePart("chunk", name.part, "part of the run")


def _acada(name: AcadaName) -> Iterator[NamePart]:
    digits = f"{name.owner}{name.owner_id:03d}"
    if name.owner == "SUB":
        yield NamePart("subarray", digits, Subarray(name.owner_id).name)
    else:
        yield NamePart("array element", digits, _element(name.owner_id))
    yield NamePart("source", name.source)
    yield NamePart(
        "time" if name.has_time else "day", (name.start if name.has_time else name.start.date()).isoformat(), "UTC"
    )
    if name.sb_id is not None:
        yield NamePart("scheduling block", name.sb, _creator(name.sb_id))
    if name.obs_id is not None:
        yield NamePart("observation block", name.obs, _creator(name.obs_id))
    if name.run:
        yield NamePart("local run", name.run)
    if name.type:
        yield NamePart("type", "_".join(filter(None, (name.type, name.subtype))))
    if name.counter:
        yield NamePart(name.counter.lower(), name.count)
    yield NamePart("holds", name.stream.value)
    yield NamePart("format", name.extension)


def _dpps(name: DppsName) -> Iterator[NamePart]:
    yield NamePart("product type", str(name.kind))
    if name.obs_id is not None:
        yield NamePart("observation block", f"{name.obs_id:010d}", _creator(name.obs_id))
    if name.site is not None:
        yield NamePart("site", name.site.value)
    if name.night is not None:
        yield _night(name.night)
    if name.ae_id is not None:
        yield NamePart("array element", f"{name.ae_class}{name.ae_id:03d}", _element(name.ae_id))
    if name.chunk_id is not None:
        yield NamePart("chunk", f"{name.chunk_id:03d}")
    if name.source:
        yield NamePart("source", name.source)
    if name.sublevels:
        yield NamePart("sublevels", "+".join(name.sublevels))
    if name.subarray_id is not None:
        yield NamePart("subarray", f"{name.subarray_id:03d}", Subarray(name.subarray_id).name)
    if name.particle is not None:
        yield NamePart("particle", name.particle.name, f"PDG {name.particle.pdg_id}")
    if name.node is not None:
        yield NamePart("node of the simulation", " ".join(name.node.pieces))
    yield NamePart("format", name.extension)


def _night(night: Night) -> NamePart:
    return NamePart("night", str(night), "date of its evening")


def _element(number: int) -> str:
    """Return the description of an array element."""
    return _described(ArrayElement(number)) if ArrayElement.exists(number) else "not a number of the array"


def _element_named(text: str) -> str:
    return _described(ArrayElement.parse(text)) if ArrayElement.exists(text) else ""


def _described(element: ArrayElement) -> str:
    return f"{element.name}, {element.kind.value}, {element.site.value}"


def _creator(number: int) -> str:
    """Return the creator of a block number."""
    try:
        block = ObservationId.of(number)
    except ValueError:
        return "of no known creator"
    where = f", {block.creator.site.value}" if block.creator.site else ""
    return f"number {block.number} of {block.creator.name.replace('_', ' ')}{where}"
