"""The policy of the Cherenkov Telescope Array Observatory for Rucio, on servers and clients.

Rucio loads this package when ``[policy] package = ctao_rucio_policy`` stands in its configuration, and ignores it
without a word if its import fails. It therefore needs nothing but attrs and the standard library; Rucio itself is
imported inside functions, because Rucio's own modules are only half imported when the package is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_rucio_policy.lfn2pfn import lfn2pfn
from ctao_rucio_policy.pfn2lfn import pfn2lfn
from ctao_rucio_policy.scope import scope

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALGORITHM", "SUPPORTED_VERSION", "get_algorithms"]

#: The versions of Rucio that this policy has been proven with; Rucio refuses the package outside of them.
SUPPORTED_VERSION = [">=41", "<42"]

#: The name under which the algorithms are registered and must be configured.
ALGORITHM = "ctao_bdms"


def get_algorithms() -> dict[str, dict[str, Callable[..., Any]]]:
    """Return the algorithms by type and name, as Rucio asks for them when it loads the package."""
    return {"lfn2pfn": {ALGORITHM: lfn2pfn}, "pfn2lfn": {ALGORITHM: pfn2lfn}, "scope": {ALGORITHM: scope}}
