"""Record proofs about blocks: who verified which copy, how, when, with which digest.

Each proof is stored in the metadata of the block, under a key of its own that begins with ``evidence-``. It is never
overwritten, is backed up with the catalogue, and does not depend on a folder on site.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import (
    AnnotationCatalogue,
    BadReplicaCatalogue,
    BlockCatalogue,
    ContentCatalogue,
    FileCatalogue,
    StorageCatalogue,
)
from ctao_bdms.catalogue.bad import report_bad
from ctao_bdms.model import Did, ReplicaState
from ctao_bdms.naming import is_manifest
from ctao_bdms.preservation.fixity import read_back
from ctao_bdms.preservation.verifiers import VERIFIERS
from ctao_bdms.processes import person
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctao_bdms.model import ArchivedFile, Lfn, Product
    from ctao_bdms.preservation.fixity import ReadBack
    from ctao_bdms.preservation.verifiers import Verifier

__all__ = ["BlockProofs", "ProofCatalogue", "BlockProof", "record_proof", "recorded_proofs", "prove"]

_KEY = "evidence-"
_SHA256 = "integrity__sha256"
#: So many bad files are named and reported to the catalogue. More of them mean that the storage itself is broken.
_NAMED = 10


class ProofCatalogue(
    FileCatalogue,
    ContentCatalogue,
    BlockCatalogue,
    AnnotationCatalogue,
    StorageCatalogue,
    BadReplicaCatalogue,
    Protocol,
):
    """The catalogue verbs that verify replicas and record proofs."""


@attrs.frozen(kw_only=True)
class BlockProof:
    """A recorded proof about a block.

    Attributes
    ----------
    block
        The block.
    what
        ``verified``: a copy was read back; ``releasing``: the rule that holds the copy on site is to be ended;
        ``released``: it was ended.
    rse, centre
        The storage element of the copy, and the centre that owns it; the centre is empty on site.
    who, when
        Who did it, and when it was done (UTC).
    how
        How the bytes were read, or the identifier of the rule.
    n_files, size_bytes
        How many files and bytes it is about.
    digest
        The SHA-256 of the lines ``<sha256>  data<LFN>`` of all products, by name: that of ``manifest-sha256.txt``.
    problems
        What was wrong; empty if nothing.
    """

    block: Did
    what: str
    rse: str
    centre: str
    who: str
    when: dt.datetime
    how: str
    n_files: int
    size_bytes: int
    digest: str
    problems: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The problems as text, or ``sound``."""
        return "; ".join(self.problems) or "sound"

    @property
    def is_sound(self) -> bool:
        """Whether the copy was read back without a problem."""
        return self.what == "verified" and not self.problems

    def to_wire(self) -> dict[str, Any]:
        """Return the proof as JSON values."""
        row = attrs.asdict(self, recurse=False)
        return {**row, "block": str(self.block), "when": self.when.isoformat(), "problems": list(self.problems)}

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> BlockProof:
        """Return the proof that `to_wire` has written."""
        scope, _, name = str(row["block"]).partition(":")
        given = {**row, "block": Did(scope, name), "when": dt.datetime.fromisoformat(row["when"])}
        return cls(**{**given, "problems": tuple(row["problems"])})


class BlockProofs(Rows[BlockProof]):
    """The proofs about a block, oldest first."""

    columns: ClassVar = (
        ("when", "when"),
        ("what", "what"),
        ("at", "rse"),
        ("centre", "centre"),
        ("who", "who"),
        ("how", "how"),
        ("files", "n_files"),
        ("bytes", "size_bytes"),
        ("verdict", "result"),
    )

    def latest(self, rse: str) -> BlockProof | None:
        """Return the latest verification of the copy at `rse`."""
        return next((p for p in reversed(list(self)) if p.rse == rse and p.what == "verified"), None)


def recorded_proofs(catalogue: AnnotationCatalogue, block: Did) -> BlockProofs:
    """Return the proofs that are recorded about a block."""
    notes = catalogue.annotations(block)
    proofs = [BlockProof.from_wire(note) for key, note in notes.items() if key.startswith(_KEY)]
    return BlockProofs(sorted(proofs, key=lambda proof: (proof.when, proof.rse)))


def record_proof(catalogue: AnnotationCatalogue, proof: BlockProof) -> None:
    """Record a proof in the metadata of its block."""
    catalogue.annotate(proof.block, {f"{_KEY}{proof.when:%Y%m%dT%H%M%S%f}Z-{proof.what}-{proof.rse}": proof.to_wire()})


def digest_of(held: Iterable[Product]) -> str:
    """Return one digest for the content of a block."""
    lines = {p.lfn: f"{p.metadata.get(_SHA256, '')}  data{p.lfn}\n" for p in held if not is_manifest(p.lfn.text)}
    return hashlib.sha256("".join(lines[lfn] for lfn in sorted(lines)).encode()).hexdigest()


def prove(
    catalogue: ProofCatalogue,
    block: Did,
    rse: str,
    centre: str,
    *,
    now: Callable[[], dt.datetime],
    who: str = "",
    on_bytes: Callable[[int], None] = lambda _: None,
    verifiers: Mapping[str, Verifier] = VERIFIERS,
) -> BlockProof:
    """Verify the copy of a block at a storage element, with its manifest.

    The first bad replicas are reported to the catalogue, which repairs them: see `ctao_bdms.catalogue.bad`.

    Parameters
    ----------
    block, rse, centre
        The block, the storage element of the copy, and the centre that owns that.
    who
        Who verifies; by default the user of this process.
    on_bytes
        Called with the number of bytes after each piece that was read.
    verifiers
        Verifiers by the scheme of URLs.
    """
    held = catalogue.products_in(block)
    files = catalogue.content([product.lfn for product in held])
    known = {p.lfn: str(p.metadata[_SHA256]) for p in held if _SHA256 in p.metadata}
    problems = [f"{lfn}: no copy is there" for lfn in _absent(held, files, rse)]
    size_bytes, hows = 0, set()
    for each in read_back(files.values(), now=now, on_bytes=on_bytes, at={rse}, sha256=known, verifiers=verifiers):
        size_bytes += each.size_bytes
        hows.add(each.how)
        if each.problem:
            told = ""
            if len(problems) < _NAMED:
                file, digest = files[each.lfn], known.get(each.lfn, "")
                told = _report(catalogue, file, each, digest, now, on_bytes, verifiers)
            problems.append("; ".join(filter(None, (f"{each.lfn}: {each.problem}", told))))
    if not held:
        problems.append("the block is empty")
    more = [f"and {len(problems) - _NAMED} files more"] if len(problems) > _NAMED else []
    return BlockProof(
        block=block,
        what="verified",
        rse=rse,
        centre=centre,
        who=who or person(),
        when=now(),
        how=", ".join(sorted(hows - {""})),
        n_files=len(held),
        size_bytes=size_bytes,
        digest=digest_of(held),
        problems=(*problems[:_NAMED], *more),
    )


def _report(
    catalogue: ProofCatalogue,
    file: ArchivedFile,
    found: ReadBack,
    sha256: str,
    now: Callable[[], dt.datetime],
    on_bytes: Callable[[int], None],
    verifiers: Mapping[str, Verifier],
) -> str:
    """Report a replica with wrong bytes, if the catalogue believes that it is good."""
    copy = file.at(found.rse)
    if not found.is_rotten or copy is None or copy.state is not ReplicaState.AVAILABLE:
        return ""

    def has_sound() -> bool:
        readable = {rse.name for rse in catalogue.rses().values() if rse.can_be_read} - {found.rse}
        others = tuple(r for r in file.replicas if r.rse in readable and r.state is ReplicaState.AVAILABLE)
        beside, known = [attrs.evolve(file, replicas=others)], {file.lfn: sha256}
        read = read_back(beside, now=now, on_bytes=on_bytes, sha256=known, verifiers=verifiers)
        return any(not each.problem for each in read)

    unproven = "no other copy is proven sound: "
    return report_bad(catalogue, file.lfn, found.rse, copy.pfn, found.problem, has_sound=has_sound, no_sound=unproven)


def _absent(held: Sequence[Product], files: Mapping[Lfn, ArchivedFile], rse: str) -> list[Lfn]:
    """Return the files without an available replica at `rse`."""
    there = {
        lfn
        for lfn, file in files.items()
        if (replica := file.at(rse)) is not None and replica.state is ReplicaState.AVAILABLE
    }
    return [product.lfn for product in held if product.lfn not in there]
