"""Values of the archive: storage elements, replicas, blocks, rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum

import attrs

from ctao_bdms.model.activities import DEFAULT_ACTIVITY
from ctao_bdms.model.identifiers import Did, Lfn
from ctao_bdms.model.metadata import ProductMetadata
from ctao_bdms.model.sites import ArrayElement

__all__ = [
    "ArchivedFile",
    "Block",
    "FirstRule",
    "Product",
    "Registration",
    "Replica",
    "ReplicaState",
    "Rse",
    "Rule",
    "RuleState",
]


class ReplicaState(StrEnum):
    """The state of a replica in the catalogue."""

    AVAILABLE = "available"
    COPYING = "copying"
    UNAVAILABLE = "unavailable"
    BAD = "bad"
    BEING_DELETED = "being deleted"
    TEMPORARY_UNAVAILABLE = "temporarily unavailable"


class RuleState(StrEnum):
    """The state of a replication rule in the catalogue."""

    OK = "ok"
    REPLICATING = "replicating"
    STUCK = "stuck"
    SUSPENDED = "suspended"
    WAITING = "waiting for approval"
    INJECTING = "injecting"


@attrs.frozen(kw_only=True)
class Rse:
    """A storage element and what its attributes say of it.

    Attributes
    ----------
    name
        Its name in Rucio.
    prefix
        The folder of this machine in front of an LFN, without the slash at the end; empty if only servers reach it.
    site
        The site of the observatory where it stands; empty for a data centre.
    centre
        The off-site data centre that owns it; empty on site.
    tier
        Its tier in the computing model: ``0`` on site, ``1`` at a data centre; empty if it has none.
    region
        Where it stands, e.g. ``ES``.
    share
        The share of the data that its centre takes, relative to the other centres.
    is_readable, is_writable
        Whether the catalogue lets transfers read there and write there now.
    changed
        When the catalogue's record of it last changed (aware): it has not been shut longer than since then; None if
        unknown.
    verifies_transfers
        Whether the catalogue has transfers to it verified by their checksum at both ends.
    lost
        Why the archive's administrator has marked it as lost; empty if it is not.
    is_tape
        Whether it is tape.
    is_full
        Whether it takes nothing new.
    free_bytes
        Its free space, as its centre says; None if it does not say.
    write_url
        The URL in front of an LFN where clients write, without the slash at the end; empty if they cannot.
    """

    name: str
    prefix: str
    site: str = ""
    centre: str = ""
    tier: str = ""
    region: str = ""
    share: float = 1.0
    is_readable: bool = True
    is_writable: bool = True
    changed: dt.datetime | None = None
    verifies_transfers: bool = True
    lost: str = ""
    is_tape: bool = False
    is_full: bool = False
    free_bytes: int | None = None
    write_url: str = ""

    @property
    def is_onsite(self) -> bool:
        """Whether the telescopes' data lie here first."""
        return bool(self.site)

    @property
    def can_be_read(self) -> bool:
        """Whether copies here can be counted on: it is neither lost nor shut for reading."""
        return self.is_readable and not self.lost


@attrs.frozen(kw_only=True)
class Replica:
    """One copy of a file.

    Attributes
    ----------
    rse
        The storage element.
    state
        What the catalogue says of it.
    pfn
        The URL where the bytes lie; empty if no door of the storage element has one.
    others
        Further URLs of the same bytes, by other doors, the preferred one first.
    """

    rse: str
    state: ReplicaState
    pfn: str
    others: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """All URLs, the preferred one first."""
        return (self.pfn, *self.others) if self.pfn else self.others


@attrs.frozen(kw_only=True)
class ArchivedFile:
    """A file that the catalogue knows.

    Attributes
    ----------
    lfn
        Its name.
    size_bytes
        Its size in bytes.
    adler32
        Its Adler-32, 8 hexadecimal digits.
    replicas
        Its copies.
    datasets
        The datasets that it belongs to: its directory and its block.
    """

    lfn: Lfn
    size_bytes: int
    adler32: str
    replicas: tuple[Replica, ...] = ()
    datasets: frozenset[Did] = frozenset()

    def at(self, rse: str) -> Replica | None:
        """Return the copy at `rse`, if there is one."""
        return next((replica for replica in self.replicas if replica.rse == rse), None)


@attrs.frozen(kw_only=True)
class Registration:
    """A verified file, ready to be registered.

    Attributes
    ----------
    lfn, size_bytes, adler32
        Name, size in bytes and Adler-32 of the file.
    metadata
        What is known of it.
    """

    lfn: Lfn
    size_bytes: int
    adler32: str
    metadata: ProductMetadata


@attrs.frozen(kw_only=True)
class Block:
    """A dataset of bounded size: the unit of transfer, evidence and manifest.

    Attributes
    ----------
    did
        Its identifier.
    is_open
        Whether files can still be added.
    n_files, size_bytes
        How many files it holds, and their size together in bytes.
    created
        When it was opened (aware).
    account
        Whose block it is: rules of other accounts on it are theirs.
    """

    did: Did
    is_open: bool
    n_files: int
    size_bytes: int
    created: dt.datetime
    account: str = ""


@attrs.frozen(kw_only=True)
class Rule:
    """A replication rule.

    Attributes
    ----------
    id
        Rucio's identifier of it.
    did
        The dataset that it is about.
    rse_expression
        Where the copies shall be.
    copies
        How many.
    state
        How far it is.
    locks
        How many locks are ``ok``, ``replicating`` and ``stuck``.
    source
        The RSE expression that transfers must read from; empty if they may choose.
    error
        What Rucio says is wrong; empty if nothing.
    expires
        When the rule ends; None if never.
    account
        Whose rule it is.
    created, updated
        When it was made, and when it last changed (aware); None if unknown.
    activity
        What its transfers are for.
    priority
        Priority of its transfers, 5 being the most urgent.
    """

    id: str
    did: Did
    rse_expression: str
    copies: int
    state: RuleState
    locks: Mapping[str, int]
    source: str = ""
    error: str = ""
    expires: dt.datetime | None = None
    account: str = ""
    created: dt.datetime | None = None
    updated: dt.datetime | None = None
    activity: str = ""
    priority: int = 3

    @property
    def has_stalled(self) -> bool:
        """Whether copies are missing and no transfer is in progress or planned."""
        return self.state in {RuleState.STUCK, RuleState.SUSPENDED} and not self.locks.get("replicating", 0)

    @property
    def awaits_locks(self) -> bool:
        """Whether Rucio's evaluator has still to create some of its locks, and no lock waits for a copy."""
        return self.state is RuleState.REPLICATING and not any(
            self.locks.get(word, 0) for word in ("replicating", "stuck")
        )


@attrs.frozen(kw_only=True)
class FirstRule:
    """The first rule of a block, which protects its replicas from registration on.

    Attributes
    ----------
    rse_expression
        Where they are registered.
    lifetime_s
        When the rule ends, in seconds after the opening; None if never.
    activity, priority
        As of `Rule`.
    """

    rse_expression: str
    lifetime_s: int | None = None
    activity: str = DEFAULT_ACTIVITY
    priority: int = 3


@attrs.frozen(kw_only=True)
class Product:
    """A product that answers a question.

    Attributes
    ----------
    lfn
        Its name.
    size_bytes
        Its size in bytes.
    adler32
        Its Adler-32, 8 hexadecimal digits.
    metadata
        What is known of it.
    """

    lfn: Lfn
    size_bytes: int
    adler32: str
    metadata: ProductMetadata

    @property
    def file(self) -> str:
        """The name without its directories."""
        return self.lfn.name

    @property
    def level(self) -> str:
        """The data level; empty if unknown."""
        return str(self.metadata.get("data__level", ""))

    @property
    def night(self) -> str:
        """The observing night; empty if it belongs to none."""
        return str(self.metadata.get("instance__observing_night", ""))

    @property
    def telescope(self) -> str:
        """The telescope's name, its number if the array has none such (simulations do); empty if it belongs to none."""
        number = self.metadata.get("instance__ae_id")
        if not isinstance(number, int):
            return ""
        return ArrayElement(number).name if ArrayElement.exists(number) else str(number)

    @property
    def obs_id(self) -> int | None:
        """The observation block; None if it belongs to none."""
        number = self.metadata.get("instance__obs_id")
        return number if isinstance(number, int) else None

    @property
    def start(self) -> dt.datetime | None:
        """When the data begin; None if unknown."""
        instant = self.metadata.get("observation__coverage__time__t_min")
        return instant if isinstance(instant, dt.datetime) else None
