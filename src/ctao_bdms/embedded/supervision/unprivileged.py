"""Run programs that refuse to run as root as another user if we are root."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ctao_bdms.errors import EmbeddedError

if TYPE_CHECKING:
    import signal
    from pathlib import Path

__all__ = ["NOBODY", "check_unprivileged", "give", "unprivileged"]

#: The user id and group id of "nobody".
NOBODY = 65534


def _as_root() -> bool:
    return os.geteuid() == 0


def check_unprivileged(name: str) -> None:
    """Check that the program `name`, which refuses to run as root, can be run.

    Raises
    ------
    EmbeddedError
        If we are root and cannot change the user.
    """
    if _as_root() and shutil.which("setpriv") is None:
        msg = (
            f"{name} refuses to run as root, and setpriv (util-linux) is not installed; install it or use another user"
        )
        raise EmbeddedError(msg)


def unprivileged(command: list[str], stop_signal: signal.Signals) -> list[str]:
    """Wrap `command` so that it does not run as root.

    The program may traverse folders that are closed to others, so that the home can be in one of them. It gets
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
    """Create the private folder `folder` for the user of `unprivileged` programs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if _as_root():
        os.chown(folder, NOBODY, NOBODY)
