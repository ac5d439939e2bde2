"""Bulk data management for the Cherenkov Telescope Array Observatory.

The public names; each is loaded on first use, so that ``import ctao_bdms`` costs nothing.

Examples
--------
>>> import ctao_bdms
>>> ctao_bdms.Night.parse("2026-11-21")
Night(2026-11-21)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctao_bdms.access import Range as Range
    from ctao_bdms.archive import Bdms as Bdms
    from ctao_bdms.archive import connect as connect
    from ctao_bdms.errors import BdmsError as BdmsError
    from ctao_bdms.integrity import scan as scan
    from ctao_bdms.model import ArrayElement as ArrayElement
    from ctao_bdms.model import DataLevel as DataLevel
    from ctao_bdms.model import Did as Did
    from ctao_bdms.model import FileFacts as FileFacts
    from ctao_bdms.model import Lfn as Lfn
    from ctao_bdms.model import NewProduct as NewProduct
    from ctao_bdms.model import Night as Night
    from ctao_bdms.model import ProductMetadata as ProductMetadata
    from ctao_bdms.model import Site as Site
    from ctao_bdms.model import Verdict as Verdict

_HOMES = {
    "ArrayElement": "model",
    "Bdms": "archive",
    "BdmsError": "errors",
    "DataLevel": "model",
    "Did": "model",
    "FileFacts": "model",
    "Lfn": "model",
    "NewProduct": "model",
    "Night": "model",
    "ProductMetadata": "model",
    "Range": "access",
    "Site": "model",
    "Verdict": "model",
    "connect": "archive",
    "scan": "integrity",
}

__all__ = [
    "ArrayElement",
    "Bdms",
    "BdmsError",
    "DataLevel",
    "Did",
    "FileFacts",
    "Lfn",
    "NewProduct",
    "Night",
    "ProductMetadata",
    "Range",
    "Site",
    "Verdict",
    "connect",
    "scan",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        module = import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        from ctao_bdms.errors import MissingExtraError

        raise MissingExtraError("client", error.name or "a module") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
