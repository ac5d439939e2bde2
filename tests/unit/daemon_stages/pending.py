"""A daemon whose archive has registered files and does not answer yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.house import House


def register_without_answer(house: House) -> None:
    """Turn until the archive has registered the files, and does not answer."""
    house.archive.may_answer.clear()
    files = house.write()
    for _ in range(50):
        house.turn()
        if house.register.busy and len(house.archive.files([file.lfn for file in files])) == 4:
            return
    raise AssertionError(house.states())


def let_archive_answer(house: House) -> None:
    """Let the archive answer."""
    house.archive.may_answer.set()
    while house.register.due_in_s() > 0:
        assert house.context.wake.wait(30)
        house.context.wake.clear()
