"""Ingest, replication and access on a real Rucio."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ctao_bdms import connect
from ctao_bdms.access import Fetching
from ctao_bdms.embedded import ROOT
from ctao_bdms.errors import (
    AuthenticationError,
    BlockClosedError,
    ForbiddenError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from ctao_bdms.ingest import Batches, BlockLimits, Status
from ctao_bdms.ingest.batches import Refused
from ctao_bdms.model import DefectKind, FirstRule, Lfn, ReplicaState, RuleState, Site
from ctao_bdms.naming import blocks_pattern, directories_of
from ctao_bdms.testing.contract import NIGHT, block_of, registration
from ctao_bdms.testing.damage import Damage, damage
from ctao_bdms.testing.dl0 import WrittenFile, night_specs, write_night
from tests.embedded.accounts import acting_as

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from ctao_bdms.archive import Bdms
    from ctao_bdms.model import Did
    from ctao_bdms.replication import BlockStates
    from ctao_bdms.testing.plugin import RucioNamespace

ONSITE = "CTAO-NORTH-ONSITE"


def _night(space: RucioNamespace, files: int, megabytes: float = 0.1, seed: int = 0) -> list[WrittenFile]:
    return write_night(space.root, night_specs(files, megabytes=megabytes, seed=seed, scope=space.scope))


def _folder(space: RucioNamespace) -> Path:
    return space.root / "ctao" / space.scope


def _complete(bdms: Bdms, scope: str, timeout_s: float = 90) -> BlockStates:
    """Reconcile until every copy is there."""
    until = time.monotonic() + timeout_s
    while not (states := bdms.rules.reconcile(scope)).is_complete or not states:
        assert time.monotonic() < until, states
        time.sleep(0.3)
    return states


def _locked(space: RucioNamespace, block: Did, files: int) -> None:
    """Wait until Rucio's judge has given files the locks of the first rule of their block."""
    deadline_s = time.monotonic() + 90
    while (rule := space.catalogue.rules(space.scope, [block.name])[block.name][0]).locks["ok"] < files:
        assert time.monotonic() < deadline_s, rule
        time.sleep(0.2)


def test_rules_of_others_with_an_end_stop_no_registration(embedded_rucio: RucioNamespace) -> None:
    """An administrator lends a centre what is there of tonight: the rest of the night still enters."""
    catalogue, scope, block = embedded_rucio.catalogue, embedded_rucio.scope, block_of(embedded_rucio.scope)
    files = [registration(scope, number) for number in range(3)]
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block, FirstRule(rse_expression=ONSITE))
    catalogue.register(block, ONSITE, files[:1])
    _locked(embedded_rucio, block, 1)
    above = {"scope": scope, "name": f"/ctao/{scope}/lent/{secrets.token_hex(6)}"}
    directory = directories_of(files[1].lfn)[-1].did
    with acting_as(embedded_rucio.instance.client_config(ROOT)) as root:
        root("add_did", *above.values(), "CONTAINER")
        root("attach_dids", *above.values(), [{"scope": scope, "name": block.name}])
        lent = {"lifetime": 2 * 86400}
        rules = [
            *root("add_replication_rule", [above], 1, "PIC-DISK", **lent),
            *root("add_replication_rule", [{"scope": directory.scope, "name": directory.name}], 1, "PIC-DISK", **lent),
        ]
        catalogue.register(block, ONSITE, files[1:])
        _locked(embedded_rucio, block, 3)
        for rule in rules:  # these files have no bytes: nothing shall try for ever to copy them
            root("delete_replication_rule", rule)


def test_a_night_goes_all_the_way(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    written = _night(embedded_rucio, 12)
    damage(written[0].path, Damage.BIT_FLIP)
    bdms = embedded_rucio.bdms
    report = bdms.ingest(_folder(embedded_rucio))
    assert sorted(outcome.status.value for outcome in report) == ["quarantined", *["registered"] * 11]
    states = _complete(bdms, embedded_rucio.scope)
    good = {w.lfn: w for w in written[1:]}

    first, second = states[0].centres
    for file in bdms.catalogue.files(good).values():
        assert {r.rse: r.state for r in file.replicas} == dict.fromkeys(
            [ONSITE, "PIC-DISK", "CSCS-DISK"], ReplicaState.AVAILABLE
        )
    evidence = bdms.verify(good)
    assert len(evidence) == 33
    assert all(not each.problem and each.sha256 == good[each.lfn].sha256 for each in evidence)
    sources = [(rule.rse_expression, rule.source) for rule in states[0].rules]
    assert sources == [(ONSITE, ""), (f"centre={first}", ONSITE), (f"centre={second}", f"centre={first}")]

    telescope = bdms.query(telescope="LSTN-01", night="2026-11-21", scope=embedded_rucio.scope)
    assert {p.lfn for p in telescope} == {w.lfn for w in written if w.spec.ae_id == 1 and "LSTN-01" in str(w.lfn)} - {
        written[0].lfn
    }
    fetched = bdms.retrieve([product.lfn for product in bdms.query(scope=embedded_rucio.scope)], tmp_path)
    assert {each.status for each in fetched} == {Fetching.FETCHED}
    for each in fetched:
        assert each.path.read_bytes() == good[each.lfn].path.read_bytes()


def test_a_batch_costs_a_handful_of_requests_whatever_its_size(embedded_rucio: RucioNamespace) -> None:
    bdms = embedded_rucio.bdms
    files = _night(embedded_rucio, 330)
    bdms.ingest([written.path for written in files[:30]])  # makes the directories, which are remembered
    answers: list[requests.Response] = []
    embedded_rucio.catalogue.count_requests(answers.append)
    report = bdms.ingest([written.path for written in files[30:]])
    assert len(report.archived) == 300
    assert len(answers) <= 8, [f"{a.request.method} {a.request.path_url[:60]}" for a in answers]


def test_a_plan_tells_the_requests_and_makes_none_that_changes_anything(embedded_rucio: RucioNamespace) -> None:
    files = _night(embedded_rucio, 12)
    damage(files[0].path, Damage.BIT_FLIP)
    config, limits = embedded_rucio.instance.client_config(), BlockLimits(files=5)
    for paths in ([w.path for w in files[:6]], [w.path for w in files]):  # with directories to be made, and without
        fresh = connect(config)
        asked: list[requests.Response] = []
        fresh.catalogue.count_requests(asked.append)  # type: ignore[attr-defined]
        dry = fresh.plan(paths, limits=limits)
        looking = len(asked)
        # The lists of replicas and of metadata are asked for with POST: their questions are long.
        assert {a.request.path_url.split("?")[0] for a in asked if a.request.method != "GET"} <= {
            "/replicas/list",
            "/dids/bulkmeta",
        }
        assert dry.n_requests > 0
        again = connect(config)
        made: list[requests.Response] = []
        again.catalogue.count_requests(made.append)  # type: ignore[attr-defined]
        report = again.ingest(paths, limits=limits)
        assert [row.status for row in dry] == [outcome.status for outcome in report]
        checks = sum("bulkmeta" in a.request.path_url for a in asked)  # an ingest asks that as it makes directories
        assert len(made) == looking - checks + dry.n_requests, [a.request.path_url for a in made]


def test_a_file_that_the_server_refuses_does_not_stop_the_others(embedded_rucio: RucioNamespace) -> None:
    catalogue, scope = embedded_rucio.catalogue, embedded_rucio.scope
    block, files = block_of(scope), [registration(scope, number) for number in range(20)]
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, [registration(scope, 11, adler32="deadbeef")])
    second = block_of(scope, "00000002")
    catalogue.open_block(second)
    good: list[Lfn] = []
    refused: list[Refused] = []
    for part in Batches(catalogue).register(second, ONSITE, files):
        if isinstance(part, Refused):
            refused.append(part)
        else:
            good += [file.lfn for file in part]
    assert [(each.file.lfn, each.defect.kind) for each in refused] == [(files[11].lfn, DefectKind.CONFLICT)]
    assert refused[0].is_its_own_fault
    assert set(catalogue.files(good)) == {file.lfn for file in files} - {files[11].lfn}
    catalogue.close_block(second)
    with pytest.raises(BlockClosedError):
        list(Batches(catalogue).register(second, ONSITE, [registration(scope, 30)]))


def test_an_ingest_that_is_repeated_changes_nothing(embedded_rucio: RucioNamespace) -> None:
    files = _night(embedded_rucio, 6)
    bdms = embedded_rucio.bdms
    bdms.ingest(_folder(embedded_rucio))
    before = bdms.catalogue.files(w.lfn for w in files)
    again = connect(embedded_rucio.instance.client_config()).ingest([w.path for w in files])
    assert {outcome.status for outcome in again} == {Status.KNOWN}
    assert bdms.catalogue.files(w.lfn for w in files) == before
    assert len(bdms.catalogue.blocks(embedded_rucio.scope, "*/blocks/*")) == 1


def test_a_crash_between_registration_and_rules_is_repaired(embedded_rucio: RucioNamespace) -> None:
    bdms, scope = embedded_rucio.bdms, embedded_rucio.scope
    block, file = block_of(scope), registration(scope)
    bdms.catalogue.ensure_directories([file.lfn])
    bdms.catalogue.open_block(block)
    bdms.catalogue.register(block, ONSITE, [file])
    bdms.catalogue.close_block(block)
    assert not bdms.rules.states(scope)[0].rules
    made: list[str] = []
    bdms.rules.reconcile(scope, on_rule=lambda _, expression: made.append(expression))
    assert made[0] == ONSITE
    assert made[1].startswith("centre=")


def test_every_directory_hangs_on_its_parent_even_after_a_crash(embedded_rucio: RucioNamespace) -> None:
    catalogue, scope = embedded_rucio.catalogue, embedded_rucio.scope
    lfn = Lfn(f"/ctao/{scope}/DL0/LSTN-01/events/2026/11/21/x")
    tree = directories_of(lfn)
    client = catalogue.client
    client.add_dids([{"scope": scope, "name": tree[2].did.name, "type": "CONTAINER"}])
    catalogue.ensure_directories([lfn])
    for parent, directory in itertools.pairwise(tree):
        assert directory.did.name in {row["name"] for row in client.list_content(parent.did.scope, parent.did.name)}


@pytest.mark.parametrize(
    ("kind", "defect"),
    [
        (Damage.BIT_FLIP, DefectKind.CORRUPT),
        (Damage.TRUNCATED, DefectKind.TRUNCATED),
        (Damage.CUT_AT_BORDER, DefectKind.STRUCTURE),
        (Damage.WRONG_NAME, DefectKind.NAME_MISMATCH),
        (Damage.MISSING_HEADERS, DefectKind.MISSING_METADATA),
        (Damage.EMPTY, DefectKind.EMPTY),
        (Damage.GARBAGE, DefectKind.NOT_A_PRODUCT),
        (Damage.TRAILING_BYTES, DefectKind.TRAILING_BYTES),
    ],
)
def test_a_bad_file_never_enters_and_never_stops_the_others(
    embedded_rucio: RucioNamespace, kind: Damage, defect: DefectKind
) -> None:
    bad, good = _night(embedded_rucio, 2)
    damage(bad.path, kind)
    report = embedded_rucio.bdms.ingest(_folder(embedded_rucio))
    statuses = {outcome.lfn: outcome for outcome in report}
    assert statuses[good.lfn].status is Status.REGISTERED
    assert statuses[bad.lfn].status is Status.QUARANTINED
    assert statuses[bad.lfn].defects[0].kind is defect
    assert list(embedded_rucio.catalogue.files([bad.lfn, good.lfn])) == [good.lfn]


def test_other_content_under_a_known_name_is_a_conflict(embedded_rucio: RucioNamespace) -> None:
    (first,) = _night(embedded_rucio, 1, seed=1)
    bdms = embedded_rucio.bdms
    bdms.ingest(_folder(embedded_rucio))
    (second,) = _night(embedded_rucio, 1, seed=2)
    assert (first.lfn, first.adler32 == second.adler32) == (second.lfn, False)
    (outcome,) = bdms.ingest(_folder(embedded_rucio))
    assert (outcome.status, [d.kind for d in outcome.defects]) == (Status.QUARANTINED, [DefectKind.CONFLICT])
    assert outcome.case is not None
    assert (outcome.case / second.path.name).stat().st_size == second.size_bytes
    known = bdms.catalogue.files([first.lfn])[first.lfn]
    assert (known.size_bytes, known.adler32) == (first.size_bytes, first.adler32)


def test_a_file_that_grows_is_left_for_later(embedded_rucio: RucioNamespace) -> None:
    growing, good = _night(embedded_rucio, 2, megabytes=20)
    stop = threading.Event()

    def grow() -> None:
        with growing.path.open("ab", buffering=0) as stream:
            while not stop.is_set():
                stream.write(b"\0")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        report = embedded_rucio.bdms.ingest(_folder(embedded_rucio))
    finally:
        stop.set()
        writer.join()
    outcomes = {outcome.lfn: outcome for outcome in report}
    assert outcomes[good.lfn].status is Status.REGISTERED
    assert outcomes[growing.lfn].status is Status.REFUSED
    assert [defect.kind for defect in outcomes[growing.lfn].defects] == [DefectKind.CHANGING]
    assert growing.path.exists()
    assert os.path.lexists(growing.trigger)


@pytest.mark.parametrize(
    ("name", "defect", "status"),
    [
        ("notes.txt", DefectKind.INVALID_NAME, Status.QUARANTINED),
        ("TEL001_SDH0001_20261121T2115.fits.fz", DefectKind.INVALID_NAME, Status.QUARANTINED),
        ("TEL001_ñandú.fits.fz", DefectKind.INVALID_NAME, Status.QUARANTINED),
        ("../../outside.fits.fz", DefectKind.INVALID_NAME, Status.QUARANTINED),
    ],
)
def test_a_name_outside_the_grammar(
    embedded_rucio: RucioNamespace, name: str, defect: DefectKind, status: Status
) -> None:
    (good,) = _night(embedded_rucio, 1)
    place = good.path.with_name(secrets.token_hex(4)).parent / name
    shutil.copy(good.path, place)
    report = embedded_rucio.bdms.ingest([place, good.path])
    assert [(o.status, o.defects[0].kind) for o in report if o.defects] == [(status, defect)]
    assert len(report.archived) == 1


def test_a_path_or_link_out_of_the_root_is_refused_and_left_alone(
    embedded_rucio: RucioNamespace, tmp_path: Path
) -> None:
    good, linked = _night(embedded_rucio, 2)
    outside = tmp_path / linked.path.name
    shutil.move(linked.path, outside)
    linked.path.symlink_to(outside)
    report = embedded_rucio.bdms.ingest([outside, linked.path, good.path], rse=ONSITE)
    assert [o.status for o in report] == [Status.REFUSED, Status.REFUSED, Status.REGISTERED]
    assert {o.defects[0].kind for o in report.rejected} == {DefectKind.OUTSIDE_ROOT}
    assert outside.stat().st_size == linked.size_bytes
    assert linked.path.is_symlink()


def test_an_rse_a_scope_and_a_server_that_are_not_there(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    (good,) = _night(embedded_rucio, 1)
    bdms = embedded_rucio.bdms
    with pytest.raises(UsageError, match=f"'MOON' is no storage element on site; there are {ONSITE}"):
        bdms.ingest(good.path, rse="MOON")
    (stranger,) = write_night(embedded_rucio.root, night_specs(1, megabytes=0.1, scope="nobodys"))
    (outcome,) = bdms.ingest(stranger.path)
    assert (outcome.status, outcome.defects[0].kind) == (Status.REFUSED, DefectKind.CATALOGUE)
    assert "nobodys" in outcome.defects[0].message
    shutil.rmtree(embedded_rucio.root / "ctao" / "nobodys")
    config = tmp_path / "rucio.cfg"
    mine = embedded_rucio.instance.client_config().read_text()
    config.write_text(mine.replace(embedded_rucio.instance.server_url, "http://127.0.0.1:9"))
    with pytest.raises(UnreachableError) as caught:
        connect(config)
    assert caught.value.transient
    with pytest.raises(NotFoundError, match=r"none\.cfg"):
        connect(tmp_path / "none.cfg")
    assert good.path.exists()


def test_wrong_credentials_are_told(embedded_rucio: RucioNamespace, tmp_path: Path) -> None:
    mine = embedded_rucio.instance.client_config().read_text()
    wrong = re.sub(r"(?m)^password = .*$", "password = wrong", mine)
    config = tmp_path / "rucio.cfg"
    config.write_text(re.sub(r"(?m)^auth_token_file_path = .*$", f"auth_token_file_path = {tmp_path}/token", wrong))
    assert "password = wrong" in config.read_text()
    with pytest.raises(AuthenticationError):
        connect(config)


def test_a_reader_may_not_register(embedded_rucio: RucioNamespace) -> None:
    (good,) = _night(embedded_rucio, 1)
    embedded_rucio.catalogue.ensure_directories([good.lfn])
    reader = connect(embedded_rucio.instance.client_config("reader"))
    with pytest.raises(ForbiddenError):
        reader.ingest(good.path)
    assert good.path.exists()
    assert os.path.lexists(good.trigger)
    assert not embedded_rucio.catalogue.files([good.lfn])


def test_a_stuck_rule_is_told_with_its_cause(embedded_rucio: RucioNamespace) -> None:
    """The bytes on site are not those that were registered: no wrong copy is made, and the rule says so."""
    (written,) = _night(embedded_rucio, 1)
    bdms = embedded_rucio.bdms
    bdms.ingest(_folder(embedded_rucio))
    content = bytearray(written.path.read_bytes())
    content[len(content) // 2] ^= 1
    written.path.write_bytes(content)
    centre = bdms.rules.states(embedded_rucio.scope)[0].centres[0]
    target = embedded_rucio.instance.storage(f"{centre}-DISK") / str(written.lfn)[1:]
    until = time.monotonic() + 200
    for _ in itertools.count():
        (state,) = bdms.rules.reconcile(embedded_rucio.scope)
        rule = next(rule for rule in state.rules if rule.rse_expression == f"centre={centre}")
        if target.exists() or rule.state is RuleState.STUCK or time.monotonic() > until:
            break
        time.sleep(0.5)
    if target.exists():  # the copy was made before the damage: then it is the sound one
        assert target.read_bytes() != content
    else:
        assert rule.state is RuleState.STUCK
        assert "MISMATCH" in state.progress.upper()


def test_blocks_of_another_night_are_not_touched(embedded_rucio: RucioNamespace) -> None:
    _night(embedded_rucio, 3)
    embedded_rucio.bdms.ingest(_folder(embedded_rucio))
    assert len(embedded_rucio.bdms.rules.reconcile(embedded_rucio.scope, site=Site.NORTH, night=NIGHT)) == 1
    assert not embedded_rucio.bdms.rules.reconcile(embedded_rucio.scope, site=Site.SOUTH)
    pattern = blocks_pattern("ctao", embedded_rucio.scope, Site.NORTH)
    assert embedded_rucio.catalogue.blocks(embedded_rucio.scope, pattern)
