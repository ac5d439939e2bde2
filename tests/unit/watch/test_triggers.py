"""Triggers that wait, are links, or have odd names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.watch.inbox import NAME, Clock, add, is_silent, paths, settle, trigger_of

from ctao_bdms.inbox.stamps import Stamp
from ctao_bdms.model import DefectKind

if TYPE_CHECKING:
    from pathlib import Path

    from ctao_bdms.inbox import Watch


def test_trigger_waits_for_its_file(watch: Watch, folder: Path, tmp_path: Path, clock: Clock) -> None:
    elsewhere = tmp_path / "onsite" / "elsewhere"
    elsewhere.mkdir()
    data = folder / NAME.format(1)
    data.symlink_to(elsewhere / data.name)
    trigger_of(data).touch()
    poll = watch.poll()
    assert not poll.found
    assert [notice.path for notice in poll.waiting] == [trigger_of(data)]
    assert "No such file" in poll.waiting[0].message
    settle(watch, clock)
    before = folder.stat()
    (elsewhere / data.name).write_bytes(b"late")
    assert folder.stat().st_mtime_ns == before.st_mtime_ns
    poll = watch.poll()
    assert paths(poll) == [elsewhere / data.name]
    stamp = poll.found[0].stamp
    assert stamp is not None
    assert stamp.modified_ns > poll.found[0].trigger_ns, "clocks of producer and storage may differ"
    assert not watch.waiting()


def test_removed_trigger_waits_no_longer(watch: Watch, folder: Path) -> None:
    trigger = folder / (NAME.format(1) + ".trigger")
    trigger.touch()
    assert len(watch.poll().waiting) == 1
    trigger.unlink()
    assert watch.poll().gone == [trigger]
    assert not watch.waiting()


@pytest.mark.parametrize("target", ["{name}", "{folder}/{name}", "../21/{name}", "/other/mount/{name}", "step"])
def test_trigger_linked_to_its_file_is_found(watch: Watch, folder: Path, target: str) -> None:
    data = folder / NAME.format(1)
    data.write_bytes(b"x")
    (folder / "step").symlink_to(data.name)
    trigger_of(data).symlink_to(target.format(name=data.name, folder=folder))
    assert paths(watch.poll()) == [data]


@pytest.mark.parametrize(
    "target", ["{name}.trigger", "{other}", "{other}.trigger", "../21", "/etc/hostname", "nothing", "/no/where"]
)
def test_trigger_linked_to_another_file_waits(watch: Watch, folder: Path, clock: Clock, target: str) -> None:
    data, other = folder / NAME.format(1), add(folder, 2)
    data.write_bytes(b"x")
    trigger_of(data).symlink_to(target.format(name=data.name, other=other.name))
    poll = watch.poll()
    assert paths(poll) == [other]
    assert [notice.path for notice in poll.waiting] == [trigger_of(data)]
    assert "but is a link to" in poll.waiting[0].message
    settle(watch, clock)
    trigger_of(data).unlink()
    trigger_of(data).symlink_to(data)
    assert paths(watch.poll()) == [data]
    assert not watch.waiting()


def test_triggers_linked_to_each_other_wait(watch: Watch, folder: Path) -> None:
    one, two = folder / NAME.format(1), folder / NAME.format(2)
    for data, target in ((one, two), (two, one)):
        data.write_bytes(b"x")
        trigger_of(data).symlink_to(trigger_of(target).name)
    poll = watch.poll()
    assert not poll.found
    assert len(poll.waiting) == 2


def test_file_linked_out_of_the_root_is_found_with_its_defect(watch: Watch, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.fits.fz"
    outside.write_bytes(b"x")
    data = folder / NAME.format(1)
    data.symlink_to(outside)
    trigger_of(data).symlink_to(data.name)
    (sighting,) = watch.poll().found
    assert [defect.kind for defect in sighting.defects] == [DefectKind.OUTSIDE_ROOT]


def test_odd_trigger_names_are_reported_once(watch: Watch, folder: Path, clock: Clock) -> None:
    (folder / ".trigger").touch()
    os.mkfifo(folder / "fifo.trigger")
    (folder / "folder.trigger").mkdir()
    inner = add(folder / "folder.trigger", 1)
    poll = watch.poll()
    assert paths(poll) == [inner]
    assert {notice.path.name for notice in poll.errors} == {".trigger", "fifo.trigger"}
    settle(watch, clock)
    assert set(watch.troubles.first()) == {folder / ".trigger", folder / "fifo.trigger"}
    (folder / ".trigger").unlink()
    (folder / "fifo.trigger").unlink()
    assert is_silent(watch.poll())
    assert not watch.troubles.first()


def test_trigger_of_a_folder_is_found_with_its_defect(watch: Watch, folder: Path) -> None:
    (folder / "a.fits").mkdir()
    (folder / "a.fits.trigger").touch()
    (sighting,) = watch.poll().found
    assert sighting.stamp == Stamp.of(folder / "a.fits"), "the journal must not take it for one that is to come"
    assert [defect.kind for defect in sighting.defects] == [DefectKind.NOT_A_FILE]


def test_name_that_is_not_utf8_is_found_with_its_defect(watch: Watch, folder: Path) -> None:
    name = os.fsencode(folder) + b"/bad\xff.fits.fz"
    for path in (name, name + b".trigger"):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    (sighting,) = watch.poll().found
    assert os.fsencode(sighting.path) == name
    assert [defect.kind for defect in sighting.defects] == [DefectKind.INVALID_NAME]
    assert sighting.defects[0].message.isprintable()
    trigger_of(sighting.path).unlink()
    assert [os.fsencode(path) for path in watch.poll().gone] == [name + b".trigger"]
