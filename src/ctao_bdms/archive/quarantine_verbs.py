"""The methods of `bdms.quarantine`: list, retry and accept rejected files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctao_bdms import ingest
from ctao_bdms.quarantine import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.archive.connected import Connected
    from ctao_bdms.errors import UsageError
    from ctao_bdms.quarantine import Cases, Quarantine

__all__ = ["QuarantineVerbs"]


class QuarantineVerbs:
    """The quarantine; `rse` is the on-site storage element, by default the only one."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    def at(self, rse: str = "") -> Quarantine:
        """Return the quarantine of a storage element on site."""
        return self._connected.quarantine(self._connected.onsite(rse))

    def cases(self, rse: str = "") -> Cases:
        """Return the cases in quarantine, oldest first."""
        return self.at(rse).cases()

    def retry(
        self,
        cases: Case | Iterable[Case],
        *,
        rse: str = "",
        why: str = "",
        jobs: int = 2,
        checks: ingest.CheckPolicy | None = None,
        sidecars: bool = True,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_left: Callable[[Case, UsageError], None] | None = None,
    ) -> ingest.IngestReport:
        """Restore files from quarantine and ingest them again.

        They get no triggers, so that no daemon ingests them at the same time. Each file stays in its case too until its
        outcome is known; after an interruption or a refusal, repeat the call.

        Parameters
        ----------
        why
            The reason, for the record.
        jobs, checks, sidecars, on_bytes
            See `Bdms.ingest`.
        on_left
            Called with a case that cannot be restored, and the error; by default the error is raised.

        Raises
        ------
        UsageError
            If another file or a trigger exists at the path of a case.
        """
        storage = self._connected.onsite(rse)
        site = self._connected.site_ingest(storage, checks=checks, sidecars=sidecars, jobs=jobs, on_bytes=on_bytes)
        chosen = [cases] if isinstance(cases, Case) else cases
        return ingest.retry(site, self.at(rse), chosen, why, on_left=on_left)

    def accept(
        self,
        case: Case,
        why: str,
        *,
        rse: str = "",
        checks: ingest.CheckPolicy | None = None,
        sidecars: bool = True,
    ) -> ingest.IngestReport:
        """Ingest a quarantined file with the defects in its case, and no others.

        The file is read again. The accepted defects, the operator and the reason are recorded in the product's
        ``disclaimer``, in the document of the case and in the log of the quarantine. The file gets no trigger, as by
        `retry`.

        Parameters
        ----------
        why
            The reason.
        checks, sidecars
            See `Bdms.ingest`.

        Raises
        ------
        UsageError
            If there is no reason, or a defect that cannot be accepted, for example a conflict.
        """
        site = self._connected.site_ingest(self._connected.onsite(rse), checks=checks, sidecars=sidecars)
        return ingest.accept(site, self.at(rse), case, why)
