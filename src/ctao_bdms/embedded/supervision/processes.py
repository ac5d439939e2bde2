"""The record of the processes that run in a home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.durable import replace_text
from ctao_bdms.processes import ProcessId

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunRecord"]


@attrs.frozen
class RunRecord:
    """The processes that run in a home.

    Attributes
    ----------
    parts
        The processes under the supervisor, by name.
    ready
        True once all parts answer.
    """

    supervisor: ProcessId
    parts: dict[str, ProcessId] = attrs.Factory(dict)
    ready: bool = False

    def save(self, path: Path) -> None:
        """Write the record to `path`."""
        replace_text(path, json.dumps(attrs.asdict(self), indent=2) + "\n", mode=0o600)

    @classmethod
    def load(cls, path: Path) -> RunRecord | None:
        """Read the record from `path`; None if there is none."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        parts = {name: ProcessId(**part) for name, part in document["parts"].items()}
        return cls(ProcessId(**document["supervisor"]), parts, document["ready"])
