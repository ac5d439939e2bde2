"""Causes of missing copies, from the error texts of transfers and Rucio (pure).

The texts are those of FTS3 and XRootD (``SOURCE [2] ...``, ``DESTINATION [28] ...``: the number is the operating
system's), and of Rucio itself. The first row that fits decides.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

__all__ = ["CAUSES", "CopyCause", "CauseRow", "cause_of_text"]


class CopyCause(StrEnum):
    """Cause of a missing copy."""

    SOURCE_CHANGED = "source has other bytes"
    ARRIVED_CHANGED = "bytes changed on the way"
    EXISTS = "destination exists"
    DESTINATION_FULL = "destination full"
    QUOTA = "quota"
    DESTINATION_FORBIDDEN = "destination refuses"
    SOURCE_FORBIDDEN = "source refuses"
    DESTINATION_DOWN = "destination does not answer"
    SOURCE_DOWN = "source does not answer"
    SOURCE_MISSING = "source missing"
    NO_SOURCE = "no source"
    NO_ROUTE = "no route"
    TRANSFERS_DOWN = "transfer service does not answer"
    NO_TARGET = "no destination"
    NETWORK = "network"
    SUSPENDED = "suspended"
    APPROVAL = "waits for approval"
    CENTRE = "centre is away"
    EARLIER = "waits for an earlier rule"
    DUE = "rule is still to be made"
    UNDER_WAY = "under way"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class CauseRow:
    """One row of the table of causes.

    Attributes
    ----------
    pattern
        What the text says, as a regular expression; empty if the cause is not known by a text.
    sentence
        What it means; ``{source}``, ``{rse}``, ``{rule}``, ``{lfn}``, ``{account}``, ``{block}`` stand for what it is
        about.
    help
        What to do, with the command that helps.
    """

    cause: CopyCause
    pattern: str = ""
    sentence: str
    help: str


_RETRY = "bdms rules retry {rule}"
_NO_CONNECTION = (
    r"connection refused|could not connect|unable to connect|connection (?:reset|timed out|aborted)|timed? ?out|"
    r"host is down|no route to host|network is unreachable|communication error|invalid address|"
    r"\[(?:104|110|111|112|113)\]|http 50[234]|name or service not known"
)
_REFUSED = (
    r"permission denied|operation not permitted|not authori[sz]ed|unauthori[sz]ed|forbidden|authentication|"
    r"http 40[13]|status code 40[13]|\[(?:1|13)\]|read-only file system|\[30\]|\[3010\]|certificate|token"
)
_FULL = r"no space left|disk quota exceeded|insufficient storage|http 507|out of space|\[(?:28|122)\]|not enough space"

#: The causes that a text tells.
CAUSES: tuple[CauseRow, ...] = (
    CauseRow(
        cause=CopyCause.SOURCE_CHANGED,
        pattern=r"source checksum mismatch|source and user.?defined .*(?:do not match|mismatch)|"
        r"source file changed|user.?define and src checksums",
        sentence="The copy of {lfn} at {source} has other bytes than the archive knows; nothing was copied.",
        help="Read it back (bdms scan on the file, at {source}). If another copy is good, declare this one bad (rucio "
        "replica state update bad --lfn), and it is made anew; if it is the only one, put the right file back in its "
        "place, then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.ARRIVED_CHANGED,
        pattern=r"(?:destination|transfer) checksum mismatch|(?:destination|dst) checksums? .*(?:differ|match)|"
        r"file size mismatch|src and dst checksums",
        sentence="What arrived at {rse} of {lfn} is not what {source} sent; it was not kept, and is sent again.",
        help="Once is chance; again and again, the path from {source} or the storage at {rse} is at fault: tell the "
        "operators of {rse}. Then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.EXISTS,
        pattern=r"destination file exists|destination .*\[17\]|not a directory|destination .*is a directory|"
        r"file exists and overwrite",
        sentence="Something lies at {rse} already where {lfn} belongs, and is not overwritten.",
        help="Have the operators of {rse} look at it, and remove it if no rule holds it. Then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.QUOTA,
        pattern=r"insufficientaccountlimit|not enough quota|rseoverquota|quota of referenced rse",
        sentence="The account {account} may not keep so much at {rse}.",
        help="The archive's administrator raises the limit: rucio account limit set {account} --rse {rse} --bytes SIZE",
    ),
    CauseRow(
        cause=CopyCause.DESTINATION_FULL,
        pattern=rf"(?:destination|dest|transfer|write).*(?:{_FULL})",
        sentence="The storage of {rse} is full.",
        help="Have the operators of {rse} free or add space; Rucio tries again by itself, or at once: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.TRANSFERS_DOWN,
        pattern=r"submission_failed|transfer job on fts is lost|transfertool|fts.*not reachable",
        sentence="The transfer service of {rse} takes no jobs, or has lost them.",
        help="Look at the transfer service (of an embedded Rucio: bdms status). Rucio tries again by itself.",
    ),
    CauseRow(
        cause=CopyCause.DESTINATION_FORBIDDEN,
        pattern=rf"destination.*(?:{_REFUSED})",
        sentence="The storage of {rse} does not let the transfer write.",
        help="Have the operators of {rse} look at rights and credentials. Then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.SOURCE_FORBIDDEN,
        pattern=rf"source.*(?:{_REFUSED})",
        sentence="The storage of {source} does not let the transfer read.",
        help="Have the operators of {source} look at rights and credentials. Then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.DESTINATION_DOWN,
        pattern=rf"destination.*(?:{_NO_CONNECTION})",
        sentence="The storage of {rse} does not answer.",
        help="Have the operators of {rse} look at it; Rucio tries again by itself, or at once: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.SOURCE_DOWN,
        pattern=rf"source.*(?:{_NO_CONNECTION})",
        sentence="The storage of {source} does not answer.",
        help="Have the operators of {source} look at it; Rucio tries again by itself, or at once: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.SOURCE_MISSING,
        pattern=r"source.*(?:no such file|not found|http 404|\[2\]|\[3011\])|source.*(?:input/output|\[5\])",
        sentence="{source} should hold {lfn}, and it cannot be read there.",
        help="Look for it at {source}. If it has gone and another copy is good, declare this one bad (rucio replica "
        "state update bad --lfn); if it was the only one, put it back. Then: " + _RETRY,
    ),
    CauseRow(
        cause=CopyCause.NO_ROUTE,
        pattern=r"mismatch_scheme|no distance|no path|protocol mismatch",
        sentence="No transfer can go to {rse}: the storage elements share no protocol, or have no distance.",
        help="The archive's administrator compares them: rucio rse show {rse}; rucio rse distance show",
    ),
    CauseRow(
        cause=CopyCause.NO_SOURCE,
        pattern=r"missingsourcereplica|source replicas are missing|no_sources|only_tape",
        sentence="No storage element that may be read holds a good copy of {lfn} where the rule reads from.",
        help="See where copies are: bdms track {lfn}; have the rule read elsewhere: bdms reconcile",
    ),
    CauseRow(
        cause=CopyCause.NO_TARGET,
        pattern=r"insufficienttargetrses|not enough target rses|rsewriteblocked|not available for writing|"
        r"rse excluded|empty set|does not contain any rses",
        sentence="No storage element that the rule names can be written now.",
        help="See what is shut: bdms centres list",
    ),
    CauseRow(
        cause=CopyCause.NETWORK,
        pattern=_NO_CONNECTION,
        sentence="The transfer from {source} to {rse} did not get through.",
        help="Rucio tries again by itself, or at once: " + _RETRY,
    ),
)


def cause_of_text(text: str) -> CauseRow | None:
    """Return the row whose pattern matches an error text; None if none does.

    Examples
    --------
    >>> cause_of_text("TRANSFER [5] SOURCE CHECKSUM MISMATCH Source and user-defined ADLER32 do not match").cause.value
    'source has other bytes'
    """
    plain = " ".join(text.split())
    return next((row for row in CAUSES if re.search(row.pattern, plain, re.IGNORECASE)), None) if plain else None
