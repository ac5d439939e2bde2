"""User areas: ``/<vo>/user/<initial>/<username>/...`` in scopes of their own.

A scope has at most 25 characters of letters, digits and ``. _ -``. A plain username, of at most 20 of them and without
``-`` at its end, has the scope ``user.<username>``. Any other has ``user.<head><digest>-``: its first six characters,
``_`` for each ``+``, then the first thirteen base-32 digits of its SHA-256. As no plain username ends in ``-``, the two
kinds never meet; two of the second kind meet only if 65 bits of their SHA-256 do.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn

__all__ = ["SCOPE_LENGTH", "USER_AREA", "UserPath", "user_scope", "username_of"]

#: The longest scope, in characters: the width of Rucio's scope column.
SCOPE_LENGTH = 25
#: The second component of the names in users' areas.
USER_AREA = "user"

_PREFIX = "user."
_PLAIN = re.compile(r"[A-Za-z0-9._-]{0,19}[A-Za-z0-9._]", re.ASCII)
_HEAD, _DIGEST = 6, 13


@lru_cache(maxsize=4096)
def user_scope(username: str) -> str:
    """Return the scope of a user.

    Examples
    --------
    >>> user_scope("aeinstein")
    'user.aeinstein'
    >>> user_scope("maximilian.mustermann-schmidt")
    'user.maximie3nwfr57strvd-'
    """
    if _PLAIN.fullmatch(username):
        return _PREFIX + username
    digest = base64.b32encode(hashlib.sha256(username.encode()).digest())[:_DIGEST].decode().lower()
    return f"{_PREFIX}{username[:_HEAD].replace('+', '_').ljust(_HEAD, '_')}{digest}-"


def username_of(scope: str) -> str | None:
    """Return the user of `scope`; None if it is no user scope, or has only a digest.

    Examples
    --------
    >>> username_of("user.aeinstein")
    'aeinstein'
    """
    username = scope.removeprefix(_PREFIX)
    return username if username != scope and _PLAIN.fullmatch(username) else None


@attrs.frozen(kw_only=True)
class UserPath:
    """A name in the area of a user.

    Attributes
    ----------
    vo
        The virtual organisation.
    username
        The user.
    rest
        What the user calls it: one component or more, joined by ``/``.

    Examples
    --------
    >>> path = UserPath.parse(Lfn("/ctao/user/a/aeinstein/irf/notes.txt"))
    >>> path.username, path.rest, path.scope
    ('aeinstein', 'irf/notes.txt', 'user.aeinstein')
    """

    vo: str
    username: str
    rest: str

    @classmethod
    def parse(cls, lfn: Lfn) -> UserPath:
        """Return the parts of `lfn`.

        Raises
        ------
        InvalidNameError
            If it is in no user's area, or under the wrong initial.
        """
        parts = lfn.parts
        if len(parts) < 5 or parts[1] != USER_AREA:
            raise InvalidNameError(lfn.text, "a user's file is called /<vo>/user/<initial>/<username>/...")
        check_initial(lfn.text, parts)
        return cls(vo=parts[0], username=parts[3], rest="/".join(parts[4:]))

    @property
    def scope(self) -> str:
        """The user's scope."""
        return user_scope(self.username)

    @property
    def lfn(self) -> Lfn:
        """The path as a logical file name."""
        return Lfn(f"/{self.vo}/{USER_AREA}/{self.username[0]}/{self.username}/{self.rest}")


def check_initial(name: str, parts: tuple[str, ...]) -> None:
    """Refuse a name of a user's area that is not under the user's initial.

    Raises
    ------
    InvalidNameError
        If it is not; the error points at the initial.
    """
    vo, area, initial, username = parts[:4]
    if initial != username[0]:
        raise InvalidNameError(name, f"the area of user {username!r} is under {username[0]!r}", len(f"/{vo}/{area}/"))
