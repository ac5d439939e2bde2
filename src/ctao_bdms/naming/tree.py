"""From a name to its scope and to the directories above it.

Every directory from ``/<vo>`` down has a data identifier, because DIRAC walks the tree from its root: directories that
hold files are datasets, all others containers, and none is both.
"""

from __future__ import annotations

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Did, Lfn

__all__ = ["ROOT_SCOPE", "Directory", "directories_of", "scope_of"]

#: The scope of what lies above all scopes: ``/<vo>``, and the shorter paths of the user area.
ROOT_SCOPE = "root"


def scope_of(name: str) -> str:
    """Return the Rucio scope that a file or directory name belongs to.

    ``/<vo>`` belongs to ``root``, ``/<vo>/<scope>/...`` to its second component, and a user's area
    ``/<vo>/user/<initial>/<username>/...`` to ``user.<username>``.

    Raises
    ------
    InvalidNameError
        If `name` is not canonical, or lies in the user area under the wrong initial.

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
    if parts[1] != "user":
        return parts[1]
    if len(parts) < 4:
        return ROOT_SCOPE
    initial, user = parts[2:4]
    if initial != user[0]:
        reason = f"the area of user {user!r} is under {user[0]!r}"
        raise InvalidNameError(name, reason, len("/".join(["", *parts[:2], ""])))
    return f"user.{user}"


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
    """Return the directories above `lfn`, from ``/<vo>`` down to the one that holds it.

    Examples
    --------
    >>> [str(directory.did) for directory in directories_of(Lfn("/ctao/acada/DL0/x"))]
    ['root:/ctao', 'acada:/ctao/acada', 'acada:/ctao/acada/DL0']
    """
    names = ["/" + "/".join(lfn.parts[: depth + 1]) for depth in range(len(lfn.parts) - 1)]
    dids = [Did(scope_of(name), name) for name in names]
    parents: list[Did | None] = [None, *dids[:-1]]
    return tuple(Directory(did, did == dids[-1], parent) for did, parent in zip(dids, parents, strict=True))
