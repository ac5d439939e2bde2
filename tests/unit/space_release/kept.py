"""Blocks on site and at two centres, and ways to damage them."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import (
    BdmsError,
    ForbiddenError,
)
from ctao_bdms.model import ArchivedFile, Did, Night, ReplicaState, Rse, Rule
from ctao_bdms.naming import is_block, path_of_lfn
from ctao_bdms.preservation import Decision, SpacePolicy, SpaceReleases
from ctao_bdms.preservation.space import end_onsite_rules, plan_space_release
from ctao_bdms.preservation.verifiers import VERIFIERS
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import Lfn
    from ctao_bdms.preservation.verifiers import Verifier

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
START = dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)
SIXTY_DAYS = SpacePolicy(older_than=dt.timedelta(days=60))


class Archive(InMemoryCatalogue):
    """An archive for the account of the ingest service, which may not declare copies bad; it fails on demand."""

    #: Whether the account may declare copies bad.
    may_declare_bad = False
    #: Errors to raise, by method and block.
    fails: dict[tuple[str, Did], BdmsError]

    def end_rule(self, rule_id: str) -> None:
        self._fail("end_rule", self.rule(rule_id).did)
        super().end_rule(rule_id)

    def annotate(self, did: Did, notes: Mapping[str, object]) -> None:
        self._fail("annotate", did)
        super().annotate(did, notes)

    def declare_bad(self, lfn: Lfn, rse: str, reason: str) -> None:
        if not self.may_declare_bad:
            raise ForbiddenError("tell the operators of the centre")
        super().declare_bad(lfn, rse, reason)

    def _fail(self, asked: str, did: Did) -> None:
        if (asked, did) in self.fails:
            raise self.fails[asked, did]


@attrs.define
class Kept:
    """Blocks at the site and at both centres, two months later."""

    archive: Archive
    bdms: Bdms
    written: list[WrittenFile]
    storages: dict[str, Path]
    clock: list[dt.datetime]

    @property
    def block(self) -> Did:
        return self.block_of(0)

    def block_of(self, number: int) -> Did:
        file = self.archive.files([self.written[number].lfn])[self.written[number].lfn]
        return next(did for did in file.datasets if is_block(did.name))

    @property
    def file(self) -> ArchivedFile:
        """What the archive says of the first file."""
        return self.archive.files([self.written[0].lfn])[self.written[0].lfn]

    def rules_of(self, block: Did) -> Sequence[Rule]:
        return self.archive.rules(block.scope, [block.name])[block.name]

    def path(self, rse: str, number: int = 0) -> Path:
        return Path(path_of_lfn(self.written[number].lfn, self.storages[rse]))

    def planned(self) -> tuple[Decision, str]:
        (row,) = self.bdms.nights.release("acada", policy=SIXTY_DAYS)
        return row.verdict, row.why

    def release(self) -> tuple[Decision, str]:
        (row,) = self.bdms.nights.release("acada", policy=SIXTY_DAYS, apply=True)
        return row.verdict, row.why

    @property
    def is_held_on_site(self) -> bool:
        return self.holds_on_site(self.block)

    def holds_on_site(self, block: Did) -> bool:
        return any(rule.rse_expression == ONSITE and rule.expires is None for rule in self.rules_of(block))

    def run(self, *, size_bytes: float = float("inf"), verifiers: Mapping[str, Verifier] = VERIFIERS) -> SpaceReleases:
        """Release all that can be, or so many bytes."""
        asked = (self.archive, self.archive.rses()[ONSITE])
        rows = plan_space_release(*asked, "acada", "*", SIXTY_DAYS, self.clock[0])
        return end_onsite_rules(
            *asked, rows, SIXTY_DAYS, now=lambda: self.clock[0], to_free_bytes=size_bytes, verifiers=verifiers
        )

    def plan(self, size_bytes: float) -> list[Decision]:
        """Return the decisions about all blocks, in a dry run."""
        asked = (self.archive, self.archive.rses()[ONSITE], "acada", "*", SIXTY_DAYS, self.clock[0])
        return [row.verdict for row in plan_space_release(*asked, to_free_bytes=size_bytes)]

    @property
    def bad(self) -> set[str]:
        """The storage elements where the first file is declared bad."""
        return {replica.rse for replica in self.file.replicas if replica.state is ReplicaState.BAD}

    def rot(self, number: int = 0, rse: str = PIC) -> None:
        """Change a bit of a copy."""
        content = bytearray(self.path(rse, number).read_bytes())
        content[100] ^= 1
        self.path(rse, number).write_bytes(bytes(content))


def make_kept(tmp_path: Path, nights: int, files: int = 3) -> Kept:
    """Return an archive with a block a night."""
    clock = [START]
    storages = {name: tmp_path / name for name in (ONSITE, PIC, CSCS)}
    archive = Archive(
        [
            Rse(name=ONSITE, prefix=str(storages[ONSITE]), site="CTAO-North"),
            Rse(name=PIC, prefix=str(storages[PIC]), centre="PIC"),
            Rse(name=CSCS, prefix=str(storages[CSCS]), centre="CSCS"),
        ],
        now=lambda: clock[0],
    )
    archive.fails = {}
    bdms = Bdms(archive, policy=Policy.load(), now=lambda: clock[0])
    written: list[WrittenFile] = []
    for day in range(nights):
        clock[0] = START + dt.timedelta(days=day)
        night = Night.parse(f"2026-11-{21 + day}")
        written += write_night(storages[ONSITE], night_specs(files, telescopes=1, megabytes=0.001, night=night))
        bdms.ingest(storages[ONSITE])
    for _ in range(2):
        archive.transfer()
        Replication(archive, Policy.load(), lambda: clock[0]).reconcile("acada", "*")
    archive.transfer()
    for centre in (PIC, CSCS):
        shutil.copytree(storages[ONSITE], storages[centre])
    clock[0] += dt.timedelta(days=61)
    return Kept(archive, bdms, written, storages, clock)


def corrupt_copy(kept: Kept) -> None:
    kept.rot()


def set_replica_state(kept: Kept, rse: str, state: ReplicaState | None) -> None:
    lfn = kept.written[0].lfn
    file = kept.archive.files([lfn])[lfn]
    rest = tuple(replica for replica in file.replicas if replica.rse != rse)
    changed = tuple(attrs.evolve(r, state=state) for r in file.replicas if r.rse == rse and state is not None)
    kept.archive.set_file(attrs.evolve(file, replicas=(*rest, *changed)))


def change_rule(kept: Kept, **changes: object) -> None:
    (rule,) = (rule for rule in kept.rules_of(kept.block) if rule.rse_expression == "centre=PIC")
    kept.archive.set_rule(attrs.evolve(rule, **changes))  # type: ignore[arg-type]


def damage_manifest(kept: Kept) -> None:
    (manifest,) = (kept.storages[CSCS] / "ctao/acada/blocks").rglob("*.tar")
    manifest.write_bytes(b"other")
