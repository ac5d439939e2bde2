"""Triggers: their names and their targets.

A trigger is a file or symbolic link beside a data file, with the name of the data file and ``.trigger``. It is the
producer's statement that the data file is complete. Its name alone determines the data file; a link to another file
contradicts its name and is not valid.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TRIGGER_SUFFIX", "contradiction", "data_of", "is_trigger_name"]

#: The suffix that a trigger adds to the name of its data file.
TRIGGER_SUFFIX = ".trigger"


def is_trigger_name(name: str) -> bool:
    """Return whether a file name is that of a trigger; ``.trigger`` alone is not."""
    return name.endswith(TRIGGER_SUFFIX) and name != TRIGGER_SUFFIX


def data_of(trigger: Path) -> Path:
    """Return the path of the data file beside a trigger."""
    return trigger.with_name(trigger.name.removesuffix(TRIGGER_SUFFIX))


def contradiction(trigger: str) -> str | None:
    """Return an error message if a trigger is a link to another file, else None.

    A valid link leads to the data file beside it, over any number of links. A broken link is valid if the file name of
    its target is that of the data file: it was made where the storage has another mount point.
    """
    try:
        target = os.readlink(trigger)  # noqa: PTH115 - called for each trigger, and pathlib is slower
    except OSError:
        return None
    data = trigger.removesuffix(TRIGGER_SUFFIX)
    name = os.path.basename(data)  # noqa: PTH119
    if target in (name, data):
        return None
    try:
        leads_to_it = os.path.samefile(trigger, data)  # noqa: PTH121
    except OSError:
        # The link is broken or the data file is missing; the caller finds out which.
        leads_to_it = os.path.basename(target) == name  # noqa: PTH119
    return None if leads_to_it else f"the trigger is called after {name!a}, but is a link to {target!a}"
