"""Names of blocks.

``/<vo>/<scope>/blocks/<site>/<YYYY>/<MM>/<DD>/<retention>-<opened>-<token>[-<origin>]``: all blocks of a night share a
prefix, so that one question finds them. They stand beside the tree of directories, not in it. The origin is the data
centre where the files of the block entered the archive; what entered on site has none.
"""

from __future__ import annotations

import datetime as dt
import re

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Did, Lfn, Night, RetentionClass, Site

__all__ = ["BlockName", "BlockSeries", "blocks_pattern", "is_block"]

_NAME = re.compile(
    r"(?P<retention>[a-z-]+)-(?P<opened>\d{8}T\d{6})-(?P<token>[0-9a-f]{8})(?:-(?P<origin>[A-Za-z0-9_-]+))?", re.ASCII
)
_STAMP = "%Y%m%dT%H%M%S"


@attrs.frozen(kw_only=True)
class BlockSeries:
    """What all files of one block share.

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
        if len(parts) != 8 or parts[2] != "blocks" or match is None:
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


def _folder(night: Night) -> str:
    return night.date.isoformat().replace("-", "/")


def blocks_pattern(vo: str, scope: str, site: Site | None = None, night: Night | None = None) -> str:
    """Return the pattern, with ``*``, that the names of all blocks of a scope, site or night match.

    Examples
    --------
    >>> blocks_pattern("ctao", "acada", Site.NORTH, Night.parse("2026-11-21"))
    '/ctao/acada/blocks/CTAO-North/2026/11/21/*'
    """
    parts = [vo, scope, "blocks"]
    if site is not None:
        parts.append(str(site))
        if night is not None:
            parts.append(_folder(night))
    return "/" + "/".join(parts) + "/*"
