"""Files pass through all stages, from the trigger to their replication."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.daemon.config.settings import Checks
from ctao_bdms.model import Rse
from ctao_bdms.testing.contract import NIGHT, ONSITE
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from tests.house import House

    from ctao_bdms.model import Rule


def test_triggered_files_are_replicated_to_two_centres(house: House) -> None:
    files = house.write()
    house.turn(6)
    assert house.states() == {"registered": 4}
    assert len(house.archive.files([file.lfn for file in files])) == 4
    assert not any(os.path.lexists(file.trigger) for file in files)
    house.turn(seconds=61)
    for _ in range(2):
        house.turn(2)
        house.archive.transfer()
    house.turn(3)
    assert house.states() == {"replicated": 4}
    house.turn(2)
    totals = house.report.snapshot["files"]
    assert totals["replicated"]["files"] == 4
    assert house.report.snapshot["outages"] == {}


def test_complete_night_is_reviewed_again(house: House) -> None:
    """A lost centre or an ended rule is found though nothing is being replicated."""
    house.archive.set_rse(Rse(name="DESY-DISK", prefix="/DESY", centre="DESY"))
    house.write()
    house.turn(6)
    house.turn(seconds=61)
    for _ in range(4):
        house.turn(2, seconds=31)
        house.archive.transfer()
    house.turn(3, seconds=31)
    assert house.states() == {"replicated": 4}

    def where() -> dict[str, Rule]:
        (block,) = house.archive.blocks("acada", "*/blocks/*")
        return {rule.rse_expression: rule for rule in house.archive.rules("acada", [block.did.name])[block.did.name]}

    (kept, spare) = (name for name in ("PIC", "CSCS", "DESY") if f"centre={name}" in where())
    (third,) = {"PIC", "CSCS", "DESY"} - {kept, spare}
    lost = house.archive.rses()[f"{spare}-DISK"]
    house.archive.set_rse(attrs.evolve(lost, lost="a fire", is_readable=False, is_writable=False))
    house.turn(12, seconds=31)
    assert where()[f"centre={third}"].source == f"centre={kept}"
    house.archive.transfer()
    house.archive.end_rule(where()[f"centre={third}"].id)
    house.archive.reap()
    assert f"centre={third}" not in where()
    house.turn(12, seconds=31)
    assert f"centre={third}" in where()
    assert house.states() == {"replicated": 4}


def test_files_are_registered_though_all_centres_are_full(house: House) -> None:
    for name in ("PIC-DISK", "CSCS-DISK"):
        house.archive.set_rse(attrs.evolve(house.archive.rses()[name], is_full=True))
    house.write(4)
    house.turn(6)
    house.turn(3, seconds=61)
    assert not house.circuits.open
    (block,) = house.archive.blocks("acada", "*/blocks/*")
    rules = house.archive.rules("acada", [block.did.name])[block.did.name]
    assert [rule.rse_expression for rule in rules] == [ONSITE]
    late = write_dl0(night_specs(5, megabytes=0.02, night=NIGHT)[4], house.root)
    house.turn(6)
    assert house.states() == {"registered": 5}
    assert not os.path.lexists(late.trigger)


def test_settings_of_cross_checks_apply(house: House) -> None:
    (file,) = house.write(1)
    wrong = file.path.with_name(file.path.name.replace("CHUNK000", "CHUNK007"))
    assert wrong != file.path
    file.path.rename(wrong)
    file.trigger.unlink()
    wrong.with_name(wrong.name + ".trigger").touch()
    house.settings = attrs.evolve(house.settings, checks=Checks(warn=("chunk",)))
    house.turn(6)
    assert house.states() == {"registered": 1}
