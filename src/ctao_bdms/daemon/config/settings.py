"""The settings of the ingestion daemon: source of example file and reference."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from ctao_bdms.ingest.checks import CheckPolicy, Severity
from ctao_bdms.journal import Order
from ctao_bdms.model import Site
from ctao_bdms.settings import setting

__all__ = [
    "Batches",
    "Blocks",
    "Checks",
    "Http",
    "Inbox",
    "Log",
    "LogForm",
    "LogLevel",
    "PolicyFile",
    "Queue",
    "Replication",
    "Retries",
    "Rucio",
    "Settings",
    "State",
    "Stop",
    "Storage",
    "Workers",
]


class LogForm(StrEnum):
    """How log lines look."""

    #: one JSON object a line, for programs
    JSON = "json"
    #: plain lines, for terminals
    TEXT = "text"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@attrs.frozen(kw_only=True)
class Inbox:
    """Where new files are announced."""

    roots: tuple[Path, ...] = setting(
        "Folders that are searched for triggers, all under storage.root; empty: storage.root itself.", ()
    )
    poll_interval_s: float = setting("Time between two looks into the inbox.", 1.0, least=0.01, reload=True)
    full_walk_interval_s: float = setting("Time in which every folder is listed, changed or not.", 600.0, least=1)
    settle_s: float = setting(
        "Age of a folder's change below which it is listed again: clock steps and attribute caches.", 3.0, least=0
    )
    sidecars: bool = setting("Check the size and digests that a producer gives beside its file.", True, reload=True)


@attrs.frozen(kw_only=True)
class Storage:
    """The storage of the site."""

    root: Path = setting("The storage root: the prefix of the storage element.", example="/storage/ctao-north")
    rse: str = setting("The name of the storage element (RSE).", example="CTAO-NORTH-ONSITE")
    site: Site = setting("The site where the data are taken.", example=Site.NORTH)
    quarantine: Path | None = setting(
        "Where bad files go, outside the storage root, on its file system; empty: beside it, <root>.quarantine.", None
    )
    low_disk_bytes: int = setting(
        "Free space on storage or state folder below which the daemon says that it is not ready.",
        10_000_000_000,
        least=0,
        reload=True,
    )


@attrs.frozen(kw_only=True)
class Rucio:
    """The archive."""

    config: Path | None = setting("The client's rucio.cfg; empty: the one that Rucio finds by itself.", None)
    timeout_s: float = setting("Silence of the server after which a request counts as not answered.", 60.0, least=1)


@attrs.frozen(kw_only=True)
class State:
    """What the daemon remembers."""

    folder: Path = setting("The folder of journal and address file, on a local disk.", Path("/var/lib/bdms"))
    lease: Path | None = setting(
        "The folder of the lease, seen by every machine that could run this daemon; empty: <storage.root>.lease.", None
    )
    lease_silent_s: float = setting("Silence after which another daemon may take over the lease.", 120.0, least=1)
    keep_days: int = setting(
        "Days for which the journal keeps every event of a complete night.", 90, least=1, reload=True
    )
    recover_days: int = setting(
        "Days, back from now, whose blocks are all looked at if the journal was lost.", 7, least=1
    )


@attrs.frozen(kw_only=True)
class Workers:
    """The processes that read files."""

    number: int = setting("Processes that read files.", 4, least=1, most=1024)
    memory_bytes: int = setting("Memory that one of them may use.", 2_147_483_648, least=268_435_456)
    base_time_s: float = setting("Time that reading any file may take, before its size counts.", 60.0, least=1)
    minimum_rate_bytes_per_s: int = setting(
        "Slowest reading that is still taken for work; a worker that is slower is replaced.", 5_000_000, least=1
    )
    attempts: int = setting("Workers that may die over one file before the file is set aside.", 3, least=1)
    dask_scheduler: str = setting("Address of a Dask scheduler; empty: subprocesses on this machine.", "")


@attrs.frozen(kw_only=True)
class Batches:
    """How many files are registered in one request."""

    files: int = setting("The most files.", 500, least=1, most=1000, reload=True)
    age_s: float = setting("The longest that a file waits for others to come along.", 1.0, least=0, reload=True)


@attrs.frozen(kw_only=True)
class Blocks:
    """How large a block becomes: the unit of transfer."""

    files: int = setting("The most files.", 500, least=1)
    size_bytes: int = setting("The most bytes; a single file may be larger.", 1_000_000_000_000, least=1)
    age_s: float = setting("Age at which a block is closed, full or not.", 60.0, least=1)


@attrs.frozen(kw_only=True)
class Queue:
    """What comes first."""

    order: Order = setting("Which of the files that wait come first.", Order.NEWEST_NIGHT, reload=True)


@attrs.frozen(kw_only=True)
class Retries:
    """How an outage is waited for."""

    first_s: float = setting("The longest wait after the first failure; it doubles.", 1.0, least=0.01, reload=True)
    cap_s: float = setting("The longest wait between two probes, however long it lasts.", 60.0, least=1, reload=True)


@attrs.frozen(kw_only=True)
class Replication:
    """The rules for copies."""

    reconcile_interval_s: float = setting(
        "Time between two looks at the rules of nights that are not complete.", 60.0, least=1
    )
    review_interval_s: float = setting(
        "Time between two nights whose rules are looked at again though they were complete, one after another.",
        120.0,
        least=1,
    )
    review_days: int = setting("Days, back from now, whose nights are looked at again so; 0: none.", 3650, least=0)
    patience_s: float = setting(
        "Time for which a data centre that is shut is waited for before another takes its place.", 86_400.0, least=0
    )


@attrs.frozen(kw_only=True)
class PolicyFile:
    """How products are kept."""

    file: Path | None = setting("The policy file; empty: the observatory's own policy.", None)


@attrs.frozen(kw_only=True)
class Checks:
    """Cross-checks between name and content: all are errors but those named here."""

    warn: tuple[str, ...] = setting("Cross-checks that only warn.", ())
    ignore: tuple[str, ...] = setting("Cross-checks that are left out.", ())

    @property
    def policy(self) -> CheckPolicy:
        """How serious each check is."""
        return CheckPolicy(**dict.fromkeys(self.warn, Severity.WARNING), **dict.fromkeys(self.ignore, Severity.IGNORE))


@attrs.frozen(kw_only=True)
class Http:
    """Where metrics and health are shown."""

    address: str = setting("Address to listen on; 0.0.0.0 or :: for all.", "127.0.0.1")
    port: int = setting("Port to listen on; 0: a free one, written to the state folder.", 9465, least=0, most=65535)
    heartbeat_s: float = setting("Silence of the main loop after which it counts as hung.", 60.0, least=1, reload=True)


@attrs.frozen(kw_only=True)
class Log:
    """What is logged, to standard error."""

    form: LogForm = setting("The form of a line.", LogForm.JSON, reload=True)
    level: LogLevel = setting("How much is logged.", LogLevel.INFO, reload=True)


@attrs.frozen(kw_only=True)
class Stop:
    """How the daemon ends."""

    drain_s: float = setting("Time after SIGTERM in which work at hand is finished.", 10.0, least=0, reload=True)


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of the ingestion daemon.

    Each attribute is a section of the file; `sources.settings_from` reads it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ctao_bdms.daemon.config.settings import Settings, Storage
    >>> from ctao_bdms import Site
    >>> settings = Settings(storage=Storage(root=Path("/storage"), rse="CTAO-NORTH-ONSITE", site=Site.NORTH))
    >>> settings.quarantine
    PosixPath('/storage.quarantine')
    """

    inbox: Inbox = attrs.field(factory=Inbox)
    storage: Storage
    rucio: Rucio = attrs.field(factory=Rucio)
    state: State = attrs.field(factory=State)
    workers: Workers = attrs.field(factory=Workers)
    batches: Batches = attrs.field(factory=Batches)
    blocks: Blocks = attrs.field(factory=Blocks)
    queue: Queue = attrs.field(factory=Queue)
    retries: Retries = attrs.field(factory=Retries)
    replication: Replication = attrs.field(factory=Replication)
    policy: PolicyFile = attrs.field(factory=PolicyFile)
    checks: Checks = attrs.field(factory=Checks)
    http: Http = attrs.field(factory=Http)
    log: Log = attrs.field(factory=Log)
    stop: Stop = attrs.field(factory=Stop)

    @property
    def inbox_roots(self) -> tuple[Path, ...]:
        """The folders that are searched for triggers."""
        return self.inbox.roots or (self.storage.root,)

    @property
    def quarantine(self) -> Path:
        """The folder of the quarantine."""
        return self.storage.quarantine or self._beside_root("quarantine")

    @property
    def lease(self) -> Path:
        """The folder of the lease."""
        return self.state.lease or self._beside_root("lease")

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.state.folder / "journal.sqlite"

    @property
    def address_file(self) -> Path:
        """The file that holds the URL of metrics and health while the daemon runs."""
        return self.state.folder / "address"

    def _beside_root(self, kind: str) -> Path:
        return self.storage.root.with_name(f"{self.storage.root.name}.{kind}")
