"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import (
    AddRules,
    Catalogue,
    ChangeRules,
    EndRules,
    Find,
    FindBlocks,
    FindRules,
    FindTransfers,
    KnowStorage,
    Lookup,
    MarkStorage,
    Register,
)
from ctao_bdms.catalogue.query import Comparison, Condition, Query

__all__ = [
    "AddRules",
    "Catalogue",
    "ChangeRules",
    "EndRules",
    "Comparison",
    "Condition",
    "Find",
    "FindBlocks",
    "FindRules",
    "FindTransfers",
    "InMemoryCatalogue",
    "KnowStorage",
    "Lookup",
    "MarkStorage",
    "Query",
    "Register",
]
