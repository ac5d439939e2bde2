"""The ingestion daemon as a process, at work on an embedded Rucio: for tests and measurements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from ctao_bdms.embedded import Instance

__all__ = ["ONSITE", "IngestdFolder"]

#: The storage element on site of an embedded Rucio.
ONSITE = "CTAO-NORTH-ONSITE"

_MAIN = """\
import sys
from signal import SIGTERM
from ctao_bdms.processes import die_with_parent
die_with_parent(SIGTERM, int(sys.argv.pop(1)))
{first}
from ctao_bdms.cli import main
raise SystemExit(main())
"""


@attrs.frozen
class IngestdFolder:
    """A folder with settings, state and log of a daemon; make it with `for_instance`.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @classmethod
    def for_instance(
        cls, instance: Instance, path: Path, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> Self:
        """Make a folder for a daemon that takes what lies on the storage of an embedded Rucio.

        Parameters
        ----------
        instance
            The running Rucio.
        path
            The folder; it is made if it is missing.
        settings
            More settings, by section and key. Without others, metrics are shown at a free port.
        """
        storage = {"root": str(instance.storage(ONSITE)), "rse": ONSITE, "site": "CTAO-North", "low_disk_bytes": 10**6}
        folder = cls(path)
        sections: dict[str, dict[str, object]] = {
            "storage": storage,
            "rucio": {"config": str(instance.client_config())},
            "state": {"folder": str(folder.state)},
            "http": {"port": 0},
        }
        for name, more in (settings or {}).items():
            sections.setdefault(name, {}).update(more)
        lines = []
        for name, values in sections.items():
            # What JSON writes for text, numbers, truth and lists of them is TOML, too.
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path.mkdir(parents=True, exist_ok=True)
        folder.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    @property
    def config(self) -> Path:
        """The settings, as ``bdms ingestd --config`` reads them."""
        return self.path / "ingestd.toml"

    @property
    def state(self) -> Path:
        """The daemon's state folder, with journal and address file."""
        return self.path / "state"

    @property
    def log(self) -> Path:
        """What all daemons of this folder have logged."""
        return self.path / "ingestd.log"

    def start(self, *, before: tuple[str, ...] = (), first: str = "") -> subprocess.Popen[bytes]:
        """Start a daemon, and return its process at once; it ends with the process that started it.

        Parameters
        ----------
        before
            The words of a command that starts it, by replacing itself with the command that follows them.
        first
            A piece of Python that it runs first.
        """
        program = [sys.executable, "-c", _MAIN.format(first=first), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*before, *program, "ingestd", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
