"""Describe a file: combine its name, its content and its producer's statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.inbox import LocalFile
from ctao_bdms.ingest import sidecar
from ctao_bdms.ingest.checks import CheckPolicy, Severity, failed_checks
from ctao_bdms.model import METADATA, DataLevel, Defect, DefectKind, FileFacts, ProductMetadata, Verdict
from ctao_bdms.naming import AcadaPath

if TYPE_CHECKING:
    from ctao_bdms.ingest.sidecar import Statement

__all__ = ["Described", "describe", "is_unreadable", "ledger"]

_STRICT = CheckPolicy()


@attrs.frozen(kw_only=True)
class Described:
    """A file with everything that is known before the archive is asked.

    Attributes
    ----------
    facts
        The facts of its content; None if it was not read because of defects found before.
    defects
        All reasons to reject it: from name, content, metadata and the producer's statement.
    warnings
        Failed checks that by the policy are no reason to reject it.
    """

    file: LocalFile
    facts: FileFacts | None
    metadata: ProductMetadata
    defects: tuple[Defect, ...]
    warnings: tuple[Defect, ...] = ()


def describe(
    file: LocalFile, facts: FileFacts | None, policy: CheckPolicy = _STRICT, said: Statement | None = None
) -> Described:
    """Combine name, facts and producer's statement of a file, and collect all defects.

    Parameters
    ----------
    facts
        The facts of its content; None if it was not read.
    policy
        The severity of differences between name and content.
    said
        The producer's statement; None to skip the comparison. It is compared only with a file that was read.
    """
    defects = list(file.defects)
    path: AcadaPath | None = None
    if file.lfn is not None:
        try:
            path = AcadaPath.parse(file.lfn)
        except InvalidNameError as error:
            defects.append(Defect(DefectKind.INVALID_NAME, str(error)))
    if facts is None:
        return Described(file=file, facts=None, metadata=ProductMetadata({}), defects=tuple(defects))
    defects += facts.defects
    metadata, _ = ProductMetadata.from_keywords(facts.keywords)
    warnings: list[Defect] = []
    if not is_unreadable(facts):
        required, optional = ProductMetadata.faults_by_need(facts.keywords, DataLevel.DL0)
        defects += required
        warnings += optional
        defects += metadata.missing(DataLevel.DL0)
        for check, defect in failed_checks(path, facts, metadata):
            severity = policy.severity_of(check)
            if severity is not Severity.IGNORE:
                (defects if severity is Severity.ERROR else warnings).append(defect)
    if said is not None:
        defects += sidecar.compare_statement(said, facts)
    metadata = ProductMetadata({**metadata, **ledger(facts)})
    return Described(file=file, facts=facts, metadata=metadata, defects=tuple(defects), warnings=tuple(warnings))


def ledger(facts: FileFacts) -> dict[str, str]:
    """Return the digests that are stored as metadata, for later audits."""
    kept = {f"integrity__{name}": value for name, value in facts.digests.items() if f"integrity__{name}" in METADATA}
    if facts.hdus:
        kept["integrity__datasums"] = " ".join(str(hdu.data_sum32) for hdu in facts.hdus)
    return kept


def is_unreadable(facts: FileFacts) -> bool:
    """Whether a file was not read, or is too damaged for its headers to be checked."""
    kinds = {defect.kind for defect in facts.defects}
    broken = {DefectKind.TRUNCATED, DefectKind.NOT_A_PRODUCT, DefectKind.EMPTY, DefectKind.STRUCTURE}
    return facts.verdict is Verdict.ERROR or bool(kinds & broken)
