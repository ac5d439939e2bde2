"""Check the invariant of the archive after an ingest, whatever failures occurred.

Every sound file is in the archive once, with its metadata, its rules and equal bytes at every centre. Every block has
a manifest that agrees with it. Every bad file is in quarantine with the reason. There is nothing else. The check uses
the catalogue and the disks only, never the report of an ingest.

Other accounts may have their own datasets, rules and products in the archive. These are no violations, and do not
replace any of the ingest's own rules.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from ctao_bdms.blocks import compare_stored_manifest
from ctao_bdms.catalogue import (
    BlockCatalogue,
    Comparison,
    Condition,
    FileCatalogue,
    MetadataQuery,
    ProductCatalogue,
    RuleCatalogue,
    StorageCatalogue,
)
from ctao_bdms.errors import InvalidNameError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import ArchivedFile, DefectKind, Did, Lfn, ReplicaState, RuleState
from ctao_bdms.naming import (
    AcadaPath,
    blocks_pattern,
    directories_of,
    is_block,
    is_manifest,
    lfn_of_path,
    path_of_lfn,
    scope_of,
)
from ctao_bdms.quarantine import Quarantine
from ctao_bdms.quarantine.cases import REASON, TRIGGER, stored_name
from ctao_bdms.quarantine.folder import CLOSED
from ctao_bdms.replication import Requirements, centres_by_name, wanted_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctao_bdms.model import Block, Night, Product, Rule
    from ctao_bdms.replication import Policy, WantedRule
    from ctao_bdms.testing.dl0 import WrittenFile

__all__ = ["AuditedCatalogue", "Expected", "violations"]


class AuditedCatalogue(StorageCatalogue, FileCatalogue, ProductCatalogue, BlockCatalogue, RuleCatalogue, Protocol):
    """The catalogue protocols of the check; none of them changes the catalogue."""


@attrs.frozen(kw_only=True)
class Expected:
    """A file that was given to an ingest.

    Attributes
    ----------
    path, trigger
        The original paths of the file and its trigger.
    lfn
        Its logical file name.
    size_bytes, sha256
        Size and digest when the trigger was written; no digest for files that are too large to be read here.
    defects
        The possible defects, of which the reason document must have at least one; empty for a sound file.
    """

    path: Path
    trigger: Path
    lfn: Lfn
    size_bytes: int
    sha256: str
    defects: frozenset[DefectKind] = frozenset()

    @classmethod
    def of(cls, written: WrittenFile, *defects: DefectKind) -> Expected:
        """Return the expectation for a written file, with its current bytes: it may have been damaged since.

        Parameters
        ----------
        *defects
            Its defects.

        Raises
        ------
        OSError
            If the file does not exist any more.
        """
        size_bytes, digests = digest_file(written.path, ("sha256",))
        return cls(
            path=written.path,
            trigger=written.trigger,
            lfn=written.lfn,
            size_bytes=size_bytes,
            sha256=digests["sha256"],
            defects=frozenset(defects),
        )

    @property
    def is_sound(self) -> bool:
        """Whether the file must be in the archive."""
        return not self.defects


def violations(
    expected: Sequence[Expected],
    catalogue: AuditedCatalogue,
    *,
    rse: str,
    storages: Mapping[str, Path],
    quarantine: Path,
    account: str,
    policy: Policy,
) -> list[str]:
    """Return violations as sentences; an empty list means that the invariant holds.

    Parameters
    ----------
    expected
        All files of their nights, and all files that were ever put into the storages.
    rse
        The storage element on site.
    storages
        The folder of every storage element, by its name.
    quarantine
        The folder of the quarantine.
    account
        The account of the ingest. Only its rules preserve raw data.
    policy
        The policy of the archive.
    """
    sound = {file.lfn: file for file in expected if file.is_sound}
    said = [f"{file.trigger}: the trigger still exists" for file in expected if os.path.lexists(file.trigger)]
    archive = catalogue.files(sorted({file.lfn for file in expected}))
    said += [f"{lfn}: it is bad and in the catalogue" for lfn in archive if lfn not in sound]
    rses = catalogue.rses()
    centres = {name: about.centre for name, about in rses.items()}
    required = Requirements(policy, rses, centres_by_name(rses.values(), dt.datetime.now(dt.UTC)))
    for file in sound.values():
        said += _registered(file, archive.get(file.lfn), required, rse, centres)
    nights = {(file.lfn.vo, scope_of(str(file.lfn)), AcadaPath.parse(file.lfn).night) for file in expected}
    manifests: dict[Lfn, Product] = {}
    for vo, scope, night in sorted(nights, key=str):
        said += _metadata(sound, catalogue, scope, night)
        blocks = _of_night(catalogue, vo, scope, night)
        held = {block.did: catalogue.products_in(block.did) for block in blocks}
        said += _blocks(sound, archive, catalogue, required, rse, account, blocks, held)
        said += [problem for did in held for problem in compare_stored_manifest(did, held[did], storages[rse])]
        manifests.update((file.lfn, file) for files in held.values() for file in files if is_manifest(file.lfn.text))
    archive = {**archive, **catalogue.files(sorted(manifests))}
    said += [problem for lfn in sorted(manifests) for problem in _copied(archive[lfn], required, rse, centres)]
    right = {lfn: ("sha256", file.sha256) for lfn, file in sound.items()}
    right |= {lfn: ("adler32", file.adler32) for lfn, file in manifests.items()}
    triggers = {file.trigger for file in expected}
    for name, folder in storages.items():
        there = sorted(lfn for lfn, file in archive.items() if file.at(name) and lfn in right)
        said += _disk(name, folder, {lfn: right[lfn] for lfn in there}, triggers, catalogue)
    said += _quarantined([file for file in expected if not file.is_sound], quarantine)
    return said


def _registered(
    file: Expected, archived: ArchivedFile | None, required: Requirements, rse: str, centres: Mapping[str, str]
) -> Iterator[str]:
    """Yield violations in the catalogue entry of a sound file."""
    if archived is None:
        yield f"{file.lfn}: it is sound and not in the catalogue"
        return
    if archived.size_bytes != file.size_bytes:
        yield f"{file.lfn}: it has {archived.size_bytes} bytes in the catalogue instead of {file.size_bytes}"
    yield from _copied(archived, required, rse, centres)
    directories = [directory.did for directory in directories_of(file.lfn)]
    leaf = directories[-1]
    datasets = _own_datasets(archived)
    blocks = [did for did in datasets if is_block(did.name)]
    if leaf not in datasets:
        yield f"{file.lfn}: it is not attached to its directory {leaf}"
    if len(blocks) != 1:
        yield f"{file.lfn}: it is in {len(blocks)} blocks instead of one: {', '.join(map(str, blocks)) or 'none'}"
    # Rucio lists the directories above a file among its datasets.
    if others := set(datasets).difference(directories, blocks):
        yield f"{file.lfn}: it is also in {', '.join(map(str, sorted(others)))}"


def _own_datasets(archived: ArchivedFile) -> list[Did]:
    """Return the datasets of a file in its own scope; other accounts may have it in theirs."""
    return sorted(did for did in archived.datasets if did.scope == scope_of(str(archived.lfn)))


def _copied(archived: ArchivedFile, required: Requirements, rse: str, centres: Mapping[str, str]) -> Iterator[str]:
    """Yield violations in the replicas of a file."""
    for replica in archived.replicas:
        if replica.state is not ReplicaState.AVAILABLE:
            yield f"{archived.lfn}: its copy at {replica.rse} is {replica.state.value}"
    if archived.at(rse) is None:
        yield f"{archived.lfn}: it has no copy on site, at {rse}"
    blocks = [did for did in _own_datasets(archived) if is_block(did.name)]
    where = Counter(centres.get(replica.rse, "") for replica in archived.replicas if replica.rse != rse)
    wanted = Counter(centre for did in blocks[:1] for centre in required.placement(did))
    if where != wanted:
        found = ", ".join(sorted(where.elements())) or "none"
        yield f"{archived.lfn}: there are copies at {found} instead of {', '.join(sorted(wanted)) or 'none'}"


def _metadata(sound: Mapping[Lfn, Expected], catalogue: ProductCatalogue, scope: str, night: Night) -> Iterator[str]:
    """Yield sound files without metadata, and metadata of other files."""
    condition = Condition("instance__observing_night", Comparison.EQ, (night.date,))
    found = list(catalogue.find(MetadataQuery(scopes=(scope,), conditions=(condition,))))
    digests = {product.lfn: product.metadata.get("integrity__sha256") for product in found}
    for lfn, count in Counter(product.lfn for product in found).items():
        if count > 1:
            yield f"{lfn}: a query finds it {count} times"
        if lfn not in sound:
            yield f"{lfn}: a query for the night {night} finds it, and no such sound file was given"
    for lfn, file in sound.items():
        if (scope_of(str(lfn)), AcadaPath.parse(lfn).night) != (scope, night):
            continue
        if lfn not in digests:
            yield f"{lfn}: a query for the night {night} does not find it"
        elif digests[lfn] != file.sha256:
            yield f"{lfn}: its metadata have sha256 {digests[lfn]} instead of {file.sha256}"


def _blocks(
    sound: Mapping[Lfn, Expected],
    archive: Mapping[Lfn, ArchivedFile],
    catalogue: AuditedCatalogue,
    required: Requirements,
    rse: str,
    account: str,
    blocks: Sequence[Block],
    contents: Mapping[Did, Sequence[Product]],
) -> Iterator[str]:
    """Yield blocks of a night that are open, without rules, or with other files."""
    members = Counter(did for lfn in sound if lfn in archive for did in archive[lfn].datasets)
    for block in blocks:
        if block.is_open:
            yield f"{block.did}: the block is open"
        held = members[block.did]
        if held:
            held += sum(is_manifest(file.lfn.text) for file in contents[block.did])
        # Rucio counts the files of a block when it closes it: a concurrent request may have added more.
        if block.n_files > held or (held and not block.n_files):
            yield f"{block.did}: the catalogue counts {block.n_files} files, and {held} of those given are in it"
        if held:
            rules = catalogue.rules(block.did.scope, [block.did.name])[block.did.name]
            own = [rule for rule in rules if rule.account == account]
            yield from _ruled(block.did, held, own, wanted_rules(rse, required.placement(block.did)))


def _of_night(catalogue: BlockCatalogue, vo: str, scope: str, night: Night) -> list[Block]:
    """Return the blocks of a night, of all sites."""
    pattern = blocks_pattern(vo, scope).removesuffix("*") + f"*/{night.date:%Y/%m/%d}/*"
    return [block for block in catalogue.blocks(scope, pattern) if is_block(block.did.name)]


def _ruled(block: Did, held: int, rules: Sequence[Rule], wanted: Iterable[WantedRule]) -> Iterator[str]:
    """Yield violations in the ingest's rules of a block."""
    standing = {rule.rse_expression: rule for rule in rules if rule.expires is None}
    for want in wanted:
        rule = standing.pop(want.rse_expression, None)
        if rule is None:
            yield f"{block}: it has no rule for {want.rse_expression}"
        elif rule.state is not RuleState.OK:
            yield f"{block}: its rule for {want.rse_expression} is {rule.state.value}"
        elif rule.locks.get("ok", 0) != held:
            yield f"{block}: its rule for {want.rse_expression} holds {rule.locks.get('ok', 0)} files of {held}"
    if standing:
        yield f"{block}: it has unexpected rules, for {', '.join(sorted(standing))}"


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is not a folder."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def _disk(
    name: str,
    folder: Path,
    files: Mapping[Lfn, tuple[str, str]],
    triggers: AbstractSet[Path],
    catalogue: FileCatalogue,
) -> Iterator[str]:
    """Yield files of a storage element that are missing, different, or not in the catalogue."""
    there = set(_files(folder)) - triggers
    for lfn, (algorithm, digest) in files.items():
        path = Path(path_of_lfn(lfn, folder))
        if path not in there:
            yield f"{path}: its copy at {name} is in the catalogue but not on disk"
            continue
        there.discard(path)
        if digest_file(path, (algorithm,))[1][algorithm] != digest:
            yield f"{path}: its bytes at {name} differ from the original"
    for path in sorted(there - _of_others(name, folder, there, catalogue)):
        yield f"{path}: it is at {name} and not in the catalogue"


def _of_others(name: str, folder: Path, there: Iterable[Path], catalogue: FileCatalogue) -> set[Path]:
    """Return the paths that are registered at a storage element: products of other accounts."""
    lfns = {}
    for path in there:
        with suppress(InvalidNameError):
            lfns[lfn_of_path(path, folder)] = path
    known = catalogue.files(sorted(lfns)) if lfns else {}
    return {lfns[lfn] for lfn, file in known.items() if file.at(name)}


def _has_bytes(path: Path, file: Expected) -> bool:
    """Return whether the bytes at a path are those of a given file; compares only the size if it is too large."""
    if not file.sha256:
        return path.stat().st_size == file.size_bytes
    return digest_file(path, ("sha256",))[1]["sha256"] == file.sha256


def _quarantined(bad: Iterable[Expected], folder: Path) -> Iterator[str]:
    """Yield violations in the quarantine: it must have each bad file once, with the reason."""
    cases = defaultdict(list)
    for case in Quarantine(folder).cases():
        cases[case.path].append(case)
    there = {path for path in _files(folder) if CLOSED not in path.relative_to(folder).parts[:1]}
    # A crash may leave the document of a case whose file is now in another one, but never a file.
    closed = {path for path in _files(folder / CLOSED) if not path.name.lstrip(".").startswith(REASON)}
    for file in bad:
        about = cases.pop(file.path, [])
        if len(about) != 1:
            yield f"{file.path}: it is bad, and {len(about)} cases of the quarantine are about it"
        for case in about:
            if not file.defects & {defect.kind for defect in case.defects}:
                right = ", ".join(sorted(defect.value for defect in file.defects))
                yield f"{case.folder}: the reason is {', '.join(case.kinds) or 'none'} instead of {right}"
            if not _has_bytes(case.file, file):
                yield f"{case.file}: its bytes differ from the original"
            if not os.path.lexists(case.folder / TRIGGER):
                yield f"{case.folder}: the trigger is not in the case"
            there -= {case.folder / piece for piece in (REASON, TRIGGER, stored_name(file.path))}
    for path, about in sorted(cases.items()):
        yield f"{about[0].folder}: it is about {path}, which is not bad"
        there -= {path for case in about for path in _files(case.folder)}
    yield from (f"{path}: it is in the quarantine and belongs to no case" for path in sorted(there | closed))
