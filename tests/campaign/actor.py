"""An account that works while the campaign runs, as a process: it makes calls that the policy permits or refuses.

``python -m tests.campaign.actor '{"account": ..., "role": ..., "scope": ..., "folder": ...}'`` reads orders from its
standard input, one JSON object a line. An order of a round makes it act, at random moments, until the next line comes;
then it ends its own puts and writes what it did. It ends with its standard input.

Two permitted calls are left out, because they are what the ingest is for: the ingest account neither ends its rules on
site (a release, once two centres have the data) nor makes rules without end on blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio.client import Client
from rucio.common.exception import AccessDenied, DataIdentifierNotFound, RucioException

from ctao_bdms import connect
from ctao_bdms.errors import BdmsError, ForbiddenError
from ctao_bdms.model import NewProduct
from ctao_bdms.testing.products import write_dl1

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctao_bdms.upload import KeptFor

__all__ = ["ATTEMPTS", "Actor"]

ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"
RAW_SCOPE = "acada"
#: Lifetimes in seconds: the ones that ended an only copy first.
LIFETIMES = (1, 1, 3600, 86_400, 90_000, None)
#: Metadata by which Rucio ends what they are set on.
ENDING = ("lifetime", "LIFETIME", "expired_at", "eol_at", "purge_replicas", "availability")
PUTS_A_ROUND = 2
CALLS_A_ROUND = 80
_PAUSE_S = (0.05, 0.5)
_PUT_LIMIT_S = 60
_TIMEOUT_S = 20


class Actor:
    """An account with its client, and what it has made.

    Parameters
    ----------
    account, role, scope
        The account, its role in the policy, and a scope of its own; empty if it makes no datasets.
    folder
        Where it writes its products before it puts them.
    """

    def __init__(self, account: str, role: str, scope: str, folder: str) -> None:
        self.account, self.role, self.scope = account, role, scope
        self.folder = Path(folder)
        self.client = Client(timeout=_TIMEOUT_S)
        self.bdms = connect()
        self.chance = random.Random()
        self.raw: list[str] = []
        self.blocks_pattern = ""
        self.datasets: list[str] = []
        self.rules: list[str] = []
        #: Folders of products that are put, but not known to be in the archive.
        self.pending: list[Path] = []
        #: SHA-256 of the products that must be in the archive, by name; and the blocks of those that may be removed.
        self.products: dict[str, str] = {}
        self.removable: dict[str, list[str]] = {}
        self._puts = self._chunk = 0

    def begin(self, order: dict[str, Any]) -> None:
        """Take the files and the seed of a round."""
        self.chance.seed(order["seed"])
        self.raw, self.blocks_pattern = order["raw"], order["blocks"]
        self._puts = 0

    # -- what there is to choose from

    def file(self) -> dict[str, str]:
        """Return a raw file of the round; it may not be registered yet."""
        return {"scope": RAW_SCOPE, "name": self.chance.choice(self.raw)}

    def directory(self) -> dict[str, str]:
        """Return the dataset or a container above a raw file."""
        name = self.file()["name"].rsplit("/", self.chance.randint(1, 4))[0]
        return {"scope": RAW_SCOPE, "name": name}

    def block(self) -> dict[str, str]:
        """Return a block of the round, or a directory while there is none."""
        names = list(self.client.list_dids(RAW_SCOPE, [{"name": self.blocks_pattern}], did_type="dataset"))
        return {"scope": RAW_SCOPE, "name": self.chance.choice(names)} if names else self.directory()

    def anything(self) -> dict[str, str]:
        """Return something of the raw data."""
        return self.chance.choice((self.file, self.file, self.block, self.directory))()

    def new_name(self) -> str:
        """Return a new name in the own scope."""
        top = f"/ctao/user/{self.account[0]}/{self.account}" if self.role == "user" else f"/ctao/{self.scope}"
        return f"{top}/campaign/{self.chance.getrandbits(48):012x}"

    def own_dataset(self) -> dict[str, str]:
        """Return a dataset of its own, into which raw files were attached; a new one if there is none."""
        if not self.datasets:
            attach_raw(self)
        return {"scope": self.scope, "name": self.chance.choice(self.datasets)}

    def pfn(self) -> str:
        """Return the place of a copy of a raw file."""
        (found,) = self.client.list_replicas([self.file()], all_states=True)
        return str(self.chance.choice([pfn for pfns in found["rses"].values() for pfn in pfns]))

    def rule_on(self, did: dict[str, str]) -> str:
        """Return a rule on something, whoever made it."""
        rules = [
            str(rule["id"])
            for rule in self.client.list_did_rules(did["scope"], did["name"])
            if self.role != "ingest" or rule["rse_expression"] != ONSITE
        ]
        return self.chance.choice(rules)

    def make_rule(self, did: dict[str, str], lifetimes: tuple[int | None, ...] = LIFETIMES) -> None:
        """Ask for a copy of something somewhere, for some time."""
        expression = self.chance.choice((ONSITE, PIC, CSCS, "offsite=True", "ANY=True"))
        lifetime, purge = self.chance.choice(lifetimes), self.chance.random() < 0.3
        made = self.client.add_replication_rule([did], 1, expression, lifetime=lifetime, purge_replicas=purge)
        self.rules += made

    def end_rule(self, rule: str) -> None:
        """End or change a rule, in one of the ways that there are."""
        lifetime = self.chance.choice((0, 1, -1, 86_400, None))
        ways: tuple[Callable[[], object], ...] = (
            lambda: self.client.delete_replication_rule(rule),
            lambda: self.client.delete_replication_rule(rule, purge_replicas=True),
            lambda: self.client.update_replication_rule(rule, {"lifetime": lifetime}),
            lambda: self.client.update_replication_rule(rule, {"purge_replicas": True}),
            lambda: self.client.update_replication_rule(rule, {"state": "SUSPENDED"}),
            lambda: self.client.move_replication_rule(
                rule, self.chance.choice((PIC, CSCS, "centre=PIC", "centre=CSCS")), {}
            ),
            lambda: self.client.move_replication_rule(rule, CSCS, {"lifetime": 1}),
            lambda: self.client.reduce_replication_rule(rule, 0),
        )
        self.chance.choice(ways)()

    # -- products of its own

    def put(self, folder: Path) -> bool:
        """Put a folder; return whether the archive has it."""
        storage: KeptFor = "short-term" if folder.name.startswith("short") else "archive"
        said = {"user": self.account, "folder": "irf"} if self.role == "user" else _DPPS | {"scope": self.scope}
        report = self.bdms.put(
            folder,
            product=NewProduct.of(**said),
            storage=None if self.role == "user" else storage,
            near=self.chance.choice(("PIC", "CSCS")),
        )
        (path,) = folder.iterdir()
        for outcome in report:
            if outcome.status.value not in {"registered", "known"} or outcome.lfn is None or outcome.block is None:
                return False
            self.products[str(outcome.lfn)] = hashlib.sha256(path.read_bytes()).hexdigest()
            if storage == "short-term" or self.role == "user":
                self.removable.setdefault(outcome.block.name, []).append(str(outcome.lfn))
        return True

    def finish(self) -> list[str]:
        """Put again what did not get through, as whoever puts does; return what never does."""
        end_s = time.monotonic() + _PUT_LIMIT_S
        problem = ""
        while self.pending and time.monotonic() < end_s:
            try:
                if self.put(self.pending[0]):
                    del self.pending[0]
                    continue
                problem = "it is neither registered nor known"
            except (BdmsError, OSError) as error:
                problem = str(error)
            time.sleep(0.5)
        said = [f"{self.account} cannot put {folder.name}: {problem}" for folder in self.pending]
        self.pending.clear()
        return said


_DPPS = {"release": "DataPipe/Observation/DR1", "night": "2026-11-21"}
_PRODUCT = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk{:03d}.h5"


def rule(actor: Actor) -> None:
    """Make a rule on a file, a block or a container of raw data."""
    did = actor.anything()
    if actor.role == "ingest":
        actor.make_rule(did, LIFETIMES if did["name"] in actor.raw else (1, 86_400))
    else:
        actor.make_rule(did)


def end_a_rule(actor: Actor) -> None:
    """End or change a rule on raw data, whoever made it."""
    actor.end_rule(actor.rule_on(actor.anything()))


def end_own_rule(actor: Actor) -> None:
    """End or change a rule of its own."""
    actor.end_rule(actor.chance.choice(actor.rules))


def attach_raw(actor: Actor) -> None:
    """Attach raw files to a dataset of its own, with the name of a block perhaps."""
    name = actor.new_name()
    if actor.chance.random() < 0.2:
        there = actor.block()["name"]
        name = there.replace("permanent", "short-term").replace(f"/{RAW_SCOPE}/", f"/{actor.scope}/")
    actor.client.add_did(actor.scope, name, "DATASET")
    files = [actor.file() for _ in range(actor.chance.randint(1, 3))]
    rse = actor.chance.choice((None, None, PIC))
    actor.client.attach_dids(actor.scope, name, list({file["name"]: file for file in files}.values()), rse=rse)
    actor.datasets.append(name)


def rule_on_own_dataset(actor: Actor) -> None:
    """Make a rule on a dataset of its own that has raw files in it."""
    actor.make_rule(actor.own_dataset())


def end_own_dataset(actor: Actor) -> None:
    """Take raw files out of a dataset of its own, or give it an end."""
    dataset = actor.own_dataset()
    if actor.chance.random() < 0.5:
        actor.client.detach_dids(**dataset, dids=list(actor.client.list_content(**dataset)))
    else:
        actor.client.set_metadata(**dataset, key=actor.chance.choice(ENDING[:2]), value=1)


def foreign_name(actor: Actor) -> None:
    """Use the name of a raw file under its own scope, or register a copy of it."""
    file = actor.file()
    foreign, new = {**file, "scope": actor.scope}, {"bytes": 1, "adler32": "00000001"}
    ways: tuple[Callable[[], object], ...] = (
        lambda: actor.client.add_did(**foreign, did_type="DATASET"),
        lambda: actor.client.add_replicas(actor.chance.choice((ONSITE, PIC)), [foreign | new]),
        lambda: actor.client.add_replicas(PIC, [file | new]),
        lambda: actor.client.attach_dids(**actor.own_dataset(), dids=[foreign | new], rse=PIC),
        lambda: actor.client.add_did(actor.scope, actor.new_name(), "DATASET", dids=[foreign]),
    )
    actor.chance.choice(ways)()


def declare_bad(actor: Actor) -> None:
    """Declare a copy of a raw file bad, by its name or its place."""
    force = actor.chance.random() < 0.3
    rse = actor.chance.choice((ONSITE, PIC, CSCS))
    copies = [actor.file() | {"rse": rse}] if actor.chance.random() < 0.6 else [actor.pfn()]
    actor.client.declare_bad_file_replicas(copies, "campaign", force=force)


def declare_suspicious(actor: Actor) -> None:
    """Declare a copy of a raw file suspicious."""
    actor.client.declare_suspicious_file_replicas([actor.pfn()], "campaign")


def declare_places(actor: Actor) -> None:
    """Declare the place of a copy bad, suspicious, or unavailable for a while."""
    state = actor.chance.choice(("BAD", "SUSPICIOUS", "TEMPORARY_UNAVAILABLE"))
    actor.client.add_bad_pfns([actor.pfn()], "campaign", state, None if state != "TEMPORARY_UNAVAILABLE" else _LATER)


_LATER = "Fri, 01 Jan 2100 00:00:00 UTC"


def delete_copies(actor: Actor) -> None:
    """Delete a copy of a raw file, or say that it is none."""
    file, rse = actor.file(), actor.chance.choice((ONSITE, PIC, CSCS))
    ways: tuple[Callable[[], object], ...] = (
        lambda: actor.client.delete_replicas(rse, [file]),
        lambda: actor.client.set_tombstone([file | {"rse": rse}]),
        lambda: actor.client.quarantine_replicas([{"path": file["name"]}], rse=rse),
        lambda: actor.client.update_replicas_states(rse, [file | {"state": "U"}]),
    )
    actor.chance.choice(ways)()


def take_out(actor: Actor) -> None:
    """Take a raw file out of its block or directory."""
    above = actor.chance.choice((actor.block, actor.directory))()
    actor.client.detach_dids(**above, dids=[actor.file()])


def set_an_end(actor: Actor) -> None:
    """Set metadata of raw data that Rucio takes for an end."""
    did, key = actor.anything(), actor.chance.choice(ENDING)
    if actor.chance.random() < 0.5:
        actor.client.set_metadata(**did, key=key, value=1)
    else:
        actor.client.set_metadata_bulk(**did, meta={key: 1})


def set_status(actor: Actor) -> None:
    """Open a block again, or close it before its time (not the ingest account: it closes its blocks)."""
    is_open = actor.role == "ingest" or actor.chance.random() < 0.5
    actor.client.set_status(**actor.block(), open=is_open)


def put(actor: Actor) -> None:
    """Put a product of its own."""
    actor._puts += 1
    actor._chunk += 1
    kind = actor.chance.choice(("short", "archive"))
    folder = actor.folder / f"{kind}-{actor._chunk}"
    folder.mkdir(parents=True)
    write_dl1(folder / _PRODUCT.format(actor._chunk), telescopes=(1,), events=4, seed=actor._chunk)
    actor.pending.append(folder)
    if actor.put(folder):
        actor.pending.remove(folder)


def remove(actor: Actor) -> None:
    """Remove products of its own that are kept for a while, by the end of the rules of their block."""
    block = actor.chance.choice(sorted(actor.removable))
    for each in list(actor.client.list_did_rules(actor.scope, block)):
        actor.client.update_replication_rule(each["id"], {"lifetime": -1})
    # From the first rule that ended on they may be gone; nothing has been promised of them any more.
    for lfn in actor.removable.pop(block):
        actor.products.pop(lfn, None)


_EVERYBODY = (
    *(rule, rule, rule, end_a_rule, end_own_rule, declare_bad, declare_suspicious, declare_places, delete_copies),
    *(take_out, set_an_end, set_status),
)
_WITH_A_SCOPE = (attach_raw, rule_on_own_dataset, rule_on_own_dataset, end_own_dataset, foreign_name, foreign_name)
_WITH_PRODUCTS = (put, put, remove)

#: What each role tries, by the number of times the more often.
ATTEMPTS: dict[str, tuple[Callable[[Actor], None], ...]] = {
    "ingest": _EVERYBODY,
    "centre-operator": (*_EVERYBODY, *_WITH_A_SCOPE),
    "wms": (*_EVERYBODY, *_WITH_A_SCOPE, *_WITH_PRODUCTS),
    "user": (*_EVERYBODY, *_WITH_A_SCOPE, *_WITH_PRODUCTS),
}


def _possible(actor: Actor) -> list[Callable[[Actor], None]]:
    """Return what the actor can try now."""
    impossible: dict[Callable[[Actor], None], bool] = {
        end_own_rule: not actor.rules,
        put: actor._puts >= PUTS_A_ROUND,
        remove: not actor.removable,
    }
    return [attempt for attempt in ATTEMPTS[actor.role] if not impossible.get(attempt)]


def attempt(actor: Actor) -> tuple[str, str]:
    """Try something; return what, and what came of it: permitted, refused, or the error."""
    chosen = actor.chance.choice(_possible(actor))
    try:
        chosen(actor)
    except (AccessDenied, ForbiddenError) as error:
        print(f"{chosen.__name__}: {error}", file=sys.stderr, flush=True)
        return chosen.__name__, "refused"
    except (DataIdentifierNotFound, ValueError, IndexError):  # the last two: nothing to choose from
        return chosen.__name__, "too early"
    except (RucioException, BdmsError, OSError) as error:
        print(f"{chosen.__name__}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return chosen.__name__, type(error).__name__
    return chosen.__name__, "permitted"


def _line() -> str:
    """Read a line from standard input without taking more than it from the pipe."""
    line = bytearray()
    while piece := os.read(sys.stdin.fileno(), 1):
        if piece == b"\n":
            return line.decode()
        line += piece
    return ""


def main() -> None:
    """Act in rounds."""
    actor = Actor(**json.loads(sys.argv[1]))
    while order := _line():
        actor.begin(json.loads(order))
        done: Counter[tuple[str, str]] = Counter()
        while not select.select([sys.stdin], [], [], actor.chance.uniform(*_PAUSE_S))[0]:
            if done.total() < CALLS_A_ROUND:
                done[attempt(actor)] += 1
        if not _line():
            return
        said = actor.finish()
        calls = [[*key, number] for key, number in sorted(done.items())]
        print(json.dumps({"calls": calls, "products": actor.products, "said": said}), flush=True)


if __name__ == "__main__":
    main()
