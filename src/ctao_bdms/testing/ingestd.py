"""Run the ingestion daemon as a process on an embedded Rucio, for tests and measurements."""

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
    """A folder with settings, state and log of a daemon; create it with `for_instance`."""

    path: Path

    @classmethod
    def for_instance(
        cls, instance: Instance, path: Path, settings: Mapping[str, Mapping[str, object]] | None = None
    ) -> Self:
        """Create the folder of a daemon for the on-site storage of an embedded Rucio.

        Parameters
        ----------
        instance
            The running Rucio.
        path
            The folder; created if it is missing.
        settings
            More settings, by section and key. By default, metrics have a free port.
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
            # The JSON of texts, numbers, booleans and lists of them is valid TOML, too.
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path.mkdir(parents=True, exist_ok=True)
        folder.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    @property
    def config(self) -> Path:
        """The settings file, for ``bdms ingestd --config``."""
        return self.path / "ingestd.toml"

    @property
    def state(self) -> Path:
        """The daemon's state folder, with journal and address file."""
        return self.path / "state"

    @property
    def log(self) -> Path:
        """The log of all daemons of this folder."""
        return self.path / "ingestd.log"

    def start(self, *, before: tuple[str, ...] = (), first: str = "") -> subprocess.Popen[bytes]:
        """Start a daemon and return its process at once; it ends with the process that started it.

        Parameters
        ----------
        before
            A command that starts the daemon: it replaces itself by the command in its last arguments.
        first
            Python code to run first.
        """
        program = [sys.executable, "-c", _MAIN.format(first=first), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*before, *program, "ingestd", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
