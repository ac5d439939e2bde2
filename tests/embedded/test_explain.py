"""Copies that do not come on a real Rucio, why, and what helps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.embedded import INGEST, ROOT
from ctao_bdms.errors import ForbiddenError, NoRoomError, NotFoundError
from ctao_bdms.replication import CopyCause, Explanation, Policy, centre_of
from ctao_bdms.replication.difference import Kind
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctao_bdms.embedded import Instance
    from ctao_bdms.model import Did, Lfn
    from ctao_bdms.testing.plugin import RucioNamespace

    Ask = Callable[..., Any]

CONTENT = b"a night at the observatory" * 100


class Setting:
    """A block of one file, and what lies where."""

    def __init__(self, namespace: RucioNamespace) -> None:
        self.instance, self.scope = namespace.instance, namespace.scope
        self.bdms = Bdms(
            RucioCatalogue.connect(namespace.instance.client_config(), remember_s=0.0), policy=Policy.load()
        )
        self.root = namespace.root
        file = registration(self.scope, size_bytes=len(CONTENT), adler32=f"{zlib.adler32(CONTENT):08x}")
        self.lfn: Lfn = file.lfn
        self.block: Did = block_of(self.scope)
        self.write(ONSITE, CONTENT)
        self.bdms.catalogue.ensure_directories([file.lfn])
        self.bdms.catalogue.open_block(self.block)
        self.bdms.catalogue.register(self.block, ONSITE, [file])
        self.bdms.catalogue.close_block(self.block)
        later = next(a for a in self.bdms.rules.compare(self.scope) if a.kind is Kind.LATER)
        self.second = f"{centre_of(later.rse_expression)}-DISK"
        self.first = f"{centre_of(later.source)}-DISK"

    def path(self, rse: str) -> Path:
        return self.instance.storage(rse).joinpath(*self.lfn.parts)

    def write(self, rse: str, content: bytes) -> None:
        self.path(rse).parent.mkdir(parents=True, exist_ok=True)
        self.path(rse).write_bytes(content)

    def explain(self) -> list[Explanation]:
        return list(self.bdms.rules.explain(scope=self.scope))

    def wait_for(self, cause: CopyCause, seconds: float = 90.0) -> Explanation:
        """Return the explanation with this cause, once there is one."""
        until = time.monotonic() + seconds
        while True:
            found = self.explain()
            for each in found:
                if each.cause is cause:
                    return each
            assert time.monotonic() < until, found
            time.sleep(0.3)

    def wait_until_complete(self, seconds: float = 120.0) -> None:
        until = time.monotonic() + seconds
        while not self.bdms.rules.reconcile(self.scope).is_complete:
            assert time.monotonic() < until, self.explain()
            time.sleep(0.3)
        assert self.explain() == []
        for rse in (self.first, self.second):
            assert self.path(rse).read_bytes() == CONTENT


@pytest.fixture
def setting(embedded_rucio: RucioNamespace) -> Setting:
    return Setting(embedded_rucio)


def _command(instance: Instance, *arguments: str, account: str = INGEST) -> subprocess.CompletedProcess[str]:
    """Run bdms as an account."""
    program = [sys.executable, "-c", "from ctao_bdms.cli import main; main()", *arguments]
    environment = os.environ | {"RUCIO_CONFIG": str(instance.client_config(account))}
    environment.pop("BDMS_HOME", None)
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)


def test_a_source_that_has_gone(setting: Setting) -> None:
    setting.path(ONSITE).unlink()
    setting.bdms.rules.reconcile(setting.scope)
    found = setting.wait_for(CopyCause.SOURCE_MISSING)
    assert found.sentence == f"{ONSITE} should hold {setting.lfn}, and it cannot be read there."
    assert "SOURCE [2] No such file or directory" in found.said
    assert [(attempt.lfn, attempt.rse) for attempt in found.attempts] == [(setting.lfn, setting.first)]
    (same,) = setting.bdms.rules.explain(found.rule_id)
    assert same.cause is CopyCause.SOURCE_MISSING
    printed = _command(setting.instance, "rules", "explain", "--scope", setting.scope)
    assert printed.returncode == 1, printed.stderr
    assert f"helps:  {found.help}" in printed.stdout
    setting.write(ONSITE, CONTENT)
    setting.bdms.rules.retry(found.rule_id)
    setting.wait_until_complete()


def test_a_source_with_other_bytes(setting: Setting) -> None:
    setting.write(ONSITE, CONTENT[:-1] + b"?")
    setting.bdms.rules.reconcile(setting.scope)
    found = setting.wait_for(CopyCause.SOURCE_CHANGED)
    assert found.sentence.startswith(f"The copy of {setting.lfn} at {ONSITE} has other bytes")
    assert not setting.path(setting.first).exists()
    setting.write(ONSITE, CONTENT)
    setting.wait_until_complete()


def test_what_lies_at_a_destination_and_belongs_to_no_rule_is_replaced(setting: Setting) -> None:
    setting.write(setting.first, b"who has put this here?")
    setting.wait_until_complete()


def test_a_destination_that_cannot_make_folders(setting: Setting) -> None:
    setting.instance.storage(setting.first).joinpath("ctao").mkdir(exist_ok=True)
    obstacle = setting.instance.storage(setting.first).joinpath("ctao", setting.scope)
    obstacle.write_text("a file in the place of a folder")
    setting.bdms.rules.reconcile(setting.scope)
    assert setting.wait_for(CopyCause.EXISTS).said.endswith("Not a directory")
    obstacle.unlink()
    setting.wait_until_complete()


@pytest.fixture
def limited(setting: Setting, ask: Ask) -> Iterator[Setting]:
    program = "answer = client.set_local_account_limit('bdms-ingest', arguments[0], arguments[1])"
    ask(setting.instance, program, setting.first, 1, account=ROOT)
    yield setting
    ask(setting.instance, program, setting.first, -1, account=ROOT)


def test_an_account_without_room(limited: Setting, ask: Ask) -> None:
    with pytest.raises(NoRoomError, match="not enough quota"):
        limited.bdms.rules.reconcile(limited.scope)
    found = limited.wait_for(CopyCause.QUOTA)
    assert found.sentence == f"The account {INGEST} may not keep so much at {limited.first}."
    assert [rule.rse_expression for rule in limited.bdms.rules.states(limited.scope)[0].rules] == [ONSITE]
    program = "answer = client.set_local_account_limit('bdms-ingest', arguments[0], -1)"
    ask(limited.instance, program, limited.first, account=ROOT)
    limited.wait_until_complete()


@pytest.fixture
def cut_off(setting: Setting, ask: Ask) -> Iterator[Setting]:
    change = "client.add_rse_attribute(arguments[0], 'fts', arguments[1])"
    read = "answer = client.list_rse_attributes(arguments[0])['fts']"
    right = ask(setting.instance, read, setting.first, account=ROOT)
    ask(setting.instance, f"answer = {change}", setting.first, "http://127.0.0.1:1", account=ROOT)
    yield setting
    ask(setting.instance, f"answer = {change}", setting.first, right, account=ROOT)


def test_a_transfer_service_that_does_not_answer(cut_off: Setting) -> None:
    cut_off.bdms.rules.reconcile(cut_off.scope)
    assert "transfer service" in cut_off.wait_for(CopyCause.TRANSFERS_DOWN).sentence.lower()


def test_a_centre_is_lost_and_regained(setting: Setting) -> None:
    centre = setting.first.removesuffix("-DISK")
    refused = _command(setting.instance, "centres", "lose", centre, "--reason", "a fire")
    assert refused.returncode == 1
    assert "administrators" in refused.stderr
    try:
        done = _command(setting.instance, "centres", "lose", centre, "--reason", "a fire", account=ROOT)
        assert done.returncode == 0, done.stderr
        assert f"{setting.first} is marked as lost, and shut" in done.stdout
        listed = _command(setting.instance, "centres", "list")
        assert listed.returncode == 1
        assert f"{centre} is marked as lost: a fire" in listed.stdout
        dry = _command(setting.instance, "reconcile", "--dry-run", "--scope", setting.scope)
        assert dry.returncode == 0, dry.stderr
        assert f"only 1 of 2 centres can keep it: {centre} is marked as lost: a fire" in dry.stdout
        assert setting.bdms.rules.states(setting.scope)[0].rules == ()
        (state,) = setting.bdms.rules.reconcile(setting.scope)
        assert [rule.rse_expression for rule in state.rules] == [ONSITE, f"centre={setting.second[:-5]}"]
        assert not state.is_complete
    finally:
        back = _command(setting.instance, "centres", "regain", centre, account=ROOT)
    assert back.returncode == 0, back.stderr
    setting.wait_until_complete()


KILLED = """
import os, signal, sys
from ctao_bdms import connect
bdms = connect()
bdms.rules.reconcile(sys.argv[1], on_rule=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_crash_between_two_rules_is_repaired(setting: Setting) -> None:
    environment = os.environ | {"RUCIO_CONFIG": str(setting.instance.client_config())}
    killed = subprocess.run([sys.executable, "-c", KILLED, setting.scope], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert ONSITE in {rule.rse_expression for rule in setting.bdms.rules.states(setting.scope)[0].rules}
    setting.wait_until_complete()


def test_what_ends_is_prolonged_and_rules_of_others_are_left_alone(setting: Setting, ask: Ask) -> None:
    catalogue = setting.bdms.catalogue
    catalogue.add_rule(setting.block, rse_expression=ONSITE)
    expression = f"centre={setting.first.removesuffix('-DISK')}"
    program = """
from rucio.common.exception import DuplicateRule
did = {'scope': arguments[0], 'name': arguments[1]}
try:
    client.add_replication_rule([did], 1, arguments[2], source_replica_expression=arguments[3], lifetime=172800,
        account=arguments[4], activity="Data Consolidation")
except DuplicateRule:  # the follower of the embedded Rucio came first
    (rule,) = [rule for rule in client.list_did_rules(**did) if rule['rse_expression'] == arguments[2]]
    client.update_replication_rule(rule['id'], {'lifetime': 172800})
answer = client.add_replication_rule([did], 1, 'tier=1', lifetime=172800)
"""
    ask(setting.instance, program, setting.scope, setting.block.name, expression, ONSITE, INGEST, account=ROOT)
    kinds = [
        (action.kind, action.rse_expression, action.account) for action in setting.bdms.rules.compare(setting.scope)
    ]
    assert (Kind.FOREIGN, "tier=1", ROOT) in kinds
    setting.wait_until_complete()
    rules = {
        rule.rse_expression: rule for rule in catalogue.rules(setting.scope, [setting.block.name])[setting.block.name]
    }
    assert rules[expression].expires is None
    assert rules["tier=1"].expires is not None


def test_the_ingest_service_may_change_rules_only_so_that_nothing_is_lost(setting: Setting) -> None:
    catalogue = setting.bdms.catalogue
    setting.bdms.rules.reconcile(setting.scope)
    rules = catalogue.rules(setting.scope, [setting.block.name])[setting.block.name]
    rule = next(rule for rule in rules if rule.rse_expression != ONSITE)
    catalogue.redirect_rule(rule.id, ONSITE)
    catalogue.prolong_rule(rule.id)
    with pytest.raises(ForbiddenError):
        catalogue.end_rule(rule.id)
    with pytest.raises(NotFoundError):
        catalogue.retry_rule("0" * 32)
    with pytest.raises(NotFoundError):
        setting.bdms.rules.explain("0" * 32)
