"""Classify a file by all its records (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.journal import Entry, FileState
from ctao_bdms.model import ArchivedFile, Did, Lfn, ReplicaState, Rse, RuleState
from ctao_bdms.naming import is_block
from ctao_bdms.nights.storage import Stored
from ctao_bdms.nights.values import FileStage, NightFile
from ctao_bdms.replication import BlockState, centre_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctao_bdms.quarantine import Case

__all__ = ["Archive", "FileRecords", "in_quarantine", "classify"]


@attrs.frozen(kw_only=True)
class Archive:
    """The part of the archive's state that classifies files.

    Attributes
    ----------
    onsite
        The storage element on site.
    centres
        The centres that keep copies of what is in no closed block yet, the one that receives them from the site first.
    blocks
        The closed blocks of the night.
    """

    onsite: Rse
    elements: Mapping[str, Rse]
    centres: tuple[str, ...]
    blocks: Mapping[Did, BlockState]

    def centres_of(self, file: ArchivedFile) -> tuple[str, ...]:
        """Return the centres that keep copies of a file: those of its block."""
        return next((self.blocks[did].centres for did in file.datasets if did in self.blocks), self.centres)


@attrs.define(kw_only=True)
class FileRecords:
    """All records of one file; None where there is none.

    Attributes
    ----------
    path
        Its place on site.
    lfn
        Its name in the archive.
    stored, archived, entry
        What storage, archive and journal say.
    is_in_quarantine
        Whether there is a case about this place.
    """

    path: Path
    lfn: Lfn | None = None
    stored: Stored | None = None
    archived: ArchivedFile | None = None
    entry: Entry | None = None
    is_in_quarantine: bool = False


def in_quarantine(case: Case) -> NightFile:
    """Return the file of a quarantine case."""
    reasons = tuple(map(str, case.defects))
    return NightFile(
        path=case.path, lfn=case.lfn, stage=FileStage.QUARANTINED, size_bytes=case.size_bytes, reasons=reasons
    )


def classify(records: FileRecords, archive: Archive) -> NightFile | None:
    """Return a file with its stage; None if only the quarantine has it, which lists it by its case."""
    if records.archived is not None:
        return _archived(records, records.archived, archive)
    stored = records.stored
    if stored is not None and stored.size_bytes is not None:
        return _file(records, FileStage.WAITING, stored.size_bytes, (_why_waiting(records),))
    standing = stored is not None and stored.trigger is not None
    if records.is_in_quarantine and not standing:
        return None
    size_bytes = None if records.entry is None else records.entry.size_bytes
    return _file(records, FileStage.MISSING, size_bytes, (_why_missing(records),))


def _file(
    records: FileRecords,
    stage: FileStage,
    size_bytes: int | None,
    reasons: tuple[str, ...],
    centres: tuple[str, ...] = (),
) -> NightFile:
    return NightFile(
        path=records.path,
        lfn=records.lfn,
        stage=stage,
        size_bytes=size_bytes,
        centres=centres,
        reasons=reasons,
        has_trigger=records.stored is not None and records.stored.trigger is not None,
    )


def _archived(records: FileRecords, file: ArchivedFile, archive: Archive) -> NightFile:
    """Classify a file that the archive has."""
    holding = {
        archive.elements[replica.rse].centre
        for replica in file.replicas
        if replica.state is ReplicaState.AVAILABLE and replica.rse in archive.elements
    }
    wanted = archive.centres_of(file)
    centres = tuple(centre for centre in wanted if centre in holding)
    reasons = (
        *_lacking(file, set(wanted) - holding, archive),
        *_short(file, archive),
        *_on_site(records, file, archive.onsite.name),
    )
    is_everywhere = centres == wanted and not any(_short(file, archive))
    stage = FileStage.REPLICATED if is_everywhere else FileStage.REGISTERED
    return _file(records, stage, file.size_bytes, reasons, centres)


def _short(file: ArchivedFile, archive: Archive) -> Iterator[str]:
    """Report blocks with fewer centres than copies."""
    for state in (archive.blocks[did] for did in sorted(file.datasets) if did in archive.blocks):
        if len(state.centres) < state.copies:
            yield f"only {len(state.centres)} of {state.copies} centres can keep it: the others are away"


def _lacking(file: ArchivedFile, lacking: set[str], archive: Archive) -> Iterator[str]:
    """Explain why centres do not have a file yet."""
    dids = [did for did in file.datasets if is_block(did.name)]
    if lacking and not dids:
        yield "no copies are asked for: it is in no block"
    for centre in (centre for centre in archive.centres_of(file) if centre in lacking and dids):
        states = [archive.blocks[did] for did in dids if did in archive.blocks]
        rules = [rule for state in states for rule in state.rules if centre_of(rule.rse_expression) == centre]
        if not states:
            yield f"no copy at {centre}: its block is open"
        elif not rules:
            yield f"no copy at {centre}: its block has no rule for it yet"
        else:
            said = f" ({rules[0].error})" if rules[0].error else ""
            done = ", and all the same it is not there" if rules[0].state is RuleState.OK else ""
            aid = f"; what helps: bdms rules explain {rules[0].id}" if rules[0].has_stalled else ""
            yield f"no copy at {centre}: the rule of its block is {rules[0].state}{said}{done}{aid}"


def _on_site(records: FileRecords, file: ArchivedFile, rse: str) -> Iterator[str]:
    """Report contradictions between storage and archive."""
    stored, replica = records.stored, file.at(rse)
    size_bytes = None if stored is None else stored.size_bytes
    if replica is not None and replica.state is ReplicaState.AVAILABLE and size_bytes is None:
        yield f"the archive says that a copy is at {rse}, and there is none"
    if size_bytes is not None and size_bytes != file.size_bytes:
        yield f"its size is {size_bytes} at {rse}, and {file.size_bytes} in the archive"
    if stored is not None and stored.trigger is not None:
        yield "its trigger still stands"


def _why_waiting(records: FileRecords) -> str:
    """Explain why an existing file is neither in the archive nor in quarantine."""
    entry = records.entry
    if entry is not None and entry.state in {FileState.REGISTERED, FileState.REPLICATED}:
        return f"the journal says that it was {entry.state}, and the archive does not know it"
    if records.stored is None or records.stored.trigger is None:
        return "it has no trigger: its producer has not said that it is complete"
    if records.lfn is None:
        return "its name cannot stand in the archive"
    if entry is not None and entry.cause:
        return f"it waits for {entry.cause}: {entry.why}"
    if entry is not None and entry.state is FileState.SCANNED:
        return "it has been read, and is not registered"
    return "its trigger stands, and it is not registered"


def _why_missing(records: FileRecords) -> str:
    """Return which record mentions a missing file."""
    entry, stored = records.entry, records.stored
    if stored is not None and stored.trigger is not None:
        return "its trigger stands, and there is no such file"
    if entry is not None and entry.state is FileState.WITHDRAWN:
        return "its trigger has gone, and so has the file"
    if entry is not None:
        return f"the journal says that it was {entry.state}, and it is nowhere"
    return "its producer's digests are there, and it is not"
