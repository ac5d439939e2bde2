"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import (
    AddRules,
    Annotate,
    Catalogue,
    EndRules,
    Find,
    FindBlocks,
    FindRules,
    KnowStorage,
    Lookup,
    Register,
)
from ctao_bdms.catalogue.query import Comparison, Condition, Query

__all__ = [
    "AddRules",
    "Annotate",
    "Catalogue",
    "Comparison",
    "Condition",
    "EndRules",
    "Find",
    "FindBlocks",
    "FindRules",
    "InMemoryCatalogue",
    "KnowStorage",
    "Lookup",
    "Query",
    "Register",
]
