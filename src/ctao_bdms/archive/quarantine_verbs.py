"""The verbs under `bdms.quarantine`: files that may not enter the archive, and what to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms import ingest
from ctao_bdms.quarantine import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctao_bdms.archive.connected import Connected
    from ctao_bdms.errors import UsageError
    from ctao_bdms.quarantine import Cases, Quarantine

__all__ = ["QuarantineVerbs"]


class QuarantineVerbs:
    """The files in quarantine; `rse` is the storage element on site, by default the only one."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    def at(self, rse: str = "") -> Quarantine:
        """Return the quarantine of a storage element on site."""
        return self._connected.quarantine(self._connected.onsite(rse))

    def cases(self, rse: str = "") -> Cases:
        """Return the files in quarantine, the oldest case first."""
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
        """Put files from quarantine back to where they came from, and ingest them again.

        They get no triggers, so that no daemon takes them at the same time. Each is in its case as well until it is
        known what has become of it; if that is interrupted, or it is refused, repeat the call.

        Parameters
        ----------
        cases
            The case, or several.
        why
            The reason, for the record.
        jobs, checks, sidecars, on_bytes
            As of `Bdms.ingest`.
        on_left
            Called with a case that stays as it is, and why; by default that is an error.

        Raises
        ------
        UsageError
            If another file or a trigger stands at the old place of one.
        """
        storage = self._connected.onsite(rse)
        site = attrs.evolve(
            self._connected.site_ingest(storage),
            checks=checks or ingest.CheckPolicy(),
            sidecars=sidecars,
            jobs=jobs,
            on_bytes=on_bytes,
        )
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
        """Let a file enter the archive in spite of the defects that its case names.

        It is read again. Defects that the case does not name still keep it out. What was accepted, by whom and why,
        stands in the product's ``disclaimer``, in the case's document and in the log of the quarantine. It gets no
        trigger, as by `retry`.

        Parameters
        ----------
        case
            The case.
        why
            The reason.
        checks, sidecars
            As of `Bdms.ingest`.

        Raises
        ------
        UsageError
            If there is no reason, or a defect that nobody can accept, a conflict for one.
        """
        site = attrs.evolve(
            self._connected.site_ingest(self._connected.onsite(rse)),
            checks=checks or ingest.CheckPolicy(),
            sidecars=sidecars,
        )
        return ingest.accept(site, self.at(rse), case, why)
