"""The CTAO policy package for Rucio servers and clients.

Rucio loads the package if its configuration has ``[policy] package = ctao_rucio_policy``. If the import fails, Rucio
ignores the package silently. The package therefore depends on attrs and the standard library only, and imports Rucio
inside functions: Rucio's own modules are half imported when the package is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_rucio_policy.lfn2pfn import lfn2pfn
from ctao_rucio_policy.pfn2lfn import pfn2lfn
from ctao_rucio_policy.scope import scope

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALGORITHM", "SUPPORTED_VERSION", "get_algorithms"]

#: The Rucio versions that the policy is tested with; any other version rejects the package.
SUPPORTED_VERSION = [">=41", "<42"]

#: The name of the algorithms, in the registry and in the configuration.
ALGORITHM = "ctao_bdms"


def get_algorithms() -> dict[str, dict[str, Callable[..., Any]]]:
    """Return the algorithms by type and name; Rucio calls this when it loads the package."""
    return {"lfn2pfn": {ALGORITHM: lfn2pfn}, "pfn2lfn": {ALGORITHM: pfn2lfn}, "scope": {ALGORITHM: scope}}
