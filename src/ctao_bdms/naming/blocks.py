"""Names of blocks.

``/<vo>/<scope>/blocks/<site>/<YYYY>/<MM>/<DD>/<retention>-<opened>-<token>[-<origin>]``: all blocks of a night share a
prefix, so that one question finds them. They stand beside the tree of directories, not in it, and so do the manifests
of blocks: the name of the block with ``.bagit.tar`` behind it. The origin is the data centre where the files of the
block entered the archive; what entered on site has none.
"""

from __future__ import annotations

import datetime as dt
import re

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Did, Lfn, Night, RetentionClass, Site

__all__ = [
    "BlockName",
    "BlockSeries",
    "ManifestName",
    "block_did",
    "blocks_pattern",
    "is_beside_tree",
    "is_block",
    "is_manifest",
]

_NAME = re.compile(
    r"(?P<retention>[a-z-]+)-(?P<opened>\d{8}T\d{6})-(?P<token>[0-9a-f]{8})(?:-(?P<origin>[A-Za-z0-9_-]+))?", re.ASCII
)
_STAMP = "%Y%m%dT%H%M%S"
_AREA = "blocks"
_MANIFEST = re.compile(
    r"(?P<block>.+-[0-9a-f]{8}(?:-[A-Za-z0-9_-]+)?)(?:\.(?P<number>[2-9]|[1-9]\d{1,3}))?\.bagit\.tar", re.ASCII
)


@attrs.frozen(kw_only=True)
class BlockSeries:
    """The properties that all files of one block share.

    Attributes
    ----------
    vo, scope, site, night, retention, origin
        As of `BlockName`.
    """

    vo: str
    scope: str
    site: Site
    night: Night
    retention: RetentionClass = RetentionClass.PERMANENT
    origin: str = ""

    def block(self, opened: dt.datetime, token: str) -> BlockName:
        """Return the name of the block of this series that is opened then."""
        return BlockName(**attrs.asdict(self, recurse=False), opened=opened, token=token)


@attrs.frozen(kw_only=True)
class BlockName:
    """The name of a block, taken apart.

    Attributes
    ----------
    vo, scope
        The virtual organisation and the scope of its files.
    site, night
        Site and night of all files in it.
    retention
        How long they are kept.
    opened
        When the block was opened, UTC, to the second.
    token
        Eight hexadecimal digits that make the name unique.
    origin
        The data centre where its files entered the archive; empty if that was on site.
    """

    vo: str
    scope: str
    site: Site
    night: Night
    retention: RetentionClass
    opened: dt.datetime
    token: str
    origin: str = ""

    @classmethod
    def parse(cls, name: str) -> BlockName:
        """Return the parts of `name`.

        Raises
        ------
        InvalidNameError
            If `name` is not that of a block.
        """
        parts = Lfn(name).parts
        match = _NAME.fullmatch(parts[-1])
        if len(parts) != 8 or parts[2] != _AREA or match is None:
            raise InvalidNameError(
                name,
                "a block is called /<vo>/<scope>/blocks/<site>/<YYYY>/<MM>/<DD>/<retention>-<time>-<token>[-<origin>]",
            )
        try:
            return cls(
                vo=parts[0],
                scope=parts[1],
                site=Site(parts[3]),
                night=Night(dt.date(*map(int, parts[4:7]))),
                retention=RetentionClass(match["retention"]),
                opened=dt.datetime.strptime(match["opened"], _STAMP).replace(tzinfo=dt.UTC),
                token=match["token"],
                origin=match["origin"] or "",
            )
        except ValueError as error:
            raise InvalidNameError(name, str(error)) from error

    def __str__(self) -> str:
        folder = f"/{self.vo}/{self.scope}/blocks/{self.site}/{_folder(self.night)}"
        name = f"{folder}/{self.retention}-{self.opened.year:04d}{self.opened:%m%dT%H%M%S}-{self.token}"
        return f"{name}-{self.origin}" if self.origin else name

    @property
    def series(self) -> BlockSeries:
        """What it shares with the blocks that could take the same files."""
        fields = attrs.fields_dict(BlockSeries)
        return BlockSeries(**{field: getattr(self, field) for field in fields})

    @property
    def did(self) -> Did:
        """The block's data identifier."""
        return Did(self.scope, str(self))


def is_block(name: str) -> bool:
    """Return whether `name` is that of a block.

    Examples
    --------
    >>> is_block("/ctao/acada/DL0/LSTN-01")
    False
    """
    try:
        BlockName.parse(name)
    except InvalidNameError:
        return False
    return True


@attrs.frozen(kw_only=True)
class ManifestName:
    """The name of the manifest of a block.

    Attributes
    ----------
    block
        The block.
    number
        1, unless files entered the block after its first manifest was registered; the highest is the one that counts.

    Examples
    --------
    >>> name = "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T200000-0a1b2c3d.bagit.tar"
    >>> str(ManifestName.parse(name)) == name
    True
    """

    block: BlockName
    number: int = 1

    @classmethod
    def parse(cls, name: str) -> ManifestName:
        """Return the parts of `name`.

        Raises
        ------
        InvalidNameError
            If `name` is not that of a manifest.
        """
        match = _MANIFEST.fullmatch(name)
        if match is None:
            raise InvalidNameError(name, "a manifest is called by the name of its block with .bagit.tar behind it")
        return cls(block=BlockName.parse(match["block"]), number=int(match["number"] or 1))

    def __str__(self) -> str:
        return f"{self.block}{'' if self.number == 1 else f'.{self.number}'}.bagit.tar"

    @property
    def lfn(self) -> Lfn:
        """The manifest's logical file name."""
        return Lfn(str(self))


def is_manifest(name: str) -> bool:
    """Return whether `name` is that of the manifest of a block.

    Examples
    --------
    >>> is_manifest("/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261121T200000-0a1b2c3d")
    False
    """
    try:
        ManifestName.parse(name)
    except InvalidNameError:
        return False
    return True


def is_beside_tree(lfn: Lfn) -> bool:
    """Return whether `lfn` lies among the blocks of its scope, where no product lies.

    Examples
    --------
    >>> is_beside_tree(Lfn("/ctao/acada/blocks/x")), is_beside_tree(Lfn("/ctao/acada/DL0/x"))
    (True, False)
    """
    return lfn.parts[2:3] == (_AREA,)


def _folder(night: Night) -> str:
    return night.date.isoformat().replace("-", "/")


def block_did(block: Did | str) -> Did:
    """Return the identifier of a block that is given by its identifier or its name.

    Raises
    ------
    InvalidNameError
        If it is not the name of a block.
    """
    return BlockName.parse(block.name if isinstance(block, Did) else block).did


def blocks_pattern(vo: str, scope: str, site: Site | None = None, night: Night | None = None) -> str:
    """Return a pattern, with ``*``, for the blocks of a scope, site and night.

    Examples
    --------
    >>> blocks_pattern("ctao", "acada", Site.NORTH, Night.parse("2026-11-21"))
    '/ctao/acada/blocks/CTAO-North/2026/11/21/*'
    >>> blocks_pattern("ctao", "acada", night=Night.parse("2026-11-21"))
    '/ctao/acada/blocks/*/2026/11/21/*'
    """
    parts = [vo, scope, _AREA]
    if site is not None or night is not None:
        parts.append("*" if site is None else str(site))
    if night is not None:
        parts.append(_folder(night))
    return "/" + "/".join(parts) + "/*"
