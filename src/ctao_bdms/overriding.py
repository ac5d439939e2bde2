"""Mark methods that implement a port: their documentation stands there, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["override"]

if TYPE_CHECKING:
    from typing_extensions import override  # the type checker knows it without the package
else:

    def override(method):  # noqa: ANN001, ANN201 - `typing.override` came with Python 3.12
        """Mark a method as an implementation of one of a base class."""
        return method
