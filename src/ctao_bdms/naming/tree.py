"""Derive scope and directories from a logical file name.

Every directory from ``/<vo>`` down has a data identifier, because DIRAC traverses the tree from its root:
directories that hold files are datasets, all others containers, and none is both.
"""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Did, Lfn
from ctao_bdms.naming.users import SCOPE_LENGTH, USER_AREA, check_initial, user_scope

__all__ = ["DEFAULT_VO", "ROOT_SCOPE", "Directory", "directories_of", "scope_of"]

#: The virtual organisation whose names the archive keeps.
DEFAULT_VO = "ctao"
#: The scope of what lies above all scopes: ``/<vo>``, and the shorter paths of the user area.
ROOT_SCOPE = "root"


def scope_of(name: str) -> str:
    """Return the Rucio scope that a file or directory name belongs to.

    ``/<vo>`` belongs to ``root``, ``/<vo>/<scope>/...`` to its second component, and a user's area
    ``/<vo>/user/<initial>/<username>/...`` to the scope of the user.

    Raises
    ------
    InvalidNameError
        If `name` is not canonical, lies in the user area under the wrong initial, or its second component cannot be a
        scope: longer than 25 characters, with ``+``, or one that is kept for users or for the root.

    Examples
    --------
    >>> scope_of("/ctao/acada/DL0/LSTN-01/x.fits.fz")
    'acada'
    >>> scope_of("/ctao")
    'root'
    >>> scope_of("/ctao/user/a/aeinstein/notes.txt")
    'user.aeinstein'
    """
    if name.count("/") == 1:
        Lfn(f"{name}/x")  # one component alone: the VO itself
        return ROOT_SCOPE
    parts = Lfn(name).parts
    scope = parts[1]
    if scope != USER_AREA:
        if _SCOPE.fullmatch(scope) is None:
            raise _no_scope(name, parts[0], scope)
        return scope
    if len(parts) < 4:
        return ROOT_SCOPE
    check_initial(name, parts)
    return user_scope(parts[3])


#: What the second component of a name can be: neither ``root`` nor like the scope of a user, so that both are safe.
_SCOPE = re.compile(rf"(?!user\.|root\Z)[A-Za-z0-9._-]{{1,{SCOPE_LENGTH}}}", re.ASCII)


def _no_scope(name: str, vo: str, scope: str) -> InvalidNameError:
    """Return the error of a name whose second component is no scope."""
    start = len(vo) + 2
    if "+" in scope:
        return InvalidNameError(name, "'+' is not allowed in a scope", start + scope.index("+"))
    if len(scope) > SCOPE_LENGTH:
        reason = f"a scope has at most {SCOPE_LENGTH} characters, this one has {len(scope)}"
        return InvalidNameError(name, reason, start + SCOPE_LENGTH)
    return InvalidNameError(name, f"the scope {scope!r} is kept for the archive itself", start)


@attrs.frozen
class Directory:
    """A directory of the tree.

    Attributes
    ----------
    did
        Its identifier.
    holds_files
        True for a dataset, False for a container.
    parent
        The directory above it; None for ``/<vo>``.
    """

    did: Did
    holds_files: bool
    parent: Did | None


def directories_of(lfn: Lfn) -> tuple[Directory, ...]:
    """Return the directories above `lfn`, from ``/<vo>`` down.

    Examples
    --------
    >>> [str(directory.did) for directory in directories_of(Lfn("/ctao/acada/DL0/x"))]
    ['root:/ctao', 'acada:/ctao/acada', 'acada:/ctao/acada/DL0']
    """
    return _above(lfn.text.rpartition("/")[0])


@lru_cache(maxsize=4096)
def _above(folder: str) -> tuple[Directory, ...]:
    """Return the directories down to `folder`; many files share one."""
    parts = folder[1:].split("/")
    names = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
    dids = [Did(scope_of(name), name) for name in names]
    parents: list[Did | None] = [None, *dids[:-1]]
    return tuple(Directory(did, did == dids[-1], parent) for did, parent in zip(dids, parents, strict=True))
