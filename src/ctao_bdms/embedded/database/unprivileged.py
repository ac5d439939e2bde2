"""Programs that refuse to be root, run by somebody else where we are root."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ctao_bdms.errors import EmbeddedError

if TYPE_CHECKING:
    import signal
    from pathlib import Path

__all__ = ["NOBODY", "check_unprivileged", "give", "unprivileged"]

#: The user and the group without rights.
NOBODY = 65534


def _as_root() -> bool:
    return os.geteuid() == 0


def check_unprivileged(name: str) -> None:
    """Check that the program called `name`, which refuses to be root, can be run.

    Raises
    ------
    EmbeddedError
        If we are root and cannot be anybody else.
    """
    if _as_root() and shutil.which("setpriv") is None:
        msg = f"{name} refuses to be root, and the program setpriv (util-linux) is missing; be an ordinary user"
        raise EmbeddedError(msg)


def unprivileged(command: list[str], stop_signal: signal.Signals) -> list[str]:
    """Return `command` such that somebody who is not root runs it.

    It keeps the right to pass through folders that are closed to others, so that the home may lie below one, and gets
    `stop_signal` when its parent dies.
    """
    if not _as_root():
        return command
    return [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        f"--pdeathsig={stop_signal.name.removeprefix('SIG')}",
        *command,
    ]


def give(folder: Path) -> None:
    """Make `folder`, which others cannot enter, and give it to whom `unprivileged` programs run as."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if _as_root():
        os.chown(folder, NOBODY, NOBODY)
