"""Check that a daemon with given settings can work, without side effects."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ctao_bdms.archive import connect
from ctao_bdms.daemon.config import trials
from ctao_bdms.doctor.doctor import Finding, Findings
from ctao_bdms.errors import BdmsError, InvalidSettingsError, MissingExtraError
from ctao_bdms.replication import Policy

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctao_bdms.catalogue.rucio.identity import Identity
    from ctao_bdms.daemon.config.settings import Settings
    from ctao_bdms.model import Rse

__all__ = ["check"]

#: The largest difference between the clocks of server and daemon, in seconds; the server's has a resolution of 1 s.
_CLOCK_S = 5.0
_ROLE = "ingest"


def check(settings: Settings) -> Findings:
    """Run all checks, and return their findings in order."""
    return Findings(_all(settings))


def _all(settings: Settings) -> Iterator[Finding]:
    elements: Iterable[Rse] = ()
    try:
        elements = yield from _archive(settings)
    except BdmsError as error:
        remedy = "See that the server runs, and that rucio.config names its client configuration."
        yield Finding(check="server", ok=False, found=_sentence(error), remedy=remedy)
    yield from _storage(settings)
    yield _policy(settings)
    yield _outside(settings, elements)
    yield _zone(settings)
    yield from _machine(settings)


def _archive(settings: Settings) -> Generator[Finding, None, Iterable[Rse]]:
    """Check server, account and storage element; return the storage elements."""
    from ctao_bdms.catalogue.rucio import RucioCatalogue
    from ctao_bdms.catalogue.rucio.identity import identity

    catalogue = connect(settings.rucio.config).catalogue
    if not isinstance(catalogue, RucioCatalogue):  # connect() gives no other
        raise TypeError(catalogue)
    us, now = identity(catalogue), dt.datetime.now(dt.UTC)
    host = catalogue.client.host
    yield Finding(check="server", ok=True, found=f"{host} runs Rucio {us.server_version}.")
    yield _account(us)
    yield _clock(us, now)
    elements = catalogue.rses()
    yield _element(settings, elements)
    return elements.values()


def _account(us: Identity) -> Finding:
    role = us.role or "none"
    remedy = f"Have the archive's administrator set bdms-role = {_ROLE}, or use the ingest account in rucio.cfg."
    found = f"The account is {us.account}, its bdms-role is {role}."
    return Finding(check="account", ok=us.role == _ROLE, found=found, remedy="" if us.role == _ROLE else remedy)


def _clock(us: Identity, now: dt.datetime) -> Finding:
    if us.server_time is None:
        return Finding(check="clock", ok=True, found="The server does not say what time it is.")
    apart_s = abs((now - us.server_time).total_seconds())
    ok = apart_s <= _CLOCK_S
    found = f"The clocks of the server and of this machine agree to {_CLOCK_S:g} s."
    if not ok:
        found = f"The clocks of the server and of this machine are {apart_s:.0f} s apart."
    return Finding(check="clock", ok=ok, found=found, remedy="" if ok else "Set both by NTP.")


def _element(settings: Settings, elements: Mapping[str, Rse]) -> Finding:
    """Check the storage element: it exists, is on site, at our site, with our prefix."""
    name, root = settings.storage.rse, settings.storage.root
    onsite = ", ".join(sorted(rse.name for rse in elements.values() if rse.is_onsite)) or "none"
    rse = elements.get(name)
    if rse is None:
        said, remedy = f"There is no storage element {name}.", f"Set storage.rse to one that is on site: {onsite}."
    elif not rse.is_onsite:
        said, remedy = f"{name} is not on site.", f"Set storage.rse to one that is on site: {onsite}."
    elif rse.site != settings.storage.site.value:
        said, remedy = f"{name} is at {rse.site}.", f"Set storage.site (now {settings.storage.site}) or storage.rse."
    elif not trials.same_place(rse.prefix, root):
        said, remedy = f"The prefix of {name} is {rse.prefix}.", f"Set storage.root (now {root}) to it."
    else:
        return Finding(check="storage element", ok=True, found=f"{name} is at {rse.site}, and holds {root}.")
    return Finding(check="storage element", ok=False, found=said, remedy=remedy)


def _storage(settings: Settings) -> Iterator[Finding]:
    """Check the folders with the operations of the daemon."""
    yield _tried(
        "storage root", settings.storage.root, trials.try_listing, "Mount the storage and let this user read it."
    )
    for folder in settings.inbox_roots:
        yield _tried(
            "inbox", folder, trials.try_writing, "Let this user make and delete files there: triggers are removed."
        )
    yield _tried("state folder", settings.state.folder, trials.try_writing, "Make it, and let this user write into it.")
    above = trials.nearest(settings.lease)
    yield _tried("lease folder", above, trials.try_writing, "Let this user write there, or set state.lease.")
    there, inbox = trials.nearest(settings.quarantine), settings.inbox_roots[0]
    yield _tried(
        "quarantine",
        settings.quarantine,
        lambda _: trials.try_moving(inbox, there),
        f"Choose a storage.quarantine to which a file of {inbox} can be moved by renaming.",
    )
    places = {"storage space": settings.storage.root, "state space": settings.state.folder}
    least = settings.storage.low_disk_bytes
    for name, folder in places.items():
        yield _tried(
            name, folder, lambda path: trials.try_free_space(path, least), "Free some, or lower storage.low_disk_bytes."
        )


def _policy(settings: Settings) -> Finding:
    """Check that the policy file is valid."""
    try:
        policy = Policy.load(settings.policy.file)
    except InvalidSettingsError as error:
        remedy = "Repair it, or set policy.file to another one; bdms policy check FILE says the same."
        return Finding(check="policy", ok=False, found=_sentence(error), remedy=remedy)
    return Finding(
        check="policy", ok=True, found=f"{policy.source} holds; its fingerprint is {policy.fingerprint[:12]}."
    )


def _zone(settings: Settings) -> Finding:
    """Check that the time zone of the site is known: it defines the nights."""
    site = settings.storage.site
    try:
        return Finding(check="time zone", ok=True, found=f"{site} is in the zone {site.zone}.")
    except MissingExtraError as error:
        return Finding(check="time zone", ok=False, found=_sentence(error), remedy="Install the package tzdata.")


def _outside(settings: Settings, elements: Iterable[Rse]) -> Finding:
    """Check that the quarantine is outside all storage elements."""
    holding = [rse.name for rse in elements if rse.prefix and trials.inside(settings.quarantine, rse.prefix)]
    if holding:
        said = f"{settings.quarantine} lies in {', '.join(holding)}."
        remedy = "Set storage.quarantine to a folder outside every storage element."
        return Finding(check="quarantine's place", ok=False, found=said, remedy=remedy)
    return Finding(check="quarantine's place", ok=True, found=f"{settings.quarantine} is in no storage element.")


def _machine(settings: Settings) -> Iterator[Finding]:
    """Check the optional readers, and start a worker."""
    found = trials.describe_readers()
    yield Finding(check="readers", ok=True, found=found)
    try:
        seconds = trials.time_worker_start(settings.workers.memory_bytes)
    except OSError as error:
        remedy = "Raise workers.memory_bytes, or the limits of this user."
        yield Finding(check="workers", ok=False, found=f"No worker could be started: {error}.", remedy=remedy)
    else:
        yield Finding(check="workers", ok=True, found=f"A worker with its memory limit is ready in {seconds:.1f} s.")


def _tried(name: str, folder: Path, trial: trials.Trial, remedy: str) -> Finding:
    """Return the finding of a trial on a folder."""
    try:
        return Finding(check=name, ok=True, found=trial(folder))
    except OSError as error:
        said = f"{folder}: {error.strerror or error}."
        return Finding(check=name, ok=False, found=said, remedy=remedy)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text[:1].upper() + text[1:] + "."
