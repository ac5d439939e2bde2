"""The replicate stage: the loop does not wait while the server creates rules."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.house import context_of

from ctao_bdms import replication
from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.daemon.clocks import Clocks
from ctao_bdms.daemon.config.settings import Replication, Settings, Storage
from ctao_bdms.daemon.stages.replicate import ReplicateStage
from ctao_bdms.errors import UnreachableError
from ctao_bdms.ingest import BlockPolicy, Registrar
from ctao_bdms.journal import Journal
from ctao_bdms.model import Did, FirstRule, Rse, Site
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
SETTINGS = Settings(
    storage=Storage(root=Path("/onsite"), rse=ONSITE, site=Site.NORTH), replication=Replication(review_days=0)
)
BLOCK = block_of("acada", "00000001")


class Archive(InMemoryCatalogue):
    """An archive that answers when it is told to."""

    def __init__(self) -> None:
        rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
        rses += [Rse(name=f"{centre}-DISK", prefix=f"/{centre}", centre=centre) for centre in ("PIC", "CSCS")]
        super().__init__(rses, now=lambda: NOW)
        self.may_answer = threading.Event()
        self.is_down = False

    def add_rule(self, did: Did, **terms: Any) -> None:  # noqa: ANN401 - as of the archive in memory
        if terms["rse_expression"] == ONSITE:  # with the opening of the block
            super().add_rule(did, **terms)
            return
        assert self.may_answer.wait(10)
        if self.is_down:
            raise UnreachableError("the server does not answer")
        super().add_rule(did, **terms)


class Closing(Registrar):
    """A registrar that has closed a block."""

    def close(self, *, everything: bool = False) -> tuple[Did, ...]:
        return (BLOCK,)


@attrs.frozen
class Setting:
    """The stage, and what it works with."""

    archive: Archive
    replicate: ReplicateStage
    woken: threading.Event


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    archive = Archive()
    file = registration("acada", 1)
    archive.ensure_directories([file.lfn])
    archive.open_block(BLOCK, FirstRule(rse_expression=ONSITE))
    archive.register(BLOCK, ONSITE, [file])
    archive.close_block(BLOCK)
    registrar = Closing(archive, archive.rses()[ONSITE], policy=BlockPolicy())
    with (
        Journal(tmp_path / "journal.sqlite", by="test", now=lambda: NOW) as journal,
        ThreadPoolExecutor(max_workers=1) as executor,
    ):
        context = context_of(lambda: SETTINGS, journal, Clocks(now=lambda: NOW, monotonic=lambda: 0.0))
        rules = replication.Replication(archive, Policy.load(), lambda: NOW)
        replicate = ReplicateStage(context, rules, registrar.close, executor=executor)
        yield Setting(archive, replicate, context.wake)
        archive.may_answer.set()


def _rules(archive: Archive) -> int:
    return len(archive.rules(BLOCK.scope, [BLOCK.name])[BLOCK.name])


def test_the_loop_goes_on_while_rules_are_made(setting: Setting) -> None:
    setting.replicate.step(probe=False)
    assert _rules(setting.archive) == 1
    assert setting.replicate.due_in_s() == float("inf")
    setting.archive.may_answer.set()
    assert setting.woken.wait(10)
    assert setting.replicate.due_in_s() <= 0
    assert _rules(setting.archive) == 2
    setting.replicate.step(probe=False)
    assert 0 < setting.replicate.due_in_s() < 10, "an answer is no reason to ask again at once"


def test_server_error_is_raised_by_the_next_step(setting: Setting) -> None:
    setting.archive.is_down = True
    setting.replicate.step(probe=False)
    setting.archive.may_answer.set()
    assert setting.woken.wait(10)
    with pytest.raises(UnreachableError):
        setting.replicate.step(probe=False)


def test_a_probe_waits_for_the_answer(setting: Setting) -> None:
    setting.archive.is_down = True
    setting.archive.may_answer.set()
    with pytest.raises(UnreachableError):
        setting.replicate.step(probe=True)
    setting.archive.is_down = False
    setting.replicate.step(probe=True)
    assert _rules(setting.archive) == 2


def test_at_the_end_it_waits_for_the_answer(setting: Setting) -> None:
    setting.replicate.step(probe=False)
    setting.archive.may_answer.set()
    setting.replicate.close_all()
    assert _rules(setting.archive) == 2
