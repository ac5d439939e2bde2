"""Extract the scope of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.naming import ROOT_SCOPE, scope_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["scope"]


def scope(did: str, scopes: Sequence[str] | None = None) -> tuple[str, str]:
    """Return the scope and the name of a DID.

    Parameters
    ----------
    did
        A name beginning with ``/``, or ``scope:name``, which is not checked. Trailing slashes, which DIRAC appends to
        directories, are removed.
    scopes
        The scopes that exist; ignored, because the name alone decides.

    Raises
    ------
    rucio.common.exception.InvalidObject
        If `did` is neither.

    Examples
    --------
    >>> scope("/ctao/acada/DL0/x.fits.fz")
    ('acada', '/ctao/acada/DL0/x.fits.fz')
    >>> scope("acada:/ctao/acada/DL0/*")
    ('acada', '/ctao/acada/DL0/*')
    >>> scope("/ctao/")
    ('root', '/ctao')
    """
    explicit, colon, name = did.partition(":")
    if colon and explicit and name:
        return explicit, name
    name = did.rstrip("/")
    if did and not name:
        return ROOT_SCOPE, "/"
    try:
        return scope_of(name), name
    except InvalidNameError as error:
        from rucio.common.exception import InvalidObject

        raise InvalidObject(f"{error}; write /<vo>/<scope>/... or <scope>:<name>") from error
