"""A file whose bytes changed on site, on a real Rucio: the others of its block get both copies, and it has a story."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue.rucio import RucioCatalogue
from ctao_bdms.nights.track import track_file
from ctao_bdms.replication import BlockStates, CopyCause, Policy, centre_of
from ctao_bdms.replication.difference import Kind
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctao_bdms.model import Lfn
    from ctao_bdms.testing.plugin import RucioNamespace

_FILES = 6


def test_sound_files_get_both_copies_beside_one_that_changed_on_site(embedded_rucio: RucioNamespace) -> None:
    instance, scope = embedded_rucio.instance, embedded_rucio.scope
    bdms = Bdms(RucioCatalogue.connect(instance.client_config(), remember_s=0.0), policy=Policy.load())
    catalogue, block = bdms.catalogue, block_of(scope)
    contents = [f"file {number} of a night".encode() * 1000 for number in range(_FILES)]
    files = [
        registration(scope, number, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
        for number, content in enumerate(contents)
    ]

    def path(rse: str, lfn: Lfn) -> Path:
        return instance.storage(rse).joinpath(*lfn.parts)

    def until(condition: Callable[[BlockStates], bool], seconds: float = 240.0) -> None:
        """Reconcile again and again, as the daemon does."""
        end = time.monotonic() + seconds
        while not condition(states := bdms.rules.reconcile(scope)):
            assert time.monotonic() < end, (states, bdms.rules.explain(scope=scope))
            time.sleep(0.5)

    for file, content in zip(files, contents, strict=True):
        path(ONSITE, file.lfn).parent.mkdir(parents=True, exist_ok=True)
        path(ONSITE, file.lfn).write_bytes(content)
    lfns = [file.lfn for file in files]
    catalogue.ensure_directories(lfns)
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    catalogue.close_block(block)
    bad, *sound = lfns
    path(ONSITE, bad).write_bytes(contents[0][:-1] + b"?")
    first = next(
        centre_of(a.rse_expression) for a in bdms.rules.compare(scope).of(Kind.MAKE) if centre_of(a.rse_expression)
    )

    until(lambda states: bdms.replication.copied(block, lfns) == set(sound))
    for rse in ("PIC-DISK", "CSCS-DISK"):
        assert not path(rse, bad).exists()
        for lfn, content in list(zip(lfns, contents, strict=True))[1:]:
            assert path(rse, lfn).read_bytes() == content
    until(lambda states: all(state.has_stalled for state in states))
    told = {each.rse_expression: each for each in bdms.rules.explain(scope=scope)}
    assert told.keys() == {"centre=PIC", "centre=CSCS"}
    story = told[f"centre={first}"]
    assert story.cause is CopyCause.SOURCE_CHANGED
    assert str(bad) in story.sentence
    assert [attempt.lfn for attempt in story.attempts] == [bad]
    stuck = [row.state for row in track_file(catalogue, bad) if row.where == first]
    assert all("what helps: bdms rules explain" in state for state in stuck), stuck

    path(ONSITE, bad).write_bytes(contents[0])
    for each in told.values():
        bdms.rules.retry(each.rule_id)
    until(lambda states: states.is_complete)
    assert bdms.replication.copied(block, lfns) == set(lfns)
