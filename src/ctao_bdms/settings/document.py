"""Reading a TOML file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from ctao_bdms.errors import InvalidSettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["document_of"]


def document_of(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    InvalidSettingsError
        If it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettingsError(path, [f"the file cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise InvalidSettingsError(path, [f"the file is no TOML: {error}"]) from error
