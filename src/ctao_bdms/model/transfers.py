"""The state of the transfers of a rule."""

from __future__ import annotations

import datetime as dt

import attrs

from ctao_bdms.model.identifiers import Lfn

__all__ = ["Attempt"]


@attrs.frozen(kw_only=True)
class Attempt:
    """The state of one transfer of a rule.

    Attributes
    ----------
    lfn
        The file.
    rse
        The storage element that shall hold it.
    is_stuck
        Whether the catalogue has given up for now.
    state
        What the catalogue says of the transfer that it asks for now; empty if it asks for none.
    tries
        How often it was tried.
    source
        The storage element that the last one read from; empty if unknown.
    sources
        The storage elements that hold a good copy, as the catalogue says.
    said
        What the last one that is known said; empty if nothing.
    since
        When the transfer was asked for (aware); None if unknown.
    """

    lfn: Lfn
    rse: str
    is_stuck: bool = False
    state: str = ""
    tries: int = 0
    source: str = ""
    sources: tuple[str, ...] = ()
    said: str = ""
    since: dt.datetime | None = None
