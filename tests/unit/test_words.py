"""One word, one meaning: see docs/explanation/words.md."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

import ctao_bdms

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Rucio's plugins: they can be imported only where Rucio's server is configured, and export what Rucio asks for.
_PLUGINS = "ctao_bdms.server"
_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "words.md"


def _rooms() -> Iterator[str]:
    """Yield the names of all subpackages."""
    for module in pkgutil.walk_packages([str(Path(ctao_bdms.__file__).parent)], "ctao_bdms.", onerror=lambda _: None):
        if module.ispkg and not module.name.startswith(_PLUGINS):
            yield module.name


def test_no_two_rooms_export_one_name_for_different_objects() -> None:
    exported: dict[str, dict[int, str]] = {}
    for room in _rooms():
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            exported.setdefault(name, {}).setdefault(id(getattr(module, name)), room.removeprefix("ctao_bdms."))
    assert "Lfn" in exported
    assert {name: sorted(rooms.values()) for name, rooms in exported.items() if len(rooms) > 1} == {}


def _resolves(dotted: str) -> bool:
    """Return whether `dotted`, a name below ``ctao_bdms``, exists."""
    module, _, name = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(f"ctao_bdms.{module}"), name)
    except ModuleNotFoundError:
        return False


def test_words_page_names_what_exists() -> None:
    rows = [line.split("|") for line in _PAGE.read_text().splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`([\w.]+)`", row[3])]
    assert len(named) > 30
    assert [name for name in named if not _resolves(name)] == []
