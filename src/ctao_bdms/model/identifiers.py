"""Identifiers that are valid from the moment they exist."""

from __future__ import annotations

import re
from typing import ClassVar

import attrs

from ctao_bdms.errors import InvalidNameError

__all__ = ["Did", "Lfn"]

_ALLOWED = re.compile(r"[A-Za-z0-9._+/-]*")
_CANONICAL = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+-]+){2,}")


@attrs.frozen(order=True, repr=False)
class Lfn:
    """A logical file name: one spelling for one file, for ever.

    ``/<vo>/<scope>/...``: at least two components, each of ASCII letters, digits and ``._+-``, none empty, none ``.``
    or ``..``, at most 250 characters in all. What can be written in two ways is refused, so that two names can never
    mean one file and no name can leave the folder that it is put under.

    Attributes
    ----------
    text
        The name.

    Raises
    ------
    InvalidNameError
        If `text` is no such name; the error points at the first offending character.

    Examples
    --------
    >>> lfn = Lfn("/ctao/acada/DL0/LSTN-01/x.fits.fz")
    >>> lfn.vo, lfn.name
    ('ctao', 'x.fits.fz')
    >>> lfn.parent
    Lfn('/ctao/acada/DL0/LSTN-01')
    """

    #: The longest name, in characters: the width of Rucio's name column.
    MAX_LENGTH: ClassVar[int] = 250

    text: str = attrs.field()

    @text.validator
    def _canonical(self, _attribute: object, text: str) -> None:
        if len(text) > self.MAX_LENGTH or _CANONICAL.fullmatch(text) is None:
            raise InvalidNameError(text, *_fault(text))

    @property
    def parts(self) -> tuple[str, ...]:
        """The components, the VO first."""
        return tuple(self.text[1:].split("/"))

    @property
    def vo(self) -> str:
        """The virtual organisation: the first component."""
        return self.parts[0]

    @property
    def name(self) -> str:
        """The last component."""
        return self.text.rpartition("/")[2]

    @property
    def parent(self) -> Lfn:
        """The directory that holds this file or directory.

        Raises
        ------
        InvalidNameError
            If this name has only two components: above it is the VO, which is no file's name.
        """
        return Lfn(self.text.rpartition("/")[0])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Lfn({self.text!r})"


def _fault(text: str) -> tuple[str, int | None]:
    """Return what makes `text` no LFN, and where."""
    if not text.startswith("/"):
        return "it must begin with '/'", 0
    if len(text) > Lfn.MAX_LENGTH:
        return f"it has {len(text)} characters, more than {Lfn.MAX_LENGTH}", Lfn.MAX_LENGTH
    match = _ALLOWED.match(text)
    end = match.end() if match else 0
    if end != len(text):
        what = "a non-ASCII character" if ord(text[end]) > 127 else repr(text[end])
        return f"{what} is not allowed, only ASCII letters, digits and . _ + - /", end
    position = 1
    parts = text[1:].split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            return f"the component {part!r} is not allowed: one file, one spelling", min(position, len(text) - 1)
        position += len(part) + 1
    return "it must have at least two components, /<vo>/<scope>", None


@attrs.frozen(order=True)
class Did:
    """A data identifier of Rucio: ``scope:name``.

    Attributes
    ----------
    scope, name
        The two parts; names of CTAO begin with ``/``.

    Examples
    --------
    >>> str(Did("acada", "/ctao/acada/DL0"))
    'acada:/ctao/acada/DL0'
    """

    scope: str
    name: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"
