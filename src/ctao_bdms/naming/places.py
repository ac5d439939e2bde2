"""Convert between logical names, paths and physical names.

One rule both ways: the physical name is the prefix followed by the logical name. As a logical name has one spelling and
no ``..``, two names never share a file and none escapes its prefix.
"""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote, urlsplit

from ctao_bdms.errors import InvalidNameError, OutsideRootError
from ctao_bdms.model import Lfn

__all__ = ["lfn_of_path", "lfn_of_pfn", "path_of_lfn", "path_of_pfn", "pfn_path"]


def pfn_path(name: str, prefix: str) -> str:
    """Return the path of `name` on a storage element whose files lie under `prefix`.

    Examples
    --------
    >>> pfn_path("/ctao/acada/DL0/x", "/data/onsite/")
    '/data/onsite/ctao/acada/DL0/x'
    """
    return prefix.rstrip("/") + str(Lfn(name))


def lfn_of_pfn(path: str, prefix: str) -> Lfn:
    """Return the logical name of `path` on a storage element with `prefix`.

    Raises
    ------
    InvalidNameError
        If `path` is not under `prefix`, or the rest is no logical name.
    """
    start = prefix.rstrip("/")
    if not path.startswith(start + "/"):
        raise InvalidNameError(path, f"it does not begin with the prefix {start}/")
    return Lfn(path[len(start) :])


def lfn_of_path(path: PurePath, root: PurePath) -> Lfn:
    """Return the logical name of `path` below `root`; both absolute, links resolved.

    Raises
    ------
    OutsideRootError
        If `path` is not below `root`.
    InvalidNameError
        If the rest is no logical name.
    """
    try:
        below = path.relative_to(root)
    except ValueError:
        raise OutsideRootError(path, root) from None
    return Lfn(f"/{PurePosixPath(below)}")


def path_of_lfn(lfn: Lfn, root: PurePath) -> PurePath:
    """Return where `lfn` lies below the storage root `root`."""
    return root.joinpath(*lfn.parts)


def path_of_pfn(pfn: str) -> Path:
    """Return the file of this machine that a ``file://`` URL names.

    Raises
    ------
    InvalidNameError
        If the URL is of another scheme or names another machine.

    Examples
    --------
    >>> path_of_pfn("file://localhost/data/x").as_posix()
    '/data/x'
    """
    url = urlsplit(pfn)
    if url.scheme != "file" or url.hostname not in {None, "localhost", "127.0.0.1"}:
        raise InvalidNameError(pfn, "only file:// URLs of this machine can be opened here")
    return Path(unquote(url.path))
