"""What tests need of the distribution: `.ci/run` installs it; where it is missing, they are left out and say so."""

from __future__ import annotations

import os

import pytest

__all__ = ["demand"]


def demand(package: str, *, there: bool) -> None:
    """Go on only if a package of Debian is there; to lack it is a failure where everything must hold."""
    if there:
        return
    reason = f"this needs Debian's package {package}, which .ci/run installs"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
