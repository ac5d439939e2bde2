"""What a file is: name, content and what its producer says of it, together."""

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
    """A file of which all is known that the file itself can tell.

    Attributes
    ----------
    file
        Where it lies.
    facts
        What its bytes say; None if they were not read, because the name alone keeps it out.
    metadata
        What is known of the product.
    defects
        Everything that keeps it out of the archive, from name, bytes, metadata and what its producer says.
    warnings
        What is wrong, too, but by the policy does not keep it out.
    """

    file: LocalFile
    facts: FileFacts | None
    metadata: ProductMetadata
    defects: tuple[Defect, ...]
    warnings: tuple[Defect, ...] = ()


def describe(
    file: LocalFile, facts: FileFacts | None, policy: CheckPolicy = _STRICT, said: Statement | None = None
) -> Described:
    """Put together what name, content and producer say, and collect all that is wrong.

    Parameters
    ----------
    file
        The file; without a name of the grammar it is described as invalid.
    facts
        What one pass over its bytes said; None if there was none.
    policy
        How serious it is where name and content disagree.
    said
        What its producer says beside it; None if that was not asked. It is compared only with bytes that were read.
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
    metadata, faults = ProductMetadata.from_keywords(facts.keywords)
    warnings: list[Defect] = []
    if not is_unreadable(facts):
        defects += faults
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
    """Return the digests that are kept for the audits to come: what the bytes were when they entered."""
    kept = {f"integrity__{name}": value for name, value in facts.digests.items() if f"integrity__{name}" in METADATA}
    if facts.hdus:
        kept["integrity__datasums"] = " ".join(str(hdu.data_sum32) for hdu in facts.hdus)
    return kept


def is_unreadable(facts: FileFacts) -> bool:
    """Whether the bytes are unknown, or so broken that what their headers lack says nothing."""
    kinds = {defect.kind for defect in facts.defects}
    broken = {DefectKind.TRUNCATED, DefectKind.NOT_A_PRODUCT, DefectKind.EMPTY, DefectKind.STRUCTURE}
    return facts.verdict is Verdict.ERROR or bool(kinds & broken)
