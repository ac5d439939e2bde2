"""How bytes are read where they lie: by path, by HTTP, by XRootD."""

from ctao_bdms.storage.patience import Patience
from ctao_bdms.storage.sources import Source, Sources

__all__ = ["Patience", "Source", "Sources"]
