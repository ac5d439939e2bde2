"""The model of an ingest that breaks anywhere: producers, ingests, operators, and what must hold."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.property.fate import FATE, Crash, Fragile, install

from ctao_bdms.archive import Bdms
from ctao_bdms.blocks import compare_stored_manifest
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.errors import BdmsError
from ctao_bdms.inbox import survey
from ctao_bdms.ingest import Batches, BlockLimits, BlockPolicy, Registrar, Status, read_all
from ctao_bdms.ingest.batches import BatchSize
from ctao_bdms.integrity import scan
from ctao_bdms.model import Lfn, Rse
from ctao_bdms.naming import directories_of, is_block, is_manifest
from ctao_bdms.quarantine import ACCEPTABLE
from ctao_bdms.replication import Policy, Replication
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import night_specs, write_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctao_bdms.model import Block

ONSITE = "CTAO-NORTH-ONSITE"
#: A file system without a medium that would have to be waited for, if there is one.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
START = dt.datetime(2026, 11, 21, 23, tzinfo=dt.UTC)


@functools.cache
def _contents() -> dict[str, tuple[bytes, bytes, bytes]]:
    """Return names below the root with three contents each: a sound one, another sound one, and a bad one."""
    with tempfile.TemporaryDirectory() as folder:
        first = write_night(Path(folder) / "1", night_specs(5, telescopes=1, megabytes=0.001, seed=1))
        second = write_night(Path(folder) / "2", night_specs(5, telescopes=1, megabytes=0.001, seed=2))
        contents = {}
        for number, (one, two) in enumerate(zip(first, second, strict=True)):
            sound, other = one.path.read_bytes(), two.path.read_bytes()
            assert sound != other
            damage(one.path, list(Damage)[number % len(Damage)] if number else Damage.BIT_FLIP, seed=number)
            if not scan(one.path).defects:
                damage(one.path, Damage.TRUNCATED)
            assert scan(one.path).defects
            contents[str(one.lfn)] = (sound, other, one.path.read_bytes())
    return contents


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Ingest(RuleBasedStateMachine):
    """Producers write, ingests start and break; at the end every file is where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        install()
        FATE.be_kind()
        FATE.late = []
        self.home = Path(tempfile.mkdtemp(prefix="bdms-machine-", dir=MEMORY))
        FATE.root = str(self.home)
        self.root = self.home / "onsite"
        self.root.mkdir()
        self.time = START
        self.archive = InMemoryCatalogue(
            [
                Rse(name=ONSITE, prefix=str(self.root), site="CTAO-North"),
                Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
                Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
            ],
            now=lambda: self.time,
        )
        self.written: Counter[str] = Counter()  # digests of all contents that producers have put on the disk
        self.replaced: Counter[str] = Counter()  # of those that a producer has overwritten himself
        self.registrar: Registrar | None = None
        self.was_late = False
        self.manifests = self.root / "ctao/acada/blocks"
        self.bystander = self.root / "README"
        self.bystander.write_text("do not touch")

    # --- producers ---------------------------------------------------------------------------------------------------

    @initialize(which=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=5, max_size=5))
    def begin(self, which: list[int]) -> None:
        for number, content in enumerate(which):
            self.write(number, content, "relative")

    @rule(
        number=st.integers(0, 4),
        which=st.sampled_from([0, 0, 1, 2, 2]),
        kind=st.sampled_from(["relative", "absolute", "regular"]),
    )
    def write(self, number: int, which: int, kind: str) -> None:
        """A producer writes or replaces a file atomically, and then its trigger."""
        self._put(list(_contents())[number], list(_contents().values())[number][which], kind)

    @rule(number=st.integers(0, 2))
    def write_with_a_bad_name(self, number: int) -> None:
        names = ["notes.txt", "reason.json", "bad\udcff.fits.fz"]
        folder = next(iter(_contents())).rpartition("/")[0]
        self._put(f"{folder}/{names[number]}", f"bad name {number}".encode(), "relative")

    @rule(number=st.integers(0, 4))
    def write_for_a_scope_that_does_not_exist(self, number: int) -> None:
        name, contents = list(_contents().items())[number]
        self._put(name.replace("/acada/", "/nobodys/", 1), contents[0], "relative")

    @rule(number=st.integers(0, 4))
    def trigger_again(self, number: int) -> None:
        """A producer makes the trigger of a file again."""
        path = self.root / list(_contents())[number][1:]
        if path.exists():
            self._trigger(path, "relative")

    @rule(minutes=st.integers(1, 20))
    def time_passes(self, minutes: int) -> None:
        self.time += dt.timedelta(minutes=minutes)

    def _put(self, lfn: str, content: bytes, kind: str) -> None:
        path = self.root / lfn[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.replaced[_digest(path.read_bytes())] += 1
        temporary = self.home / "being-written"
        temporary.write_bytes(content)
        temporary.replace(path)
        self.written[_digest(content)] += 1
        self._trigger(path, kind)

    def _trigger(self, path: Path, kind: str) -> None:
        trigger = path.with_name(path.name + ".trigger")
        trigger.unlink(missing_ok=True)
        if kind == "regular":
            trigger.touch()
        else:
            trigger.symlink_to(path.name if kind == "relative" else path)

    # --- the ingest --------------------------------------------------------------------------------------------------

    KINDS = ("crash", "crash at the disk", "crash after", "outage", "lost answer", "replaced")
    _FATES = st.sampled_from(KINDS)
    _FATES_OF_DAEMONS = st.sampled_from((*KINDS, "late"))

    @rule(kind=_FATES, after=st.integers(0, 15), limit=st.sampled_from([1, 2, 500]))
    def ingest(self, kind: str, after: int, limit: int) -> None:
        """An ingest that meets a fault; then the process starts again."""
        self.late_requests_are_carried_out()
        bdms = Bdms(Fragile(self.archive), policy=Policy.load(), now=lambda: self.time)
        self._break(kind, after, lambda: bdms.ingest(self.root, limits=BlockLimits(files=limit)))

    @rule(kind=_FATES, after=st.integers(0, 12))
    def reconcile(self, kind: str, after: int) -> None:
        bdms = Bdms(Fragile(self.archive), policy=Policy.load(), now=lambda: self.time)
        self._break(kind, after, lambda: bdms.rules.reconcile("acada"))

    @rule(kind=_FATES_OF_DAEMONS, after=st.integers(0, 15), batch=st.sampled_from([1, 2, 300]))
    def a_step_of_the_daemon(self, kind: str, after: int, batch: int) -> None:
        """Register a batch and close due blocks; an error does not end the daemon, a crash does."""
        catalogue: Any = Fragile(self.archive)
        if self.registrar is None:
            # What the process before has asked for may still be under way: its blocks are closed before all else.
            everything = dt.timedelta(0)
            Replication(self.archive, Policy.load(), lambda: self.time).reconcile(
                "acada", "*/blocks/*", abandoned_after=everything
            )
            limits = BlockLimits(files=3)
            self.registrar = Registrar(
                catalogue,
                self.archive.rses()[ONSITE],
                policy=BlockPolicy(limits=limits),
                batches=Batches(catalogue, BatchSize(files=batch)),
                now=lambda: self.time,
            )
        registrar = self.registrar

        def step() -> None:
            registrar.take(read_all(survey([self.root], self.root)))
            Replication(catalogue, Policy.load(), lambda: self.time).begin(registrar.close())

        if self._break(kind, after, step):
            self.registrar = None

    @rule()
    def late_requests_are_carried_out(self) -> None:
        """The server carries out requests that it had not answered."""
        late, FATE.late = FATE.late, []
        self.was_late |= bool(late)
        for act in late:
            with suppress(BdmsError):
                act()

    @rule(what=st.sampled_from(["retry", "accept"]), kind=_FATES, after=st.integers(0, 15), which=st.integers(0, 5))
    def take_out_of_quarantine(self, what: str, kind: str, after: int, which: int) -> None:
        """An operator retries a case in quarantine, or accepts it."""
        self.late_requests_are_carried_out()
        bdms = Bdms(Fragile(self.archive), policy=Policy.load(), now=lambda: self.time)
        cases = [
            case
            for case in bdms.quarantine.cases()
            if what == "retry" or {defect.kind for defect in case.defects} <= ACCEPTABLE
        ]
        if not cases:
            return
        case = cases[which % len(cases)]
        self._break(
            kind,
            after,
            lambda: (
                bdms.quarantine.retry(case) if what == "retry" else bdms.quarantine.accept(case, "it is all we have")
            ),
        )

    def _break(self, kind: str, after: int, act: Callable[[], object]) -> bool:
        """Do something with a fault under way; return whether the process died."""
        FATE.threaten(kind, after)
        FATE.meanwhile = lambda: self.write(after % 5, after % 3, "relative")
        try:
            act()
        except (BdmsError, Crash):
            pass
        finally:
            died = FATE.is_dead
            FATE.be_kind()
        return died

    # --- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def no_file_is_ever_lost_or_made(self) -> None:
        """The disk has each file that a producer wrote and did not replace, and no other."""
        kept = {_digest(path.read_bytes()) for path in self._files()}
        wanted = set((self.written - self.replaced).keys())
        assert kept >= wanted, "a file is lost"
        assert kept <= set(self.written), "a file was made up"
        assert self.bystander.read_text() == "do not touch"

    @invariant()
    def no_file_is_in_two_blocks(self) -> None:
        for lfn in self._archived():
            blocks = [did for did in self.archive.files([lfn])[lfn].datasets if is_block(did.name)]
            assert len(blocks) == 1

    def no_case_is_empty(self) -> None:
        """Remains of a crash in quarantine are removed once the file is there."""
        cases = self.home.glob("onsite.quarantine/2*")
        assert all({path.name for path in case.iterdir()} > {"reason.json"} for case in cases)

    def _files(self) -> Iterator[Path]:
        ours = {"reason.json", "events.jsonl", "trigger"}
        for path in self.home.rglob("*"):
            in_quarantine = path.is_relative_to(self.home / "onsite.quarantine")
            unfinished = path.name.startswith(".") or (in_quarantine and path.name in ours)
            if path.is_relative_to(self.manifests):
                continue
            if path.is_file() and not path.is_symlink() and not unfinished and path != self.bystander:
                if path.name.endswith(".trigger") and not path.stat().st_size:
                    continue
                yield path

    def _archived(self) -> list[Lfn]:
        return [*self.archive.files(Lfn(name) for name in _contents())]

    def teardown(self) -> None:
        """Ingest without faults, and check that every file is where it belongs."""
        try:
            FATE.be_kind()
            self.late_requests_are_carried_out()
            self._settle()
            self.no_file_is_ever_lost_or_made()
            self.no_file_is_in_two_blocks()
            self._check_archive()
            self._check_disk()
        finally:
            shutil.rmtree(self.home)

    def _settle(self) -> None:
        bdms = Bdms(self.archive, policy=Policy.load(), now=lambda: self.time)
        bdms.ingest(self.root)  # what has a trigger: until it is taken, a release from quarantine is refused
        for case in bdms.quarantine.cases():
            if os.path.lexists(case.path) and case.path.samefile(case.file):
                bdms.quarantine.retry(case)  # its release broke off; the operator repeats it
        bdms.ingest(self.root)
        again = bdms.ingest(self.root)
        assert {outcome.status for outcome in again} <= {Status.REFUSED}, "a second ingest finds something to do"
        self.time += dt.timedelta(minutes=11)
        for _ in range(3):
            Replication(self.archive, Policy.load(), lambda: self.time).reconcile("acada", "*/blocks/*")
            self.archive.transfer()

    def _check_archive(self) -> None:
        """Each registered file is complete, in a closed block with its rules, and has the bytes that were written."""
        for lfn in self._archived():
            file = self.archive.files([lfn])[lfn]
            assert any(
                (len(content), _adler32(content)) == (file.size_bytes, file.adler32)
                for content in _contents()[str(lfn)]
            )
            assert directories_of(lfn)[-1].did in file.datasets
            (block,) = (did for did in file.datasets if is_block(did.name))
            (state,) = self.archive.blocks("acada", block.name)
            assert not state.is_open
            rules = self.archive.rules("acada", [block.name])[block.name]
            assert len(rules) == len({rule.rse_expression for rule in rules}) == 3
            assert {replica.rse for replica in file.replicas} == {ONSITE, "PIC-DISK", "CSCS-DISK"}
        products = {product.lfn: product for product in Bdms(self.archive, policy=Policy.load()).query(scope="acada")}
        assert set(products) == set(self._archived())
        assert all(product.metadata["instance__observing_night"] for product in products.values())
        blocks = self.archive.blocks("acada", "*")
        manifests = [self._manifest(each) for each in blocks if each.n_files]
        assert sorted(lfn for manifest in manifests for lfn in manifest) == sorted(products)
        assert not any(each.is_open for each in blocks)
        for each in blocks:
            if not each.n_files:
                rules = self.archive.rules("acada", [each.did.name])[each.did.name]
                assert {rule.rse_expression for rule in rules} <= {ONSITE}, "the first rule, and no transfer"
        assert not self.archive.files([Lfn(name.replace("/acada/", "/nobodys/", 1)) for name in _contents()])

    def _manifest(self, block: Block) -> list[Lfn]:
        """Return the files in the manifest of a block; it must agree, have all copies, and be the only one."""
        held = self.archive.products_in(block.did)
        assert list(compare_stored_manifest(block.did, held, self.root)) == []
        lfns = [product.lfn for product in held if is_manifest(product.lfn.text)]
        assert len(lfns) == 1 or self.was_late
        assert len(held) == block.n_files
        assert {path.name for path in self.manifests.rglob(f"*{block.did.name.rpartition('/')[2]}*")} == {
            lfn.parts[-1] for lfn in lfns
        }
        for file in self.archive.files(lfns).values():
            assert {replica.rse for replica in file.replicas} == {ONSITE, "PIC-DISK", "CSCS-DISK"}
        return [product.lfn for product in held if product.lfn not in lfns]

    def _check_disk(self) -> None:
        """Each file in the inbox tree is registered as it is; all others are in quarantine, with a reason."""
        archived = {str(lfn): self.archive.files([lfn])[lfn] for lfn in self._archived()}
        for path in self.root.rglob("*"):
            name = "/" + str(path.relative_to(self.root))
            if path.is_dir() or path == self.bystander or "/nobodys/" in name or path.is_relative_to(self.manifests):
                continue
            assert not path.name.endswith(".trigger"), f"{path.name} is left"
            content = path.read_bytes()
            known = archived.get(name)
            assert known is not None, f"{name} is neither registered nor in quarantine"
            assert (len(content), _adler32(content)) == (known.size_bytes, known.adler32)
        quarantine = Bdms(self.archive, policy=Policy.load()).quarantine.at()
        cases = quarantine.cases()
        for case in cases:
            assert case.defects
            assert case.version
            assert case.reason["path"]
            # A retry that broke off between a new case and the end of the old one leaves a file in both, never in none.
            same = [other for other in cases if other.file.samefile(case.file)]
            assert case.file.stat().st_nlink == len(same) <= 2
            digest = _digest(case.file.read_bytes())
            assert case.digests.get("sha256", digest) == digest, "the reason is that of another file"
        inside = {path for case in cases for path in case.folder.iterdir() if not path.name.startswith(".")}
        known_names = {"reason.json", "trigger"}
        assert {path for path in inside if path.name not in known_names} == {case.file for case in cases}
        digests = {_digest(case.file.read_bytes()) for case in cases}
        bad = {_digest(content[2]) for content in _contents().values()}
        sound_on_disk = {_digest(path.read_bytes()) for path in self.root.rglob("*.fz") if path.is_file()}
        assert not bad & sound_on_disk - {_digest_of(file.adler32) for file in archived.values()}
        events = quarantine.folder / "events.jsonl"
        if events.exists():
            rows = [json.loads(line) for line in events.read_text().splitlines()]
            actions = [row for row in rows if row["what"] in {"release", "retry", "accept"}]
            assert all(row["who"] for row in actions)
            assert all(row["path"] for row in rows if row not in actions)
            assert {row["case"] for row in rows} <= {row["case"] for row in actions}, "what came of it, and no action"
        assert digests <= set(self.written)


def _adler32(content: bytes) -> str:
    import zlib

    return f"{zlib.adler32(content):08x}"


def _digest_of(adler32: str) -> str:
    """Return the SHA-256 of the content that has this Adler-32."""
    contents = [content for each in _contents().values() for content in each]
    return next(_digest(content) for content in contents if _adler32(content) == adler32)
