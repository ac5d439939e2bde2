"""Deployment files: systemd unit, container, dashboard, alerts."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

__all__ = ["FILES", "deployed", "unit"]

#: The files by kind.
FILES = {
    "unit": "bdms-ingestd.service",
    "container": "Containerfile",
    "dashboard": "dashboard.json",
    "alerts": "alerts.yml",
}
_PROGRAM, _CONFIG = "/opt/bdms/bin/bdms", "/etc/bdms/ingestd.toml"


def deployed(name: str) -> str:
    """Return the content of one of `FILES`.

    Examples
    --------
    >>> deployed("unit").splitlines()[-1]
    'WantedBy=multi-user.target'
    """
    return files(__package__).joinpath(FILES[name]).read_text(encoding="utf-8")


def unit(config: Path | None = None) -> str:
    """Return the systemd unit for this installation.

    Parameters
    ----------
    config
        The settings file; by default ``/etc/bdms/ingestd.toml``.
    """
    program = Path(sys.executable).with_name("bdms")
    return deployed("unit").replace(_PROGRAM, str(program)).replace(_CONFIG, str((config or Path(_CONFIG)).absolute()))
