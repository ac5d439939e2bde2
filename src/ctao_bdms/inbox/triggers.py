"""What a trigger is: the one place that knows its name and what it may point to.

A trigger is a file or a symbolic link beside a data file, called as the data file with ``.trigger`` behind. It is the
producer's word that the data file is complete. Which file is meant follows from the name alone; a link that points to
another file contradicts its own name, and is no word at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TRIGGER_SUFFIX", "contradiction", "data_of", "is_trigger_name"]

#: What the name of a trigger adds to that of its data file.
TRIGGER_SUFFIX = ".trigger"


def is_trigger_name(name: str) -> bool:
    """Say whether a file of that name is a trigger: ``.trigger`` alone names no data file.

    Parameters
    ----------
    name
        The last part of a path.
    """
    return name.endswith(TRIGGER_SUFFIX) and name != TRIGGER_SUFFIX


def data_of(trigger: Path) -> Path:
    """Return the data file of a trigger, which lies beside it.

    Parameters
    ----------
    trigger
        The trigger.
    """
    return trigger.with_name(trigger.name.removesuffix(TRIGGER_SUFFIX))


def contradiction(trigger: str) -> str | None:
    """Say how a link contradicts its own name; None if it agrees, or is no link.

    A link agrees if it leads to the data file beside it, in however many steps. One that leads nowhere agrees if the
    name at its end is the data file's: it was made where the storage has another mount point.

    Parameters
    ----------
    trigger
        The path of the trigger.
    """
    try:
        target = os.readlink(trigger)  # noqa: PTH115 - one for each trigger: pathlib is slower
    except OSError:
        return None
    data = trigger.removesuffix(TRIGGER_SUFFIX)
    name = os.path.basename(data)  # noqa: PTH119
    if target in (name, data):
        return None
    try:
        leads_to_it = os.path.samefile(trigger, data)  # noqa: PTH121
    except OSError:
        # The link or the data file leads nowhere; which of them, the caller will see.
        leads_to_it = os.path.basename(target) == name  # noqa: PTH119
    return None if leads_to_it else f"the trigger is called after {name!a}, but is a link to {target!a}"
