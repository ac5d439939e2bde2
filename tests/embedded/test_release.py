"""A block on a real Rucio: its manifest goes where it goes, and its copy on site goes when two centres are proven."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms import connect
from ctao_bdms.cli.app import run
from ctao_bdms.embedded import READER, ROOT
from ctao_bdms.errors import ForbiddenError
from ctao_bdms.model import Did, ReplicaState
from ctao_bdms.naming import is_manifest, path_of_lfn
from ctao_bdms.preservation import Decision, SpacePolicy
from ctao_bdms.preservation.proofs import prove
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night
from ctao_bdms.testing.plugin import RucioNamespace
from tests.embedded.accounts import acting_as

if TYPE_CHECKING:
    from collections.abc import Callable


ONSITE, PIC, CSCS = "CTAO-NORTH-ONSITE", "PIC-DISK", "CSCS-DISK"


@attrs.define
class Block:
    """A block that is at the site and at both centres."""

    space: RucioNamespace
    written: list[WrittenFile]
    did: Did

    def path(self, rse: str, number: int = 0) -> Path:
        return Path(path_of_lfn(self.written[number].lfn, self.space.instance.storage(rse)))

    def states(self) -> dict[str, ReplicaState]:
        """Return what Rucio says of the copies of the first file."""
        lfn = self.written[0].lfn
        return {replica.rse: replica.state for replica in self.space.catalogue.files([lfn])[lfn].replicas}

    def command(self, *words: str) -> int:
        return run([*words, "--rucio-config", str(self.space.instance.client_config())])

    def release(self, *words: str) -> int:
        return self.command("release", "--scope", self.space.scope, "--older-than", "0", *words)


@pytest.fixture
def block(embedded_rucio: RucioNamespace) -> Block:
    space = embedded_rucio
    written = write_night(space.root, night_specs(4, megabytes=0.05, scope=space.scope))
    space.bdms.ingest(space.root / "ctao" / space.scope)
    until = time.monotonic() + 200
    while not (states := space.bdms.rules.reconcile(space.scope)).is_complete or not states:
        assert time.monotonic() < until, states
        time.sleep(0.3)
    return Block(space, written, states[0].did)


def _rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_manifest_is_with_the_block_everywhere(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    bdms, catalogue = block.space.bdms, block.space.catalogue
    manifests = [product.lfn for product in catalogue.products_in(block.did) if is_manifest(product.lfn.text)]
    assert len(manifests) == 1
    (file,) = catalogue.files(manifests).values()
    assert {replica.rse for replica in file.replicas} == {ONSITE, PIC, CSCS}
    assert block.command("manifest", "verify", block.did.name, "--deep", "--json") == 0
    assert [(row["rse"], row["n_read"], row["problems"]) for row in _rows(capsys)] == [
        (rse, 4, []) for rse in sorted([ONSITE, PIC, CSCS])
    ]
    assert block.command("manifest", "show", block.did.name, "--at", PIC, "--json") == 0
    assert {row["lfn"] for row in _rows(capsys)} == {str(written.lfn) for written in block.written}
    assert block.command("manifest", "show", block.did.name) == 0
    assert "4 files" in capsys.readouterr().out
    assert {product.lfn for product in bdms.query(scope=block.space.scope)} == {w.lfn for w in block.written}
    assert all(row.lfn not in manifests for row in bdms.nights.report("2026-11-21", scope=block.space.scope).files)
    damage(block.path(PIC), Damage.BIT_FLIP)
    assert block.command("manifest", "verify", block.did.name, "--at", PIC) == 0
    assert block.command("manifest", "verify", block.did.name, "--at", PIC, "--deep") == 1
    assert str(block.written[0].lfn) in capsys.readouterr().out


def test_a_copy_on_site_is_released_and_leaves_the_disk(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    assert block.release() == 0
    assert "verify first" in capsys.readouterr().out
    assert block.release("--apply", "--wait", "--timeout", "90") == 0
    said = capsys.readouterr().out
    assert "released" in said
    assert "1 of 1 blocks released" in said
    assert not any(block.path(ONSITE, number).exists() for number in range(4))
    for file in block.space.catalogue.files(written.lfn for written in block.written).values():
        assert {replica.rse for replica in file.replicas} == {PIC, CSCS}
    assert block.command("evidence", block.did.name, "--json") == 0
    evidence = _rows(capsys)
    assert sorted((str(row["what"]), str(row["rse"])) for row in evidence) == [
        ("released", ONSITE),
        ("releasing", ONSITE),
        ("verified", CSCS),
        ("verified", PIC),
    ]
    assert len({row["digest"] for row in evidence}) == 1
    assert block.release("--json") == 0
    assert _rows(capsys) == []
    states = block.space.bdms.rules.reconcile(block.space.scope)
    assert states.is_complete
    assert ONSITE not in {rule.rse_expression for rule in states[0].rules}, "what was released is not brought back"
    assert block.command("manifest", "verify", block.did.name, "--deep") == 0


def _corrupt(block: Block) -> None:
    damage(block.path(CSCS), Damage.BIT_FLIP)


def _lose(block: Block) -> None:
    block.path(PIC).unlink()


@pytest.mark.parametrize("breaks", [_corrupt, _lose])
def test_a_copy_that_is_not_proven_keeps_the_one_on_site(
    block: Block, breaks: Callable[[Block], None], capsys: pytest.CaptureFixture[str]
) -> None:
    breaks(block)
    assert block.release("--apply") == 1
    said = capsys.readouterr().out
    assert "0 of 1 blocks released" in said
    assert str(block.written[0].lfn) in said
    assert ("rucio replica state update bad" in said) == (breaks is _corrupt), "what is not there is not rotten"
    assert block.states() == dict.fromkeys((ONSITE, PIC, CSCS), ReplicaState.AVAILABLE)
    rules = block.space.catalogue.rules(block.space.scope, [block.did.name])[block.did.name]
    assert all(rule.expires is None for rule in rules)
    assert all(block.path(ONSITE, number).exists() for number in range(4))


def test_rucio_itself_refuses_where_one_centre_is_missing(block: Block) -> None:
    """Whatever a client says: the server counts the centres, and asks who it is."""
    rules = {
        rule.rse_expression: rule
        for rule in block.space.catalogue.rules(block.space.scope, [block.did.name])[block.did.name]
    }
    with pytest.raises(ForbiddenError, match="ask the archive administrator"):
        block.space.catalogue.end_rule(rules["centre=PIC"].id)
    reader = connect(block.space.instance.client_config(READER)).catalogue
    with pytest.raises(ForbiddenError):
        reader.end_rule(rules[ONSITE].id)
    with pytest.raises(ForbiddenError):
        reader.annotate(block.did, {"evidence-x": {"what": "verified"}})
    with acting_as(block.space.instance.client_config(ROOT)) as root:
        root("update_replication_rule", rules["centre=PIC"].id, {"state": "suspended"})
    (row,) = block.space.bdms.nights.release(block.space.scope, policy=None)
    assert row.verdict.value == "keep"
    with pytest.raises(ForbiddenError, match="two centres"):
        block.space.catalogue.end_rule(rules[ONSITE].id)


def test_a_rotten_copy_is_repaired_by_rucio(block: Block) -> None:
    """The archive's administrator may declare it bad, and Rucio makes it anew from a sound one."""
    _corrupt(block)
    administrator = connect(block.space.instance.client_config(ROOT)).catalogue
    proof = prove(administrator, block.did, CSCS, "CSCS", now=lambda: dt.datetime.now(dt.UTC))
    assert "it was declared bad" in proof.result
    until = time.monotonic() + 200
    while block.path(CSCS).read_bytes() != block.path(PIC).read_bytes() or block.states()[CSCS] is ReplicaState.BAD:
        assert time.monotonic() < until, block.states()
        time.sleep(0.5)


def test_a_block_that_somebody_else_wants_on_site_stays(block: Block) -> None:
    with acting_as(block.space.instance.client_config(ROOT)) as root:
        root("add_replication_rule", [{"scope": block.did.scope, "name": block.did.name}], 1, ONSITE)
    (row,) = block.space.bdms.nights.release(
        block.space.scope, policy=SpacePolicy(older_than=dt.timedelta()), apply=True
    )
    assert (row.verdict, row.why) == (Decision.KEEP, "a rule of root holds it on site")
    rules = block.space.catalogue.rules(block.space.scope, [block.did.name])[block.did.name]
    assert [rule.account for rule in rules if rule.rse_expression == ONSITE and rule.expires is None].count("root") == 1
    assert len([rule for rule in rules if rule.expires is None]) == 4
