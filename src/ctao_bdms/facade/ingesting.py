"""How files enter the archive: what is on site, and what was in quarantine."""

from __future__ import annotations

import secrets
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ctao_bdms import ingest, replication
from ctao_bdms.errors import UsageError
from ctao_bdms.facade.connected import Connected
from ctao_bdms.foresee import Foreseen, foresee
from ctao_bdms.model import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.ingest import (
        BlockLimits,
        Case,
        CheckPolicy,
        Deed,
        Described,
        IngestReport,
        LocalFile,
        Outcome,
        Plan,
        Quarantine,
    )
    from ctao_bdms.model import FileFacts, Rse

__all__ = ["Ingesting"]

#: How many files one request registers: what a batch of one call can hold, until the server says otherwise.
FIRST_BATCH = ingest.BatchSize(files=1000)
#: How many files from quarantine are put back before they are read: an interruption leaves so many in two places.
_CHUNK = 500


class Ingesting(Connected):
    """How files enter the archive."""

    def ingest(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        policy: CheckPolicy | None = None,
        sidecars: bool = True,
        on_scanned: Callable[[LocalFile, FileFacts | None], None] = lambda _file, _facts: None,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> IngestReport:
        """Check files, register them where they lie, and ask for their copies.

        A file that is bad goes to quarantine beside the storage root and never stops the others. To call it again is
        safe: what is done already is not done twice.

        Parameters
        ----------
        paths
            Data files on the site's storage, or directories that are searched for ``.trigger`` files.
        rse
            The storage element where they lie; by default the one whose prefix they are under.
        jobs
            How many files are read at once.
        limits
            How large a block may become.
        policy
            How serious it is where name and content of a file disagree; by default it stays out.
        sidecars
            Whether what producers say beside their files is compared.
        on_scanned, on_bytes, on_outcome
            Called after each file that was read, after each piece of one, and when it is known what became of a file.

        Returns
        -------
        ctao_bdms.ingest.IngestReport
            What became of each file.
        """
        storage, files = self._survey(paths, rse)
        items = ingest.read_all(files, policy, sidecars=sidecars, jobs=jobs, on_scanned=on_scanned, on_bytes=on_bytes)
        return self._carry_out(self._planned(items, storage, limits), items, storage, on_outcome)

    def plan(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        rse: str = "",
        jobs: int = 2,
        limits: BlockLimits | None = None,
        policy: CheckPolicy | None = None,
        sidecars: bool = True,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Foreseen:
        """Say what `ingest` would do with the same paths; nothing is changed, neither on disk nor in the archive.

        Parameters
        ----------
        paths, rse, jobs, limits, policy, sidecars, on_bytes
            As of `ingest`.

        Returns
        -------
        ctao_bdms.foresee.Foreseen
            What would become of each file, and which blocks, copies and requests that would take.
        """
        storage, files = self._survey(paths, rse)
        items = ingest.read_all(files, policy, sidecars=sidecars, jobs=jobs, on_bytes=on_bytes)
        return foresee(self._planned(items, storage, limits), items, self.catalogue, now=self.now, policy=self.policy)

    def _survey(self, paths: Iterable[Path | str] | Path | str, rse: str) -> tuple[Rse, list[LocalFile]]:
        """Return the storage element where `paths` lie, and the files that they stand for."""
        given = [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
        storage = self._onsite(rse, given)
        return storage, ingest.survey(given, Path(storage.prefix))

    def _planned(self, items: Sequence[Described], storage: Rse, limits: BlockLimits | None = None) -> Plan:
        """Return what is still to be done with `items`."""
        return ingest.plan(
            items,
            self.catalogue.files(item.file.lfn for item in items if item.file.lfn is not None),
            rse=storage.name,
            site=Site(storage.site),
            now=self.now(),
            token=lambda: secrets.token_hex(4),
            limits=limits or ingest.BlockLimits(),
            retention_of=self.policy.retention_of,
        )

    def _carry_out(
        self,
        plan: Plan,
        items: Sequence[Described],
        storage: Rse,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> IngestReport:
        """Do what is to be done."""
        batches = ingest.Batches(self.catalogue, FIRST_BATCH)
        quarantine = self._quarantine(storage)
        report = ingest.execute(
            plan,
            items,
            self.catalogue,
            batches,
            quarantine,
            self.now,
            on_outcome,
            first_rule=self.policy.first_rule,
        )
        filled = {outcome.block for outcome in report}
        new = (block.did for block in plan.blocks if block.did in filled)
        replication.begin(self.catalogue, new, now=self.now, policy=self.policy)
        return report

    def quarantine(self, rse: str = "") -> Quarantine:
        """Return the quarantine of a storage element on site, by default of the only one."""
        return self._quarantine(self.onsite(rse))

    def retry(
        self,
        cases: Case | Iterable[Case],
        *,
        rse: str = "",
        why: str = "",
        jobs: int = 2,
        policy: CheckPolicy | None = None,
        sidecars: bool = True,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_left: Callable[[Case, UsageError], None] | None = None,
    ) -> IngestReport:
        """Put files from quarantine back to where they came from, and ingest them again.

        They get no triggers, so that no daemon takes them at the same time. Each is in its case as well until it is
        known what has become of it; if that is interrupted, or it is refused, repeat the call.

        Parameters
        ----------
        cases
            The case, or several.
        rse
            The storage element whose quarantine they are in.
        why
            The reason, for the record.
        jobs, policy, sidecars, on_bytes
            As of `ingest`.
        on_left
            Called with a case that stays as it is, and why; by default that is an error.

        Raises
        ------
        UsageError
            If another file or a trigger stands at the old place of one.
        """
        deed = ingest.Deed.now("retry", self.now(), why)
        reading = {"policy": policy, "sidecars": sidecars, "jobs": jobs, "on_bytes": on_bytes}
        rest = iter([cases] if isinstance(cases, ingest.Case) else cases)
        outcomes: list[Outcome] = []
        while chunk := list(islice(rest, _CHUNK)):
            outcomes += self._again(chunk, deed, rse, reading, lambda item, _case: item, on_left)
        return ingest.IngestReport(outcomes)

    def accept(
        self, case: Case, why: str, *, rse: str = "", policy: CheckPolicy | None = None, sidecars: bool = True
    ) -> IngestReport:
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
        rse
            The storage element whose quarantine it is in.
        policy, sidecars
            As of `ingest`.

        Raises
        ------
        UsageError
            If there is no reason, or a defect that nobody can accept, a conflict for one.
        """
        if not why.strip():
            raise UsageError("a file is accepted for a reason; say which")
        ingest.require_acceptable(case)
        deed = ingest.Deed.now("accept", self.now(), why)
        reading = {"policy": policy, "sidecars": sidecars}
        return self._again([case], deed, rse, reading, lambda item, case: ingest.accepted(item, case.defects, deed))

    def _again(
        self,
        cases: Iterable[Case],
        deed: Deed,
        rse: str,
        reading: Mapping[str, Any],
        judged: Callable[[Described, Case], Described],
        on_left: Callable[[Case, UsageError], None] | None = None,
    ) -> IngestReport:
        """Ingest files from quarantine, read anew and then `judged`; a case ends when it is known what its file is."""
        held, storage = self.quarantine(rse), self.onsite(rse)
        by_path: dict[Path, Case] = {}
        files: list[LocalFile] = []
        for case in cases:
            try:
                if case.path in by_path:
                    raise UsageError(f"case {case.id} is about the same place as case {by_path[case.path].id}")
                (file,) = ingest.survey([ingest.put_back(held, case, deed)], Path(storage.prefix))
            except UsageError as error:
                if on_left is None:
                    raise
                on_left(case, error)
                continue
            by_path[file.path] = case
            # What the producer said of the file stands in the trigger that the case keeps.
            files.append(attrs.evolve(file, trigger=case.kept_trigger))
        items = [
            judged(attrs.evolve(item, file=attrs.evolve(item.file, trigger=case.trigger)), case)
            for item, case in zip(ingest.read_all(files, **reading), by_path.values(), strict=True)
        ]

        def told(outcome: Outcome) -> None:
            case = by_path[outcome.path]
            ingest.tell_outcome(held.folder, case.id, outcome, self.now())
            if outcome.status is not ingest.Status.REFUSED:
                ingest.close_case(held, case)

        return self._carry_out(self._planned(items, storage), items, storage, told)
